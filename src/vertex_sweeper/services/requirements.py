"""Whether an app's requirements can be resolved: an installer is asked, and installs nothing."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vertex_sweeper.finding import Finding, failed, ok, unchecked
from vertex_sweeper.messages import one_line

_SUBJECT: Final = "requirements"
_PATIENCE: Final = 300.0
"""Seconds. Without metadata beside the files, pip loads whole packages."""

_LAST_LINES: Final = 3


def check_requirements(requirements: str | Sequence[str], *, root: Path, python: str | None = None) -> Finding:
    """Resolves requirements for an image.

    Args:
        requirements: A file, relative to `root`, or the requirements themselves.
        root: Where the tree begins.
        python: The image's Python, `3.12`; where it is not known, that of this process is taken, and that is said.
    """
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = python or here
    of_image = f"for Python {wanted}" if python else f"for Python {wanted}, which is this one's: the image's is not known"
    words = ["--requirement", str(root / requirements)] if isinstance(requirements, str) else list(requirements)
    with_pip = importlib.util.find_spec("pip") is not None
    if not with_pip and shutil.which("uv") is None:
        return unchecked(_SUBJECT, "neither pip nor uv is here to resolve them")
    with tempfile.TemporaryDirectory(prefix="vertex-sweeper-resolve-") as folder:
        command = resolve_command(
            words, python=wanted, folder=Path(folder), with_pip=importlib.util.find_spec("pip") is not None
        )
        try:
            done = subprocess.run(  # noqa: S603 - our own words and the user's requirements, no shell
                command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return unchecked(_SUBJECT, f"the installer does not end: {one_line(error)}")
    if done.returncode == 0:
        return ok(_SUBJECT, f"resolved {of_image}")
    last = "; ".join(map(one_line, (done.stderr or done.stdout).strip().splitlines()[-_LAST_LINES:]))
    return failed(_SUBJECT, f"cannot be resolved {of_image}: {last}", "mend them, or take an image with another Python")


def resolve_command(words: Sequence[str], *, python: str, folder: Path, with_pip: bool) -> list[str]:
    """The command that resolves requirements for a Linux machine, and installs nothing.

    Args:
        words: The requirements, as pip takes them.
        python: The Python they are for.
        folder: An empty folder.
        with_pip: Whether pip is asked; else uv.
    """
    if not with_pip:
        return ["uv", "pip", "install", "--dry-run", "--quiet", f"--target={folder}", f"--python-version={python}", *words]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--ignore-installed", f"--target={folder}"]
    if python != f"{sys.version_info.major}.{sys.version_info.minor}":
        # For another Python pip takes finished packages only.
        command += [f"--python-version={python}", "--only-binary=:all:"]
    return [*command, *words]
