"""The job that a sweep becomes: recorded whole for one sweep of each kind, and accepted by Google's own message."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import reduce
from typing import Any, get_args, get_type_hints

import hydra
import pytest

from tests.jobs import EVERYWHERE, JOBS, LR, RECORDED, plan_of, recording_app, request_of, settings
from tests.support import App
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.fields import CONTAINER_ELSEWHERE, ELSEWHERE, FIELDS_OF_SETTINGS, POOL_PLACES
from vertex_sweeper.plan.plan import Plan
from vertex_sweeper.settings import Settings, WorkerPoolSettings
from vertex_sweeper_runtime import contract, contract_document
from vertex_sweeper_runtime.contract import Slot
from vertex_sweeper_runtime.flags import trial_overrides


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with recording_app(tmp_path_factory.mktemp("job")) as app:
        yield app


@pytest.fixture(scope="module")
def plans(app: App) -> dict[str, Plan]:
    return {name: plan_of(app, name) for name in JOBS}


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", JOBS)
def test_the_whole_request_is_as_recorded(plans: dict[str, Plan], name: str) -> None:
    assert request_of(plans[name]) == recorded(name)


def test_nothing_is_recorded_that_no_sweep_makes() -> None:
    assert sorted(path.stem for path in RECORDED.iterdir()) == sorted(JOBS)


@pytest.mark.parametrize("name", JOBS)
def test_googles_message_accepts_the_job_and_keeps_every_field(plans: dict[str, Plan], name: str) -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from google.cloud.aiplatform_v1.types import HyperparameterTuningJob
    from google.protobuf.json_format import MessageToDict, ParseDict

    job = plans[name].job
    message = ParseDict(job, HyperparameterTuningJob()._pb)
    assert MessageToDict(message) == without_zeros(job)


def without_zeros(value: Any) -> Any:
    """The form in which the API gives a job back."""
    if isinstance(value, dict):
        return {key: without_zeros(item) for key, item in value.items() if item not in (0, False)}
    return [without_zeros(item) for item in value] if isinstance(value, list) else value


NOT_IN_THE_JOB = {
    "backend",
    "on_interrupt",
    "wait",
    "spec_overrides",
    "trial.allow_secrets",
    "trial.drift",
    "trial.keep_alive",
    "trial.worker_pools",
    "vertex.endpoint",
    "vertex.impersonate_service_account",
    "vertex.location",
    "vertex.project",
    "local.seed",
    "local.devices",
}
"""Settings that are not one field of the job: of the call, of the contract, of this machine, or a list of others."""

WITHOUT_A_REQUEST = {
    "attach",
    "dry_run",
    "prices",
    "trial.build",
    "trial.code",
    "trial.requirements",
    "trial.wheels",
    "vertex.staging",
}
"""What creates no job, and what is another request for each version of this package: see `tests/plan/test_shipment.py`."""

FIELDS = {
    **ELSEWHERE,
    **{place.setting: place.field for place in FIELDS_OF_SETTINGS},
    **{f"trial.{place.setting}": f"trialJobSpec.workerPoolSpecs.0.{place.field}" for place in POOL_PLACES},
    **{f"trial.{name}": f"trialJobSpec.workerPoolSpecs.0.{field}" for name, field in CONTAINER_ELSEWHERE.items()},
}


def leaves(cls: type[Any], path: str = "") -> Iterator[str]:
    """The paths of all settings that hold a value and not further settings."""
    for name, hint in get_type_hints(cls).items():
        inner = next((part for part in (hint, *get_args(hint)) if isinstance(part, type) and is_dataclass(part)), None)
        if inner is None or inner.__name__ == "MedianStopping":
            yield f"{path}{name}"
        else:
            yield from leaves(inner, f"{path}{name}.")


def value_at(settings: Any, path: str) -> Any:
    return reduce(lambda part, name: getattr(part, name, None), path.split("."), settings)


def has(job: Any, path: str) -> bool:
    for part in path.split("."):
        try:
            job = job[int(part)] if isinstance(job, list) else job[part]
        except (KeyError, IndexError):
            return False
    return True


@pytest.mark.parametrize("path", [path for path in leaves(Settings) if path not in WITHOUT_A_REQUEST])
def test_every_setting_is_in_a_recorded_request(plans: dict[str, Plan], path: str) -> None:
    default = value_at(Settings(), path)
    setting = [name for name, plan in plans.items() if value_at(plan.settings, path) != default]
    assert setting, f"no recorded sweep sets {path}"
    field = FIELDS.get(path)
    assert (field is None) is (path in NOT_IN_THE_JOB)
    assert field is None or all(has(recorded(name)["hyperparameterTuningJob"], field) for name in setting)


@pytest.mark.parametrize("name", [entry.name for entry in fields(WorkerPoolSettings)])
def test_every_setting_of_a_further_pool_is_in_a_recorded_request(plans: dict[str, Plan], name: str) -> None:
    pools = [pool for plan in plans.values() for pool in plan.settings.trial.worker_pools or () if pool is not None]
    assert any(getattr(pool, name) != getattr(WorkerPoolSettings(), name) for pool in pools)


def test_the_contract_in_the_job_is_the_plans(plans: dict[str, Plan]) -> None:
    plan = plans["kinds"]
    environment = plan.job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["env"]
    text = next(entry["value"] for entry in environment if entry["name"] == contract.VARIABLE)
    assert contract_document.decode(text) == plan.contract
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


def test_an_interpolation_in_params_is_resolved_before_and_one_behind_a_backslash_in_the_trial(app: App) -> None:
    plan = app.plan(r"hydra.sweeper.params={name: '${lr}', layers: '\${batch},3'}")
    assert plan.contract.sequence == ("name=0.1", Slot("layers"))
    (parameter,) = plan.contract.parameters
    assert parameter.literals == ("$\\{batch\\}", "3")  # as Hydra prints such an element
    config = app.run(plan.contract.overrides({"layers": parameter.values[0]}))
    assert (config.name, config.layers) == (0.1, 8)


def test_overrides_of_the_multirun_itself_stay_here(app: App) -> None:
    here = ["hydra.sweep.dir=x", "hydra.run.dir=y", "hydra.job.num=3", "hydra/launcher=basic", "hydra.mode=MULTIRUN"]
    plan = app.plan("lr=interval(0,1)", *here, "hydra.job.chdir=true", "hydra.sweep.subdir=t", "hydra/job_logging=none")
    assert plan.contract.sequence == ("hydra.job.chdir=true", "hydra.sweep.subdir=t", "hydra/job_logging=none", Slot("lr"))


@pytest.mark.skipif(hydra.__version__.startswith("1.3."), reason="Hydra 1.3 knows no brackets in keys")
def test_so_they_do_however_their_keys_are_spelled(app: App) -> None:
    plan = app.plan("lr=interval(0,1)", "hydra[sweep].dir=x", "hydra.run[dir]=y", "hydra[job][num]=3", "hydra[job].chdir=true")
    assert plan.contract.sequence == ("hydra[job].chdir=true", Slot("lr"))


def test_an_interpolation_in_an_override_of_hydras_own_travels_as_it_was_given(app: App) -> None:
    plan = app.plan("hydra.sweep.subdir=${hydra.job.num}_${name}", "name=a,b", "hydra.job.name='${lr}'")
    assert plan.contract.sequence == ("hydra.sweep.subdir=${hydra.job.num}_${name}", "hydra.job.name='${lr}'", Slot("name"))


def test_conditions_nest_in_the_study_spec_and_an_inactive_child_is_absent(app: App) -> None:
    conditional = "hydra.sweeper.conditional={model\\=svm: {params: {model.gamma: 'interval(0, 1)'}}}"
    plan = app.plan(conditional, "model=linear,svm")
    (spec,) = plan.job["studySpec"]["parameters"]
    (child,) = spec["conditionalParameterSpecs"]
    assert child["parentCategoricalValues"] == {"values": ["svm"]}
    assert child["parameterSpec"]["parameterId"] == "model.gamma"
    assert plan.contract.overrides({"model": "linear"}) == ["model=linear"]
    assert plan.contract.overrides({"model": "svm", "model.gamma": 0.5}) == ["model.gamma=0.5", "model=svm"]


def pools_of(plan: Plan) -> list[Any]:
    return list(plan.job["trialJobSpec"]["workerPoolSpecs"])


def contracts_of(plan: Plan) -> list[contract.Contract | None]:
    """The contract in each pool's container, None where there is none."""
    found = []
    for pool in pools_of(plan):
        environment = {entry["name"]: entry["value"] for entry in pool.get("containerSpec", {}).get("env", ())}
        found.append(contract_document.decode(environment[contract.VARIABLE]) if contract.VARIABLE in environment else None)
    return found


