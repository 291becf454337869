"""Launched jobs as they stand, and asking all of them to end: without the process that launched them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from vertex_sweeper.api import Job
from vertex_sweeper.errors import JobNotFound, ServiceError
from vertex_sweeper.results import launch_directory
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.results.launch_results import JobEnd, error_of
from vertex_sweeper.run.launch_target import LaunchTarget
from vertex_sweeper.run.returns import fetch_return
from vertex_sweeper.run.submit import find_by_label
from vertex_sweeper.run.watch import ended
from vertex_sweeper.services.address import Address
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
    services = _Services()
    for launched in _read(target):
        if launched.planned:
            yield JobEnd(launched)
            continue
        try:
            _, job = services.find(launched)
            end = JobEnd(launched, job, error_of(job) if ended(job) else "")
        except JobNotFound as error:
            log.debug("%s", error)
            yield JobEnd(launched, error=_nowhere(launched))
            continue
        except ServiceError as error:
            yield JobEnd(launched, error=str(error))
            continue
        try:
            returned = fetch_return(launched, lambda one: open_reader(one.address, target.directory)) if ended(job) else None
            yield replace(end, returned=returned)
        except ServiceError as error:
            yield replace(end, error=end.error or str(error))


def cancel_all(target: LaunchTarget) -> Iterator[str]:
    """Asks launched jobs to end, and takes back those that were not created; a line about each.

    What is planned is taken back first, so that a process that launches does not go on meanwhile.

    Raises:
        ServiceError: Some could not be asked; all others were.
        SweepDirectoryError: A folder is damaged.
        MissingExtra: Something is not installed.
    """
    for launched in _read(target):
        if launched.planned and launch_directory.take_back(launched):
            yield f"#{launched.number} was not launched yet, and will not be"
    if target.numbers is None:
        launch_directory.clear_unfinished(target.directory)
    launch_directory.tidy(target.directory)
    failed = []
    services = _Services()
    for launched in _read(target):
        try:
            yield f"#{launched.number}{_cancel(launched, services)}"
        except JobNotFound as error:
            log.debug("%s", error)
            yield f"#{launched.number}: {_nowhere(launched)}"
        except ServiceError as error:
            failed.append(f"#{launched.number}: {error}")
    if failed:
        raise ServiceError("\n".join(failed))


def _cancel(launched: LaunchedJob, services: _Services) -> str:
    opened, job = services.find(launched)
    if ended(job):
        return " has ended already"
    opened.service.cancel(job["name"])
    return " was asked to end"


def _nowhere(launched: LaunchedJob) -> str:
    if "name" in launched.job:
        return "the service has no such job"
    return "no job with its label is to be found: where another process is creating it just now, ask again"


def _read(target: LaunchTarget) -> list[LaunchedJob]:
    return [launched for launched in launch_directory.read_launch(target.directory)[0] if target.has(launched.number)]


@dataclass(slots=True)
class _Services:
    """Opens what jobs are looked at with: on this machine a service for each, on Vertex one for all of a launch."""

    _vertex: dict[Address, OpenService] = field(default_factory=dict)

    def find(self, launched: LaunchedJob) -> tuple[OpenService, Job]:
        """A job that was begun, and its service. Raises JobNotFound, ServiceError or MissingExtra."""
        opened = self._vertex.get(launched.address) or reopen_service(launched.address, launched.folder)
        if launched.address.backend is Backend.VERTEX:
            self._vertex[launched.address] = opened
        name = launched.job.get("name")
        if name is not None:
            return opened, opened.service.get(name)
        job = find_by_label(opened, launched.address.parent, launched.job)
        if job is None:
            raise JobNotFound(f"no job with the label of {launched.folder} is to be found in {launched.address.parent}")
        return opened, job
