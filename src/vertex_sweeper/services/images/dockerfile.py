"""The Dockerfile of an app that has none, made from its requirements."""

from __future__ import annotations

import json
from collections.abc import Sequence


def made_dockerfile(*, python: str, requirements: str | None, packages: Sequence[str]) -> str:
    """A Dockerfile for the tree that it lies in.

    Args:
        python: The Python of the image, `3.12`.
        requirements: The file with the app's requirements, relative to the tree; None where it has none.
        packages: What is installed beside them, as pip takes it: this package.
    """
    install = ["python", "-m", "pip", "install", "--no-cache-dir"]
    # Requirements change less often than code: what installs them is above what copies the code, and kept.
    wanted = [*(["--requirement", f"/requirements/{requirements.rpartition('/')[2]}"] if requirements else []), *packages]
    copies = [f"COPY {json.dumps([requirements, '/requirements/'])}"] if requirements else []
    return "\n".join(
        [
            f"FROM docker.io/library/python:{python}-slim",
            "ENV PYTHONUNBUFFERED=1",
            "WORKDIR /app",
            *copies,
            f"RUN {json.dumps([*install, *wanted])}",
            "COPY . .",
            "",
        ]
    )
