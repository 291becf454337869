"""Launched jobs from their plan to their end: so many at a time, each created once, all followed, none left unknown.

A job is a folder (`results.launch_directory`). Whoever launches and whoever comes back does the same: what is planned is
created, what exists is followed, and what had ended is read again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from vertex_sweeper.errors import InvalidJob, ServiceError, Unanswered
from vertex_sweeper.messages import printable
from vertex_sweeper.results import launch_directory, sweep_directory
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.results.launch_results import JobEnd, error_of
from vertex_sweeper.run.interrupt import Interrupt, Reaction, react, terminal
from vertex_sweeper.run.submit import submit
from vertex_sweeper.run.target import Target, locate
from vertex_sweeper.run.watch import Watch
from vertex_sweeper.services.backoff import Backoff
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.settings import OnInterrupt, OnRefusal

log = logging.getLogger(__name__)

GLANCE: Final = 0.1
"""Seconds between looks at several jobs of this machine: a look costs nothing, and each has a service of its own."""

BLOCKED: Final = Backoff(first=15.0, longest=120.0)
"""Between the attempts to create a job for which there is no quota, or which the service cannot take for the moment."""


@dataclass(slots=True)
class _Running:
    launched: LaunchedJob
    opened: OpenService
    watch: Watch
    name: str
    looked: float
    due: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """How jobs are launched and followed.

    Attributes:
        parallel: How many run at a time; None for all.
        on_interrupt: What a signal does to them.
        on_refusal: What becomes of the others when the service refuses one.
        wait: Follow them to their ends.
    """

    parallel: int | None = None
    on_interrupt: OnInterrupt = OnInterrupt.ASK
    on_refusal: OnRefusal = OnRefusal.CANCEL
    wait: bool = True


@dataclass(slots=True)
class Launch:
    """Jobs that are launched, or come back to.

    Args:
        jobs: All of them.
        open_job: Opens a job's service: for one that is planned, or for one that exists.
        interrupt: Tells of signals.
        ended: Called with each job that has ended.
        options: How they are launched and followed.
    """

    jobs: Iterable[LaunchedJob]
    open_job: Callable[[LaunchedJob], OpenService]
    interrupt: Interrupt
    ended: Callable[[JobEnd], None]
    options: LaunchOptions
    ends: dict[int, JobEnd] = field(default_factory=dict, init=False)
    refused: ServiceError | None = field(default=None, init=False)
    _planned: deque[LaunchedJob] = field(default_factory=deque, init=False)
    _running: list[_Running] = field(default_factory=list, init=False)
    _blocked: float = field(default=0.0, init=False)
    _pauses: Iterable[float] = field(default_factory=lambda: iter(BLOCKED), init=False)
    _told: bool = field(default=False, init=False)
    _cancelling: bool = field(default=False, init=False)

    def run(self) -> dict[int, JobEnd]:
        """Launches and follows all; returns how each ended, by its number.

        After a signal that lets go of the jobs, those that run have no end.

        Raises:
            ServiceError: The service refused one, and the others were cancelled.
        """
        self._planned.extend(sorted(self.jobs, key=lambda job: (job.planned, job.number)))  # what exists is followed first
        while self._planned or self._running:
            self._start()
            self._look()
            if not self.options.wait and not self._planned:
                break
            if self.interrupt.pending and not self._go_on():
                break
            self._pause()
        if self.refused is not None:
            raise self.refused
        return self.ends

    def kill(self) -> None:
        """Ends at once whatever runs in this process."""
        for running in list(self._running):
            running.opened.kill()

    @property
    def unfinished(self) -> int:
        """How many jobs have no end."""
        return len(self._planned) + len(self._running)

    def _start(self) -> None:
        while self._planned and not self.interrupt.pending and self._blocked <= time.monotonic():
            if self.options.parallel is not None and len(self._running) >= self.options.parallel and self._planned[0].planned:
                return
            self._begin(self._planned.popleft())

    def _begin(self, launched: LaunchedJob) -> None:
        opened = self.open_job(launched)
        pause = partial(self.interrupt.pause, opened.wait)
        running = _Running(launched, opened, self._watch(opened, ""), "", time.monotonic(), 0.0)
        self._running.append(running)  # so that `kill` knows it from here on
        try:
            if launched.planned and launch_directory.begin(launched):
                job = submit(opened, launched.address.parent, launched.job, directory=launched.folder, pause=pause)
                running.name = job["name"]
            else:
                target = Target(launched.address, launched.job.get("name"), launched.folder)
                running.name = locate(target, opened, pause=pause)
                opened.go_on()
        except ServiceError as error:
            self._running.remove(running)
            opened.kill()
            self._not_created(launched, opened, error)
            return
        except BaseException:
            opened.kill()
            raise
        self._pauses, self._told = iter(BLOCKED), False
        running.watch = self._watch(opened, running.name)
        if launched.planned:
            log.info("#%d: %s", launched.number, running.name if opened.outlives else "started")
        if self._cancelling:
            self._cancel()

    def _watch(self, opened: OpenService, name: str) -> Watch:
        return Watch(
            opened.service,
            name,
            wait=opened.wait,
            interrupt=self.interrupt,
            react=lambda: Reaction.WAIT,
            report=lambda _: None,
            renew=opened.renew,
        )

    def _not_created(self, launched: LaunchedJob, opened: OpenService, error: ServiceError) -> None:
        interrupted = isinstance(error, Unanswered) or (self.interrupt.pending and error.acted is not False)
        if interrupted or not launched.planned:
            log.warning("#%d: %s", launched.number, error)  # its folder says so, too
            self._end(JobEnd(launched, error=str(error)))
            return
        nothing = error.acted is False or not opened.outlives
        if nothing and opened.outlives and not isinstance(error, InvalidJob) and _may_pass(error):
            launch_directory.plan_again(launched)
            self._planned.appendleft(launched)
            seconds = next(iter(self._pauses))
            self._blocked = time.monotonic() + seconds
            if not self._told:
                log.info("#%d: %s; nothing was created, and it waits", launched.number, error)
            self._told = True
            return
        if nothing:
            launch_directory.forget(launched)
        line = f"#{launched.number}: {error}"
        if self.options.on_refusal is OnRefusal.KEEP:
            log.error("%s", line)
            self._end(JobEnd(launched, error=str(error)))
            return
        if self.refused is None:
            self.refused = ServiceError(line, code=error.code, acted=error.acted, transient=error.transient)
            if self._running:
                log.error("%s: cancelling the %d that run", line, len(self._running))
        self._cancel()

    def _look(self) -> None:
        now = time.monotonic()
        for running in [running for running in self._running if running.due <= now]:
            if self.interrupt.pending:
                return
            try:
                seconds = running.watch.advance(now - running.looked)
            except Unanswered:
                return
            except ServiceError as error:
                self._leave(running, JobEnd(running.launched, running.watch.job, str(error)))
                continue
            running.looked = now
            running.due = now + (seconds or 0.0) if running.opened.outlives else now
            if seconds is None:
                job = running.watch.job
                assert job is not None
                self._leave(running, JobEnd(running.launched, job, error_of(job)))

    def _leave(self, running: _Running, end: JobEnd) -> None:
        self._running.remove(running)
        running.opened.kill()
        if end.job is not None:
            try:
                sweep_directory.write_state(running.launched.folder, running.launched.address, end.job, error=end.error)
            except OSError as error:
                log.warning("%s cannot be written (%s)", printable(running.launched.folder), error.strerror)
        self._end(end)

    def _end(self, end: JobEnd) -> None:
        self.ends[end.launched.number] = end
        self.ended(end)

    def _go_on(self) -> bool:
        """Acts on a signal; whether there is anything left to wait for."""
        setting = self.options.on_interrupt
        here = any(not running.opened.outlives for running in self._running)
        if here and setting is OnInterrupt.ASK:
            setting = OnInterrupt.CANCEL  # without this process they stand still: there is nothing to wait for
        reaction = react(self.interrupt, setting, answer=terminal())
        if reaction is Reaction.WAIT:
            log.info("the watch goes on")
            return True
        if reaction is Reaction.CANCEL:
            assert self.interrupt.received is not None
            self.interrupt.settle()
            log.info("%s: cancelling the jobs that run; once more ends this process at once", self.interrupt.received.name)
            self._cancel()
            return True
        self.interrupt.acknowledge("letting go of the jobs")
        self.kill()
        return False

    def _cancel(self) -> None:
        """Asks all that run to end, and launches no others."""
        self._cancelling = True
        for launched in [launched for launched in self._planned if launched.planned]:
            self._planned.remove(launched)
            launch_directory.forget(launched)
            self._end(JobEnd(launched, error="it was not launched"))
        for running in self._running:
            try:
                running.opened.service.cancel(running.name)
            except ServiceError as error:
                log.warning("#%d: %s", running.launched.number, error)
            running.due = 0.0

    def _pause(self) -> None:
        if not self._running and not self._planned:
            return
        now = time.monotonic()
        dues = [running.due for running in self._running]
        room = self.options.parallel is None or len(self._running) < self.options.parallel
        dues += [self._blocked] if self._planned and room else []
        seconds = max(min(dues, default=now) - now, 0.0)
        first = self._running[0].opened if self._running else None
        if first is None:
            self.interrupt.pause(time.sleep, seconds)
        elif first.outlives:
            self.interrupt.pause(first.wait, seconds)
        else:
            self.interrupt.pause(first.wait, 1.0 if len(self._running) == 1 and not self._planned else GLANCE)


def _may_pass(error: ServiceError) -> bool:
    """Whether the same call may succeed later: there is no quota now, or the service is busy."""
    return error.transient or error.code == "RESOURCE_EXHAUSTED"
