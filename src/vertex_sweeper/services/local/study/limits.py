"""The limits of a job, as its specification sets them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vertex_sweeper.api import container_job, is_custom_job
from vertex_sweeper.services.local.study.measurement import Selection


@dataclass(frozen=True, slots=True)
class Limits:
    """A job's numbers of trials, the seconds a trial may take, and how a trial's final measurement is chosen.

    A custom job is one trial without metrics: its exit code alone tells how it ended.
    """

    most: int
    parallel: int
    failed: int
    seconds: float
    metrics: Mapping[str, bool]
    selection: Selection

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Limits:
        """Those of a valid job."""
        timeout = container_job(spec).get("scheduling", {}).get("timeout", "604800s")  # the service's default: seven days
        seconds = float(timeout.removesuffix("s"))
        if is_custom_job(spec):
            return cls(most=1, parallel=1, failed=1, seconds=seconds, metrics={}, selection=Selection.LAST)
        study = spec["studySpec"]
        selection = study.get("measurementSelectionType", "MEASUREMENT_SELECTION_TYPE_UNSPECIFIED")
        return cls(
            most=int(spec["maxTrialCount"]),
            parallel=int(spec["parallelTrialCount"]),
            failed=int(spec.get("maxFailedTrialCount", 0)),
            seconds=seconds,
            # A goal that is not set means MAXIMIZE.
            metrics={metric["metricId"]: metric.get("goal") != "MINIMIZE" for metric in study["metrics"]},
            selection=Selection.BEST if selection == Selection.BEST.value else Selection.LAST,
        )
