"""A running trial: its process, until when it may run, what it has reported so far; and what may happen to it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vertex_sweeper.services.local.execute.environment import JobSetup, build_environment, resolve_command
from vertex_sweeper.services.local.execute.executor import Command, Executor, RunningCommand
from vertex_sweeper.services.local.execute.flag_rendering import PLAIN, Rendering
from vertex_sweeper.services.local.execute.metric_file import MetricFile
from vertex_sweeper.services.local.study.limits import Limits
from vertex_sweeper.services.local.study.measurement import Measurement
from vertex_sweeper.services.local.study.trial import Trial, TrialOutcome


@dataclass(frozen=True, slots=True)
class RunnerContext:
    """What the jobs of one service share.

    `metric_interval` is every how many seconds running trials' metrics are read. `describe` words an exit code, given the
    trial's log.
    """

    executor: Executor
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
    command: RunningCommand
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
    """Starts a trial's command. Raises OSError or ValueError where that is not possible."""
    container, number = setup.pool["containerSpec"], trial.number
    environment = build_environment(context.environment, setup=setup, trial=number, device=trial.device)
    arguments = context.rendering.render(trial.choices, container.get("args", ()))
    path, log = setup.metrics(number), setup.log(number)
    command = Command(
        argv=resolve_command([*container["command"], *arguments], path=environment["PATH"]),
        flags=PLAIN.render(trial.choices, ()),
        directory=setup.directory,
        environment=environment,
        output=log,
    )
    if setup.custom:
        setup.return_value.parent.mkdir(parents=True, exist_ok=True)
    # An earlier run's, or whatever another trial has put there.
    for old in (path, log, *([setup.return_value] if setup.custom else [])):
        old.unlink(missing_ok=True)
    shutil.rmtree(setup.tree(number), ignore_errors=True)

    def ended(code: int) -> None:
        shutil.rmtree(setup.tree(number), ignore_errors=True)  # as a container's own disk goes with it
        on_exit(code)

    metrics = MetricFile(path, metrics=tuple(limits.metrics), begun=context.clock(), clock=context.clock)
    return RunningTrial(
        trial,
        context.executor.start(command, on_exit=ended),
        metrics,
        deadline=time.monotonic() + limits.seconds,
        describe=lambda code: context.describe(code, log),
    )
