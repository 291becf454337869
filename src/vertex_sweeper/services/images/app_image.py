"""Builds an app's image from a folder that has just what belongs to the app."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from vertex_sweeper.job.app_image import PACKAGES, AppImage
from vertex_sweeper.services.images.build import build_image, find_image
from vertex_sweeper.services.images.builder import Builder, Recipe
from vertex_sweeper.settings.image_name import ImageName
from vertex_sweeper_runtime.code_archive import unpack

_IGNORED: Final = (".dockerignore", ".gcloudignore", ".gitignore")
"""What would keep files of ours out of a folder in which there is nothing else that is not wanted."""


def build_app_image(
    image: AppImage, *, token: str | None = None, builder: Builder | None = None, project: str | None = None
) -> ImageName:
    """Builds the image and pushes it, unless its tag is there; returns it with its digest.

    Args:
        image: The image to be.
        token: An access token of Google's, for Google's registries.
        builder: The program that builds; the first one that is there when left open.
        project: Whose Cloud Build is used, where that is the builder.

    Raises:
        SweepError: No program can build, the build failed, or the registry refuses.
    """
    there = find_image(image.name, token=token)
    if there is not None:
        return there
    with tempfile.TemporaryDirectory(prefix="vertex-sweeper-image-") as folder:
        context = Path(folder) / "app"
        _unpack(image, Path(folder), context)
        recipe = Recipe(image.name, context, image.dockerfile or "Dockerfile", project)
        return build_image(recipe, token=token, builder=builder)


def _unpack(image: AppImage, folder: Path, context: Path) -> None:
    """The app's files, from the very bytes that the tag is the hash of."""
    archive = folder / "app.tar.gz"
    image.archive.seek(0)
    with archive.open("wb") as file:
        shutil.copyfileobj(image.archive, file)
    unpack(str(archive), str(context))
    if not image.made:
        return
    for name in _IGNORED:
        (context / name).unlink(missing_ok=True)
    (context / PACKAGES).mkdir()
    for name, content in image.packages.items():
        (context / PACKAGES / name).write_bytes(content)
    (context / "Dockerfile").write_text(image.made, encoding="utf-8")
