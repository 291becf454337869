"""The command lines that build an image and push it, for each program that can. Made here, run elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from vertex_sweeper.errors import SweepError
from vertex_sweeper.settings.image_name import ImageName

PLATFORM: Final = "linux/amd64"
"""What Vertex's machines are; an image for an ARM laptop would not start there."""

_PATIENCE: Final = 15.0
"""Seconds in which docker's daemon must answer."""


class Builder(Enum):
    """The programs that build images, in the order in which they are looked for."""

    DOCKER = "docker"
    PODMAN = "podman"
    BUILDAH = "buildah"
    GCLOUD = "gcloud"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is built.

    Attributes:
        image: The image with its tag.
        context: The folder that the Dockerfile copies from.
        dockerfile: The Dockerfile, relative to the context.
        project: Whose Cloud Build is used, where that is the builder.
    """

    image: ImageName
    context: Path
    dockerfile: str = "Dockerfile"
    project: str | None = None


def build_commands(builder: Builder, recipe: Recipe, *, config: Path) -> list[list[str]]:
    """The commands that build and push, one after the other.

    Args:
        builder: The program.
        recipe: What is built.
        config: The file where `cloud_build_config` stands, for Cloud Build.
    """
    image, context = str(recipe.image), str(recipe.context)
    if builder is Builder.GCLOUD:
        project = [f"--project={recipe.project}"] if recipe.project else []
        return [["gcloud", "builds", "submit", context, f"--config={config}", *project, "--quiet"]]
    program = builder.value
    file = str(recipe.context / recipe.dockerfile)
    # The others make OCI images by themselves; this is the kind that docker makes.
    kind = [] if builder is Builder.DOCKER else ["--format=docker"]
    # docker by itself speaks without TLS to this machine's registries.
    plain = ["--tls-verify=false"] if recipe.image.loopback and builder is not Builder.DOCKER else []
    return [
        [program, "build", f"--platform={PLATFORM}", *kind, f"--file={file}", f"--tag={image}", context],
        [program, "push", *plain, image],
    ]


def cloud_build_config(recipe: Recipe) -> str:
    """What Cloud Build is to do, in JSON, which is YAML, too."""
    arguments = ["build", f"--platform={PLATFORM}", f"--file={recipe.dockerfile}", f"--tag={recipe.image}", "."]
    step = {"name": "gcr.io/cloud-builders/docker", "args": arguments}
    return json.dumps({"steps": [step], "images": [str(recipe.image)], "timeout": "3600s"}, indent=2) + "\n"


def find_builder(
    wanted: Builder | None = None,
    *,
    which: Callable[[str], str | None] = shutil.which,
    answers: Callable[[Sequence[str]], bool] | None = None,
) -> Builder:
    """The first program that is installed and can build.

    Args:
        wanted: The only one to look for.
        which: Finds programs.
        answers: Says whether a command succeeds; docker is a program here and a daemon elsewhere, which may not run.

    Raises:
        SweepError: There is none.
    """
    asked = answers or _succeeds
    idle = []
    for builder in [wanted] if wanted else Builder:
        if which(builder.value) is None:
            continue
        if builder is not Builder.DOCKER or asked(["docker", "version", "--format={{.Server.Version}}"]):
            return builder
        idle.append("docker is installed, and its daemon does not answer")
    names = [wanted.value] if wanted else [builder.value for builder in Builder]
    found = "; ".join(idle) or f"{', '.join(names)}: not found"
    raise SweepError(
        f"no program that builds images ({found}): install docker, podman or buildah, or gcloud for Cloud Build, or leave "
        "hydra.sweeper.trial.build out and name an image that is there"
    )


def _succeeds(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
