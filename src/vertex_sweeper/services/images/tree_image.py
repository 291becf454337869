"""The image of a tree of code: a folder with just what belongs to the tree, its Dockerfile, and its tag."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vertex_sweeper.services.images.build import build_image, find_image, image_tag
from vertex_sweeper.services.images.builder import Builder, Recipe
from vertex_sweeper.services.images.dockerfile import made_dockerfile
from vertex_sweeper.services.images.image_name import ImageName

_PACKAGES: Final = ".vertex-sweeper"
"""Where in the folder that is built from this package's wheel lies."""

_IGNORED: Final = (".dockerignore", ".gcloudignore")
"""What would keep files of ours out of a folder that holds nothing else that is not wanted."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What belongs to an app's code.

    Attributes:
        root: The folder.
        files: What belongs to the tree, relative to the folder.
        digest: The hash of it all, in hex digits.
        dockerfile: The app's own Dockerfile, relative to the folder; None where one is to be made.
        requirements: For one that is made: a file, relative to the folder, or the requirements themselves.
        python: For one that is made: the image's Python, `3.12`.
        wheel: For one that is made: this package.
    """

    root: Path
    files: tuple[str, ...]
    digest: str
    dockerfile: str | None = None
    requirements: str | Sequence[str] | None = None
    python: str = ""
    wheel: Path | None = None

    @property
    def made(self) -> str:
        """The Dockerfile that is made for the tree; empty where it has its own."""
        if self.dockerfile is not None or self.wheel is None:
            return ""
        package = f"{_PACKAGES}/{self.wheel.name}"
        return made_dockerfile(python=self.python, requirements=self.requirements, package=package)

    @property
    def tag(self) -> str:
        """What the tree's image is tagged with: another tree, Dockerfile or package is another tag."""
        if not self.made or self.wheel is None:
            return image_tag(self.digest, made=f"{self.dockerfile}" if self.dockerfile != "Dockerfile" else "")
        return image_tag(self.digest, made=self.made + hashlib.sha256(self.wheel.read_bytes()).hexdigest())


def build_tree(
    repository: ImageName,
    tree: Tree,
    *,
    token: str | None = None,
    builder: Builder | None = None,
    project: str | None = None,
) -> ImageName:
    """Builds the tree's image and pushes it, unless its tag is there; returns it with its digest.

    Args:
        repository: The image without a tag.
        tree: The code.
        token: An access token of Google's, for Google's registries.
        builder: The program that builds; the first one that is there when left open.
        project: Whose Cloud Build is used, where that is the builder.

    Raises:
        SweepError: No program can build, the build failed, or the registry refuses.
    """
    image = repository.tagged(tree.tag)
    there = find_image(image, token=token)
    if there is not None:
        return there
    with tempfile.TemporaryDirectory(prefix="vertex-sweeper-tree-") as folder:
        context = Path(folder)
        _copy(tree.root, tree.files, context)
        for name in _IGNORED if tree.made else ():
            (context / name).unlink(missing_ok=True)
        if tree.made and tree.wheel is not None:
            (context / _PACKAGES).mkdir()
            shutil.copy(tree.wheel, context / _PACKAGES)
            (context / "Dockerfile").write_text(tree.made, encoding="utf-8")
        recipe = Recipe(image, context, tree.dockerfile or "Dockerfile", project)
        return build_image(recipe, token=token, builder=builder)


def _copy(root: Path, files: Iterable[str], context: Path) -> None:
    for name in files:
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target, follow_symlinks=False)
