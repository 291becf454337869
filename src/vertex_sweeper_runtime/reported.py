"""What the app itself has reported in this attempt, and where among it the task's return value belongs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vertex_sweeper_runtime.metric_lines import find_reports, to_step

Step = float | str
"""A step as it was written."""


class _Latest(NamedTuple):
    """The last report of a metric: its place among all reports, its step as it was written, and its value."""

    order: int
    step: Step
    value: float


class Reported:
    """The reports of an attempt, line by line.

    How the service makes measurements of a metric file is not documented. The return value is therefore written so that the
    result is the same whether it takes all of one step together, the last value of each metric, or the lines in their order:
    last, at the step at which the app's last values stand, and with no metric left without a value there.
    """

    def __init__(self, metrics: Sequence[str]) -> None:
        self._metrics = metrics
        self._count = 0
        self._latest: dict[str, _Latest] = {}
        self._steps: dict[str, dict[str, int]] = {}
        self._current: dict[str, int] = {}
        self._last_step: Step = "0"

    @property
    def metrics(self) -> list[str]:
        """Those that have a finite value."""
        return [metric for metric in self._metrics if metric in self._latest]

    def add(self, line: Mapping[str, Any]) -> None:
        """Takes the next line."""
        step = _copied(line.get("global_step"))
        self._last_step = step if "global_step" in line else self._last_step
        for report in find_reports(line, self._metrics):
            self._count += 1
            at_step = self._steps.setdefault(str(step), {})
            if at_step.get(report.metric, 0) >= self._current.setdefault(str(step), self._count):
                self._current[str(step)] = self._count  # again at the same step: the next measurement
            at_step[report.metric] = self._count
            self._latest[report.metric] = _Latest(self._count, step, report.value)

    def complete(self, returned: Mapping[str, float]) -> tuple[Step, dict[str, float]]:
        """What is to be written of the returned values, and at which step; nothing where nothing is missing there.

        A metric that the app has reported at that step has its value there. One that was reported earlier only, and not
        returned, keeps its last value: then all are written, for a measurement with every metric.
        """
        step, present = self._place()
        values = {metric: value for metric, value in returned.items() if metric not in present}
        last = {metric: latest.value for metric, latest in self._latest.items()}
        if values and not last.keys() <= present | values.keys():
            values = last | values
        return step, {metric: values[metric] for metric in self._metrics if metric in values}

    def _place(self) -> tuple[Step, set[str]]:
        """The latest step at which all values are their metrics' last, and which metrics its last measurement has."""
        latest = sorted(self._latest.values(), reverse=True, key=lambda last: last.order)
        for last in latest:
            at_step = self._steps[str(last.step)]
            if all(order == self._latest[metric].order for metric, order in at_step.items()):
                current = self._current[str(last.step)]
                return last.step, {metric for metric, order in at_step.items() if order >= current}
        return (str(max(map(to_step, self._steps)) + 1) if latest else self._last_step), set()


def _copied(step: object) -> Step:
    """A step to be written again as it was, so that whoever compares the two takes them for one."""
    if not isinstance(step, (int, float, str)) or (isinstance(step, float) and not math.isfinite(step)):
        return "0"
    return step
