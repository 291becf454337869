"""Launched jobs as they stand, and asking all of them to end: without the process that launched them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace

from vertex_sweeper.api import Job
from vertex_sweeper.errors import JobNotFound, ServiceError
from vertex_sweeper.results import launch_directory
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.results.launch_results import JobEnd, error_of
from vertex_sweeper.run.launch_target import LaunchTarget
from vertex_sweeper.run.returns import fetch_return
from vertex_sweeper.run.submit import find_by_label
from vertex_sweeper.run.watch import ended
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.services.opening import open_reader, reopen_service
from vertex_sweeper.settings import Backend

log = logging.getLogger(__name__)


def look_at(target: LaunchTarget) -> Iterator[JobEnd]:
    """Each launched job as it stands, by number; what cannot be had of one is its error.

    Raises:
        SweepDirectoryError: A folder is damaged.
        MissingExtra: Something is not installed.
    """
    for launched, opened, job in _jobs(target):
        if job is None or opened is None:
            yield JobEnd(launched, error="" if launched.planned else "the service has no such job")
        elif not ended(job):
            yield JobEnd(launched, job)
        else:
            end = JobEnd(launched, job, error_of(job))
            try:
                yield replace(end, returned=fetch_return(launched, lambda one: open_reader(one.address, target.directory)))
            except ServiceError as error:
                yield replace(end, error=end.error or str(error))


def cancel_all(target: LaunchTarget) -> Iterator[str]:
    """Asks launched jobs to end, and takes back those that were not created; a line about each.

    Raises:
        SweepDirectoryError: A folder is damaged.
        MissingExtra: Something is not installed.
    """
    for launched, opened, job in _jobs(target):
        if launched.planned:
            launch_directory.forget(launched)
            yield f"#{launched.number} was not launched yet, and will not be"
        elif job is None or opened is None:
            yield f"#{launched.number}: the service has no such job"
        elif ended(job):
            yield f"#{launched.number} has ended already"
        else:
            opened.service.cancel(job["name"])
            yield f"#{launched.number} was asked to end"


def _jobs(target: LaunchTarget) -> Iterator[tuple[LaunchedJob, OpenService | None, Job | None]]:
    vertex: OpenService | None = None
    for launched in launch_directory.read_launch(target.directory)[0]:
        if not target.has(launched.number):
            continue
        if launched.planned:
            yield launched, None, None
            continue
        try:
            if launched.address.backend is Backend.LOCAL:
                opened = reopen_service(launched.address, launched.folder)
            else:
                opened = vertex = vertex or reopen_service(launched.address, launched.folder)
            name = launched.job.get("name")
            job = find_by_label(opened, launched.address.parent, launched.job) if name is None else opened.service.get(name)
        except JobNotFound as error:
            log.debug("%s", error)
            yield launched, None, None
            continue
        yield launched, opened, job
