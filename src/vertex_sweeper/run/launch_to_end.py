"""Launched jobs from their folders to their ends, with what is said and written meanwhile; to launch, and to come back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from vertex_sweeper.errors import JobNotFound, ServiceError, SweepFailed
from vertex_sweeper.messages import attach_command, cancel_command, printable
from vertex_sweeper.results import launch_directory, launch_results, sweep_directory
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.results.launch_results import JobEnd
from vertex_sweeper.run.interrupt import Interrupt, ending
from vertex_sweeper.run.interruptible import interruptible
from vertex_sweeper.run.launch import Launch
from vertex_sweeper.run.launch_options import LaunchOptions
from vertex_sweeper.run.launch_target import LaunchTarget
from vertex_sweeper.run.returns import fetch_return
from vertex_sweeper.services.address import SWEEP, Address
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.services.buckets import Get
from vertex_sweeper.services.opening import open_reader, open_service, reopen_service
from vertex_sweeper.settings import Backend, OnInterrupt
from vertex_sweeper.terminal import launch_lines
from vertex_sweeper_runtime.signals import INTERRUPTED

log = logging.getLogger(__name__)

MOST_TAILS: Final = 20
"""Of so many failed jobs at most the end of the log is shown; the logs themselves are all there."""


@dataclass(slots=True)
class Services:
    """Opens what jobs need: on this machine a service for each, on Vertex one for all."""

    directory: Path
    join: bool
    _vertex: dict[Address, OpenService] = field(default_factory=dict)
    _here: list[OpenService] = field(default_factory=list)
    _readers: dict[str, Get] = field(default_factory=dict)

    def open(self, launched: LaunchedJob, interrupt: Interrupt) -> OpenService:
        """The service of a job."""
        if launched.address.backend is Backend.LOCAL:
            opened = self._open_here(launched)
            self._here.append(opened)
            return opened
        if launched.address not in self._vertex:
            self._vertex[launched.address] = interruptible(open_service(launched.address, launched.folder), interrupt)
        return self._vertex[launched.address]

    def kill(self) -> None:
        """Ends at once whatever runs in this process. What has ended is not hurt."""
        for opened in list(self._here):
            opened.kill()

    def _open_here(self, launched: LaunchedJob) -> OpenService:
        if launched.planned:
            return open_service(launched.address, launched.folder, sweep_directory=self.directory)
        return reopen_service(launched.address, launched.folder, join=self.join, sweep_directory=self.directory)

    def reader(self, launched: LaunchedJob) -> Get:
        """What reads objects of a job's bucket."""
        parent = launched.address.parent
        if parent not in self._readers:
            self._readers[parent] = open_reader(launched.address, self.directory)
        return self._readers[parent]


@dataclass(slots=True)
class _Reporter:
    """Says how each job ended, and keeps `jobs.csv` up to date."""

    directory: Path
    count: int
    services: Services
    ends: dict[int, JobEnd] = field(default_factory=dict)
    rows: dict[int, list[str]] = field(default_factory=dict)
    tails: int = 0

    def ended(self, end: JobEnd) -> None:
        """Takes a job that has ended."""
        if end.job is not None:
            try:
                end = replace(end, returned=fetch_return(end.launched, self.services.reader))
            except ServiceError as error:
                end = replace(end, error=end.error or f"what it returned cannot be read: {error}")
        self.ends[end.launched.number] = end
        self.rows[end.launched.number] = launch_results.job_row(end)
        log.info("%s", launch_lines.end_line(end, ended=len(self.ends), count=self.count))
        if end.failure and self.tails < MOST_TAILS:
            self.tails += 1
            for line in launch_lines.log_lines(end):
                log.info("    %s", line)
        try:
            launch_results.write_table(self.directory, self.rows.values())
        except OSError as error:
            log.warning("%s cannot be written (%s)", printable(self.directory / launch_results.TABLE), error.strerror)


