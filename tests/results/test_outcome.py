"""What a job's snapshot says of its trials, in the user's words."""

from __future__ import annotations

from typing import Any

import pytest

from vertex_sweeper.api import Goal, JobState, TrialState
from vertex_sweeper.results.outcome import Outcome, TrialResult, read_outcome
from vertex_sweeper_runtime import trial as trial_program
from vertex_sweeper_runtime.contract import Condition, Contract, Kind, Parameter, Slot
from vertex_sweeper_runtime.errors import ContractError, DriftError, FlagError, MetricError

CONTRACT = Contract(
    command=("python", "train.py"),
    sequence=("seed=1", Slot("model"), Slot("batch"), "x='a b'", Slot("lr"), Slot("layers"), Slot("svm_C")),
    parameters=(
        Parameter("lr", "optim.lr", Kind.DOUBLE, low=1e-5, high=0.1),
        Parameter("layers", "+layers", Kind.INTEGER, low=0, high=8),
        Parameter("batch", "batch", Kind.DISCRETE, values=(16, 32), literals=("16", "3_2")),
        Parameter("model", "model", Kind.CATEGORICAL, values=("linear", "svm"), literals=("linear", "'svm'")),
        Parameter("svm_C", "model.C", Kind.DOUBLE, low=0.1, high=10, when=Condition("model", ("svm",))),
    ),
    metrics=("acc",),
)

LINEAR = {"lr": 0.01, "layers": 3.0, "batch": 32.0, "model": "linear"}


def trial(id: int, values: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    parameters = [{"parameterId": name, "value": value} for name, value in (values or LINEAR).items()]
    return {"id": str(id), "state": "SUCCEEDED", "parameters": parameters, **fields}


def measured(id: int, state: str = "SUCCEEDED", **metrics: Any) -> dict[str, Any]:
    entries = [{"metricId": name, "value": value} for name, value in metrics.items()]
    return trial(id, state=state, finalMeasurement={"stepCount": "3", "metrics": entries})


def job(*trials: dict[str, Any], goals: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    metrics = [{"metricId": name, "goal": goal} for name, goal in (goals or {"acc": "MAXIMIZE"}).items()]
    return {"state": "JOB_STATE_SUCCEEDED", "studySpec": {"metrics": metrics}, "trials": list(trials), **fields}


def read(*trials: dict[str, Any], **fields: Any) -> Outcome:
    return read_outcome(job(*trials, **fields), CONTRACT)


def read_one(*arguments: Any, **fields: Any) -> TrialResult:
    return read(trial(*arguments, **fields)).trials[0]


def test_parameters_are_read_as_the_user_wrote_them_in_the_order_of_the_overrides() -> None:
    result = read_one(1)

    assert list(result.literals.items()) == [("model", "linear"), ("batch", "3_2"), ("optim.lr", "0.01"), ("+layers", "3")]
    assert result.overrides == ("seed=1", "model=linear", "batch=3_2", "x='a b'", "optim.lr=0.01", "+layers=3")
    assert result.reason == ""


def test_a_conditional_parameter_is_there_only_where_it_is_active() -> None:
    outcome = read(trial(1), trial(2, LINEAR | {"model": "svm", "svm_C": 0.5}))

    assert [one.literals.get("model.C") for one in outcome.trials] == [None, "0.5"]
    assert outcome.trials[1].overrides[-1] == "model.C=0.5"
    assert outcome.keys == ("model", "batch", "optim.lr", "+layers", "model.C")


def test_trials_are_sorted_by_number_whatever_their_order() -> None:
    assert [one.number for one in read(trial(10), trial(2), trial(1)).trials] == [1, 2, 10]


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        ("2026-11-24T10:00:00Z", "2026-11-24T10:00:07Z", 7.0),
        ("2026-11-24T10:00:00.123456789Z", "2026-11-24T10:00:01.623456789Z", 1.5),
        ("2026-11-24T23:59:59.5Z", "2026-11-25T00:00:00+00:00", 0.5),
        ("2026-11-24T10:00:00Z", None, None),
        (None, "2026-11-24T10:00:00Z", None),
        ("yesterday", "2026-11-24T10:00:00Z", None),
        ("2026-13-99T10:00:00Z", "2026-11-24T10:00:00Z", None),
    ],
    ids=["whole", "nanoseconds", "midnight", "running", "no start", "no time", "no date"],
)
def test_seconds_lie_between_start_and_end(start: str | None, end: str | None, seconds: float | None) -> None:
    result = read_one(1, startTime=start, endTime=end)

    assert result.started == start
    assert result.seconds == (None if seconds is None else pytest.approx(seconds))


