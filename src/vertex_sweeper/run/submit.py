"""Creating a job exactly once.

The API has no request id: a create call that is repeated makes a second job, and both are paid for. So the intent is on disk
before the call; after an answer that leaves open whether a job exists, it is looked for by a label that only this sweep has;
and the call is made again only where the service says that it did not act. A list may not show a new job at once (how long it
takes is not documented), so that not to find it proves nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from vertex_sweeper.api import Job, is_custom_job
from vertex_sweeper.errors import InvalidJob, ServiceError, SweepDirectoryError
from vertex_sweeper.job import SWEEP_LABEL, in_our_words
from vertex_sweeper.messages import attach_command, cancel_command
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.services.backoff import Backoff
from vertex_sweeper.services.base import OpenService

log = logging.getLogger(__name__)

LOOKS: Final = Backoff(first=1.0, longest=15.0, times=7)
"""Before each look for a job that may have been created: a minute in all."""

REPEATS: Final = Backoff(first=5.0, longest=40.0, growth=3.0, times=3)
"""Before each further call where the service could not act for the moment: a minute, in which quotas are counted."""


def submit(
    opened: OpenService,
    parent: str,
    spec: Mapping[str, Any],
    *,
    directory: Path,
    pause: Callable[[float], bool],
    free: Callable[[Exception], None] | None = None,
    repeats: Iterable[float] | None = None,
    again: bool = False,
) -> Job:
    """Creates the job and puts its name into `job.json`; returns the service's answer, which has it.

    Args:
        opened: the service.
        parent: where the job is created, in the API's words.
        spec: the job, with its sweep's own label.
        directory: the sweep's, claimed with this job.
        pause: waits for a number of seconds; False asks to give up now (an interrupt).
        free: Frees the directory where certainly nothing was created; by default for any other sweep.
        repeats: Seconds before each further call where the service could not act for the moment; `REPEATS` by default.
        again: Whether an earlier call may have created the job: a list is looked at first.

    Raises:
        SweepDirectoryError: The job exists, and its name could not be written down.
        ServiceError: With `acted` False the directory is free again. Else nobody can tell whether the job exists.
    """
    try:
        earlier = _glance(opened, parent, spec) if again else None
        job = earlier or _create(opened, parent, spec, pause=pause, repeats=REPEATS if repeats is None else repeats)
    except Exception as error:  # whatever it is: of a job that does not outlive us nothing is left
        nothing = not opened.outlives or (isinstance(error, ServiceError) and error.acted is False)
        if nothing:
            (free or (lambda _: sweep_directory.withdraw(directory)))(error)
        elif isinstance(error, ServiceError):
            raise _unclear(error, directory) from error
        if isinstance(error, InvalidJob):
            raise in_our_words(error) from error
        raise
    return _write_name(opened, spec, job, directory)


def _write_name(opened: OpenService, spec: Mapping[str, Any], job: Job, directory: Path) -> Job:
    try:
        sweep_directory.write_job(directory, spec, job["name"])
    except OSError as error:
        if not opened.outlives:
            opened.kill()
            begun = [trial["id"] for trial in opened.service.get(job["name"]).get("trials", ())]
            sweep_directory.withdraw(directory, ["1"] if is_custom_job(spec) else begun)  # a custom job's log is named so
            raise sweep_directory.unwritable(directory, error) from error
        raise SweepDirectoryError(
            f"{job['name']} was created, but its name cannot be written into {directory} ({error.strerror}): come back to it "
            f"with `{attach_command(job['name'])}`, or end it with `{cancel_command(job['name'])}`"
        ) from error
    return job


def find_by_label(opened: OpenService, parent: str, spec: Mapping[str, Any]) -> Job | None:
    """The job that was created from this specification, if a list shows it.

    Args:
        opened: The service.
        parent: Under which name the job was created, `projects/P/locations/L`.
        spec: The job; its label tells it from all others.

    Raises:
        ServiceError: The service does not answer, or there are two of them.
    """
    label = spec.get("labels", {}).get(SWEEP_LABEL)
    if not label:
        return None
    found = opened.find(parent, {SWEEP_LABEL: label}, custom=is_custom_job(spec))
    if len(found) > 1:
        names = ", ".join(job["name"] for job in found)
        raise ServiceError(
            f"several jobs carry this sweep's label: {names}; cancel all but one, and attach to that by its name"
        )
    return found[0] if found else None


def look_for(opened: OpenService, parent: str, spec: Mapping[str, Any], *, pause: Callable[[float], bool]) -> Job | None:
    """The job of a call whose answer was lost, once a list shows it; None after a minute, or when asked to give up.

    Args:
        opened: The service.
        parent: Under which name the job was created, `projects/P/locations/L`.
        spec: The job; its label tells it from all others.
        pause: Waits so many seconds; False when it is time to give up.

    Raises:
        ServiceError: Looking longer would not help.
    """
    for seconds in LOOKS:
        try:
            job = find_by_label(opened, parent, spec)
        except ServiceError as error:
            if not error.transient:
                raise
            log.debug("%s", error)
            job = None
        if job is not None:
            log.info("found it: %s", job["name"])
            return job
        if not pause(seconds):
            return None
    return find_by_label(opened, parent, spec)


def _create(
    opened: OpenService,
    parent: str,
    spec: Mapping[str, Any],
    *,
    pause: Callable[[float], bool],
    repeats: Iterable[float],
) -> Job:
    for seconds in (*repeats, None):
        try:
            return opened.service.create(parent, spec)
        except ServiceError as error:
            if error.acted is not False and opened.outlives:
                return _recover(opened, parent, spec, error, pause=pause)
            if seconds is None or not error.transient or not opened.outlives:
                raise
            log.info("%s; nothing was created, so once more in %.0f s", error, seconds)
            if not pause(seconds):
                raise
            # Busy may be the word of somebody between us and the service: a look is cheap, and a second job is not.
            job = _glance(opened, parent, spec)
            if job is not None:
                log.info("it was created all the same: %s", job["name"])
                return job
    raise AssertionError("the last attempt returns or raises")  # pragma: no cover


def _glance(opened: OpenService, parent: str, spec: Mapping[str, Any]) -> Job | None:
    try:
        return find_by_label(opened, parent, spec)
    except ServiceError as error:
        log.debug("%s", error)
        return None


def _recover(
    opened: OpenService, parent: str, spec: Mapping[str, Any], why: ServiceError, *, pause: Callable[[float], bool]
) -> Job:
    log.info("%s; the job may exist all the same: looking for it", why)
    try:
        job = look_for(opened, parent, spec, pause=pause)
    except ServiceError as error:
        log.warning("%s", error)
        job = None
    if job is None:
        raise why
    return job


def _unclear(error: ServiceError, directory: Path) -> ServiceError:
    return ServiceError(
        f"{error}; whether the job was created is not known, and it is not created a second time: look for it later with "
        f"`{attach_command(directory)}`",
        code=error.code,
        acted=None,
        transient=error.transient,
    )
