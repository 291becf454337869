"""What the tests of shipped code share: an app without an image, wheels of what is installed here, and a stripped Python."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import zipfile
from pathlib import Path

TRAIN = """
import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    import offset

    return (cfg.x - 1) ** 2 + offset.VALUE


if __name__ == "__main__":
    main()
"""

NEEDED = ("hydra-core", "omegaconf", "antlr4-python3-runtime", "PyYAML", "packaging", "cloudml-hypertune")
"""What a trial's environment has beside this package."""


def write_app(folder: Path) -> Path:
    """A folder as users have it: a script, a config, requirements; no Dockerfile, no git."""
    (folder / "conf").mkdir(parents=True)
    (folder / "train.py").write_text(TRAIN, encoding="utf-8")
    (folder / "conf" / "config.yaml").write_text("x: 2\n", encoding="utf-8")
    (folder / "offset.py").write_text("VALUE = 0\n", encoding="utf-8")
    (folder / "requirements.txt").write_text("hydra-core\n", encoding="utf-8")
    return folder


def write_wheels(folder: Path) -> Path:
    """Wheels of what is installed, so that an environment can be made without a network."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NEEDED:
        distribution = importlib.metadata.distribution(name)
        tags = [
            line.removeprefix("Tag: ")
            for line in (distribution.read_text("WHEEL") or "").split("\n")
            if line.startswith("Tag: ")
        ]
        tag = "py3-none-any" if "py3-none-any" in tags else tags[0]
        files = [file for file in distribution.files or () if ".." not in file.parts and "__pycache__" not in file.parts]
        path = folder / f"{name.replace('-', '_')}-{distribution.version}-{tag}.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            for file in files:
                wheel.write(str(file.locate()), str(file))
    return folder


def write_module_wheel(folder: Path, name: str, file: str, text: str, version: str = "1.0") -> Path:
    """A wheel of one module, which nothing else has."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{name.replace('-', '_')}-{version}"
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(file, text)
        wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", f"{file},,\n")
    return path


def make_python(folder: Path) -> Path:
    """A Python with nothing installed beside what this one is made of: an image's."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python3"


def environment_without(*names: str) -> dict[str, str]:
    """This process's environment without these variables, and without what points at modules."""
    return {name: value for name, value in os.environ.items() if name not in (*names, "PYTHONPATH")}
