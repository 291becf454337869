"""Builds an image and pushes it with the program that is there, and finds out its digest."""

from __future__ import annotations

import logging
import subprocess
import tempfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vertex_sweeper.errors import SweepError
from vertex_sweeper.messages import printable, shell_line
from vertex_sweeper.services.images.builder import (
    Builder,
    Recipe,
    build_commands,
    cloud_build_config,
    find_builder,
)
from vertex_sweeper.services.images.registry import RegistryError, find_digest, login_command
from vertex_sweeper.settings.image_name import ImageName

log = logging.getLogger(__name__)

_LAST_LINES: Final = 5
"""How many of a builder's last lines an error repeats."""


def find_image(image: ImageName, *, token: str | None = None) -> ImageName | None:
    """The image with its digest, where the registry has it. Raises SweepError where the registry refuses."""
    try:
        digest = find_digest(image, token=token)
    except RegistryError as error:
        if not error.denied:
            raise
        google = f"you need roles/artifactregistry.writer there: `{_GRANT}`"
        others = "Vertex pulls from Artifact Registry, and from registries that want no login"
        raise SweepError(f"{error}: {google if image.google else others}") from error
    if digest is None:
        return None
    log.info("%s is there: nothing is built", image)
    return image.pinned(digest)


def build_image(recipe: Recipe, *, token: str | None = None, builder: Builder | None = None) -> ImageName:
    """Builds an image and pushes it; returns it with its digest.

    Args:
        recipe: What is built.
        token: An access token of Google's, for Google's registries.
        builder: The program that builds; the first one that is there when left open.

    Raises:
        SweepError: No program can build, the build failed, or the registry refuses.
    """
    chosen = find_builder(builder)
    log.info("building %s with %s", recipe.image, "Cloud Build" if chosen is Builder.GCLOUD else chosen.value)
    with tempfile.TemporaryDirectory(prefix="vertex-sweeper-build-") as folder:
        config = Path(folder) / "cloudbuild.json"
        config.write_text(cloud_build_config(recipe), encoding="utf-8")
        for command in build_commands(chosen, recipe, config=config):
            _run(command, recipe.image)
    digest = find_digest(recipe.image, token=token)
    if digest is None:
        raise SweepError(f"{chosen.value} has pushed {recipe.image}, and the registry does not have it: try again")
    return recipe.image.pinned(digest)


_GRANT: Final = (
    "gcloud artifacts repositories add-iam-policy-binding REPOSITORY --location=REGION --member=user:YOU "
    "--role=roles/artifactregistry.writer"
)


def _run(command: Sequence[str], image: ImageName) -> None:
    """Runs one command with its output among our lines. Raises SweepError with its last lines."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        with subprocess.Popen(  # noqa: S603 - our own words
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                text = printable(line.rstrip())
                log.info("  %s", text)
                last.extend([text] if text else [])
    except OSError as error:
        raise SweepError(f"{command[0]} cannot be started: {error}") from error
    if process.returncode == 0:
        return
    what = "push" if "push" in command[:2] else "build"
    lines = "\n".join(f"  {line}" for line in last)
    remedy = f"if the registry wants another login: `{login_command(image)}`" if what == "push" else "see its lines"
    raise SweepError(f"{image}: `{shell_line(command)}` ended with {process.returncode}; {remedy}\n{lines}".rstrip())
