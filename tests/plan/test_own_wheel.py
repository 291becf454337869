"""This package as a wheel made of the installed files: pip takes it, and it is what is installed here."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import vertex_sweeper
from vertex_sweeper.plan.own_wheel import own_wheel


def test_the_wheel_is_the_same_each_time_and_holds_the_installed_files() -> None:
    wheel = own_wheel()
    assert own_wheel() == wheel
    assert wheel.sha256 == hashlib.sha256(wheel.content).hexdigest()
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        own = Path(vertex_sweeper.__file__).read_bytes()
        assert archive.read("vertex_sweeper/__init__.py") == own
    assert {
        "vertex_sweeper_runtime/trial.py",
        "hydra_plugins/vertex_sweeper/config.py",
        "hydra_plugins/vertex_launcher/config.py",
        "vertex_sweeper/py.typed",
    } <= set(names)
    assert not [name for name in names if "__pycache__" in name or name == "hydra_plugins/__init__.py"]


def test_pip_installs_it_with_its_commands(tmp_path: Path) -> None:
    wheel = own_wheel()
    path = tmp_path / wheel.name
    path.write_bytes(wheel.content)
    target = tmp_path / "target"
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*words, "--target", str(target), str(path)], check=True)
    shown = subprocess.run(
        [sys.executable, "-S", str(target / "bin" / "vertex-trial"), "--help"],
        env={"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith("usage: vertex-trial")
