"""What the environment says of the container, and what the shim tells Hydra for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vertex_sweeper_runtime.errors import ClusterError
from vertex_sweeper_runtime.hydra_overrides import hydra_overrides
from vertex_sweeper_runtime.trial_environment import TrialContainer, container_of, first_rank

NOWHERE = TrialContainer(trial=None, job=None, primary=True, sweep_directory=None)

BASE = {"CLOUD_ML_TRIAL_ID": "3", "AIP_MODEL_DIR": "gs://bucket/x/3/model/"}


def cluster(**task: Any) -> str:
    return json.dumps({"cluster": {"workerpool0": ["a:1"]}, "task": task, "job": json.dumps({"worker_pool_specs": []})})


@pytest.mark.parametrize(
    ("environment", "container"),
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
        pytest.param(
            {**BASE, "CLUSTER_SPEC": cluster(type="workerpool1", index=0)},
            NOWHERE._replace(trial="3", primary=False, sweep_directory="/gcs/bucket/x", own_folder="workerpool1-0"),
            id="second pool, with a base output directory",
        ),
        pytest.param({"CLUSTER_SPEC": cluster(index="1")}, NOWHERE._replace(primary=False), id="an index that is text"),
        pytest.param(
            {"CLUSTER_SPEC": cluster(type="workerpool0", index=0, trial=7)}, NOWHERE._replace(trial="7"), id="a number"
        ),
        pytest.param({"CLUSTER_SPEC": cluster(trial=None)}, NOWHERE, id="no trial"),
        pytest.param({"CLUSTER_SPEC": '{"cluster": {}}'}, NOWHERE, id="a cluster without a task"),
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
def test_the_environment_describes_the_container(environment: dict[str, str], container: TrialContainer) -> None:
    assert container_of(environment) == container


HUGE = "9" * 5000
DEEP = 100_000 * "[" + 100_000 * "]"


@pytest.mark.parametrize(
    "text",
    [
        *(
            pytest.param(cluster(index=index), id=f"index {index!r}")
            for index in ("one", "", "-1", "1.0", "\u0663", None, True, 0.0, 1.5, -1, 10**12, [0], {"at": 0}, "1" * 400)
        ),
        *(
            pytest.param(cluster(type=pool), id=f"type {pool!r}")
            for pool in (0, None, True, "", "../x", "a b", "a\n", "w/0", "ä", ["workerpool0"], dict[str, str]())
        ),
        *(pytest.param(cluster(trial=trial), id=f"trial {trial!r}") for trial in (1.5, True, ["1"], {"id": 1})),
        pytest.param(f'{{"task": {{"index": {HUGE}}}}}', id="an index of many digits"),
        pytest.param('{"task": {"index": 1e999}}', id="an infinite index"),
        pytest.param('{"task": {"index": NaN}}', id="an index that is not a number"),
        pytest.param(f'{{"task": {{"index": {DEEP}}}}}', id="nested deeply"),
    ],
)
def test_a_task_that_nobody_understands_is_one_line(text: str) -> None:
    with pytest.raises(ClusterError, match=r"^CLUSTER_SPEC does not say which replica this is: ") as caught:
        container_of({"CLUSTER_SPEC": text, "CLOUD_ML_TRIAL_ID": "3"})
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 250


LAUNCHERS = {
    "torchrun": ({"RANK": "{}", "LOCAL_RANK": "{}", "WORLD_SIZE": "4"}),
    "Lightning": ({"LOCAL_RANK": "{}"}),
    "Open MPI": ({"OMPI_COMM_WORLD_RANK": "{}", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_RANK": "{}"}),
    "Open MPI 5": ({"OMPI_COMM_WORLD_RANK": "{}", "PMIX_RANK": "{}"}),
    "PMIx": ({"PMIX_RANK": "{}"}),
    "MPICH": ({"PMI_RANK": "{}", "PMI_SIZE": "4"}),
    "MVAPICH2": ({"MV2_COMM_WORLD_RANK": "{}", "MV2_COMM_WORLD_SIZE": "4"}),
    "srun": ({"SLURM_PROCID": "{}", "SLURM_LOCALID": "{}", "SLURM_NTASKS": "4"}),
    "srun on four machines": ({"SLURM_PROCID": "{}", "SLURM_LOCALID": "0", "SLURM_NODEID": "{}"}),
    "Flux": ({"FLUX_TASK_RANK": "{}", "FLUX_TASK_LOCAL_ID": "{}"}),
    "PALS": ({"PALS_RANKID": "{}"}),
    "ALPS": ({"ALPS_APP_PE": "{}"}),
    "jsrun": ({"JSM_NAMESPACE_RANK": "{}", "JSM_NAMESPACE_SIZE": "4"}),
    "Horovod": ({"HOROVOD_RANK": "{}", "HOROVOD_SIZE": "4"}),
    "torchrun in srun": ({"SLURM_PROCID": "0", "RANK": "{}"}),
    "srun in torchrun": ({"SLURM_PROCID": "{}", "RANK": "0", "LOCAL_RANK": "0"}),
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_one_of_a_launchers_processes_is_the_first(launcher: str) -> None:
    ranks = [{name: text.format(rank) for name, text in LAUNCHERS[launcher].items()} for rank in range(4)]
    assert [first_rank(environment) for environment in ranks] == [True, False, False, False]


@pytest.mark.parametrize("environment", [{}, {"RANK": ""}, {"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, {"SLURM_JOB_ID": "7"}])
def test_a_process_alone_is_the_first(environment: dict[str, str]) -> None:
    assert first_rank(environment)


CALLBACK = "+hydra.callbacks.vertex_sweeper._target_=vertex_sweeper_runtime.metric_callback.ReportMetrics"
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
        pytest.param(
            {**BASE, "CLUSTER_SPEC": cluster(type="workerpool1", index=2)},
            ["hydra.job.num=3", "hydra.job.id='trial_3'", "hydra.sweep.dir='/gcs/bucket/x'", f"{PLACE}/workerpool1-2"],
            id="a bucket, another replica",
        ),
        pytest.param({"CLOUD_ML_TRIAL_ID": HUGE}, [], id="an id that is no number of Hydra's"),
    ],
)
def test_hydra_is_told_what_is_known(environment: dict[str, str], overrides: list[str]) -> None:
    assert hydra_overrides(container_of(environment)) == ["hydra.mode=RUN", *overrides, CALLBACK]


@pytest.mark.parametrize(
    ("environment", "overrides"),
    [
        pytest.param({}, [], id="nothing known"),
        pytest.param(
            {"AIP_MODEL_DIR": "gs://bucket/x/7/model/"},
            ["hydra.sweep.dir='/gcs/bucket/x'", PLACE],
            id="a bucket",
        ),
        pytest.param(
            {"AIP_MODEL_DIR": "gs://bucket/x/7/model/", "CLUSTER_SPEC": cluster(type="workerpool1", index=0)},
            ["hydra.sweep.dir='/gcs/bucket/x'", f"{PLACE}/workerpool1-0"],
            id="another replica",
        ),
        pytest.param({"VERTEX_SWEEPER_SWEEP_DIR": "/a b"}, ["hydra.sweep.dir='/a b'", PLACE], id="the local service"),
    ],
)
def test_a_launched_job_has_the_number_that_hydra_gave_it(environment: dict[str, str], overrides: list[str]) -> None:
    known = ["hydra.mode=RUN", "hydra.job.num=7", "hydra.job.id='7'", *overrides, CALLBACK]
    assert hydra_overrides(container_of(environment, number=7)) == known
