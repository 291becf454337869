"""What the local service itself takes between a trial's end and the next one's start, at trial 10 and at trial 1,000.

The trials are no processes: an executor says at once that they have ended, and takes the time until it is given the next. In
that time the service reads the trial's metrics, judges it, puts it on record, learns from it, suggests, and prepares the next
trial. What the suggestions take is the sampler's own, and is taken off.

    python bench/scheduler.py [rounds]
"""

from __future__ import annotations

import itertools
import json
import logging
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from _figures import save

from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.execute.executor import Command
from vertex_sweeper.services.local.suggest.optuna import OptunaSuggester
from vertex_sweeper.testing.gate import PARENT, make_job, wait_for_end

TRIALS, SLOTS = 1005, 4
EARLY, LATE = range(6, 16), range(996, 1006)
MOST = 5.0


class Ended:
    """A command that has ended before anybody could have asked it to."""

    def terminate(self) -> None:
        """Does nothing."""

    def kill(self) -> None:
        """Does nothing."""


class InstantExecutor:
    """Runs nothing: each trial has reported a metric and ended as soon as the next one is awaited."""

    def __init__(self) -> None:
        self.started: list[float] = []
        self.ended: list[float] = []
        self.cpu: list[float] = []
        self.finished = threading.Event()
        self._wanted = threading.Semaphore(0)
        self._running: list[Callable[[int], None]] = []
        threading.Thread(target=self._end_trials, daemon=True).start()

    def hold(self, file: int) -> None:
        """Has nothing to hold it with."""

    def start(self, command: Command, *, on_exit: Callable[[int], None]) -> Ended:
        """Takes the time, and has the trial end."""
        self.started.append(time.perf_counter())
        self.cpu.append(time.thread_time())  # the job's own thread calls
        number = len(self.started)
        entry = {"timestamp": 1.0, "trial": str(number), "acc": str(number % 7), "global_step": "1", "checkpoint_path": ""}
        Path(command.environment["CLOUD_ML_HP_METRIC_FILE"]).write_text(json.dumps(entry) + "\n", encoding="utf-8")
        self._running.append(on_exit)
        self._wanted.release()
        return Ended()

    def close(self) -> None:
        """Nothing runs."""

    def _end_trials(self) -> None:
        while True:
            self._wanted.acquire()
            # One at a time, when the service has come to rest: with all slots taken, or none left to fill.
            while len(self._running) < min(SLOTS, TRIALS - len(self.ended)):
                self._wanted.acquire()
            while self._running:
                count = len(self.started)
                on_exit = self._running.pop(0)
                self.ended.append(time.perf_counter())
                on_exit(0)
                while count < TRIALS and len(self.started) == count:
                    self._wanted.acquire()
            if len(self.ended) == TRIALS:
                self.finished.set()
                return


@dataclass(frozen=True)
class Costs:
    """The milliseconds before each trial's start without those of the sampler, on the clock and of CPU; and the sampler's."""

    own: list[float]
    own_cpu: list[float]
    sampler: list[float]


def run(algorithm: str) -> Costs:
    """One job of many trials."""
    spent: list[tuple[float, float]] = []
    suggest = OptunaSuggester.suggest

    def timed(self: OptunaSuggester, trial: int) -> Any:
        began, busy = time.perf_counter(), time.thread_time()
        suggested = suggest(self, trial)
        spent.append((time.perf_counter() - began, time.thread_time() - busy))
        return suggested

    executor = InstantExecutor()
    with (
        patch.object(OptunaSuggester, "suggest", timed),
        tempfile.TemporaryDirectory() as folder,
        LocalService(lambda _: Path(folder), seed=1, executor=executor, records=Path(folder, "records")) as service,
    ):
        spec = make_job(command=["true"], most=TRIALS, parallel=SLOTS, algorithm=algorithm)
        name = service.create(PARENT, spec)["name"]
        executor.finished.wait()  # nobody looks at the job meanwhile: that is measured by bench/watch.py
        wait_for_end(service, name)
    turns = [0.0] * SLOTS + [begun - ended for ended, begun in zip(executor.ended, executor.started[SLOTS:], strict=False)]
    busy = [0.0, *(after - before for before, after in itertools.pairwise(executor.cpu))]
    return Costs(
        own=[1000 * (turn - of_it) for turn, (of_it, _) in zip(turns, spent, strict=True)],
        own_cpu=[1000 * (turn - of_it) for turn, (_, of_it) in zip(busy, spent, strict=True)],
        sampler=[1000 * of_it for of_it, _ in spent],
    )


def main(rounds: int) -> int:
    """Random search, whose sampler costs next to nothing, and the default one; the exit code is 1 where the goal is missed."""
    logging.disable(logging.INFO)
    missed = False
    for label, algorithm in (("random", "RANDOM_SEARCH"), ("bayesian", "ALGORITHM_UNSPECIFIED")):
        runs = [run(algorithm) for _ in range(rounds)]
        medians = {
            f"{what}, at trial {name}": statistics.median(getattr(one, field)[number - 1] for one in runs for number in numbers)
            for what, field in (("own", "own"), ("own CPU", "own_cpu"), ("sampler", "sampler"))
            for name, numbers in (("10", EARLY), ("1,000", LATE))
        }
        for name, value in medians.items():
            print(f"{label:10} {name:24} {value:7.2f} ms")
        ratio = medians["own, at trial 1,000"] / medians["own, at trial 10"]
        print(f"{label}: ratio {ratio:.2f} (goal: at most {MOST:.0f} ms at trial 1,000, and no growth)", flush=True)
        save(f"the scheduler's own cost, {label}", {"unit": "ms", "medians": medians, "ratio": ratio, "goal": MOST})
        missed |= medians["own, at trial 1,000"] > MOST
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
