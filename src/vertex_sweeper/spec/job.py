"""The whole job, from checked settings, the search space and the contract."""

from __future__ import annotations

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.service import Job
from vertex_sweeper.settings import DEFAULT_PARALLEL, DEFAULT_TRIALS, Algorithm, Settings
from vertex_sweeper.space import SearchSpace
from vertex_sweeper.spec.identity import identify
from vertex_sweeper.spec.overrides import apply_overrides
from vertex_sweeper.spec.places import put_all
from vertex_sweeper.spec.study import build_study, continuous_keys, grid_size
from vertex_sweeper.spec.trial_job import build_pools
from vertex_sweeper_runtime.contract import Contract


def build_job(settings: Settings, space: SearchSpace, agreed: Contract, *, display_name: str, sweep_id: str) -> Job:
    """The whole job. Raises InvalidSweep where settings, search space and `spec_overrides` do not fit together."""
    most = _max_trial_count(settings, space)
    parallel = settings.parallel_trial_count or min(DEFAULT_PARALLEL, most)
    failed = settings.max_failed_trial_count or min(most, parallel + 3)
    too_many = {"parallel_trial_count": parallel, "max_failed_trial_count": failed}
    mistakes = [
        f"hydra.sweeper.{key}: {count} must not be more than max_trial_count, {most}"
        for key, count in too_many.items()
        if count > most
    ]
    if mistakes:
        raise InvalidSweep(mistakes)
    job: Job = {
        "displayName": display_name,
        "labels": dict(settings.labels),
        "maxTrialCount": most,
        "parallelTrialCount": parallel,
        # Left at zero, Vertex ends a job whose first trial fails, and what follows is unspecified: always say it. One
        # batch and a few more may fail before the rest of the budget is kept.
        "maxFailedTrialCount": failed,
        "studySpec": build_study(settings, space),
        "trialJobSpec": {"workerPoolSpecs": build_pools(settings.trial, agreed)},
    }
    put_all(job, settings)
    identify(job, sweep_id, base_output_directory=settings.vertex.base_output_directory)
    return apply_overrides(job, settings.spec_overrides, allow_secrets=settings.trial.allow_secrets)


def surplus_notes(settings: Settings, space: SearchSpace) -> list[str]:
    """A line where more trials are asked for than there are different ones."""
    if continuous_keys(space) or _max_trial_count(settings, space) <= grid_size(space):
        return []
    line = f"the search space has {grid_size(space)} points, and max_trial_count is {_max_trial_count(settings, space)}"
    if settings.algorithm is Algorithm.GRID:
        return [f"{line}: no more trials than points are to be expected"]
    return [f"{line}: some are tried more than once; hydra.sweeper.algorithm=grid tries each once"]


def _max_trial_count(settings: Settings, space: SearchSpace) -> int:
    if settings.algorithm is not Algorithm.GRID:
        return settings.max_trial_count or DEFAULT_TRIALS
    # The API allows no DOUBLE in a grid.
    continuous = continuous_keys(space)
    if continuous:
        raise InvalidSweep(
            [f"{key}: a grid cannot go through an interval: use choice() or range(), or algorithm=random" for key in continuous]
        )
    return settings.max_trial_count or grid_size(space)
