"""What pip makes of the package beside others, asked of pip itself."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[1]


def run_pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], capture_output=True, text=True, check=False
    )


def commands_of_the_readme() -> list[list[str]]:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.findall(r"`(pip install hydra-vertex-sweeper hydra-joblib-launcher [^`]*)`", text)]


def test_beside_the_joblib_launcher_the_readmes_command_takes_no_prerelease_of_hydra(tmp_path: Path) -> None:
    """The resolver itself is asked what the package and the launcher together bring; nothing is installed."""
    if run_pip("download", "--no-deps", "--quiet", "--dest", str(tmp_path), "hydra-joblib-launcher==1.2.0").returncode:
        pytest.skip("needs a package index")
    [command] = commands_of_the_readme()
    assert command[:3] == ["pip", "install", "hydra-vertex-sweeper"]
    # In place of the package itself, what it asks of Hydra: its own release is not on an index yet.
    own = re.search(r'^    "(hydra-core[^"]*)",', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert own is not None
    report = tmp_path / "report.json"
    resolved = run_pip(
        *("install", "--dry-run", "--ignore-installed", "--quiet", "--report", str(report)), own.group(1), *command[3:]
    )
    assert resolved.returncode == 0, resolved.stderr
    found = {item["metadata"]["name"]: item["metadata"]["version"] for item in json.loads(report.read_text())["install"]}
    assert found["hydra-joblib-launcher"]
    assert not Version(found["hydra-core"]).is_prerelease
