"""Builds the app's image before a job with it is created."""

from __future__ import annotations

import logging

from vertex_sweeper.endpoint import Endpoint
from vertex_sweeper.job.app_image import AppImage
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.images.app_image import build_app_image
from vertex_sweeper.services.images.builder import Builder
from vertex_sweeper.settings.image_name import ImageName
from vertex_sweeper_runtime.signals import INTERRUPTED

log = logging.getLogger(__name__)


def built_image(image: AppImage, address: Address, *, project: str | None) -> ImageName | None:
    """The image by its digest; built and pushed first, unless its tag is there.

    Args:
        image: The image.
        address: Where jobs with it will be created. An emulator runs no images, and none is built for it: None.
        project: Whose Cloud Build is used, where nothing else builds.

    Raises:
        SweepError: It cannot be built or pushed.
        SystemExit: Ctrl-C was pressed; nothing was created.
    """
    if address.endpoint and Endpoint.parse(address.endpoint).plain:
        log.info("%s is not built: jobs run on an emulator, without images", image.name)
        return None
    try:
        pinned = build(image, impersonate=address.impersonate, project=project)
    except KeyboardInterrupt:
        log.warning("SIGINT: nothing was created")
        raise SystemExit(INTERRUPTED) from None
    log.info("the image: %s", pinned)
    return pinned


def build(
    image: AppImage, *, impersonate: str | None = None, builder: Builder | None = None, project: str | None = None
) -> ImageName:
    """Builds and pushes an image, unless its tag is there.

    Args:
        image: The image.
        impersonate: The service account that asks a registry of Google's whether the tag is there.
        builder: The program that builds; the first one that is there when left open.
        project: Whose Cloud Build is used, where that is the builder.

    Returns:
        The image with its digest.

    Raises:
        SweepError: It cannot be built or pushed, or nobody is logged in to Google's registry.
    """
    token = None
    if image.repository.google:
        from vertex_sweeper.services.vertex.login import valid_credentials

        token = valid_credentials(impersonate).token
    return build_app_image(image, token=token, builder=builder, project=project)
