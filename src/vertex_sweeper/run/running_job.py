"""One launched job that is created, or found again, followed, and asked to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from vertex_sweeper.errors import JobsTaken
from vertex_sweeper.results import launch_directory
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.run.interrupt import Interrupt, Reaction
from vertex_sweeper.run.submit import submit
from vertex_sweeper.run.target import Target, locate
from vertex_sweeper.run.watch import Watch
from vertex_sweeper.services.base import OpenService


@dataclass(slots=True)
class RunningJob:
    """A job that has been begun.

    Attributes:
        launched: Its folder and specification.
        opened: Its service.
        interrupt: Tells of signals.
        name: Its name, empty until `create` or `find` has it.
        due: When to look at it again, by the monotonic clock.
        cancels: Whether it is still to be asked to end.
    """

    launched: LaunchedJob
    opened: OpenService
    interrupt: Interrupt
    name: str = field(default="", init=False)
    due: float = field(default=0.0, init=False)
    cancels: bool = field(default=False, init=False)
    watch: Watch = field(init=False)
    _looked: float = field(default_factory=time.monotonic, init=False)

    def __post_init__(self) -> None:
        self.watch = self._watch()

    def create(self, *, again: bool) -> None:
        """Creates it. Where certainly nothing was created, its folder is that of a planned job again.

        Args:
            again: Whether an earlier call may have created it.

        Raises:
            JobsTaken: Another process on this machine has begun it.
            ServiceError: As `submit`.
            SweepDirectoryError: Its folder cannot be written.
        """
        job = submit(
            self.opened,
            self.launched.address.parent,
            self.launched.job,
            directory=self.launched.folder,
            pause=self._pause,
            free=lambda error: None if isinstance(error, JobsTaken) else launch_directory.plan_again(self.launched),
            repeats=(),  # it waits in the queue, so that the others are watched meanwhile
            again=again,
        )
        self._named(job["name"])

    def find(self) -> None:
        """Finds the job that was created before, and goes on with it where its process is gone. Raises ServiceError."""
        target = Target(self.launched.address, self.launched.job.get("name"), self.launched.folder)
        name = locate(target, self.opened, pause=self._pause)
        self.opened.go_on()
        self._named(name)

    def look(self, now: float) -> float | None:
        """Looks once; returns in how many seconds to look again, None when it has ended. Raises ServiceError."""
        seconds = self.watch.advance(now - self._looked)
        self._looked = now
        self.due = now + (seconds or 0.0) if self.opened.outlives else now
        return seconds

    def cancel(self) -> None:
        """Asks it to end. Raises ServiceError; then it is still to be asked."""
        self.opened.service.cancel(self.name)
        self.cancels = False

    @property
    def _pause(self) -> Callable[[float], bool]:
        return partial(self.interrupt.pause, self.opened.wait)

    def _named(self, name: str) -> None:
        self.name = name
        self.watch = self._watch()

    def _watch(self) -> Watch:
        return Watch(
            self.opened.service,
            self.name,
            wait=self.opened.wait,
            interrupt=self.interrupt,
            react=lambda: Reaction.WAIT,
            report=lambda _: None,
            renew=self.opened.renew,
        )
