"""What the environment says of the container, and what the shim tells Hydra for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vertex_sweeper_runtime.additions import hydra_overrides
from vertex_sweeper_runtime.machine import Machine, describe, first_rank

NOWHERE = Machine(trial=None, job=None, primary=True, sweep_directory=None)

BASE = {"CLOUD_ML_TRIAL_ID": "3", "AIP_MODEL_DIR": "gs://bucket/x/3/model/"}


def cluster(**task: Any) -> str:
    return json.dumps({"cluster": {"workerpool0": ["a:1"]}, "task": task, "job": json.dumps({"worker_pool_specs": []})})


@pytest.mark.parametrize(
    ("environment", "machine"),
    [
        pytest.param({}, NOWHERE, id="nothing said"),
        pytest.param({"CLOUD_ML_TRIAL_ID": "3", "CLOUD_ML_JOB_ID": "9"}, NOWHERE._replace(trial="3", job="9"), id="a trial"),
        pytest.param(
            {"CLUSTER_SPEC": cluster(type="workerpool0", index=0, trial="5")}, NOWHERE._replace(trial="5"), id="primary"
        ),
        pytest.param(
            {"CLUSTER_SPEC": cluster(type="workerpool0", index=1)}, NOWHERE._replace(primary=False), id="second replica"
        ),
        pytest.param(
            {"CLUSTER_SPEC": cluster(type="workerpool1", index=0, trial="")}, NOWHERE._replace(primary=False), id="second pool"
        ),
        pytest.param({"CLUSTER_SPEC": "{"}, NOWHERE, id="a cluster nobody can read"),
        pytest.param({"CLUSTER_SPEC": '{"task": "x"}'}, NOWHERE, id="a task that is text"),
        pytest.param(BASE, NOWHERE._replace(trial="3", sweep_directory="/gcs/bucket/x"), id="a base output directory"),
        pytest.param(
            {"AIP_MODEL_DIR": "gs://bucket/x/model"},
            NOWHERE._replace(sweep_directory="/gcs/bucket/x"),
            id="outside a tuning job",
        ),
        pytest.param({"AIP_MODEL_DIR": "/model"}, NOWHERE, id="a model folder that is no bucket"),
        pytest.param(
            {**BASE, "VERTEX_SWEEPER_SWEEP_DIR": "/a b"},
            NOWHERE._replace(trial="3", sweep_directory="/a b"),
            id="the local service",
        ),
    ],
)
def test_the_environment_describes_the_machine(environment: dict[str, str], machine: Machine) -> None:
    assert describe(environment) == machine


@pytest.mark.parametrize(
    ("environment", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": ""}, True),
        ({"RANK": "1"}, False),
        ({"LOCAL_RANK": "2"}, False),
    ],
)
def test_the_first_rank_is_zero_or_unset(environment: dict[str, str], *, first: bool) -> None:
    assert first_rank(environment) is first


CALLBACK = "+hydra.callbacks.vertex_sweeper._target_=vertex_sweeper_runtime.report.ReportMetrics"
PLACE = "hydra.run.dir=${hydra.sweep.dir}/${hydra.sweep.subdir}"


@pytest.mark.parametrize(
    ("environment", "overrides"),
    [
        pytest.param({}, [], id="outside a tuning job"),
        pytest.param({"CLOUD_ML_TRIAL_ID": "3"}, ["hydra.job.num=3", "hydra.job.id='trial_3'"], id="no job id"),
        pytest.param(
            {**BASE, "CLOUD_ML_JOB_ID": "9"},
            ["hydra.job.num=3", "hydra.job.id='9_3'", "hydra.sweep.dir='/gcs/bucket/x'", PLACE],
            id="a bucket",
        ),
    ],
)
def test_hydra_is_told_what_is_known(environment: dict[str, str], overrides: list[str]) -> None:
    assert hydra_overrides(describe(environment)) == ["hydra.mode=RUN", *overrides, CALLBACK]
