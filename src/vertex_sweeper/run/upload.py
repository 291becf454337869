"""The code of a sweep on its way to a bucket, before the job is created that needs it."""

from __future__ import annotations

import io
import logging
from typing import Final

from vertex_sweeper.messages import printable
from vertex_sweeper.plan.shipment import Shipment
from vertex_sweeper.run.interrupt import Interrupt
from vertex_sweeper.services.buckets import Put, Upload

log = logging.getLogger(__name__)

_PATIENCE: Final = 3.0
"""Seconds that an upload still has once a signal came."""


def upload(shipment: Shipment, put: Put, interrupt: Interrupt) -> None:
    """Uploads the code and this package's wheel, each unless it is in the bucket already.

    Raises:
        ServiceError: Something cannot be uploaded, or a signal came first.
    """
    code, wheel = shipment.code, shipment.wheel.content
    with shipment.bundle.archive as archive:
        size = archive.seek(0, io.SEEK_END)
        archive.seek(0)
        uploads = [Upload(code.wheel, io.BytesIO(wheel), len(wheel)), Upload(code.archive, archive, size)]
        written = [interrupt.call(lambda each=each: put(each), patience=_PATIENCE, what="the upload") for each in uploads]  # type: ignore[misc]
    log.info(
        "trial.code: %s %s", "uploaded to" if written[-1] else "nothing has changed, and is uploaded:", printable(code.archive)
    )
