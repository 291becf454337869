"""The whole job, from checked settings, the search space and the contract."""

from __future__ import annotations

from typing import Any, cast

from vertex_sweeper.api import Job
from vertex_sweeper.job.containers import build_pools
from vertex_sweeper.job.counts import count_trials
from vertex_sweeper.job.fields import put_all
from vertex_sweeper.job.identity import identify
from vertex_sweeper.job.shipped_code import ShippedCode
from vertex_sweeper.job.spec_overrides import apply_overrides
from vertex_sweeper.job.study import build_study
from vertex_sweeper.settings import Settings
from vertex_sweeper.space.search_space import SearchSpace
from vertex_sweeper_runtime.contract import Contract


def build_job(
    settings: Settings,
    space: SearchSpace,
    agreed: Contract,
    *,
    display_name: str,
    sweep_id: str,
    code: ShippedCode | None = None,
) -> Job:
    """The whole job. Raises InvalidSweep where settings, search space and `spec_overrides` do not fit together."""
    counts = count_trials(settings, space)
    job: Job = {
        "displayName": display_name,
        "labels": dict(settings.labels),
        "maxTrialCount": counts.most,
        "parallelTrialCount": counts.parallel,
        "maxFailedTrialCount": counts.failed,
        "studySpec": build_study(settings, space),
        "trialJobSpec": {"workerPoolSpecs": build_pools(settings.trial, agreed, code)},
    }
    put_all(cast("dict[str, Any]", job), settings)
    identify(job, sweep_id, base_output_directory=settings.vertex.base_output_directory)
    return apply_overrides(job, settings.spec_overrides, allow_secrets=settings.trial.allow_secrets)
