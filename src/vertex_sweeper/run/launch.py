"""Launched jobs from their plan to their end: so many at a time, each created once, all followed, none left unknown.

A job is a folder (`results.launch_directory`). Whoever launches and whoever comes back does the same: what is planned is
created, what exists is followed, and what had ended is read again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from vertex_sweeper.errors import InvalidJob, JobNotFound, JobsTaken, ServiceError, SweepDirectoryError, Unanswered
from vertex_sweeper.messages import attach_command, cancel_command, printable
from vertex_sweeper.results import launch_directory, sweep_directory
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.results.launch_results import JobEnd, error_of
from vertex_sweeper.run.interrupt import Interrupt, Reaction, react, terminal
from vertex_sweeper.run.launch_options import LaunchOptions
from vertex_sweeper.run.running_job import RunningJob
from vertex_sweeper.services.backoff import Backoff
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.settings import OnInterrupt, OnRefusal

log = logging.getLogger(__name__)

GLANCE: Final = 0.1
"""Seconds between looks at several jobs of this machine: a look costs nothing, and each has a service of its own."""

PATIENCE: Final = 50
"""So many times a job that another process is just beginning is come back to, `GLANCE` seconds apart."""

BLOCKED: Final = Backoff(first=15.0, longest=120.0)
"""Between the attempts to create a job for which there is no quota, or which the service cannot take for the moment."""


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
    _running: list[RunningJob] = field(default_factory=list, init=False)
    _tried: Counter[int] = field(default_factory=Counter, init=False)
    _blocked: float = field(default=0.0, init=False)
    _pauses: Iterator[float] = field(default_factory=lambda: iter(BLOCKED), init=False)
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
        opened = None
        try:
            opened = self.open_job(launched)
            if launched.planned and not launch_directory.begin(launched):
                opened.kill()
                self._begin_later(launched)
                return
            running = RunningJob(launched, opened, self.interrupt)
            self._running.append(running)  # so that `kill` knows it from here on
            if launched.planned:
                running.create(again=self.options.again or self._tried[launched.number] > 0)
            else:
                running.find()
        except (ServiceError, SweepDirectoryError) as error:
            self._running = [one for one in self._running if one.launched is not launched]
            if opened is not None:
                opened.kill()
            begins = opened is None and isinstance(error, JobNotFound) and "name" not in launched.job and self.options.wait
            if (isinstance(error, JobsTaken) or begins) and self._tried[launched.number] < PATIENCE:
                self._begin_later(launched)
            else:
                self._not_created(launched, error, outlives=opened is None or opened.outlives)
            return
        except BaseException:
            if opened is not None:
                opened.kill()
            raise
        self._pauses, self._told = iter(BLOCKED), False
        if launched.planned:
            log.info("#%d: %s", launched.number, running.name if opened.outlives else "started")
        if self._cancelling:
            self._cancel()

    def _begin_later(self, launched: LaunchedJob) -> None:
        """Comes back to a job that another process has begun, or taken back."""
        self._tried[launched.number] += 1
        now = launch_directory.read_folder(launched.folder)
        if now is None:
            self._end(JobEnd(replace(launched, planned=True), error="another process took it back before it was launched"))
            return
        self._blocked = time.monotonic() + GLANCE
        self._planned.append(now)

    def _not_created(self, launched: LaunchedJob, error: ServiceError | SweepDirectoryError, *, outlives: bool) -> None:
        if not launched.planned:
            log.warning("#%d: %s", launched.number, error)
            self._end(JobEnd(launched, error=str(error)))
            return
        if isinstance(error, SweepDirectoryError):
            error = ServiceError(str(error))
        nothing = error.acted is False or not outlives
        if nothing and outlives and not isinstance(error, InvalidJob) and _may_pass(error):
            self._wait(launched, error)
            return
        keep = self.options.on_refusal is OnRefusal.KEEP
        if keep or self.refused is not None or (not nothing and self.interrupt.pending):
            log.error("#%d: %s", launched.number, error)
        self._end(JobEnd(replace(launched, planned=nothing), error=str(error)))
        if nothing:
            launch_directory.take_back(launched)  # after its end is written: until then it can be launched once more
        if keep or isinstance(error, Unanswered) or (not nothing and self.interrupt.pending):
            return
        if self.refused is None:
            line = f"#{launched.number}: {error}"
            self.refused = ServiceError(line, code=error.code, acted=error.acted, transient=error.transient)
            if self._running:
                log.error("%s: cancelling the %d that run", line, len(self._running))
        self._cancel()

    def _wait(self, launched: LaunchedJob, error: ServiceError) -> None:
        """Puts a job that cannot be created for the moment in front of the queue."""
        self._tried[launched.number] += 1
        self._planned.appendleft(launched)
        self._blocked = time.monotonic() + next(self._pauses)
        if not self._told:
            log.info("#%d: %s; nothing was created, and it waits", launched.number, error)
        self._told = True

    def _look(self) -> None:
        now = time.monotonic()
        for running in [running for running in self._running if running.due <= now]:
            if self.interrupt.pending:
                return
            if running.cancels and not self._ask_to_end(running):
                continue
            try:
                seconds = running.look(now)
            except Unanswered:
                return
            except ServiceError as error:
                self._leave(running, JobEnd(running.launched, running.watch.job, str(error)))
                continue
            if seconds is None:
                job = running.watch.job
                assert job is not None
                self._leave(running, JobEnd(running.launched, job, error_of(job)))

    def _leave(self, running: RunningJob, end: JobEnd) -> None:
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
            if launch_directory.is_planned(launched):
                self._end(JobEnd(launched, error="it was not launched"))
                if launch_directory.take_back(launched):
                    continue
            self._begin_later(launched)
        for running in list(self._running):
            running.cancels, running.due = True, 0.0
            self._ask_to_end(running)

    def _ask_to_end(self, running: RunningJob) -> bool:
        """Whether the job can be followed further: asked to end, or to be asked again at the next look."""
        try:
            running.cancel()
        except ServiceError as error:
            log.warning("#%d: %s", running.launched.number, error)
            if error.transient:
                return True
            commands = f"`{attach_command(running.launched.folder)}`, or `{cancel_command(running.launched.folder)}`"
            self._leave(running, JobEnd(running.launched, running.watch.job, f"{error}; the job may go on: {commands}"))
            return False
        return True

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
