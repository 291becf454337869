"""What a job's containers take from a bucket, on its way there before the job is created."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vertex_sweeper.run.interrupt import Interrupt
from vertex_sweeper.services.buckets import Put, Upload

_PATIENCE: Final = 3.0
"""Seconds that an upload still has once a signal came."""


def upload_all(uploads: Iterable[Upload], put: Put, interrupt: Interrupt) -> list[bool]:
    """Uploads what is not in its bucket already.

    Returns:
        Of each, whether it was written now.

    Raises:
        ServiceError: Something cannot be uploaded, or a signal came first.
    """
    return [interrupt.call(lambda: put(each), patience=_PATIENCE, what="the upload") for each in uploads]  # noqa: B023 - called at once
