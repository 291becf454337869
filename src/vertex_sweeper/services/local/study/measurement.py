"""Measurements: what a trial reports, and which of it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

from vertex_sweeper.api import format_duration, parse_duration
from vertex_sweeper_runtime.metric_lines import Report

MOST_MEASUREMENTS: Final = 10_000
"""How many measurements of one trial go on record, and to everybody who asks for its job."""


class Selection(Enum):
    """Which measurement is a trial's final one, as the API spells it. Unset means the last."""

    LAST = "LAST_MEASUREMENT"
    BEST = "BEST_MEASUREMENT"


@dataclass(frozen=True, slots=True)
class Measurement:
    """The metrics of one step, by metric id. All values are finite.

    `elapsed` is for how many seconds the trial had been running; None when whoever wrote them did not say when.
    """

    step: int
    values: Mapping[str, float]
    elapsed: float | None = None

    def to_json(self) -> dict[str, Any]:
        """In the API's JSON form: the step is 64 bits wide and hence a string, and zeros are left out."""
        entry: dict[str, Any] = {} if self.elapsed is None else {"elapsedDuration": format_duration(self.elapsed)}
        if self.step:
            entry["stepCount"] = str(self.step)
        entry["metrics"] = [
            {"metricId": id, "value": value} if value else {"metricId": id} for id, value in self.values.items()
        ]
        return entry

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Measurement:
        """What `to_json` gave."""
        values = {one["metricId"]: float(one.get("value", 0)) for one in entry["metrics"]}
        elapsed = entry.get("elapsedDuration")
        return cls(int(entry.get("stepCount", 0)), values, None if elapsed is None else parse_duration(elapsed))


class Reported(Protocol):
    """What a trial has reported, wherever it stands."""

    @property
    def problem(self) -> str:
        """Why not all of it could be read; empty when it could."""

    @property
    def long_lines(self) -> bool:
        """Whether something was passed over because it is too long."""

    def read(self) -> Sequence[Measurement]:
        """All measurements so far, in the order of their reports."""


class Series:
    """A trial's measurements, from its reports one by one.

    Reports of one step are one measurement, as old as its latest report. A metric that is reported again at the same step
    begins a new measurement: applications that never pass a step report everything at step 0.
    """

    def __init__(self) -> None:
        self.measurements: list[Measurement] = []
        self._newest: dict[int, int] = {}

    def add(self, report: Report, elapsed: float | None) -> None:
        """Takes the next report. `elapsed` is for how many seconds the trial had been running, where that is known."""
        place = self._newest.get(report.step)
        if place is None or report.metric in self.measurements[place].values:
            self._newest[report.step] = len(self.measurements)
            self.measurements.append(Measurement(report.step, {report.metric: report.value}, elapsed))
            return
        before = self.measurements[place]
        ages = [age for age in (before.elapsed, elapsed) if age is not None]
        values = {**before.values, report.metric: report.value}
        self.measurements[place] = Measurement(report.step, values, max(ages, default=None))


def thin_out(measurements: Sequence[Measurement], *, most: int = MOST_MEASUREMENTS) -> Sequence[Measurement]:
    """All of them, or at most so many at even distances, the last among them."""
    distance = -(-len(measurements) // most)
    return measurements if distance <= 1 else measurements[::-1][::distance][::-1]


def select_final(
    measurements: Sequence[Measurement], *, metrics: Mapping[str, bool], selection: Selection
) -> Measurement | None:
    """The measurement that counts, or None when some metric was never reported.

    That is one of those by which every metric had been reported. Where a metric is missing, because the application reports
    its metrics at different steps, it has its last value from before: were only complete measurements to count, a metric that
    is reported once, before the training, would make its beginning the result. An application that reports all metrics of a
    step together, and was ended in between, has only complete ones.

    Args:
        measurements: In the order in which they were reported.
        metrics: Metric ids, each with whether it is to be maximised. The first one decides what is best.
        selection: LAST or BEST of these.
    """
    *before, newest = measurements or [Measurement(0, {})]
    if before and all(one.values.keys() >= metrics.keys() for one in before) and not newest.values.keys() >= metrics.keys():
        measurements = before
    first, maximised = next(iter(metrics.items()))
    best = max if maximised else min
    latest: dict[str, float] = {}
    final: Measurement | None = None
    for one in measurements:
        latest.update(one.values)
        if not latest.keys() >= metrics.keys():
            continue
        if final is None or selection is Selection.LAST or best(final.values[first], latest[first]) != final.values[first]:
            final = Measurement(one.step, dict(latest), one.elapsed)
    return final
