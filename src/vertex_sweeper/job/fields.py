"""Which setting stands where in the job: one table, from which the job is built and its fields are traced back to settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import reduce
from typing import Any, Final, NamedTuple

from vertex_sweeper.settings import JobSettings, MeasurementSelection, MedianStopping, Settings, Strategy


class FieldOfSetting(NamedTuple):
    """A setting's path under `hydra.sweeper`, its field's path in the job, and how its value is written there."""

    setting: str
    field: str
    write: Callable[[Any], Any]


def _as_it_is(value: Any) -> Any:
    return value


def _seconds(value: int) -> str:
    return f"{value}s"


def _table(words: Mapping[Enum, str]) -> Callable[[Any], str | None]:
    return words.get


_SELECTIONS = _table({MeasurementSelection.LAST: "LAST_MEASUREMENT", MeasurementSelection.BEST: "BEST_MEASUREMENT"})
_STRATEGIES = _table({Strategy.SPOT: "SPOT", Strategy.FLEX_START: "FLEX_START"})  # standard is what the API has unspecified


def _median(value: MedianStopping) -> dict[str, bool]:
    return {"useElapsedDuration": True} if value.use_elapsed_duration else {}


def _if_true(value: bool) -> bool | None:  # noqa: FBT001 - a value like any other
    return value or None  # the API's JSON form leaves zeros out


_STOPPING = "study_stopping_config"
_STOPPING_FIELD = "studySpec.studyStoppingConfig"

FIELDS_OF_SETTINGS: Final = (
    FieldOfSetting("measurement_selection", "studySpec.measurementSelectionType", _SELECTIONS),
    FieldOfSetting("median_automated_stopping_spec", "studySpec.medianAutomatedStoppingSpec", _median),
    FieldOfSetting(f"{_STOPPING}.should_stop_asap", f"{_STOPPING_FIELD}.shouldStopAsap", _if_true),
    FieldOfSetting(
        f"{_STOPPING}.minimum_runtime_constraint", f"{_STOPPING_FIELD}.minimumRuntimeConstraint.maxDuration", _seconds
    ),
    FieldOfSetting(
        f"{_STOPPING}.maximum_runtime_constraint", f"{_STOPPING_FIELD}.maximumRuntimeConstraint.maxDuration", _seconds
    ),
    FieldOfSetting(f"{_STOPPING}.min_num_trials", f"{_STOPPING_FIELD}.minNumTrials", _as_it_is),
    FieldOfSetting(f"{_STOPPING}.max_num_trials", f"{_STOPPING_FIELD}.maxNumTrials", _as_it_is),
    FieldOfSetting(f"{_STOPPING}.max_num_trials_no_progress", f"{_STOPPING_FIELD}.maxNumTrialsNoProgress", _as_it_is),
    FieldOfSetting(f"{_STOPPING}.max_duration_no_progress", f"{_STOPPING_FIELD}.maxDurationNoProgress", _seconds),
    FieldOfSetting("trial.timeout", "trialJobSpec.scheduling.timeout", _seconds),
    FieldOfSetting("trial.strategy", "trialJobSpec.scheduling.strategy", _STRATEGIES),
    FieldOfSetting("trial.max_wait_duration", "trialJobSpec.scheduling.maxWaitDuration", _seconds),
    FieldOfSetting("trial.persistent_resource_id", "trialJobSpec.persistentResourceId", _as_it_is),
    FieldOfSetting("trial.enable_web_access", "trialJobSpec.enableWebAccess", _if_true),
    FieldOfSetting("vertex.service_account", "trialJobSpec.serviceAccount", _as_it_is),
    FieldOfSetting("vertex.network", "trialJobSpec.network", _as_it_is),
    FieldOfSetting("vertex.tensorboard", "trialJobSpec.tensorboard", _as_it_is),
    FieldOfSetting("vertex.kms_key_name", "encryptionSpec.kmsKeyName", _as_it_is),
)
"""Settings that are one field each, whatever the others say."""

POOL_PLACES: Final = (
    FieldOfSetting("machine_type", "machineSpec.machineType", _as_it_is),
    FieldOfSetting("accelerator_type", "machineSpec.acceleratorType", _as_it_is),
    FieldOfSetting("accelerator_count", "machineSpec.acceleratorCount", _as_it_is),
    FieldOfSetting("replica_count", "replicaCount", str),  # 64-bit integers are strings in the API's JSON form
    FieldOfSetting("disk_type", "diskSpec.bootDiskType", _as_it_is),
    FieldOfSetting("disk_size_gb", "diskSpec.bootDiskSizeGb", _as_it_is),
    FieldOfSetting("image", "containerSpec.imageUri", _as_it_is),
)
"""The same for one worker pool: settings of `trial` or of an item of `trial.worker_pools`, fields of a worker pool spec."""

MACHINE: Final = ("machine_type", "accelerator_type", "accelerator_count")
"""Settings of a pool that belong together: it has all of its own, or the first pool's."""

WORKER_POOLS: Final = "trialJobSpec.workerPoolSpecs"

ELSEWHERE: Final = {
    "params": "studySpec.parameters",
    "metrics": "studySpec.metrics",
    "algorithm": "studySpec.algorithm",
    "display_name": "displayName",
    "labels": "labels",
    "max_trial_count": "maxTrialCount",
    "parallel_trial_count": "parallelTrialCount",
    "max_failed_trial_count": "maxFailedTrialCount",
    "vertex.base_output_directory": "trialJobSpec.baseOutputDirectory.outputUriPrefix",
}
"""Settings whose fields are built from more than one of them, from the search space, or with the sweep's own id."""

CONTAINER_ELSEWHERE: Final = {"command": "containerSpec.command", "env": "containerSpec.env"}
"""The same in a container."""


def put_all(job: dict[str, Any], settings: Settings) -> None:
    """Writes into the job every setting of `FIELDS_OF_SETTINGS` that is set."""
    if settings.study_stopping_config is not None:
        put(job, _STOPPING_FIELD, {})
    for one in FIELDS_OF_SETTINGS:
        value = setting_in(settings, one.setting)
        put(job, one.field, None if value is None else one.write(value))


def setting_in(settings: JobSettings, path: str) -> Any:
    """The value of a setting by its dotted path; None where it, or what it would stand in, is left open."""
    found: Any = reduce(lambda part, name: None if part is None else getattr(part, name), path.split("."), settings)
    return found


def put(job: dict[str, Any], field: str, value: Any) -> None:
    """Writes a value at a dotted path, making the mappings on the way; None writes nothing."""
    if value is None:
        return
    *path, last = field.split(".")
    for name in path:
        job = job.setdefault(name, {})
    job[last] = value