ODD = {
    "an unknown parameter": (LINEAR | {"momentum": 0.9}, "momentum", "0.9", "momentum"),
    "a label of another sweep": (LINEAR | {"model": "forest"}, "model", "forest", "forest"),
    "a number outside": (LINEAR | {"batch": 48.0}, "batch", "48.0", "48.0"),
    "text for a number": (LINEAR | {"lr": "fast"}, "optim.lr", "fast", "fast"),
    "a list for a number": (LINEAR | {"lr": [1]}, "optim.lr", "[1]", "not a trial of this sweep"),
    "null for a label": (LINEAR | {"model": None}, "model", "None", "None"),
    "one missing": ({"model": "linear", "batch": 16.0, "lr": 0.01}, "batch", "16", "layers"),
}


@pytest.mark.parametrize(("values", "key", "text", "named"), ODD.values(), ids=ODD)
def test_values_of_another_sweep_are_kept_as_they_are_and_named(
    values: dict[str, Any], key: str, text: str, named: str
) -> None:
    result = read_one(1, values)

    assert result.literals[key] == text
    assert result.overrides == ()
    assert "not a trial of this sweep" in result.reason
    assert named in result.reason
    assert "\n" not in result.reason


def test_a_trial_that_has_no_values_yet_is_not_odd() -> None:
    result = read({"id": "1", "state": "REQUESTED"}).trials[0]

    assert (result.state, result.literals, result.overrides, result.reason) == (TrialState.REQUESTED, {}, (), "")


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (ContractError.exit_code, "contract cannot be read"),
        (FlagError.exit_code, "do not fit the contract"),
        (MetricError.exit_code, "a metric is missing"),
        (DriftError.exit_code, "not the one that was composed"),
        (trial_program._NOT_STARTED, "cannot be started"),
        (trial_program._NOT_FOUND, "is not there"),
    ],
)
def test_what_the_shim_means_by_its_own_exit_codes_is_said(code: int, meaning: str) -> None:
    said = f"The replica workerpool0-0 exited with a non-zero status of {code}."
    explained = read_one(1, state="INFEASIBLE", infeasibleReason=said).reason
    assert explained.startswith(f"{said} (vertex-trial: ")
    assert meaning in explained
    other = f"The replica workerpool0-0 exited with a non-zero status of {code}0."
    assert read_one(1, state="INFEASIBLE", infeasibleReason=other).reason == other


def test_the_reason_of_a_failed_trial_is_one_line() -> None:
    assert (
        read_one(1, state="INFEASIBLE", infeasibleReason="exit code 1\n\n  see the log\n").reason == "exit code 1; see the log"
    )


def test_an_unknown_state_of_a_trial_is_named() -> None:
    result = read_one(1, state="PAUSED")

    assert result.state is None
    assert result.reason == "state PAUSED is not known here"


BARE: dict[str, dict[str, Any]] = {
    "nothing": {},
    "nulls": {"state": None, "studySpec": None, "trials": None, "error": None, "maxTrialCount": None},
    "other shapes": {"state": 3, "studySpec": [], "trials": {"id": "1"}, "error": "bad", "maxTrialCount": "many"},
    "trials that are none": {"trials": [None, 3, "x"]},
    "a new state": {"state": "JOB_STATE_DREAMING"},
    "metrics that are none": {"studySpec": {"metrics": [None, {}, {"goal": "MAXIMIZE"}]}},
}


