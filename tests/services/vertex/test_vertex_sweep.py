"""A sweep with backend vertex, from the command line to the exact request and back to the files, over real gRPC."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

from google.cloud.aiplatform_v1.types import HyperparameterTuningJob  # noqa: E402
from google.protobuf.json_format import ParseDict  # noqa: E402

from tests.services.vertex.tuning import TuningApi, make_app, start  # noqa: E402
from vertex_sweeper.cli.main import main  # noqa: E402


@pytest.fixture
def api() -> Iterator[TuningApi]:
    with TuningApi() as api:
        yield api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_app(tmp_path)


def test_the_job_in_the_request_is_the_job_in_the_file(folder: Path, api: TuningApi) -> None:
    process = start(folder, api)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    written = json.loads((folder / "sweep" / "job.json").read_text())
    assert written.pop("name") == "projects/my-project/locations/europe-west4/hyperparameterTuningJobs/1"
    (request,) = [call.request for call in api.received if call.method == "CreateHyperparameterTuningJob"]
    assert request.parent == "projects/my-project/locations/europe-west4"
    sent = HyperparameterTuningJob(request.hyperparameter_tuning_job)
    assert sent == HyperparameterTuningJob(ParseDict(written, HyperparameterTuningJob()._pb))
    container = written["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    assert (container["command"], container["args"]) == (["vertex-trial", "python", "train.py"], ["name='x y'"])


def test_the_results_are_in_the_users_own_words(folder: Path, api: TuningApi) -> None:
    process = start(folder, api)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    rows = (folder / "sweep" / "trials.csv").read_text().splitlines()
    assert rows[1].startswith("1,SUCCEEDED,0.1,16,svm,0.91")
    assert rows[2].startswith("2,SUCCEEDED,0.2,32,svm,0.92")
    best = yaml.safe_load((folder / "sweep" / "best.yaml").read_text())
    assert (best["number"], best["overrides"]) == (2, ["lr=0.2", "batch=32", "model=svm", "name='x y'"])
    assert "(2 of 2 ended)" in output
    assert "base_output_directory is not set" in output
    assert best["folder"] is None


def test_with_a_base_output_directory_the_best_trials_folder_is_there(folder: Path, api: TuningApi) -> None:
    process = start(folder, api, "hydra.sweeper.vertex.base_output_directory=gs://my-bucket/digits")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    label = json.loads((folder / "sweep" / "job.json").read_text())["labels"]["hydra-vertex-sweeper"]
    own = f"gs://my-bucket/digits/train-{label}"
    assert yaml.safe_load((folder / "sweep" / "best.yaml").read_text())["folder"] == f"{own}/2"
    # Who comes back with nothing but the job's name finds the same folder.
    (name,) = api.jobs
    assert main(["attach", name, "--endpoint", f"http://{api.address}", "--sweep-dir", str(folder / "elsewhere")]) == 0
    assert yaml.safe_load((folder / "elsewhere" / "best.yaml").read_text())["folder"] == f"{own}/2"


def test_an_interrupt_cancels_the_job_when_told_to(folder: Path, api: TuningApi) -> None:
    api.endless = True
    process = start(folder, api, "hydra.sweeper.on_interrupt=cancel")
    assert api.watched.wait(60)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert api.count("CancelHyperparameterTuningJob") == 1
    assert (folder / "sweep" / "trials.csv").exists()


def test_an_interrupt_leaves_the_job_alone_otherwise(folder: Path, api: TuningApi) -> None:
    api.endless = True
    process = start(folder, api)
    assert api.watched.wait(60)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert api.count("CancelHyperparameterTuningJob") == 0
    assert "goes on without this process" in output


def test_what_the_service_refuses_is_a_line_and_no_traceback(folder: Path, api: TuningApi) -> None:
    import grpc

    api.fail("CreateHyperparameterTuningJob", grpc.StatusCode.PERMISSION_DENIED, message="denied")
    process = start(folder, api)
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in output
    assert api.count("CreateHyperparameterTuningJob") == 1
    assert not (folder / "sweep" / "job.json").exists()  # no job exists: the directory is free for another try


def test_fields_that_the_service_refuses_are_led_back_to_the_settings(folder: Path, api: TuningApi) -> None:
    import grpc

    field = "hyperparameter_tuning_job.trial_job_spec.worker_pool_specs[0].machine_spec.machine_type"
    message = f"List of found errors: 1.Field: {field}; Message: no such machine."
    api.fail("CreateHyperparameterTuningJob", grpc.StatusCode.INVALID_ARGUMENT, message=message)
    process = start(folder, api, "hydra.sweeper.trial.machine_type=n1-huge")
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "no such machine" in output
    assert "; see hydra.sweeper.trial.machine_type" in output
    assert "Traceback" not in output
