"""`vertex-sweeper build`: builds an app's image and pushes it, unless it is there, and prints its name with the digest."""

from __future__ import annotations

import argparse
from pathlib import Path

from vertex_sweeper.cli.common import write_lines
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.app_image import plan_image
from vertex_sweeper.run.build import build
from vertex_sweeper.services.images.builder import Builder
from vertex_sweeper.settings import TrialSettings
from vertex_sweeper.settings.image_name import broken_repository


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = (
        "Builds the image of the app in this folder with docker, podman or buildah, whichever is there, or with Cloud Build, "
        "and pushes it. Its tag is the code's hash: nothing is built when that is there. Prints the name with the digest."
    )
    parser.add_argument("image", metavar="IMAGE", help="the image without a tag: europe-west4-docker.pkg.dev/PROJECT/train/app")
    parser.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="the app's folder (default: this one)")
    parser.add_argument(
        "--dockerfile",
        metavar="FILE",
        help="relative to the folder (default: its Dockerfile, else one is made of its requirements)",
    )
    parser.add_argument("--requirements", metavar="FILE", help="for a Dockerfile that is made (default: requirements.txt)")
    parser.add_argument(
        "--builder", choices=[builder.value for builder in Builder], help="the program (default: the first found)"
    )
    parser.add_argument("--project", help="the project of Cloud Build (default: gcloud's own)")
    parser.add_argument("--impersonate-service-account", metavar="ACCOUNT", help="act as this service account")


def run(options: argparse.Namespace) -> int:
    """0 when the image is there."""
    mistakes = list(broken_repository(options.image))
    if mistakes:
        raise InvalidSweep(mistakes)
    trial = TrialSettings(image=options.image, requirements=options.requirements)
    image = plan_image(trial, root=options.folder.resolve(), dockerfile=options.dockerfile)
    pinned = build(
        image,
        impersonate=options.impersonate_service_account,
        builder=Builder(options.builder) if options.builder else None,
        project=options.project,
    )
    write_lines([str(pinned)])
    return 0
