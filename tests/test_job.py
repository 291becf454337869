"""The job that a sweep becomes: compared whole with a recorded one, and accepted by Google's own message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import App, app_in

from vertex_sweeper_runtime import contract
from vertex_sweeper_runtime.contract import Slot

RECORDED = Path(__file__).parent / "recorded" / "job.json"

SWEEP = [
    "hydra.job.chdir=false",
    "lr=tag(log, interval(1e-5, 1e-1))",
    "layers=range(1, 9)",
    "batch=64,16,32",
    "model=linear,svm",
    "name='two words'",
    "+extra='a b',c",
    "hydra.sweeper.metrics={val_acc: maximize, seconds: minimize}",
    "hydra.sweeper.max_trial_count=40",
    "hydra.sweeper.parallel_trial_count=4",
    "hydra.sweeper.algorithm=random",
    "hydra.sweeper.measurement_selection=best",
    "hydra.sweeper.display_name=Digits again",
    "hydra.sweeper.labels.team=vision",
    "hydra.sweeper.trial.image=europe-west4-docker.pkg.dev/my-project/train/app:1.4",
    "hydra.sweeper.trial.machine_type=n1-standard-8",
    "hydra.sweeper.trial.accelerator_type=NVIDIA_TESLA_T4",
    "hydra.sweeper.trial.accelerator_count=2",
    "hydra.sweeper.trial.disk_type=pd-ssd",
    "hydra.sweeper.trial.disk_size_gb=200",
    "hydra.sweeper.trial.env.DATA=/gcs/my-bucket/data",
    "hydra.sweeper.trial.timeout=7200",
    "hydra.sweeper.trial.enable_web_access=true",
    "hydra.sweeper.vertex.service_account=trainer@my-project.iam.gserviceaccount.com",
    "hydra.sweeper.vertex.base_output_directory=gs://my-bucket/digits",
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    configs = {
        "config": "defaults: [{model: linear}, _self_]\nlr: 0.1\nlayers: 2\nbatch: 8\nname: abc\n",
        "model/linear": "C: 1.0\n",
        "model/svm": "C: 1.0\ngamma: 0.1\n",
    }
    with app_in(tmp_path_factory.mktemp("job"), configs) as app:
        yield app


def comparable(job: dict[str, Any]) -> dict[str, Any]:
    """The job with its random id and its encoded contract made readable."""
    copy: dict[str, Any] = json.loads(json.dumps(job))
    copy["labels"]["hydra-vertex-sweeper"] = "<sweep id>"
    for entry in copy["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["env"]:
        if entry["name"] == contract.VARIABLE:
            entry["value"] = "<contract>"
    return copy


def test_the_whole_job_is_as_recorded(app: App) -> None:
    assert comparable(app.plan(*SWEEP).job) == json.loads(RECORDED.read_text(encoding="utf-8"))


def test_googles_message_accepts_the_job_and_keeps_every_field(app: App) -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from google.cloud.aiplatform_v1.types import HyperparameterTuningJob
    from google.protobuf.json_format import MessageToDict, ParseDict

    job = app.plan(*SWEEP).job
    message = ParseDict(job, HyperparameterTuningJob()._pb)
    assert MessageToDict(message) == job


def test_the_contract_in_the_job_is_the_plans(app: App) -> None:
    plan = app.plan(*SWEEP)
    environment = plan.job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["env"]
    text = next(entry["value"] for entry in environment if entry["name"] == contract.VARIABLE)
    assert contract.decode(text) == plan.contract
    assert plan.contract.sequence == (
        "hydra.job.chdir=false",
        Slot("lr"),
        Slot("layers"),
        Slot("batch"),
        Slot("model"),
        "name='two words'",
        Slot("extra"),
    )


COUNTS = {
    "nothing said": ([], (20, 2, 5)),
    "one trial": (["hydra.sweeper.max_trial_count=1"], (1, 1, 1)),
    "many at a time": (["hydra.sweeper.max_trial_count=40", "hydra.sweeper.parallel_trial_count=8"], (40, 8, 11)),
    "failures said": (["hydra.sweeper.max_failed_trial_count=20"], (20, 2, 20)),
}


@pytest.mark.parametrize("case", COUNTS)
def test_counts_are_always_sent(app: App, case: str) -> None:
    words, expected = COUNTS[case]
    job = app.plan("lr=interval(0,1)", *words).job
    assert (job["maxTrialCount"], job["parallelTrialCount"], job["maxFailedTrialCount"]) == expected


def test_a_grid_without_a_count_is_the_whole_grid(app: App) -> None:
    assert app.plan("batch=1,2,3", "layers=range(0, 5)", "hydra.sweeper.algorithm=grid").job["maxTrialCount"] == 15


def test_a_bayesian_search_is_what_the_api_calls_unspecified(app: App) -> None:
    assert "algorithm" not in app.plan("lr=interval(0,1)").job["studySpec"]


def test_a_metric_left_out_is_the_minimized_objective_and_the_log_says_so(app: App) -> None:
    plan = app.plan("lr=interval(0,1)")
    assert plan.job["studySpec"]["metrics"] == [{"metricId": "objective", "goal": "MINIMIZE"}]
    assert any("objective" in note for note in plan.notes)


def test_a_later_spelling_replaces_the_earlier_one_in_its_place(app: App) -> None:
    params = "hydra.sweeper.params={lr: 'interval(0,1)', batch: '4,8', name: 5, layers: [1, 2]}"
    plan = app.plan(params, "batch=16,32", "lr=0.5", "model=linear,svm")
    assert plan.contract.sequence == ("lr=0.5", Slot("batch"), "name=5", "layers=[1,2]", Slot("model"))
    assert any("to sweep, write `1,2`" in note for note in plan.notes)


def test_an_interpolation_in_params_is_resolved_in_the_trial_and_not_before(app: App) -> None:
    plan = app.plan("hydra.sweeper.params={name: '${lr}', layers: '${batch},3'}")
    assert plan.contract.sequence == ("name=${lr}", Slot("layers"))
    (parameter,) = plan.contract.parameters
    assert parameter.literals == ("$\\{batch\\}", "3")  # as Hydra prints such an element
    config = app.run(plan.contract.overrides({"layers": parameter.values[0]}))
    assert (config.name, config.layers) == (0.1, 8)


def test_overrides_of_the_multirun_itself_stay_here(app: App) -> None:
    here = ["hydra.sweep.dir=x", "hydra.run.dir=y", "hydra.job.num=3", "hydra/launcher=basic", "hydra.mode=MULTIRUN"]
    plan = app.plan("lr=interval(0,1)", *here, "hydra.job.chdir=true", "hydra.sweep.subdir=t", "hydra/job_logging=none")
    assert plan.contract.sequence == ("hydra.job.chdir=true", "hydra.sweep.subdir=t", "hydra/job_logging=none", Slot("lr"))


def test_conditions_nest_in_the_study_spec_and_an_inactive_child_is_absent(app: App) -> None:
    conditional = "hydra.sweeper.conditional={model\\=svm: {params: {model.gamma: 'interval(0, 1)'}}}"
    plan = app.plan(conditional, "model=linear,svm")
    (spec,) = plan.job["studySpec"]["parameters"]
    (child,) = spec["conditionalParameterSpecs"]
    assert child["parentCategoricalValues"] == {"values": ["svm"]}
    assert child["parameterSpec"]["parameterId"] == "model.gamma"
    assert plan.contract.overrides({"model": "linear"}) == ["model=linear"]
    assert plan.contract.overrides({"model": "svm", "model.gamma": 0.5}) == ["model.gamma=0.5", "model=svm"]
