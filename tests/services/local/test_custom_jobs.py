"""A custom job on this machine: what its process is told, where its return value goes, and what a restart makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from vertex_sweeper.api_names import LOCAL_PARENT
from vertex_sweeper.errors import InvalidJob, JobNotFound, ServiceError
from vertex_sweeper.job.field_types import check_job_shape
from vertex_sweeper.run.target import contract_of
from vertex_sweeper.services.address import RECORDS, Address
from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.records.records import JOB
from vertex_sweeper.services.local.records.viewer import Viewer
from vertex_sweeper.services.local.validation import check_job
from vertex_sweeper.services.opening import open_service, reopen_service
from vertex_sweeper.settings import Backend
from vertex_sweeper.stored_json import DamagedDocument, read_sealed, sealed
from vertex_sweeper.testing.gate import (
    PARENT,
    Gate,
    make_custom_job,
    make_job,
    run_gated,
    wait_for_death,
    wait_for_end,
)
from vertex_sweeper_runtime.code_archive import BUCKETS
from vertex_sweeper_runtime.contract import VARIABLE, Contract
from vertex_sweeper_runtime.contract_document import encode

Start = Callable[..., LocalService]

TUNING = {"trials", "studySpec", "maxTrialCount", "parallelTrialCount"}

HOST = """
import json, sys
from pathlib import Path
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.opening import open_service
from vertex_sweeper.settings import Backend

folder, spec = Path(sys.argv[1]), json.loads(sys.argv[2])
opened = open_service(Address(Backend.LOCAL, "projects/local/locations/local"), folder, sweep_directory=folder.parent)
print(opened.service.create("projects/local/locations/local", spec)["name"], flush=True)
sys.stdin.read()
"""


@contextmanager
def hosted(folder: Path, spec: dict[str, Any]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that runs the job, with the job's name."""
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", HOST, str(folder), json.dumps(spec)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def environ_of(service: LocalService, gate: Gate, **settings: Any) -> tuple[dict[str, str], Path]:
    """What the process of a custom job with these settings has, and the job's folder."""
    name = service.create(PARENT, gate.custom_job(**settings))["name"]
    return gate.next().environ, gate.script.parent / "jobs of this test" / name.rpartition("/")[2]


def test_a_custom_job_is_told_of_its_own_folder(service: LocalService, gate: Gate) -> None:
    environ, folder = environ_of(service, gate)
    assert environ["VERTEX_SWEEPER_SWEEP_DIR"] == str(folder)
    assert environ["VERTEX_SWEEPER_RETURN_VALUE"] == str(folder / "return_value.json")
    assert not [name for name in environ if name.startswith("AIP_")]
    assert BUCKETS not in environ
    assert (folder / "logs" / "1.log").exists()


def test_a_custom_job_is_told_of_hydras_sweep_directory(start: Start, gate: Gate, tmp_path: Path) -> None:
    environ, folder = environ_of(start(sweep_directory=tmp_path / "sweep"), gate)
    assert environ["VERTEX_SWEEPER_SWEEP_DIR"] == str(tmp_path / "sweep")
    assert environ["VERTEX_SWEEPER_RETURN_VALUE"] == str(folder / "return_value.json")


@pytest.mark.parametrize("prefix", ["gs://bucket/sweep-a/3", "gs://bucket/sweep-a/3/"])
def test_a_return_value_goes_to_the_base_output_directory_where_buckets_are_a_folder(
    start: Start, gate: Gate, tmp_path: Path, prefix: str
) -> None:
    environ, _ = environ_of(start(buckets=tmp_path / "gcs"), gate, output=prefix)
    path = Path(environ["VERTEX_SWEEPER_RETURN_VALUE"])
    assert path == tmp_path / "gcs" / "bucket" / "sweep-a" / "3" / "return_value.json"
    assert path.parent.is_dir()
    assert environ[BUCKETS] == str(tmp_path / "gcs")
    assert environ["AIP_MODEL_DIR"] == "gs://bucket/sweep-a/3/model/"


