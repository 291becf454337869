"""Which version of the code a sweep runs: the commit of the working directory's git repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PATIENCE = 5.0
"""Seconds. Git reads the state of every tracked file."""


_HASH_LENGTH = 12
"""Characters of a hash that tell a user's trees apart."""


def commit_of(directory: Path) -> str | None:
    """The commit's short name, with `-dirty` behind it where tracked files have changed; None without git or a commit."""
    # No tag matches the pattern, so the commit's own name is what is printed.
    command = ["git", "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    # Nothing is written: a refreshed index would be.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        result = subprocess.run(  # noqa: S603 - our own words
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    name = result.stdout.strip()
    return name if result.returncode == 0 and name else None


def display_name(job_name: str, directory: Path, *, longest: int, code: str | None = None) -> str:
    """The name of a sweep's job: the Hydra job's and the commit's, `train 1a2b3c4-dirty`.

    Where the code is sent along, `code` is its hash, which stands for the commit.
    """
    commit = commit_of(directory) if code is None else code[:_HASH_LENGTH]
    if commit is None:
        return job_name[:longest]
    return f"{job_name[: longest - len(commit) - 1]} {commit}"
