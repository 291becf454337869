"""Requirements are resolved by a real installer, from a folder of packages: nothing is asked of a network."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from vertex_sweeper.finding import Found
from vertex_sweeper.services.requirements import check_requirements, resolve_command

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
METADATA = "Metadata-Version: 2.1\nName: here\nVersion: 1.0\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree beside an index of one package, `here` 1.0."""
    packages = tmp_path / "packages"
    packages.mkdir()
    with zipfile.ZipFile(packages / "here-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("here.py", "")
        wheel.writestr("here-1.0.dist-info/METADATA", METADATA)
        wheel.writestr("here-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("here-1.0.dist-info/RECORD", "")
    tree = tmp_path / "my tree"
    tree.mkdir()
    (tree / "requirements.txt").write_text("--no-index\n--find-links ../packages\nhere>=1\n")
    return tree


@pytest.mark.parametrize("python", [None, "3.9"])
def test_requirements_that_can_be_had_are_resolved_and_not_installed(tree: Path, python: str | None) -> None:
    finding = check_requirements("requirements.txt", root=tree, python=python)
    assert finding.found is Found.OK
    assert f"for Python {python or HERE}" in finding.text
    assert ("not known" in finding.text) is (python is None)
    assert [path.name for path in tree.iterdir()] == ["requirements.txt"]


def test_requirements_that_cannot_be_had_fail_with_the_installers_last_lines(tree: Path) -> None:
    (tree / "requirements.txt").write_text("--no-index\n--find-links ../packages\nhere>=2\n")
    finding = check_requirements("requirements.txt", root=tree)
    assert finding.found is Found.FAILED
    assert "here>=2" in finding.text


def test_without_pip_uv_is_asked() -> None:
    command = resolve_command(["torch"], python="3.11", folder=Path("/f"), with_pip=False)
    assert command == ["uv", "pip", "install", "--dry-run", "--quiet", "--target=/f", "--python-version=3.11", "torch"]
