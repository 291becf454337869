"""Measurements: what a trial wrote into its metric file, and which of it counts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any


class Selection(Enum):
    """Which measurement is a trial's final one, as the API spells it. Unset means the last."""

    LAST = "LAST_MEASUREMENT"
    BEST = "BEST_MEASUREMENT"


@dataclass(frozen=True, slots=True)
class Measurement:
    """The metrics of one step, by metric id. All values are finite."""

    step: int
    values: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """In the API's JSON form: the step is 64 bits wide and hence a string, and zeros are left out."""
        metrics = [{"metricId": id, "value": value} if value else {"metricId": id} for id, value in self.values.items()]
        return {"stepCount": str(self.step), "metrics": metrics} if self.step else {"metrics": metrics}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Measurement:
        """What `to_json` gave."""
        return cls(int(entry.get("stepCount", 0)), {one["metricId"]: float(one.get("value", 0)) for one in entry["metrics"]})


def read_measurements(path: Path, *, metrics: Sequence[str]) -> list[Measurement]:
    """What cloudml-hypertune wrote there for these metrics, in the order in which it was reported; [] without a file.

    Lines that are torn, that others wrote, or whose value is not finite are passed over: one bad line is no reason to lose
    a trial that took a day.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return group_reports(_reports(text.splitlines(), metrics=metrics))


def group_reports(reports: Iterable[tuple[int, str, float]]) -> list[Measurement]:
    """Joins (step, metric, value) reports of one step to one measurement.

    A metric that is reported again at the same step begins a new measurement: applications that never pass a step report
    everything at step 0.
    """
    grouped: list[tuple[int, dict[str, float]]] = []
    newest: dict[int, dict[str, float]] = {}
    for step, metric, value in reports:
        if step not in newest or metric in newest[step]:
            newest[step] = {}
            grouped.append((step, newest[step]))
        newest[step][metric] = value
    return [Measurement(step, values) for step, values in grouped]


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
    return Measurement(measurements[-1].step, latest) if latest.keys() == metrics.keys() else None


def _reports(lines: Iterable[str], *, metrics: Sequence[str]) -> Iterator[tuple[int, str, float]]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict):
            continue
        step = _number(entry.get("global_step"))
        for metric in metrics:
            value = _number(entry.get(metric))
            if value is not None:
                yield int(step or 0), metric, value


def _number(written: object) -> float | None:
    # cloudml-hypertune writes numbers as text, and writes NaN and infinity without complaint.
    if isinstance(written, bool) or not isinstance(written, (int, float, str)):
        return None
    try:
        number = float(written)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
