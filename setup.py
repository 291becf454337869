"""The packages, which lie in two places: the plugin beside `src/`, where Hydra's namespace package can be found and tested."""

from setuptools import find_namespace_packages, find_packages, setup

_TYPED = ("vertex_sweeper", "vertex_sweeper_runtime", "hydra_plugins.vertex_sweeper", "hydra_plugins.vertex_launcher")

setup(
    packages=[*find_packages("src"), *find_namespace_packages(include=["hydra_plugins.*"])],
    package_dir={"": "src", "hydra_plugins": "hydra_plugins"},
    package_data={name: ["py.typed"] for name in _TYPED},
)
