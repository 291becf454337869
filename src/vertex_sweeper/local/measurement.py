"""Measurements: what a trial wrote into its metric file, and which of it counts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from vertex_sweeper.local.moments import format_duration, parse_duration


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


class Report(NamedTuple):
    """One value of one metric, as a trial wrote it down: `time` is seconds since 1970, or None."""

    step: int
    metric: str
    value: float
    time: float | None = None


class MetricFile:
    """What a trial reports, from a file that is read while it is still being written.

    cloudml-hypertune writes the whole file anew at each report, not atomically, and with the last 100 lines only. So what was
    read once stays reported, even if a later look finds the file cut short or the line gone.

    Args:
        path: The file; it need not exist.
        metrics: The metrics that count.
        begun: When the trial began to run, in seconds since 1970.
        clock: What time it is now.
    """

    def __init__(self, path: Path, *, metrics: Sequence[str], begun: float, clock: Callable[[], float]) -> None:
        self._path = path
        self._metrics = metrics
        self._begun = begun
        self._clock = clock
        self._reports: list[Report] = []
        self._looked: tuple[list[Measurement], tuple[int, int] | None] = ([], None)

    def read(self) -> list[Measurement]:
        """All that has been reported so far, in that order; [] without a file.

        Lines that are torn, that others wrote, or whose value is not finite are passed over: one bad line is no reason to
        lose a trial that took a day.
        """
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        found = list(_read_reports(text.splitlines(), metrics=self._metrics))
        present = set(found)
        self._reports = [report for report in self._reports if report not in present] + found
        return group_reports(self._reports, begun=self._begun, now=self._clock())

    def look(self) -> list[Measurement]:
        """The same, for whoever asks often: the file is only read when it seems to have changed."""
        try:
            status = self._path.stat()
        except OSError:
            return self._looked[0]
        version = (status.st_mtime_ns, status.st_size)
        if version != self._looked[1]:
            self._looked = (self.read(), version)
        return self._looked[0]


def group_reports(reports: Iterable[Report], *, begun: float, now: float) -> list[Measurement]:
    """Joins reports of one step to one measurement, as old as its latest report.

    A metric that is reported again at the same step begins a new measurement: applications that never pass a step report
    everything at step 0.
    """
    grouped: list[list[Report]] = []
    newest: dict[int, list[Report]] = {}
    for report in reports:
        group = newest.get(report.step)
        if group is None or any(report.metric == other.metric for other in group):
            group = newest[report.step] = []
            grouped.append(group)
        group.append(report)
    return [_join(group, begun, now) for group in grouped]


def _join(reports: Sequence[Report], begun: float, now: float) -> Measurement:
    # Trials write what they like: a time from before the trial's start, or from the future, is another clock's (or another
    # unit's), and tells nothing.
    ages = [report.time - begun for report in reports if report.time is not None and begun <= report.time <= now]
    values = {report.metric: report.value for report in reports}
    return Measurement(reports[0].step, values, max(ages) if ages else None)


def select_final(
    measurements: Sequence[Measurement], *, metrics: Mapping[str, bool], selection: Selection
) -> Measurement | None:
    """The measurement that counts, or None when some metric was never reported.

    Args:
        measurements: In the order in which they were reported.
        metrics: Metric ids, each with whether it is to be maximised. The first one decides what is best.
        selection: LAST or BEST of the measurements that have every metric. When none has, because an application reports
            its metrics at different steps, the last value of each is taken together.
    """
    complete = [one for one in measurements if all(metric in one.values for metric in metrics)]
    if complete and selection is Selection.BEST:
        first, maximised = next(iter(metrics.items()))
        return (max if maximised else min)(complete, key=lambda one: one.values[first])
    if complete:
        return complete[-1]
    latest = {metric: value for one in measurements for metric, value in one.values.items()}
    last = measurements[-1] if measurements else None
    return Measurement(last.step, latest, last.elapsed) if last and latest.keys() == metrics.keys() else None


def _read_reports(lines: Iterable[str], *, metrics: Sequence[str]) -> Iterator[Report]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict):
            continue
        step = _number(entry.get("global_step")) or 0
        step = int(step) if 0 <= step < 2**63 else 0  # what the API has room for
        for metric in metrics:
            value = _number(entry.get(metric))
            if value is not None:
                yield Report(step, metric, value, _number(entry.get("timestamp")))


def _number(written: object) -> float | None:
    # cloudml-hypertune writes numbers as text, and writes NaN and infinity without complaint.
    if isinstance(written, bool) or not isinstance(written, (int, float, str)):
        return None
    try:
        number = float(written)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