@pytest.mark.parametrize(
    "settings", [pytest.param({}, id="no output directory"), pytest.param({"output": "gs://bucket/x"}, id="no buckets")]
)
def test_a_return_value_goes_to_the_jobs_folder_elsewhere(
    start: Start, gate: Gate, tmp_path: Path, settings: dict[str, Any]
) -> None:
    service = start() if settings else start(buckets=tmp_path / "gcs")
    environ, folder = environ_of(service, gate, **settings)
    assert environ["VERTEX_SWEEPER_RETURN_VALUE"] == str(folder / "return_value.json")


def test_an_earlier_return_value_is_gone_when_the_process_begins(start: Start, gate: Gate, tmp_path: Path) -> None:
    stale = tmp_path / "gcs" / "bucket" / "return_value.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("1")
    service = start(buckets=tmp_path / "gcs")
    job = run_gated(
        service,
        gate,
        gate.custom_job(output="gs://bucket"),
        "sys.exit(os.path.exists(os.environ['VERTEX_SWEEPER_RETURN_VALUE']))",
    )
    assert job["state"] == "JOB_STATE_SUCCEEDED"


def test_a_jobs_folder_may_be_reached_by_a_link(gate: Gate, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    with LocalService(lambda _: tmp_path / "link") as service:
        job = run_gated(service, gate, gate.custom_job(), "open(os.environ['VERTEX_SWEEPER_RETURN_VALUE'], 'w'); sys.exit(0)")
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    assert (tmp_path / "disk" / "return_value.json").exists()


def test_a_trial_is_told_of_no_return_value(start: Start, gate: Gate, tmp_path: Path) -> None:
    start(buckets=tmp_path / "gcs").create(PARENT, gate.job())
    assert not {"VERTEX_SWEEPER_RETURN_VALUE", BUCKETS} & gate.next().environ.keys()


def test_a_return_value_that_cannot_be_written_fails_the_job_alone(start: Start, tmp_path: Path) -> None:
    (tmp_path / "gcs").write_text("a file")
    service = start(buckets=tmp_path / "gcs")
    job = wait_for_end(service, service.create(PARENT, make_custom_job(command=["true"], output="gs://bucket"))["name"])
    assert job["state"] == "JOB_STATE_FAILED"
    assert "could not be started" in job["error"]["message"]


def test_changes_have_no_trials(service: LocalService, gate: Gate) -> None:
    job = run_gated(service, gate, gate.custom_job(), "sys.exit(0)")
    changes = service.changes(job["name"])
    assert changes.trials == []
    assert changes.job == job


def test_a_custom_job_is_forgotten_once_it_has_ended(start: Start, gate: Gate, tmp_path: Path) -> None:
    service = start(records=tmp_path / "records")
    name = service.create(PARENT, gate.custom_job())["name"]
    visitor = gate.next()
    assert not service.delete(name)
    visitor.do("sys.exit(0)")
    wait_for_end(service, name)
    assert service.delete(name)
    with pytest.raises(JobNotFound):
        service.get(name)
    assert Viewer(tmp_path / "records").names() == []


def test_a_closed_service_cancels_a_custom_job_that_is_not_on_record(start: Start, gate: Gate) -> None:
    service = start()
    name = service.create(PARENT, gate.custom_job())["name"]
    pid = gate.next().pid
    service.close()
    wait_for_death(pid)
    assert wait_for_end(service, name)["state"] == "JOB_STATE_CANCELLED"


def test_after_a_restart_a_custom_job_begins_again_and_those_that_have_ended_stay(
    start: Start, gate: Gate, tmp_path: Path
) -> None:
    service = start(records=tmp_path / "records")
    ended = run_gated(service, gate, gate.custom_job(), "sys.exit(3)")
    name = service.create(PARENT, gate.custom_job())["name"]
    gate.next()
    before = service.get(name)
    service.close()
    later = start(records=tmp_path / "records")
    later.resume()
    assert later.get(ended["name"]) == ended
    again = gate.next()
    assert later.get(name)["startTime"] == before["startTime"]
    again.do("sys.exit(0)")
    job = wait_for_end(later, name)
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    assert not TUNING & job.keys()


@pytest.mark.parametrize(("code", "state"), [(0, "JOB_STATE_SUCCEEDED"), (3, "JOB_STATE_FAILED")])
def test_a_custom_job_whose_end_is_half_on_record_does_not_begin_again(
    start: Start, gate: Gate, tmp_path: Path, code: int, state: str
) -> None:
    records = tmp_path / "records"
    service = start(records=records)
    ended = run_gated(service, gate, gate.custom_job(), f"sys.exit({code})")
    service.close()
    path = records / ended["name"].rpartition("/")[2] / JOB
    path.write_text(sealed(read_sealed(path) | {"state": "JOB_STATE_RUNNING", "ended": "", "error": None}))
    later = start(records=records)
    later.resume()
    job = wait_for_end(later, ended["name"])
    assert job["state"] == state
    assert job.get("error") == ended.get("error")


def test_a_custom_job_whose_process_was_killed_goes_on_in_another_one(gate: Gate, tmp_path: Path) -> None:
    folder = tmp_path / "sweep" / "jobs" / "0"
    folder.mkdir(parents=True)
    with hosted(folder, gate.custom_job(labels={"sweep": "a"})) as (process, name):
        visitor = gate.next()
        viewer = Viewer(folder / RECORDS)
        (seen,) = viewer.find(LOCAL_PARENT, {"sweep": "a"})
        assert (seen["name"], seen["state"]) == (name, "JOB_STATE_RUNNING")
        assert not TUNING & seen.keys()
        assert viewer.find(LOCAL_PARENT, {"sweep": "b"}) == []
        process.kill()
        process.wait()
        wait_for_death(visitor.pid)
    assert viewer.abandoned(name)
    sweep = tmp_path / "sweep" / "jobs"
    opened = reopen_service(Address(Backend.LOCAL, LOCAL_PARENT), folder, join=True, sweep_directory=sweep)
    try:
        assert opened.runs_here
        opened.go_on()
        again = gate.next()
        assert again.environ["VERTEX_SWEEPER_SWEEP_DIR"] == str(sweep)
        assert again.environ["VERTEX_SWEEPER_RETURN_VALUE"] == str(folder / "return_value.json")
        again.do("raise RuntimeError('no luck')")
        while (job := opened.service.get(name))["state"] == "JOB_STATE_RUNNING":
            opened.wait(60)
    finally:
        opened.kill()
    assert job["state"] == "JOB_STATE_FAILED"
    assert job["error"] == {"code": 3, "message": "RuntimeError: no luck (exit code 1)"}
    assert viewer.get(name) == job


def test_an_abandoned_custom_job_is_cancelled_for_good(gate: Gate, tmp_path: Path) -> None:
    with hosted(tmp_path, gate.custom_job()) as (process, name):
        gate.next()
        process.kill()
        process.wait()
    opened = reopen_service(Address(Backend.LOCAL, LOCAL_PARENT), tmp_path)
    opened.service.cancel(name)
    job = opened.service.get(name)
    assert (job["state"], job["error"]["code"]) == ("JOB_STATE_CANCELLED", 1)
    assert not TUNING & job.keys()


def test_a_service_for_a_launched_job_tells_it_of_the_sweep_directory(gate: Gate, tmp_path: Path) -> None:
    opened = open_service(Address(Backend.LOCAL, LOCAL_PARENT), tmp_path / "jobs" / "0", sweep_directory=tmp_path)
    try:
        opened.service.create(LOCAL_PARENT, gate.custom_job())
        assert gate.next().environ["VERTEX_SWEEPER_SWEEP_DIR"] == str(tmp_path)
    finally:
        opened.kill()


def test_a_record_under_the_name_of_a_job_of_the_other_kind_is_damaged(start: Start, gate: Gate, tmp_path: Path) -> None:
    records = tmp_path / "records"
    service = start(records=records)
    job = run_gated(service, gate, gate.custom_job(), "sys.exit(0)")
    service.close()  # its end is on record
    path = records / job["name"].rpartition("/")[2] / JOB
    record = read_sealed(path) | {"name": job["name"].replace("customJobs", "hyperparameterTuningJobs")}
    path.write_text(sealed(record))
    with pytest.raises(ServiceError, match="another kind"):
        Viewer(records).names()


PRIMARY: dict[str, Any] = {"replicaCount": "1", "containerSpec": {"imageUri": "i", "command": ["true"]}}
POOLS = "job_spec.worker_pool_specs"


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        pytest.param({"displayName": ""}, "display_name", "required", id="no name"),
        pytest.param({"displayName": "n" * 129}, "display_name", "got 129", id="long name"),
        pytest.param({"labels": {"a": "B"}}, "labels.a", "'B'", id="an uppercase label"),
        pytest.param({"jobSpec": {}}, POOLS, "required", id="no worker pool"),
        pytest.param({"jobSpec": {"workerPoolSpecs": [PRIMARY] * 5}}, POOLS, "got 5", id="too many worker pools"),
        pytest.param(
            {"jobSpec": {"workerPoolSpecs": [PRIMARY | {"replicaCount": "2"}]}},
            f"{POOLS}[0].replica_count",
            "got 2",
            id="two primary replicas",
        ),
        pytest.param(
            {"jobSpec": {"workerPoolSpecs": [{"containerSpec": {"command": ["true"]}}]}},
            f"{POOLS}[0].container_spec.image_uri",
            "required",
            id="no image",
        ),
        pytest.param(
            {"jobSpec": {"workerPoolSpecs": [PRIMARY], "scheduling": {"timeout": "0s"}}},
            "job_spec.scheduling.timeout",
            "'0s'",
            id="no time",
        ),
        pytest.param(
            {"jobSpec": {"workerPoolSpecs": [PRIMARY | {"replicaCount": "many"}]}},
            f"{POOLS}[0].replica_count",
            "'many'",
            id="a count in words",
        ),
        pytest.param({"jobSpec": []}, "job_spec", "must be", id="a list for a mapping"),
        pytest.param({"studySpec": {}}, "study_spec", "no such field", id="a study"),
        pytest.param({"maxTrialCount": 1}, "max_trial_count", "no such field", id="a number of trials"),
        pytest.param({"trialJobSpec": {}}, "trial_job_spec", "no such field", id="a job for trials"),
    ],
)
def test_a_mistake_in_a_custom_job_is_refused(change: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidJob) as refused:
        check_job(make_custom_job(command=["true"]) | change, needs_image=True)
    ((wrong, said),) = refused.value.fields
    assert wrong == field
    assert message in said


