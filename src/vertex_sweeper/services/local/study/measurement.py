"""Measurements: what a trial wrote into its metric file, and which of it counts."""

from __future__ import annotations

import errno
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from vertex_sweeper.services.local.study.times import format_duration, parse_duration
from vertex_sweeper_runtime.metric_lines import LineReader, Report, find_reports

MOST_REPORTS: Final = 2_000_000
"""How many values of one trial are read."""

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


class MetricFile:
    """What a trial reports, from a file that is read while it is still being written.

    What was read once stays reported, even if a later look finds the file cut short or the line gone: cloudml-hypertune keeps
    the last 100 lines only. `problem` is why the file could not be read to its end; empty when it could, or when there is none.

    Args:
        path: The file; it need not exist.
        metrics: The metrics that count.
        begun: When the trial began to run, in seconds since 1970.
        clock: What time it is now.
        most: How many reports are kept; more are a problem.
    """

    def __init__(
        self,
        path: Path,
        *,
        metrics: Sequence[str],
        begun: float,
        clock: Callable[[], float],
        most: int = MOST_REPORTS,
    ) -> None:
        self.problem = ""
        self._most = most
        self._path = path
        self._metrics = metrics
        self._begun = begun
        self._clock = clock
        self._reader = LineReader(str(path))
        self._starts = 0
        self._hashes = array("q")
        self._known: Counter[int] = Counter()
        self._series = Series()
        self._looked: tuple[Sequence[Measurement], tuple[int, ...] | None] = ([], None)

    @property
    def long_lines(self) -> bool:
        """Whether lines were passed over because they are too long."""
        return self._reader.long_lines

    def read(self) -> Sequence[Measurement]:
        """All that has been reported so far, in that order; [] without a file.

        Lines that are torn, that others wrote, or whose value is not finite are passed over: one bad line is no reason to
        lose a trial that took a day.
        """
        self._read(thorough=True)
        return list(self._series.measurements)

    def read_new(self) -> Sequence[Measurement]:
        """The same, for whoever asks often: what is new is read, when the file seems to have changed."""
        try:
            status = self._path.stat()
        except OSError:
            return self._looked[0]
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        if version != self._looked[1]:
            self._read(thorough=False)
            self._looked = (list(self._series.measurements), version)
        return self._looked[0]

    def _read(self, *, thorough: bool) -> None:
        now = self._clock()
        if len(self._hashes) > self._most:
            return
        try:
            for entry in self._reader.read(thorough=thorough):
                for report in find_reports(entry, self._metrics):
                    if self._is_new(report):
                        self._add(report, now)
        except OSError as error:
            self.problem = f"{error.strerror or error}"
        else:
            self.problem = ""

    def _add(self, report: Report, now: float) -> None:
        if len(self._hashes) > self._most:
            raise OSError(errno.EFBIG, f"it reports more than {self._most:,} values")
        # Trials write what they like: a time from before the trial's start, or from the future, is another clock's (or another
        # unit's), and tells nothing.
        known = report.time is not None and self._begun <= report.time <= now
        self._series.add(report, report.time - self._begun if report.time is not None and known else None)

    def _is_new(self, report: Report) -> bool:
        """Whether the report was not read before. Where the file is read from its start again, what is known comes again."""
        if self._starts != self._reader.starts:
            self._starts = self._reader.starts
            self._known = Counter(self._hashes)
        key = hash(report)
        if self._known[key] > 0:
            self._known[key] -= 1
            return False
        self._hashes.append(key)
        return True


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
