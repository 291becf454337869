"""`vertex-sweeper` and the jobs of Vertex, over real gRPC."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

import grpc  # noqa: E402
from google.cloud.aiplatform_v1.types import CustomJob, HyperparameterTuningJob  # noqa: E402
from google.protobuf.json_format import ParseDict  # noqa: E402

from tests.services.vertex.fake_api import FakeApi  # noqa: E402
from vertex_sweeper.cli.main import main  # noqa: E402
from vertex_sweeper.results import sweep_directory  # noqa: E402
from vertex_sweeper.services.address import Address  # noqa: E402
from vertex_sweeper.services.backoff import Backoff  # noqa: E402
from vertex_sweeper.settings import Backend  # noqa: E402
from vertex_sweeper_runtime import contract, contract_document  # noqa: E402
from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, Slot  # noqa: E402

PARENT = "projects/my-project/locations/europe-west4"
NAME = f"{PARENT}/hyperparameterTuningJobs/123"
CUSTOM_NAME = f"{PARENT}/customJobs/456"

AGREED = Contract(
    command=("python", "train.py"),
    sequence=("seed=1", Slot("batch"), Slot("model")),
    parameters=(
        Parameter("batch", "batch", Kind.DISCRETE, values=(16, 32), literals=("16", "32")),
        Parameter("model", "model", Kind.CATEGORICAL, values=("cnn", "vit"), literals=("cnn", "vit")),
    ),
    metrics=("val_acc",),
    groups=("model",),
    subdir="run-${hydra.job.num}",
)
CONTAINER = {
    "imageUri": "a/b:1",
    "command": ["vertex-trial", "python", "train.py"],
    "args": ["seed=1"],
    "env": [{"name": contract.VARIABLE, "value": contract_document.encode(AGREED)}],
}
SPEC: dict[str, Any] = {
    "displayName": "digits",
    "labels": {"hydra-vertex-sweeper": "a1b2"},
    "maxTrialCount": 4,
    "parallelTrialCount": 2,
    "maxFailedTrialCount": 4,
    "studySpec": {"metrics": [{"metricId": "val_acc", "goal": "MAXIMIZE"}]},
    "trialJobSpec": {
        "workerPoolSpecs": [{"replicaCount": "1", "containerSpec": CONTAINER}],
        "baseOutputDirectory": {"outputUriPrefix": "gs://bucket/out"},
    },
}


def trial(number: int, batch: float, model: str, **fields: Any) -> dict[str, Any]:
    parameters = [{"parameterId": "batch", "value": batch}, {"parameterId": "model", "value": model}]
    return {"id": str(number), "parameters": parameters, **fields}


def measured(value: float) -> dict[str, Any]:
    return {"state": "SUCCEEDED", "finalMeasurement": {"metrics": [{"metricId": "val_acc", "value": value}]}}


TRIALS = [
    trial(3, 16.0, "vit", state="ACTIVE"),
    trial(
        2,
        32.0,
        "cnn",
        state="INFEASIBLE",
        infeasibleReason="out of memory",
        customJob="projects/7/locations/europe-west4/customJobs/55",
    ),
    trial(1, 16.0, "vit", **measured(0.9)),
]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
        show(api, "JOB_STATE_PARTIALLY_SUCCEEDED")
        yield api


class Closing(FakeApi):
    """Lets a job be read twice, by whoever attaches and by the watch, and never again."""

    code = grpc.StatusCode.PERMISSION_DENIED

    def _get(self, request: Any) -> HyperparameterTuningJob:
        if self.count("GetHyperparameterTuningJob") > 1:
            self.fail("GetHyperparameterTuningJob", *[self.code] * 9, message="no")
        return super()._get(request)


def show(api: FakeApi, state: str, **fields: Any) -> None:
    job = {**SPEC, "name": NAME, "state": state, "trials": TRIALS, "createTime": "2026-11-24T10:00:00Z", **fields}
    api.jobs[NAME] = HyperparameterTuningJob(ParseDict(job, HyperparameterTuningJob()._pb))


def at(api: FakeApi) -> list[str]:
    return ["--endpoint", f"http://{api.address}"]


def test_show_says_all_there_is_to_know(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", NAME, *at(api)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{NAME}  digits  PARTIALLY_SUCCEEDED",
        "3 of 4 trials: 1 succeeded, 1 failed, 1 unfinished",
        "job: partially succeeded",
        "best: trial 1  val_acc 0.9",
        "  seed=1 batch=16 model=vit",
        "number  state       batch  model  val_acc",
        "1       SUCCEEDED   16     vit    0.9",
        "2       INFEASIBLE  32     cnn",
        "3       ACTIVE      16     vit",
        "trial 2 failed: out of memory  (its log: jobs/123/logs/2.log in the emulator's folder)",
    ]


def test_attach_writes_the_results_of_what_did_finish_and_says_why_the_job_ended(
    api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attach", NAME, *at(api), "--sweep-dir", str(tmp_path / "sweep")]) == 1
    assert "the job ended PARTIALLY_SUCCEEDED" in capsys.readouterr().err
    best = yaml.safe_load((tmp_path / "sweep" / "best.yaml").read_text())
    assert best["folder"] == "gs://bucket/out/run-1"
    assert best["overrides"] == ["seed=1", "batch=16", "model=vit"]
    config = yaml.safe_load((tmp_path / "sweep" / "best" / "best.yaml").read_text())
    assert config["defaults"] == ["_self_", {"override /model": "vit"}]
    record = json.loads((tmp_path / "sweep" / "sweep.json").read_text())
    assert record["state"] == "JOB_STATE_PARTIALLY_SUCCEEDED"


def test_without_waiting_a_running_jobs_files_are_written_as_things_stand(api: FakeApi, tmp_path: Path) -> None:
    show(api, "JOB_STATE_RUNNING")
    assert main(["attach", NAME, *at(api), "--sweep-dir", str(tmp_path), "--no-wait"]) == 0
    assert (tmp_path / "trials.csv").read_text().splitlines()[1].startswith("1,SUCCEEDED,16,vit,0.9")
    assert (api.count("GetHyperparameterTuningJob"), api.count("CancelHyperparameterTuningJob")) == (2, 0)


def test_what_was_seen_is_written_when_the_job_cannot_be_read_any_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vertex_sweeper.run.watch.POLL", Backoff(first=0.0, longest=0.0))
    monkeypatch.setattr("vertex_sweeper.run.watch.LOOKS", Backoff(first=0.0, longest=0.0, times=2))
    with Closing() as api:
        show(api, "JOB_STATE_RUNNING")
        assert main(["attach", NAME, *at(api), "--sweep-dir", str(tmp_path)]) == 1
    assert f"the job {NAME} may go on: come back with `vertex-sweeper attach {tmp_path}`" in capsys.readouterr().err
    assert (tmp_path / "trials.csv").read_text().splitlines()[1].startswith("1,SUCCEEDED,16,vit,0.9")
    assert (tmp_path / "best.yaml").exists()


def test_a_job_that_is_deleted_while_it_is_watched_is_told_so_and_what_was_seen_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vertex_sweeper.run.watch.POLL", Backoff(first=0.0, longest=0.0))
    monkeypatch.setattr("vertex_sweeper.run.watch.LOOKS", Backoff(first=0.0, longest=0.0, times=2))
    with Closing() as api:
        api.code = grpc.StatusCode.NOT_FOUND
        show(api, "JOB_STATE_RUNNING")
        assert main(["attach", NAME, *at(api), "--sweep-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1].endswith(f"the job {NAME} was deleted while it was watched; what was seen of it is in {tmp_path}")
    assert (tmp_path / "trials.csv").read_text().splitlines()[1].startswith("1,SUCCEEDED,16,vit,0.9")


def test_list_shows_the_jobs_of_a_region(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    job = {"name": CUSTOM_NAME, "state": "JOB_STATE_RUNNING", "displayName": "one", "createTime": "2026-11-24T11:00:00Z"}
    api.jobs[CUSTOM_NAME] = CustomJob(ParseDict(job, CustomJob()._pb))
    assert main(["list", "--project", "my-project", "--location", "europe-west4", *at(api)]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["state", "created", "trials", "name", "display", "name"],
        ["RUNNING", "2026-11-24T11:00:00", CUSTOM_NAME, "one"],
        ["PARTIALLY_SUCCEEDED", "2026-11-24T10:00:00", "3/4", NAME, "digits"],
    ]
    assert [call.request.filter for call in api.received] == ["labels.hydra-vertex-sweeper:*"] * 2


def test_list_shows_one_job_by_its_name(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", NAME, *at(api)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        *("PARTIALLY_SUCCEEDED", "2026-11-24T10:00:00", "3/4", NAME, "digits")
    ]


def test_cancel_asks_the_job_to_end(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cancel", NAME, *at(api)]) == 0
    assert capsys.readouterr().out == f"{NAME} has ended already: PARTIALLY_SUCCEEDED\n"
    assert api.count("CancelHyperparameterTuningJob") == 0
    show(api, "JOB_STATE_RUNNING")
    assert main(["cancel", NAME, *at(api)]) == 0
    assert api.count("CancelHyperparameterTuningJob") == 1
    assert f"vertex-sweeper attach {NAME}" in capsys.readouterr().out


def test_export_writes_the_job_for_gcloud_under_a_label_of_its_own(
    api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", NAME, *at(api), "--output", str(tmp_path / "a job.yaml")]) == 0
    assert shlex.split(capsys.readouterr().out) == [
        *("gcloud", "ai", "hp-tuning-jobs", "create", "--project=my-project", "--region=europe-west4"),
        *("--display-name=digits", "--max-trial-count=4", "--parallel-trial-count=2"),
        f"--config={tmp_path / 'a job.yaml'}",
    ]
    exported = yaml.safe_load((tmp_path / "a job.yaml").read_text())
    label = exported["labels"].pop("hydra-vertex-sweeper")
    assert label != "a1b2"
    place = {"baseOutputDirectory": {"outputUriPrefix": f"gs://bucket/out/{label}"}}
    assert exported == {**SPEC, "labels": {}, "trialJobSpec": {**SPEC["trialJobSpec"], **place}}


def test_a_directory_without_the_jobs_name_finds_it_by_its_label(api: FakeApi, tmp_path: Path) -> None:
    sweep_directory.claim(tmp_path, Address(Backend.VERTEX, PARENT, f"http://{api.address}"), SPEC, config="")
    assert main(["cancel", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "job.json").read_text())["name"] == NAME
    assert api.received[0].request.filter == "labels.hydra-vertex-sweeper=a1b2"


MISTAKES = {
    "another job's directory": (["attach", NAME, "--sweep-dir", "taken"], f"holds another job, {NAME}0"),
    "a second directory": (["attach", "taken", "--sweep-dir", "x"], "taken is a sweep directory, and its files stay there"),
    "a job of another hand": (["show", f"{PARENT}/hyperparameterTuningJobs/9"], "was not created by this package"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_what_cannot_be_done_is_one_line(
    api: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    api.jobs[f"{PARENT}/hyperparameterTuningJobs/9"] = HyperparameterTuningJob(name=f"{PARENT}/hyperparameterTuningJobs/9")
    (tmp_path / "taken").mkdir()
    sweep_directory.write_record(tmp_path / "taken", sweep_directory.Record(Address(Backend.VERTEX, PARENT)))
    sweep_directory.write_job(tmp_path / "taken", SPEC, f"{NAME}0")
    words, line = MISTAKES[case]
    assert main([*words, *at(api)]) == 1
    (shown,) = capsys.readouterr().err.splitlines()
    assert line in shown