def test_further_replicas_are_the_second_pool_and_like_the_first(plans: dict[str, Plan]) -> None:
    first, second = pools_of(plans["queue"])
    assert (first["replicaCount"], second["replicaCount"]) == ("1", "2")
    assert {**first, "replicaCount": "2"} == second


def test_each_pool_has_the_contract_of_its_own_command_and_a_foreign_image_has_none(plans: dict[str, Plan]) -> None:
    first, second, server, evaluator = contracts_of(plans["pools"])
    assert first == second == plans["pools"].contract
    assert server is None
    assert evaluator == plans["pools"].contract._replace(command=("python", "evaluate.py"))


def test_an_empty_pool_keeps_its_place(plans: dict[str, Plan]) -> None:
    assert [bool(pool) for pool in pools_of(plans["gap"])] == [True, False, True]


def test_every_container_takes_its_own_arguments_and_the_trials_flags(plans: dict[str, Plan]) -> None:
    for name in ("queue", "pools"):
        for pool, agreed in zip(pools_of(plans[name]), contracts_of(plans[name]), strict=True):
            if agreed is not None:
                shim, *command = pool["containerSpec"]["command"]
                assert shim == "vertex-trial"
                arguments = [*command, *pool["containerSpec"].get("args", ()), "--lr=0.01"]
                assert trial_overrides(agreed, arguments) == ["lr=0.01"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        pytest.param(
            settings(spec_overrides="{trialJobSpec: {netwrk: x}}"),
            "hydra.sweeper.spec_overrides.trialJobSpec.netwrk: not a field of CustomJobSpec (did you mean network?)",
            id="an unknown field",
        ),
        pytest.param(
            settings(spec_overrides="{maxTrialCount: many}"),
            "hydra.sweeper.spec_overrides.maxTrialCount: ",
            id="a value of another type",
        ),
        pytest.param(
            settings(backend="vertex", trial__accelerator_type="NVIDIA_T4"),
            "hydra.sweeper.trial.accelerator_type: 'NVIDIA_T4' is no AcceleratorType (did you mean",
            id="an unknown accelerator",
        ),
    ],
)
def test_what_googles_message_does_not_have_is_refused_before_anything_starts(app: App, words: list[str], line: str) -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    with pytest.raises(InvalidSweep) as caught:
        app.plan(*EVERYWHERE[1:], LR, *words)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_without_googles_client_a_local_sweep_says_that_nobody_checked(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    plan = app.plan(LR, *settings(spec_overrides="{trialJobSpec: {netwrk: x}}"))
    assert dict(plan.job["trialJobSpec"])["netwrk"] == "x"
    assert [note for note in plan.notes if "spec_overrides is not checked" in note]
