"""One running job: a thread that fills free slots and waits for the next thing to happen."""

from __future__ import annotations

import logging
import math
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final, Protocol

from vertex_sweeper.local.environment import Workplace, build_environment, resolve_command
from vertex_sweeper.local.measurement import Measurement, read_measurements, select_final
from vertex_sweeper.local.nodes import Choice
from vertex_sweeper.local.process import Child, Nursery
from vertex_sweeper.local.rendering import Rendering
from vertex_sweeper.local.study import CANCELLED_CODE, INTERNAL_CODE, Limits, Outcome, Study, Trial
from vertex_sweeper.service import Job

log = logging.getLogger(__name__)

CANCELLED: Final = "The job was cancelled."
"""Why a cancelled job's trials ended, and its error's message."""


class Suggester(Protocol):
    """Decides what a trial tries. Called by one thread."""

    def suggest(self, trial: int) -> tuple[Choice, ...] | None:
        """What the trial of this number tries; None when there is nothing left to try."""

    def tell(self, trial: int, values: Mapping[str, float] | None) -> None:
        """A trial's final values by metric id; None when it was infeasible."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What the jobs of one service share."""

    nursery: Nursery
    rendering: Rendering
    environment: Mapping[str, str]
    grace: float
    changed: threading.Condition
    notify: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Exited:
    """Something happened: a trial's process, and all it had started, is gone."""

    trial: int
    code: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Something happened: the job shall end. `at_once` leaves no trial any time."""

    at_once: bool


@dataclass(slots=True)
class Slot:
    """A running trial. `deadline` is when it is stopped or, once it has a `reason` to be, killed (monotonic seconds)."""

    trial: Trial
    child: Child
    deadline: float
    reason: str = ""
    failed: bool = False


class JobRun:
    """Runs one job. `cancel`, `kill` and `snapshot` may be called from any thread, the rest is the job's own thread's."""

    def __init__(self, study: Study, *, workplace: Workplace, suggester: Suggester, bench: Bench) -> None:
        self._study = study
        self._workplace = workplace
        self._suggester = suggester
        self._bench = bench
        self._events: queue.SimpleQueue[Exited | Stop] = queue.SimpleQueue()
        self._slots: dict[int, Slot] = {}
        self._thread = threading.Thread(target=self._run, name=f"job-{workplace.job_id}", daemon=True)

    def start(self) -> None:
        """Starts the job's thread."""
        self._thread.start()

    def snapshot(self) -> Job:
        """The job as it stands."""
        with self._bench.changed:
            return self._study.to_json()

    def cancel(self) -> None:
        """Starts no more trials, and has the running ones end."""
        self._end(at_once=False)

    def kill(self) -> None:
        """The same, with no time for anything."""
        self._end(at_once=True)

    def join(self, seconds: float) -> None:
        """Waits for the job to end."""
        self._thread.join(seconds)

    def _end(self, *, at_once: bool) -> None:
        with self._bench.changed:
            if self._study.state.ended:
                return
            self._study.end(CANCELLED_CODE, CANCELLED, now=format_now())
            self._bench.notify()
        self._events.put(Stop(at_once))

    def _run(self) -> None:
        try:
            self._record(lambda now: self._study.start(now=now))
            self._work()
        except Exception as error:  # a mistake of ours must not leave a sweep waiting for ever
            log.exception("The local service failed.")
            message = f"internal error: {error!r}"
            self._record(lambda now: self._study.end(INTERNAL_CODE, message, now=now))
            self._abandon(message)
        finally:
            self._record(lambda now: self._study.close(now=now))

    def _work(self) -> None:
        self._fill()
        while self._slots:
            self._handle(self._next_event())
            self._fill()

    def _fill(self) -> None:
        while self._study.wants_trial:
            choices = self._suggester.suggest(len(self._study.trials) + 1)
            if choices is None:
                self._study.exhausted = True
                return
            with self._bench.changed:
                if self._study.ending:  # cancelled while the suggestion was made
                    return
                trial = self._study.open_trial(choices, now=format_now())
                self._bench.notify()
            self._launch(trial)

    def _launch(self, trial: Trial) -> None:
        nursery, container = self._bench.nursery, self._workplace.pool["containerSpec"]
        label = f"{self._workplace.job_id}/{trial.number}"
        environment = build_environment(
            self._bench.environment, workplace=self._workplace, trial=trial.number, mark=(nursery.mark, label)
        )
        arguments = self._bench.rendering.render(trial.choices, container.get("args", ()))
        command = resolve_command([*container["command"], *arguments], path=environment["PATH"])
        number = trial.number
        try:
            self._workplace.metrics(number).unlink(missing_ok=True)
            child = nursery.start(
                command,
                label=label,
                environment=environment,
                output=self._workplace.log(number),
                on_exit=lambda code: self._events.put(Exited(number, code)),
            )
        except (OSError, ValueError) as error:
            self._close_trial(trial, Outcome(reason=f"The command could not be started: {error}", failed=True))
        else:
            self._slots[number] = Slot(trial, child, deadline=time.monotonic() + self._study.limits.seconds)

    def _next_event(self) -> Exited | Stop | None:
        deadline = min(slot.deadline for slot in self._slots.values())
        wait = min(max(deadline - time.monotonic(), 0), threading.TIMEOUT_MAX)
        try:
            return self._events.get(timeout=wait)
        except queue.Empty:
            return None

    def _handle(self, event: Exited | Stop | None) -> None:
        if isinstance(event, Exited):
            slot = self._slots.pop(event.trial)
            measurements = read_measurements(self._workplace.metrics(event.trial), metrics=tuple(self._study.limits.metrics))
            self._close_trial(slot.trial, judge(slot, event.code, measurements, limits=self._study.limits))
        elif isinstance(event, Stop):
            self._stop_all(CANCELLED, at_once=event.at_once)
        else:
            self._expire()

    def _expire(self) -> None:
        now = time.monotonic()
        for slot in [slot for slot in self._slots.values() if slot.deadline <= now]:
            if slot.reason:
                slot.deadline = math.inf
                slot.child.kill()
            else:
                self._stop(slot, f"The trial took longer than its timeout of {self._study.limits.seconds:g} s.", failed=True)

    def _close_trial(self, trial: Trial, outcome: Outcome) -> None:
        final = outcome.final if not outcome.reason else None
        self._suggester.tell(trial.number, final.values if final else None)
        was_ending = self._study.ending
        self._record(lambda now: self._study.close_trial(trial, outcome, now=now))
        if self._study.ending and not was_ending:
            self._stop_all("The job failed: too many trials had failed.")

    def _stop_all(self, reason: str, *, at_once: bool = False) -> None:
        for slot in self._slots.values():
            if not slot.reason:
                self._stop(slot, reason)
            if at_once:
                slot.child.kill()

    def _stop(self, slot: Slot, reason: str, *, failed: bool = False) -> None:
        slot.reason, slot.failed = reason, failed
        slot.deadline = time.monotonic() + self._bench.grace
        self._record(lambda now: self._study.stop_trial(slot.trial, now=now))
        slot.child.terminate()

    def _abandon(self, reason: str) -> None:
        self._stop_all(reason, at_once=True)
        while self._slots:
            event = self._events.get()
            if isinstance(event, Exited):
                self._slots.pop(event.trial, None)

    def _record(self, write: Callable[[str], None]) -> None:
        with self._bench.changed:
            write(format_now())
            self._bench.notify()


