"""A launched Hydra job as a CustomJob: the same containers and machines as a trial's, without a study."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, cast

from vertex_sweeper.api import LONGEST_DISPLAY_NAME, Job
from vertex_sweeper.job.containers import build_pools
from vertex_sweeper.job.fields import FIELDS_OF_SETTINGS, put, setting_in
from vertex_sweeper.job.shipped_code import ShippedCode
from vertex_sweeper.job.spec_overrides import apply_overrides
from vertex_sweeper.settings import SWEEP_LABEL, LaunchSettings
from vertex_sweeper_runtime.contract import Contract

_LONGEST_NAME: Final = 40
TRIAL_JOB: Final = "trialJobSpec."
JOB: Final = "jobSpec."


def build_custom_job(
    settings: LaunchSettings, agreed: Contract, *, display_name: str, launch_id: str, code: ShippedCode | None = None
) -> Job:
    """The custom job of one Hydra job, whose number is the contract's.

    Args:
        settings: The launcher's.
        agreed: The contract with the job's container.
        display_name: Of the launch; the job's has its number behind it.
        launch_id: What all jobs of one launch have in common, and no other launch.
        code: What the container takes from a bucket.

    Raises:
        InvalidSweep: `spec_overrides` do not fit.
    """
    number = str(agreed.number)
    job: Job = {
        "displayName": f"{display_name[: LONGEST_DISPLAY_NAME - len(number) - 1]}-{number}",
        "labels": {**settings.labels, SWEEP_LABEL: f"{launch_id}-{number}"},
        "jobSpec": {"workerPoolSpecs": build_pools(settings.trial, agreed, code)},
    }
    for one in FIELDS_OF_SETTINGS:
        value = setting_in(settings, one.setting) if not one.field.startswith("studySpec.") else None
        put(cast("dict[str, Any]", job), as_custom_field(one.field), None if value is None else one.write(value))
    base = settings.vertex.base_output_directory
    if base is not None:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", display_name)[:_LONGEST_NAME].strip("-.")
        folder = f"{name}-{launch_id}" if name else launch_id
        # Hydra's own output of the job goes to the same place: the launch's folder is the sweep directory of its containers.
        job["jobSpec"]["baseOutputDirectory"] = {"outputUriPrefix": f"{base.rstrip('/')}/{folder}/{number}"}
    return apply_overrides(job, settings.spec_overrides, allow_secrets=settings.trial.allow_secrets)


def as_custom_field(field: str) -> str:
    """Where a field of a tuning job's trials stands in a custom job."""
    return f"{JOB}{field.removeprefix(TRIAL_JOB)}" if field.startswith(TRIAL_JOB) else field


def in_trial_fields(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The mistakes of a custom job by the fields that a tuning job has in their place, whose settings are known."""
    return tuple(
        (f"{TRIAL_JOB}{field.removeprefix(JOB)}" if field.startswith(JOB) else field, mistake) for field, mistake in fields
    )
