"""The Dockerfile of an app that has none, made from its requirements."""

from __future__ import annotations

import json
from collections.abc import Sequence


def made_dockerfile(*, python: str, requirements: str | Sequence[str] | None, package: str) -> str:
    """A Dockerfile for the tree that it lies in.

    Args:
        python: The Python of the image, `3.12`.
        requirements: A file with the app's requirements, relative to the tree, or the requirements themselves; None without.
        package: The wheel of this package, relative to the tree.
    """
    files, words = [package], [f"/packages/{_name(package)}"]
    if isinstance(requirements, str):
        files.insert(0, requirements)
        words = ["--requirement", f"/packages/{_name(requirements)}", *words]
    else:
        words = [*(requirements or ()), *words]
    return "\n".join(
        [
            f"FROM docker.io/library/python:{python}-slim",
            "ENV PYTHONUNBUFFERED=1",
            "WORKDIR /app",
            # Requirements change less often than code: what installs them stands above what copies the code, and is kept.
            f"COPY {json.dumps([*files, '/packages/'])}",
            f"RUN {json.dumps(['python', '-m', 'pip', 'install', '--no-cache-dir', *words])}",
            "COPY . .",
            "",
        ]
    )


def _name(path: str) -> str:
    return path.rpartition("/")[2]
