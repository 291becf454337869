"""What a launched job's task returned: a small file that the job leaves where its output is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from vertex_sweeper.api import Job, container_job
from vertex_sweeper.messages import printable
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.services.buckets import Get
from vertex_sweeper.services.opening import has_buckets
from vertex_sweeper.settings import Backend
from vertex_sweeper.stored_json import DamagedDocument, read_file
from vertex_sweeper_runtime.return_value import RETURN_VALUE_FILE, Returned, read_returned

log = logging.getLogger(__name__)

_LONGEST: Final = 64 << 20
"""Bytes. The job's process writes less; what is longer is not its file."""


def has_place(launched: LaunchedJob) -> bool:
    """Whether a return value can come back: on Vertex only by way of an output directory."""
    here = launched.address.backend is Backend.LOCAL
    return here or (_prefix(launched.job) is not None and has_buckets(launched.address))


def fetch_return(launched: LaunchedJob, get: Callable[[LaunchedJob], Get]) -> Returned | None:
    """What the job left; None where it left nothing, or nothing that can be read, which a line tells.

    Args:
        launched: The job, which has ended.
        get: What reads objects of its bucket.

    Raises:
        ServiceError: The bucket cannot be read.
    """
    prefix = _prefix(launched.job)
    if prefix is not None:
        place = f"{prefix}/{RETURN_VALUE_FILE}"
        content = get(launched)(place)
    elif launched.address.backend is Backend.LOCAL:
        place = str(launched.folder / RETURN_VALUE_FILE)
        try:
            content = read_file(launched.folder / RETURN_VALUE_FILE, most=_LONGEST)
        except OSError:
            content = None
        except DamagedDocument as error:
            log.warning("#%d: %s is not what a job writes: %s", launched.number, printable(place), printable(error))
            return None
    else:
        return None
    if content is None:
        return None
    if len(content) > _LONGEST:
        log.warning("#%d: %s is not what a job writes: it has %d bytes", launched.number, printable(place), len(content))
        return None
    try:
        return read_returned(content.decode())
    except ValueError as error:
        log.warning("#%d: %s cannot be read: %s", launched.number, printable(place), printable(error))
        return None


def _prefix(job: Job) -> str | None:
    return container_job(job).get("baseOutputDirectory", {}).get("outputUriPrefix")
