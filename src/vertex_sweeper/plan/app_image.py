"""Which image is built for a sweep: its files, its Dockerfile or one that is made, and its tag."""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.app_image import PACKAGES, AppImage
from vertex_sweeper.job.dockerfile import made_dockerfile
from vertex_sweeper.plan.code_bundle import pack
from vertex_sweeper.plan.code_tree import list_tree
from vertex_sweeper.plan.own_wheel import own_wheel
from vertex_sweeper.plan.requirements import read_requirements
from vertex_sweeper.settings import TrialSettings
from vertex_sweeper.settings.image_name import ImageName

_DOCKERFILE: Final = "Dockerfile"
_REQUIREMENTS: Final = "requirements.txt"


def plan_image(
    trial: TrialSettings,
    *,
    root: Path,
    command: Sequence[str] = (),
    dockerfile: str | None = None,
    left_out: Sequence[Path] = (),
) -> AppImage:
    """The image of the app in a folder.

    Args:
        trial: The settings, with an image that has no tag. `requirements` left open is the `requirements.txt` that is found.
        root: The folder, where trials begin.
        command: The words that start a trial: beside its script, a Dockerfile and requirements are looked for first.
        dockerfile: The Dockerfile, relative to the folder; the one that is found when left open, else one is made.
        left_out: Folders that do not belong to the app, such as the sweep's own directory.

    Raises:
        InvalidSweep: With every mistake in the files.
    """
    bundle = pack(root, list_tree(root, left_out=left_out), allow_secrets=trial.allow_secrets)
    if dockerfile is not None and posixpath.normpath(dockerfile) not in bundle.names:
        raise InvalidSweep([f"{dockerfile!r} is no file of the app in {root}: see what .gitignore leaves out"])
    own = dockerfile or _first(_DOCKERFILE, command, bundle.names)
    image = AppImage(ImageName.parse(str(trial.image)), bundle.archive, bundle.sha256, own and posixpath.normpath(own), "", {})
    if own is not None:
        return image
    if trial.requirements is None:
        trial = replace(trial, requirements=_first(_REQUIREMENTS, command, bundle.names))
    wanted = read_requirements(trial, root=root, folder=".", names=bundle.names)
    wheel = own_wheel()
    made = made_dockerfile(
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        requirements=wanted.file or (wanted.lines or None),
        package=f"{PACKAGES}/{wheel.name}",
    )
    return replace(image, made=made, packages={wheel.name: wheel.content})


def _first(name: str, command: Sequence[str], files: frozenset[str]) -> str | None:
    """The file of this name beside the script, or in the folder."""
    return next((path for path in _places(name, command) if path in files), None)


def _places(name: str, command: Sequence[str]) -> Iterator[str]:
    for word in command:
        if word.endswith(".py"):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(word), name))
    yield name