def launch_to_end(
    jobs: Sequence[LaunchedJob], services: Services, interrupt: Interrupt, options: LaunchOptions
) -> dict[int, JobEnd]:
    """Launches what is planned, and follows all to their ends.

    Args:
        jobs: All of them.
        services: Opens what they need; the interrupt kills what runs in it.
        interrupt: Tells of signals.
        options: How they are launched and followed.

    Returns:
        How each ended, by its number.

    Raises:
        ServiceError: The service refused one, and the others were cancelled.
        SystemExit: 130 after a signal; 0 without `wait`.
    """
    directory = services.directory
    reporter = _Reporter(directory, len(jobs), services)
    log.info("%s", launch_lines.begin_line(jobs, directory, parallel=options.parallel))
    launch = Launch(jobs, partial(services.open, interrupt=interrupt), interrupt, reporter.ended, options)
    try:
        with ending(interrupt, services.kill):
            launch.run()
    finally:
        launch_directory.tidy(directory)
    _leave(launch, interrupt, directory)
    return reporter.ends


def _leave(launch: Launch, interrupt: Interrupt, directory: Path) -> None:
    """Says how to come back to what has no end. Raises SystemExit after a signal, and where something was let go of."""
    if launch.unfinished:
        log.info("%s; come back with `%s`", _unfinished(launch), attach_command(directory))
        log.info("or end them with `%s`", cancel_command(directory))
    if interrupt.received:
        raise SystemExit(INTERRUPTED)
    if launch.unfinished:
        raise SystemExit(0)


def go_on_with_launch(target: LaunchTarget, *, on_interrupt: OnInterrupt, wait: bool = True, trust: bool = False) -> None:
    """Comes back to launched jobs: those that run are followed, and what is left is launched.

    Args:
        target: The jobs.
        on_interrupt: What a signal does to them.
        wait: False looks at each once.
        trust: Run also what another user has put on record.

    Raises:
        SweepFailed: One has not completed.
        ServiceError: The service refused one.
        SweepDirectoryError: A folder is damaged, or another user's.
        SystemExit: 130 after a signal.
    """
    directory = target.directory
    jobs, parallel = launch_directory.read_launch(directory)
    jobs = [job for job in jobs if target.has(job.number)]
    unready = [str(job.number) for job in jobs if job.planned and not job.ready]
    if unready:
        line = f"a launch was ended, or is still at it, before these jobs of {directory} were ready, and they are not launched"
        log.warning("%s: %s; to do without, `%s`", line, ", ".join(unready), cancel_command(directory))
        jobs = [job for job in jobs if job.ready or not job.planned]
    here = [job for job in jobs if job.address.backend is Backend.LOCAL]
    if here and wait and not trust:
        sweep_directory.check_owner(directory, launch_directory.JOBS)
        for job in here:
            sweep_directory.check_owner(job.folder, launch_directory.PLANNED, sweep_directory.JOB, SWEEP)
    jobs = [_as_it_is(job) for job in jobs] if wait else [job for job in jobs if not job.planned]
    options = LaunchOptions(parallel=parallel, on_interrupt=on_interrupt, wait=wait, again=True)
    services = Services(directory.absolute(), join=wait)
    with Interrupt(services.kill) as interrupt:
        ends = launch_to_end(jobs, services, interrupt, options)
    failed = sorted(number for number, end in ends.items() if end.failure)
    if failed:
        raise SweepFailed(f"{len(failed)} of {len(ends)} jobs have not completed: {', '.join(map(str, failed))}")


def _as_it_is(job: LaunchedJob) -> LaunchedJob:
    """A job of this machine that was begun and is on no record was not created: it is still to be launched."""
    if job.planned or job.address.backend is not Backend.LOCAL or "name" in job.job:
        return job
    try:
        reopen_service(job.address, job.folder)
    except JobNotFound:
        launch_directory.plan_again(job)
        return replace(job, planned=True)
    return job


def _unfinished(launch: Launch) -> str:
    left = launch.unfinished
    return f"{left} jobs go on or are still to be launched" if left != 1 else "1 job goes on or is still to be launched"
