"""A field of the job is traced back to the setting that wrote it."""

from __future__ import annotations

import pytest

from vertex_sweeper.errors import InvalidJob
from vertex_sweeper.job import in_our_words, lines_in_our_words, setting_of
from vertex_sweeper.job.fields import FIELDS_OF_SETTINGS, POOL_PLACES
from vertex_sweeper.settings import Settings, TrialSettings, WorkerPoolSettings

POOLS = "trialJobSpec.workerPoolSpecs"


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        *((place.field, f"hydra.sweeper.{place.setting}") for place in FIELDS_OF_SETTINGS),
        *((f"{POOLS}[0].{place.field}", f"hydra.sweeper.trial.{place.setting}") for place in POOL_PLACES),
        *((f"{POOLS}[2].{place.field}", f"hydra.sweeper.trial.worker_pools[1].{place.setting}") for place in POOL_PLACES),
        ("displayName", "hydra.sweeper.display_name"),
        ("display_name", "hydra.sweeper.display_name"),
        ("labels.team", "hydra.sweeper.labels"),
        ("maxTrialCount", "hydra.sweeper.max_trial_count"),
        ("studySpec.parameters[3].conditionalParameterSpecs[0].parentIntValues", "hydra.sweeper.params"),
        ("studySpec.metrics[1].goal", "hydra.sweeper.metrics"),
        ("study_spec.algorithm", "hydra.sweeper.algorithm"),
        ("trial_job_spec.worker_pool_specs[0].machine_spec.machine_type", "hydra.sweeper.trial.machine_type"),
        ("trial_job_spec.worker_pool_specs[0].disk_spec.boot_disk_size_gb", "hydra.sweeper.trial.disk_size_gb"),
        (f"{POOLS}[0].containerSpec.env[3].value", "hydra.sweeper.trial.env"),
        (f"{POOLS}[0].containerSpec.command[1]", "hydra.sweeper.trial.command"),
        (f"{POOLS}[1].machineSpec", "hydra.sweeper.trial.worker_pools[0]"),
        (f"{POOLS}[1]", "hydra.sweeper.trial.worker_pools[0]"),
        ("trialJobSpec.baseOutputDirectory", "hydra.sweeper.vertex.base_output_directory"),
        ("studySpec.studyStoppingConfig", "hydra.sweeper.study_stopping_config"),
        ("encryptionSpec", "hydra.sweeper.vertex.kms_key_name"),
        ("studySpec.medianAutomatedStoppingSpec.useElapsedDuration", "hydra.sweeper.median_automated_stopping_spec"),
        ("trialJobSpec.experiment", None),
        (f"{POOLS}[0].nfsMounts[0].server", None),
        ("trialJobSpec", None),
        ("", None),
    ],
)
def test_a_field_leads_to_its_setting(field: str, setting: str | None) -> None:
    assert setting_of(field) == setting


def test_an_error_of_the_service_names_the_settings_behind_its_fields() -> None:
    fields = [("trialJobSpec.workerPoolSpecs[0].machineSpec.machineType", "bad"), ("trialJobSpec.experiment", "no")]
    error = in_our_words(InvalidJob("cannot create: bad; no", code="INVALID_ARGUMENT", fields=fields))
    assert str(error) == "cannot create: bad; no; see hydra.sweeper.trial.machine_type"
    assert (error.code, error.fields, error.acted) == ("INVALID_ARGUMENT", tuple(fields), False)


def test_an_error_without_known_fields_stays_as_it_is() -> None:
    error = InvalidJob("no", fields=[("trialJobSpec.experiment", "no")])
    assert in_our_words(error) is error


def test_a_mistake_is_shown_where_the_user_wrote_it() -> None:
    overrides = {"trialJobSpec": {"workerPoolSpecs": {0: {"machineSpec": {"machineTyp": "x"}}}, "models": ["a"]}}
    found = [
        (f"{POOLS}[0].machineSpec.machineTyp", "not a field"),
        (f"{POOLS}[0].machineSpec.acceleratorType", "no such"),
        ("trialJobSpec.models[0].x", "not a field"),
        ("", "cannot be read"),
    ]
    assert lines_in_our_words(found, Settings(spec_overrides=overrides)) == [
        f"hydra.sweeper.spec_overrides.{POOLS}[0].machineSpec.machineTyp: not a field",
        "hydra.sweeper.trial.accelerator_type: no such",
        "hydra.sweeper.spec_overrides.trialJobSpec.models[0].x: not a field",
        "hydra.sweeper.spec_overrides: cannot be read",
    ]


OWN = WorkerPoolSettings(machine_type="n1-highmem-8", disk_size_gb=50)


@pytest.mark.parametrize(
    ("trial", "field", "setting"),
    [
        pytest.param(TrialSettings(replica_count=3), "replicaCount", "trial.replica_count", id="replicas"),
        pytest.param(TrialSettings(replica_count=3), "machineSpec.machineType", "trial.machine_type", id="replicas' machine"),
        pytest.param(
            TrialSettings(worker_pools=(OWN,)),
            "machineSpec.acceleratorType",
            "trial.worker_pools[0].accelerator_type",
            id="own machine",
        ),
        pytest.param(
            TrialSettings(worker_pools=(OWN,)), "diskSpec.bootDiskSizeGb", "trial.worker_pools[0].disk_size_gb", id="own disk"
        ),
        pytest.param(
            TrialSettings(worker_pools=(OWN,)), "diskSpec.bootDiskType", "trial.disk_type", id="the first pool's disk"
        ),
        pytest.param(TrialSettings(worker_pools=(OWN,)), "containerSpec.imageUri", "trial.image", id="the first pool's image"),
        pytest.param(
            TrialSettings(worker_pools=(WorkerPoolSettings(),)),
            "machineSpec.acceleratorCount",
            "trial.accelerator_count",
            id="the first pool's machine",
        ),
        pytest.param(TrialSettings(worker_pools=(OWN,)), "replicaCount", "trial.worker_pools[0].replica_count", id="how many"),
    ],
)
def test_what_a_further_pool_has_from_the_first_leads_there(trial: TrialSettings, field: str, setting: str) -> None:
    assert setting_of(f"{POOLS}[1].{field}", trial) == f"hydra.sweeper.{setting}"


def test_one_mistake_in_several_pools_is_one_line() -> None:
    found = [(f"{POOLS}[{index}].machineSpec.acceleratorType", "no such") for index in (0, 1)]
    settings = Settings(trial=TrialSettings(replica_count=2))
    assert lines_in_our_words(found, settings) == ["hydra.sweeper.trial.accelerator_type: no such"]


def test_an_error_about_a_further_pool_names_the_first_pools_setting_too() -> None:
    error = in_our_words(InvalidJob("bad", fields=[(f"{POOLS}[2].machineSpec.machineType", "bad")]))
    assert str(error) == "bad; see hydra.sweeper.trial.worker_pools[1].machine_type, hydra.sweeper.trial.machine_type"