def judge(slot: Slot, code: int, measurements: Sequence[Measurement], *, limits: Limits) -> Outcome:
    """What a trial's end amounts to. What it had measured before stays on record, however it ended."""
    if slot.reason:
        return Outcome(measurements, reason=slot.reason, failed=slot.failed)
    if code:
        return Outcome(measurements, reason=describe_exit(code), failed=True)
    final = select_final(measurements, metrics=limits.metrics, selection=limits.selection)
    if final is None:
        # Such a trial is INFEASIBLE. Whether the service also counts it as failed is not known; it did what it was told and
        # found no number (NaN, say), and a search space with such a corner should not end the sweep.
        reported = {metric for measurement in measurements for metric in measurement.values}
        missing = ", ".join(metric for metric in limits.metrics if metric not in reported)
        return Outcome(measurements, reason=f"The trial ended without a final measurement: no finite value of {missing}.")
    return Outcome(measurements, final)


def describe_exit(code: int) -> str:
    """What the service would say of an exit code other than 0; a negative one is a signal's number."""
    number = -code if code < 0 else code - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = ""
    if code < 0:
        return f"The replica workerpool0-0 was ended by signal {name or number}."
    return f"The replica workerpool0-0 exited with a non-zero status of {code}{f' ({name})' if name else ''}."


def format_now() -> str:
    """The time, as the API writes it (RFC 3339)."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
