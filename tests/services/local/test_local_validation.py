"""What the local service refuses, as the real one does: before anything starts, and all mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from vertex_sweeper.errors import InvalidJob
from vertex_sweeper.services.local.validation import check_job
from vertex_sweeper.testing.gate import ACC, X, double, make_job

Change = Callable[[dict[str, Any]], Any]
P = "study_spec.parameters[0]"


def integer(low: int, high: int, **more: Any) -> dict[str, Any]:
    return {"parameterId": "n", "integerValueSpec": {"minValue": str(low), "maxValue": str(high)}, **more}


def discrete(*values: float, **more: Any) -> dict[str, Any]:
    return {"parameterId": "d", "discreteValueSpec": {"values": list(values)}, **more}


def categorical(*values: str, **more: Any) -> dict[str, Any]:
    return {"parameterId": "c", "categoricalValueSpec": {"values": list(values)}, **more}


def child(condition: str, values: list[Any], spec: dict[str, Any]) -> dict[str, Any]:
    return {condition: {"values": values}, "parameterSpec": spec}


def conditional(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"conditionalParameterSpecs": list(conditions)}


LOG = {"scaleType": "UNIT_LOG_SCALE"}
IN_A = child("parentCategoricalValues", ["a"], integer(1, 2))
IN_B = child("parentCategoricalValues", ["b"], integer(3, 4))


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        pytest.param({"displayName": ""}, "display_name", "required", id="no name"),
        pytest.param({"displayName": "n" * 129}, "display_name", "got 129", id="long name"),
        pytest.param({"labels": {"a": "B"}}, "labels.a", "'B'", id="an uppercase label"),
        pytest.param({"labels": {"a.b": "c"}}, "labels.a.b", "'a.b'", id="a dot in a label's key"),
        pytest.param({"labels": {"a": "b" * 64}}, "labels.a", "63", id="a long label"),
        pytest.param({"labels": {"": "b"}}, "labels.", "must begin", id="a label without a key"),
        pytest.param({"labels": {str(n): "" for n in range(65)}}, "labels", "got 65", id="too many labels"),
        pytest.param({"maxTrialCount": 0}, "max_trial_count", "got 0", id="no trials"),
        pytest.param({"parallelTrialCount": -1}, "parallel_trial_count", "got -1", id="nothing may run"),
        pytest.param({"maxFailedTrialCount": 6}, "max_failed_trial_count", "got 6", id="more failures than trials"),
        pytest.param({"maxFailedTrialCount": -1}, "max_failed_trial_count", "got -1", id="fewer failures than none"),
        pytest.param({"trialJobSpec": {}}, "trial_job_spec.worker_pool_specs", "required", id="no worker pool"),
        pytest.param(
            {"trialJobSpec": {"workerPoolSpecs": [{"machineSpec": {}}]}},
            "trial_job_spec.worker_pool_specs[0].container_spec",
            "required",
            id="no container",
        ),
        pytest.param(
            {"trialJobSpec": {"workerPoolSpecs": [{"containerSpec": {"imageUri": "i"}}]}},
            "trial_job_spec.worker_pool_specs[0].container_spec.command",
            "no image",
            id="no command",
        ),
    ],
)
def test_a_mistake_in_the_job_is_refused(change: dict[str, Any], field: str, message: str) -> None:
    assert_refused({**make_job(command=["c"], most=5), **change}, field, message)


def test_labels_may_be_empty_and_of_any_alphabet() -> None:
    check_job(make_job(command=["c"]) | {"labels": {"größe-1_x": "", "キー": "値", "k" * 63: "v" * 63}})


@pytest.mark.parametrize(
    ("settings", "field", "message"),
    [
        pytest.param({"args": ["a" * 60_000, "b" * 40_001]}, "args", "got 100001", id="long arguments"),
        pytest.param({"env": [{"name": f"V{n}"} for n in range(101)]}, "env", "got 101", id="many variables"),
        pytest.param({"env": [{"value": "x"}]}, "env[0].name", "required", id="a variable without a name"),
        pytest.param({"env": [{"name": "A"}, {"name": "B"}, {"name": "A"}]}, "env[2].name", "'A' again", id="a variable twice"),
        *(
            pytest.param({"env": [{"name": name}]}, "env[0].name", repr(name), id=f"a variable called {name!r}")
            for name in ("A=B", "A B", "1A", "a.b", "a-b", "Ä", "A\n", "A\0", " ")
        ),
    ],
)
def test_a_mistake_in_the_container_is_refused(settings: dict[str, Any], field: str, message: str) -> None:
    job = make_job(command=["c"], **settings)
    assert_refused(job, f"trial_job_spec.worker_pool_specs[0].container_spec.{field}", message)


CONTAINER = {"imageUri": "i", "command": ["c"]}
GPU = {"machineType": "a3-highgpu-8g", "acceleratorType": "NVIDIA_H100_80GB", "acceleratorCount": 8}
POOL: dict[str, Any] = {"replicaCount": "1", "machineSpec": GPU, "containerSpec": CONTAINER}
POOLS = "trial_job_spec.worker_pool_specs"
SCHEDULING = "trial_job_spec.scheduling"
FLEX: dict[str, Any] = {"strategy": "FLEX_START"}


def pooled(pools: list[Any], scheduling: dict[str, Any] | None = None) -> dict[str, Any]:
    return make_job(command=["c"]) | {"trialJobSpec": {"workerPoolSpecs": pools, "scheduling": scheduling or {}}}


@pytest.mark.parametrize(
    ("pools", "field", "message"),
    [
        pytest.param([POOL | {"replicaCount": "2"}], "[0].replica_count", "got 2", id="two primary replicas"),
        pytest.param([POOL | {"replicaCount": "0"}], "[0].replica_count", "got 0", id="no primary replica"),
        pytest.param([POOL | {"replicaCount": "-1"}], "[0].replica_count", "got -1", id="fewer primary replicas than none"),
        pytest.param([POOL, POOL | {"replicaCount": "-1"}], "[1].replica_count", "got -1", id="fewer workers than none"),
        pytest.param([POOL] * 5, "", "got 5", id="five pools"),
        pytest.param([POOL, {}, {}, {}, {}], "", "got 5", id="five pools, most of them skipped"),
        pytest.param(
            [POOL, POOL | {"containerSpec": CONTAINER | {"env": [{}]}}],
            "[1].container_spec.env[0].name",
            "required",
            id="a variable of a further pool without a name",
        ),
        pytest.param(
            [POOL | {"machineSpec": {"machineType": "cloud-tpu"}}], "[0].machine_spec.machine_type", "TPU", id="a TPU"
        ),
        pytest.param(
            [POOL | {"machineSpec": {"acceleratorType": "TPU_V3"}}],
            "[0].machine_spec.accelerator_type",
            "TPU",
            id="a TPU as accelerator",
        ),
    ],
)
def test_a_mistake_in_the_worker_pools_is_refused(pools: list[Any], field: str, message: str) -> None:
    assert_refused(pooled(pools), POOLS + field, message)


@pytest.mark.parametrize(
    ("pools", "field"),
    [
        pytest.param([POOL | {"containerSpec": {"command": ["c"]}}], "[0].container_spec.image_uri", id="none"),
        pytest.param([POOL | {"containerSpec": CONTAINER | {"imageUri": " "}}], "[0].container_spec.image_uri", id="a space"),
        pytest.param([POOL, POOL | {"containerSpec": {"args": ["a"]}}], "[1].container_spec.image_uri", id="in a further pool"),
        pytest.param([POOL, {}, {"replicaCount": "1"}], "[2].container_spec", id="a further pool without a container"),
    ],
)
def test_the_api_wants_an_image_for_each_container_and_a_local_run_does_not(pools: list[Any], field: str) -> None:
    job = pooled(pools)
    check_job(job)
    with pytest.raises(InvalidJob) as caught:
        check_job(job, needs_image=True)
    assert [path for path, _ in caught.value.fields] == [POOLS + field]


@pytest.mark.parametrize(
    ("pools", "scheduling", "field", "message"),
    [
        pytest.param([POOL | {"machineSpec": {}}], FLEX, "strategy", "got none", id="no accelerator"),
        pytest.param(
            [POOL | {"machineSpec": GPU | {"acceleratorType": "NVIDIA_TESLA_T4"}}],
            FLEX,
            "strategy",
            "NVIDIA_TESLA_T4",
            id="another accelerator",
        ),
        pytest.param(
            [POOL, POOL | {"machineSpec": GPU | {"acceleratorCount": 4}}],
            FLEX,
            "strategy",
            "same machine",
            id="machines that differ",
        ),
        pytest.param([POOL], FLEX | {"timeout": "604801s"}, "timeout", "got 604801s", id="more than seven days"),
        pytest.param([POOL], FLEX | {"maxWaitDuration": "-1s"}, "max_wait_duration", "'-1s'", id="a negative wait"),
        pytest.param([POOL], {"maxWaitDuration": "1h"}, "max_wait_duration", "'1h'", id="a wait that is no duration"),
    ],
)
def test_a_mistake_in_the_scheduling_is_refused(pools: list[Any], scheduling: dict[str, Any], field: str, message: str) -> None:
    assert_refused(pooled(pools, scheduling), f"{SCHEDULING}.{field}", message)


@pytest.mark.parametrize(
    ("pools", "scheduling"),
    [
        pytest.param([POOL, {}, POOL | {"replicaCount": "7"}, {}], {}, id="four pools, two of them skipped"),
        pytest.param([{"containerSpec": CONTAINER}], {}, id="a number of replicas that is not set"),
        pytest.param(
            [POOL, POOL], FLEX | {"timeout": "604800s", "maxWaitDuration": "0s"}, id="queued for seven days, for ever"
        ),
        pytest.param([POOL], {"timeout": "604801s", "strategy": "SPOT"}, id="more than seven days without a queue"),
        pytest.param(
            [POOL | {"containerSpec": CONTAINER | {"env": [{"name": name} for name in ("_", "a1", "A_B")]}}], {}, id="variables"
        ),
    ],
)
def test_trial_jobs_that_the_service_accepts_are_accepted(pools: list[Any], scheduling: dict[str, Any]) -> None:
    check_job(pooled(pools, scheduling), needs_image=True)


@pytest.mark.parametrize("timeout", ["0s", "3600", "-1s", "1h", "infs"])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(timeout: str) -> None:
    assert_refused(make_job(command=["c"], timeout=timeout), "trial_job_spec.scheduling.timeout", repr(timeout))


@pytest.mark.parametrize(
    ("metrics", "field", "message"),
    [
        pytest.param([], "study_spec.metrics", "At least one", id="none"),
        pytest.param([{"goal": "MAXIMIZE"}], "study_spec.metrics[0].metric_id", "''", id="no id"),
        pytest.param([{"metricId": "a b"}], "study_spec.metrics[0].metric_id", "'a b'", id="white space"),
        pytest.param([ACC, ACC], "study_spec.metrics[1].metric_id", "unique", id="twice"),
        pytest.param([{"metricId": "a", "goal": "up"}], "study_spec.metrics[0].goal", "'up'", id="goal"),
    ],
)
def test_a_mistake_in_the_metrics_is_refused(metrics: list[Any], field: str, message: str) -> None:
    assert_refused(make_job(command=["c"], metrics=metrics), field, message)


@pytest.mark.parametrize(
    ("parameters", "field", "message"),
    [
        pytest.param([], "study_spec.parameters", "At least one", id="none"),
        pytest.param([X, X], "study_spec.parameters[1].parameter_id", "'x' again", id="id twice"),
        pytest.param([{**X, "parameterId": "a b"}], f"{P}.parameter_id", "'a b'", id="white space in an id"),
        pytest.param([{**X, "parameterId": ""}], f"{P}.parameter_id", "''", id="no id"),
        pytest.param([{"parameterId": "x"}], P, "exactly one of", id="no value spec"),
        pytest.param([{**X, **categorical("a"), "parameterId": "x"}], P, "exactly one of", id="two value specs"),
        pytest.param([double(2, 1)], f"{P}.double_value_spec", "2.0 and 1.0", id="bounds reversed"),
        pytest.param([double(0, float("inf"))], f"{P}.double_value_spec", "finite", id="an infinite bound"),
        pytest.param([integer(2, 1)], f"{P}.integer_value_spec", "2 and 1", id="whole bounds reversed"),
        pytest.param([integer(0, 5, **LOG)], f"{P}.integer_value_spec", "above 0, got 0", id="log scale from 0"),
        pytest.param(
            [double(-1, 5, scaleType="UNIT_REVERSE_LOG_SCALE")], f"{P}.double_value_spec", "above 0", id="reverse log below 0"
        ),
        pytest.param([discrete(0, 5, **LOG)], f"{P}.discrete_value_spec", "above 0", id="log scale of a DISCRETE 0"),
        pytest.param([double(0, 1, scaleType="LOG")], f"{P}.scale_type", "'LOG'", id="unknown scale"),
        pytest.param([discrete()], f"{P}.discrete_value_spec", "At least one", id="DISCRETE without values"),
        pytest.param([discrete(2, 1)], f"{P}.discrete_value_spec", "ascending", id="DISCRETE not ascending"),
        pytest.param([discrete(1, 1)], f"{P}.discrete_value_spec", "ascending", id="DISCRETE value twice"),
        pytest.param([discrete(1, 1 + 9e-11)], f"{P}.discrete_value_spec", "1e-10 apart", id="DISCRETE values too close"),
        pytest.param([discrete(*range(1001))], f"{P}.discrete_value_spec", "got 1001", id="DISCRETE with too many values"),
        pytest.param([discrete(1, float("nan"))], f"{P}.discrete_value_spec", "finite", id="DISCRETE nan"),
        pytest.param([categorical()], f"{P}.categorical_value_spec", "At least one", id="CATEGORICAL without values"),
        pytest.param([categorical("a", "a")], f"{P}.categorical_value_spec", "unique", id="CATEGORICAL value twice"),
        pytest.param([categorical("a", **LOG)], f"{P}.scale_type", "CATEGORICAL", id="CATEGORICAL with a scale"),
        pytest.param(
            [double(0, 1, **conditional(IN_A))], f"{P}.conditional_parameter_specs", "can't be a parent", id="DOUBLE parent"
        ),
        pytest.param(
            [categorical("b", **conditional(IN_A))],
            f"{P}.conditional_parameter_specs[0]",
            "never has the value 'a'",
            id="condition on a value that the parent can't take",
        ),
        pytest.param(
            [integer(1, 3, **conditional(child("parentIntValues", ["4"], X)))],
            f"{P}.conditional_parameter_specs[0]",
            "never has the value 4",
            id="condition outside the parent's bounds",
        ),
        pytest.param(
            [discrete(1, 2, **conditional(child("parentIntValues", ["1"], X)))],
            f"{P}.conditional_parameter_specs[0]",
            "needs parent_discrete_values",
            id="condition of another kind",
        ),
        pytest.param(
            [categorical("a", "b", **conditional(IN_A, IN_A))],
            f"{P}.conditional_parameter_specs[1]",
            "two specs for one value",
            id="overlapping conditions",
        ),
        pytest.param(
            [categorical("a", "b", **conditional(IN_A)), integer(1, 2)],
            "study_spec.parameters[1].parameter_id",
            "'n' again",
            id="a child's id again elsewhere",
        ),
        pytest.param(
            [categorical("a", **conditional(child("parentCategoricalValues", ["a"], double(2, 1))))],
            f"{P}.conditional_parameter_specs[0].parameter_spec.double_value_spec",
            "2.0 and 1.0",
            id="a mistake in a child",
        ),
    ],
)
def test_a_mistake_in_the_parameters_is_refused(parameters: list[Any], field: str, message: str) -> None:
    assert_refused(make_job(command=["c"], parameters=parameters), field, message)


def test_a_grid_with_a_double_is_refused_in_children_too() -> None:
    nested = categorical("a", **conditional(child("parentCategoricalValues", ["a"], X)))
    job = make_job(command=["c"], parameters=[nested], algorithm="GRID_SEARCH")
    assert_refused(job, f"{P}.conditional_parameter_specs[0].parameter_spec.double_value_spec", "GRID_SEARCH")


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param([X], id="DOUBLE"),
        pytest.param([double(1, 1)], id="one value only"),
        pytest.param([{"parameterId": "x", "doubleValueSpec": {"maxValue": 1}}], id="zeros are left out"),
        pytest.param([integer(-5, 2**62)], id="64 bits"),
        pytest.param([discrete(1, 1 + 1e-10, 2)], id="just far enough apart"),
        pytest.param([discrete(*range(1000))], id="as many values as allowed"),
        pytest.param([categorical("a", "b", **conditional(IN_A, IN_B))], id="one id under disjoint values"),
        pytest.param([discrete(0.1, 0.2, **conditional(child("parentDiscreteValues", [0.1 + 1e-12], X)))], id="round-off"),
    ],
)
def test_what_the_service_accepts_is_accepted(parameters: list[Any]) -> None:
    check_job(make_job(command=["c"], parameters=parameters))


def test_all_mistakes_are_named_in_the_services_form() -> None:
    with pytest.raises(InvalidJob) as caught:
        check_job(make_job(command=["c"], parameters=[double(2, 1)], most=0) | {"displayName": ""})
    message = str(caught.value)
    assert message.startswith("List of found errors: 1.Field: display_name; Message: ")
    assert re.findall(r"(\d)\.Field: ([^;]+); Message: ", message) == [
        ("1", "display_name"),
        ("2", "max_trial_count"),
        ("3", f"{P}.double_value_spec"),
    ]


def assert_refused(job: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidJob) as caught:
        check_job(job)
    found = dict(re.findall(r"\d\.Field: ([^;]+); Message: (.*?)(?=  \d+\.Field|$)", str(caught.value)))
    assert list(found) == [field]
    assert message in found[field]
    assert caught.value.fields == ((field, found[field]),)
