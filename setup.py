"""Packaging. In `setup.py` because the plugin lies beside `src/`, where Hydra's namespace package can be found and tested."""

from pathlib import Path

from setuptools import find_namespace_packages, find_packages, setup

HERE = Path(__file__).parent
README = HERE / "README.md"

# A pre-release of 1.4 satisfies this where it is installed or asked for; a bound like `>=1.3.0rc1` would make pip choose one.
HYDRA = "hydra-core>=1.3,<1.5"

# The settings need it: `trial.strategy` came with 1.62, `trial.max_wait_duration` with 1.66. `make test-lowest` tests with it.
VERTEX = ["google-cloud-aiplatform>=1.66"]
LOCAL = ["optuna>=5"]
EMULATOR = [*VERTEX, *LOCAL, "cryptography>=41"]
TEST = [
    "pytest>=8",
    "pytest-xdist>=3.5",
    "hypothesis>=6.100",
    "hydra-joblib-launcher>=1.2",
    "hydra-zen>=0.13",
    "hyperframe>=6",
    "hpack>=4",
    "build>=1.2",
    "setuptools>=69",
    "wheel",
]
LINT = ["ruff>=0.17,<0.18", "mypy>=2.4", "types-PyYAML"]

setup(
    name="hydra-vertex-sweeper",
    version="0.1.0",
    description="Tunes any Hydra app as a Vertex AI hyperparameter tuning job, on Vertex or on the machine at hand",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[*find_packages("src"), *find_namespace_packages(include=["hydra_plugins.*"])],
    package_dir={"": "src", "hydra_plugins": "hydra_plugins"},
    package_data={name: ["py.typed"] for name in ("vertex_sweeper", "vertex_sweeper_runtime", "hydra_plugins.vertex_sweeper")},
    zip_safe=False,
    # What a training container needs, and no more: the container installs the package without extras.
    install_requires=[HYDRA, "cloudml-hypertune"],
    extras_require={
        "vertex": VERTEX,
        "local": LOCAL,
        "emulator": EMULATOR,
        "all": EMULATOR,
        "test": TEST,
        "dev": [*TEST, *LINT],
        "bench": ["hydra-joblib-launcher>=1.2"],
    },
    entry_points={
        "console_scripts": [
            "vertex-trial=vertex_sweeper_runtime.trial:main",
            "vertex-sweeper=vertex_sweeper.cli.main:main",
        ]
    },
    classifiers=[
        "Framework :: Hydra",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