def test_a_custom_job_may_ask_for_a_tpu_and_a_trial_may_not() -> None:
    machine = {"machineType": "ct5lp-hightpu-4t", "tpuTopology": "2x2"}
    custom, tuning = make_custom_job(command=["true"]), make_job(command=["true"])
    custom["jobSpec"]["workerPoolSpecs"][0]["machineSpec"] = machine
    tuning["trialJobSpec"]["workerPoolSpecs"][0]["machineSpec"] = machine
    check_job(custom)
    with pytest.raises(InvalidJob, match="is a TPU"):
        check_job(tuning)


def test_a_custom_job_from_a_file_is_read_and_one_under_another_kinds_name_is_not() -> None:
    job = make_custom_job(command=["true"], name=f"{LOCAL_PARENT}/customJobs/7")
    check_job_shape(job)
    with pytest.raises(DamagedDocument, match="another kind"):
        check_job_shape(job | {"name": f"{LOCAL_PARENT}/hyperparameterTuningJobs/7"})
    with pytest.raises(DamagedDocument, match="jobSpec"):
        check_job_shape(job | {"jobSpec": {"workerPoolSpecs": "none"}})


def test_a_custom_job_carries_its_contract() -> None:
    contract = Contract(command=("python", "train.py"), sequence=("a=1",), parameters=(), metrics=("acc",))
    env = [{"name": VARIABLE, "value": encode(contract)}]
    assert contract_of(make_custom_job(command=["true"], env=env)) == contract
