"""The rule that stops a trial early: the median rule, as the API describes it. Pure functions over measurements.

The rules by the decay curve and by convexity are models of Vertex's own, and not imitated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any, Final

from vertex_sweeper.services.local.study.measurement import Measurement

MEDIAN: Final = "medianAutomatedStoppingSpec"
"""The field of a study spec that switches the rule on."""

RULES: Final = (MEDIAN, "decayCurveStoppingSpec", "convexAutomatedStoppingSpec")
"""All such fields; the API has one of them at a time."""


@dataclass(frozen=True, slots=True)
class MedianRule:
    """Stops a pending trial whose best value is worse than the median performance of the completed ones.

    A completed trial's performance is the average of the values that it had reported up to the point at which the pending
    trial made its last measurement. That point is a step, or with `use_elapsed` a time since the trial's start. Ties go on.
    With several metrics the first one decides; the API does not say which.
    """

    metric: str
    maximised: bool
    use_elapsed: bool = False

    @classmethod
    def of(cls, study: Mapping[str, Any], metrics: Mapping[str, bool]) -> MedianRule | None:
        """That of a study spec with these metrics (each with whether it is to be maximised); None when it has none."""
        if MEDIAN not in study:
            return None
        metric, maximised = next(iter(metrics.items()))
        return cls(metric, maximised, bool(study[MEDIAN].get("useElapsedDuration", False)))

    def judge(self, pending: Sequence[Measurement], completed: Iterable[Sequence[Measurement]]) -> str:
        """Why the trial of these measurements is to be stopped; empty when it is not.

        Args:
            pending: What the trial has measured so far.
            completed: What each of the completed trials had measured.
        """
        points = self._points(pending)
        if not points:
            return ""
        last = max(at for at, _ in points)
        reached = [[value for at, value in self._points(trial) if at <= last] for trial in completed]
        averages = [fmean(values) for values in reached if values]
        if not averages:
            return ""
        middle = median(averages)
        best = (max if self.maximised else min)(value for _, value in points)
        if best >= middle if self.maximised else best <= middle:
            return ""
        where = f"after {last:g} s" if self.use_elapsed else f"at step {last:g}"
        return f"its best {self.metric} so far is {best:g}, the median of the completed trials' averages {middle:g}, {where}"

    def _points(self, measurements: Iterable[Measurement]) -> list[tuple[float, float]]:
        """Where and what: the objective's values, each with its step or time. What has no time cannot be compared by it."""
        return [
            (at, one.values[self.metric])
            for one in measurements
            if self.metric in one.values and (at := one.elapsed if self.use_elapsed else one.step) is not None
        ]