@pytest.mark.parametrize("snapshot", BARE.values(), ids=BARE)
def test_a_snapshot_without_the_usual_fields_is_an_empty_outcome(snapshot: dict[str, Any]) -> None:
    outcome = read_outcome(snapshot, CONTRACT)

    assert (outcome.state, outcome.trials, outcome.goals, outcome.error) == (None, (), {}, "")
    assert (outcome.best, outcome.pareto, outcome.planned) == (None, (), None)


def test_a_trial_without_the_usual_fields_is_read_too() -> None:
    outcome = read({}, {"id": "x", "finalMeasurement": {"metrics": [{}, {"metricId": "acc", "value": "high"}]}})

    assert [(one.number, one.state, dict(one.metrics)) for one in outcome.trials] == [(0, None, {}), (0, None, {})]


def test_the_error_state_and_count_of_the_job_are_read() -> None:
    outcome = read(state="JOB_STATE_FAILED", error={"code": 3, "message": "too many\nfailures"}, maxTrialCount=20)

    assert (outcome.state, outcome.error, outcome.planned) == (JobState.FAILED, "too many; failures", 20)


@pytest.mark.parametrize("goal", ["GOAL_TYPE_UNSPECIFIED", None, "SIDEWAYS"])
def test_a_goal_that_is_not_set_is_maximize_as_for_vertex(goal: Any) -> None:
    assert read(goals={"acc": goal}).goals == {"acc": Goal.MAXIMIZE}


def test_a_metric_without_a_value_is_zero_as_the_service_leaves_zeros_out() -> None:
    assert read_one(1, finalMeasurement={"metrics": [{"metricId": "acc"}]}).metrics == {"acc": 0.0}


BESTS: dict[str, tuple[dict[str, str], list[dict[str, Any]], int | None]] = {
    "the highest": ({"acc": "MAXIMIZE"}, [measured(1, acc=0.1), measured(2, acc=0.9), measured(3, acc=0.5)], 2),
    "the lowest": ({"acc": "MINIMIZE"}, [measured(1, acc=0.3), measured(2, acc=-4.0), measured(3, acc=0.5)], 2),
    "the earliest of equals": ({"acc": "MAXIMIZE"}, [measured(12, acc=1), measured(3, acc=1), measured(9, acc=1)], 3),
    "not an infeasible one": ({"acc": "MAXIMIZE"}, [measured(1, acc=0.1), measured(2, "INFEASIBLE", acc=0.9)], 1),
    "not a running one": ({"acc": "MAXIMIZE"}, [measured(1, acc=0.1), measured(2, "ACTIVE", acc=0.9)], 1),
    "not nan": ({"acc": "MINIMIZE"}, [measured(1, acc="NaN"), measured(2, acc=3)], 2),
    "not infinity": ({"acc": "MAXIMIZE"}, [measured(1, acc="Infinity"), measured(2, acc=3)], 2),
    "none measured": ({"acc": "MAXIMIZE"}, [measured(1), measured(2, loss=1)], None),
    "the first metric decides": (
        {"acc": "MAXIMIZE", "ms": "MINIMIZE"},
        [measured(1, ms=1, acc=0.5), measured(2, ms=9, acc=0.9), measured(3, ms=9)],
        2,
    ),
}


@pytest.mark.parametrize(("goals", "trials", "number"), BESTS.values(), ids=BESTS)
def test_the_best_trial_is_the_best_that_succeeded_with_a_finite_value(
    goals: dict[str, str], trials: list[dict[str, Any]], number: int | None
) -> None:
    best = read(*trials, goals=goals).best

    assert (best.number if best else None) == number


def test_the_pareto_front_holds_what_no_other_trial_dominates() -> None:
    outcome = read(
        measured(1, acc=0.9, ms=50),
        measured(2, acc=0.8, ms=10),
        measured(3, acc=0.8, ms=20),
        measured(4, acc=0.9, ms=50),
        measured(5, acc=0.99, ms="NaN"),
        measured(6, "INFEASIBLE", acc=1, ms=1),
        measured(7, acc=0.99),
        goals={"acc": "MAXIMIZE", "ms": "MINIMIZE"},
    )

    assert [one.number for one in outcome.pareto] == [1, 2, 4]
