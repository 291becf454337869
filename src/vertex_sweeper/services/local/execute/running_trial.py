"""A running trial: its process, until when it may run, what it has reported so far; and what may happen to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vertex_sweeper.services.local.execute.environment import JobSetup, build_environment, resolve_command
from vertex_sweeper.services.local.execute.flag_rendering import Rendering
from vertex_sweeper.services.local.execute.process import Child, Nursery
from vertex_sweeper.services.local.study.measurement import Measurement, MetricFile
from vertex_sweeper.services.local.study.study import Limits
from vertex_sweeper.services.local.study.trial import Trial, TrialOutcome


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What the jobs of one service share.

    `look` is how often, in seconds, running trials' metrics are looked at. `describe` words an exit code, given the trial's
    log.
    """

    nursery: Nursery
    rendering: Rendering
    environment: Mapping[str, str]
    grace: float
    metric_interval: float
    clock: Callable[[], float]
    changed: threading.Condition
    notify: Callable[[], None]
    describe: Callable[[int, Path], str]


@dataclass(slots=True)
class RunningTrial:
    """A running trial.

    `deadline` is when it is stopped or, once that has `stopped` it, killed (monotonic seconds). `describe` words its exit code.
    """

    trial: Trial
    child: Child
    metrics: MetricFile
    deadline: float
    describe: Callable[[int], str]
    stopped: TrialOutcome | None = None
    _compared: tuple[Sequence[Measurement], int] = ((), 0)

    def new_measurements(self, completed: Sequence[object]) -> Sequence[Measurement]:
        """What the trial has measured so far; nothing when that was already compared with so many completed trials."""
        compared, self._compared = self._compared, (self.metrics.read_new(), len(completed))
        measurements, others = self._compared
        return () if measurements is compared[0] and others == compared[1] else measurements


@dataclass(frozen=True, slots=True)
class Exited:
    """Something happened: a trial's process, and all it had started, is gone."""

    trial: int
    code: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Something happened: the job shall end. `at_once` leaves no trial any time."""

    at_once: bool


def launch(
    trial: Trial, *, setup: JobSetup, context: RunnerContext, limits: Limits, on_exit: Callable[[int], None]
) -> RunningTrial:
    """Starts a trial's process. Raises OSError or ValueError where that is not possible."""
    container, number = setup.pool["containerSpec"], trial.number
    label = f"{setup.job_id}/{number}"
    mark = (context.nursery.mark, label)
    environment = build_environment(context.environment, setup=setup, trial=number, mark=mark)
    arguments = context.rendering.render(trial.choices, container.get("args", ()))
    command = resolve_command([*container["command"], *arguments], path=environment["PATH"])
    path, log = setup.metrics(number), setup.log(number)
    for old in (path, log):  # an earlier run's, or whatever another trial has put there
        old.unlink(missing_ok=True)
    metrics = MetricFile(path, metrics=tuple(limits.metrics), begun=context.clock(), clock=context.clock)
    child = context.nursery.start(
        command, directory=setup.directory, label=label, environment=environment, output=log, on_exit=on_exit
    )
    return RunningTrial(
        trial,
        child,
        metrics,
        deadline=time.monotonic() + limits.seconds,
        describe=lambda code: context.describe(code, log),
    )
