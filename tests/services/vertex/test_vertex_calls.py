"""What is sent, how long it may take, and what is sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")

import grpc
from google.cloud.aiplatform_v1.types import (
    CreateCustomJobRequest,
    CreateHyperparameterTuningJobRequest,
    CustomJob,
    HyperparameterTuningJob,
    Trial,
)
from google.cloud.aiplatform_v1.types import JobState as WireJobState
from google.protobuf import any_pb2, text_format

from vertex_sweeper.api import JobState, TrialState, job_state
from vertex_sweeper.errors import InvalidJob, JobNotFound, ServiceError
from vertex_sweeper.services.vertex import VertexService
from vertex_sweeper.services.vertex.service import PAUSES, TIMEOUTS

if TYPE_CHECKING:
    from tests.services.vertex.fake_api import FakeApi

PARENT = "projects/my-project/locations/europe-west4"
NAME = f"{PARENT}/hyperparameterTuningJobs/1"
CUSTOM_NAME = f"{PARENT}/customJobs/1"
CREATE, GET = "CreateHyperparameterTuningJob", "GetHyperparameterTuningJob"
LIST, CANCEL = "ListHyperparameterTuningJobs", "CancelHyperparameterTuningJob"
CREATE_CUSTOM, GET_CUSTOM, LIST_CUSTOM, CANCEL_CUSTOM = "CreateCustomJob", "GetCustomJob", "ListCustomJobs", "CancelCustomJob"

ERRORS = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
TRANSIENT = ["CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "INTERNAL", "UNAVAILABLE"]

REQUEST = """
parent: "projects/my-project/locations/europe-west4"
hyperparameter_tuning_job {
  display_name: "tune"
  study_spec {
    metrics { metric_id: "val_acc" goal: MAXIMIZE }
    parameters {
      parameter_id: "model.lr"
      double_value_spec { min_value: 1e-05 max_value: 0.010000000000000002 }
      scale_type: UNIT_LOG_SCALE
    }
    parameters {
      parameter_id: "batch"
      discrete_value_spec { values: 16 values: 32 }
      scale_type: UNIT_LINEAR_SCALE
    }
    parameters {
      parameter_id: "model"
      categorical_value_spec { values: "cnn" values: "vit" }
      conditional_parameter_specs {
        parent_categorical_values { values: "vit" }
        parameter_spec {
          parameter_id: "heads"
          integer_value_spec { min_value: 2 max_value: 9007199254740993 }
        }
      }
    }
    algorithm: RANDOM_SEARCH
    measurement_selection_type: BEST_MEASUREMENT
  }
  max_trial_count: 20
  parallel_trial_count: 2
  max_failed_trial_count: 5
  trial_job_spec {
    worker_pool_specs {
      container_spec {
        image_uri: "europe-west4-docker.pkg.dev/my-project/train/app:1"
        command: "vertex-trial" command: "python" command: "train.py"
        args: "seed=1"
        env { name: "VERTEX_SWEEPER_CONTRACT" value: "eJw" }
      }
      machine_spec { machine_type: "n1-standard-8" accelerator_type: NVIDIA_TESLA_T4 accelerator_count: 1 }
      replica_count: 1
      disk_spec { boot_disk_type: "pd-ssd" boot_disk_size_gb: 100 }
    }
    scheduling { timeout { seconds: 3600 } }
    base_output_directory { output_uri_prefix: "gs://bucket/out" }
  }
  labels { key: "vertex-sweeper" value: "a1b2" }
}
"""

CUSTOM_REQUEST = """
parent: "projects/my-project/locations/europe-west4"
custom_job {
  display_name: "train"
  job_spec {
    worker_pool_specs {
      container_spec {
        image_uri: "europe-west4-docker.pkg.dev/my-project/train/app:1"
        command: "vertex-trial" command: "python" command: "train.py"
        args: "seed=1"
        env { name: "VERTEX_SWEEPER_CONTRACT" value: "eJw" }
      }
      machine_spec { machine_type: "n1-standard-8" accelerator_type: NVIDIA_TESLA_T4 accelerator_count: 1 }
      replica_count: 1
      disk_spec { boot_disk_type: "pd-ssd" boot_disk_size_gb: 100 }
    }
    scheduling { timeout { seconds: 3600 } }
    base_output_directory { output_uri_prefix: "gs://bucket/out" }
  }
  labels { key: "vertex-sweeper" value: "a1b2" }
}
"""


STEADY = replace(PAUSES, jitter=0.0)


@pytest.fixture
def service(client: Any, pauses: list[float]) -> VertexService:
    return VertexService("europe-west4", client=client, pause=pauses.append, backoff=STEADY)


@pytest.fixture
def jobs(api: FakeApi) -> None:
    """A job of either kind."""
    api.jobs = {NAME: HyperparameterTuningJob(name=NAME), CUSTOM_NAME: CustomJob(name=CUSTOM_NAME)}


def do(service: VertexService, method: str) -> None:
    calls: dict[str, Callable[[], object]] = {
        CREATE: lambda: service.create(PARENT, {}),
        GET: lambda: service.get(NAME),
        LIST: lambda: service.find(PARENT, {"a": "b"}, custom=False),
        CANCEL: lambda: service.cancel(NAME),
        CREATE_CUSTOM: lambda: service.create(PARENT, {"jobSpec": {}}),
        GET_CUSTOM: lambda: service.get(CUSTOM_NAME),
        LIST_CUSTOM: lambda: service.find(PARENT, {"a": "b"}, custom=True),
        CANCEL_CUSTOM: lambda: service.cancel(CUSTOM_NAME),
    }
    calls[method]()


def test_create_sends_exactly_this_request(api: FakeApi, service: VertexService, spec: dict[str, Any]) -> None:
    expected = CreateHyperparameterTuningJobRequest.pb(CreateHyperparameterTuningJobRequest())
    text_format.Parse(REQUEST, expected)
    service.create(PARENT, spec)
    assert [CreateHyperparameterTuningJobRequest.pb(call.request) for call in api.received] == [expected]


def test_create_of_a_custom_job_sends_exactly_this_request(
    api: FakeApi, service: VertexService, custom_spec: dict[str, Any]
) -> None:
    expected = CreateCustomJobRequest.pb(CreateCustomJobRequest())
    text_format.Parse(CUSTOM_REQUEST, expected)
    answer = service.create(PARENT, custom_spec)
    assert [CreateCustomJobRequest.pb(call.request) for call in api.received] == [expected]
    assert answer == {**custom_spec, "name": CUSTOM_NAME, "state": "JOB_STATE_PENDING"}


def test_create_answers_with_the_specification_plus_what_the_service_added(
    service: VertexService, spec: dict[str, Any]
) -> None:
    assert service.create(PARENT, spec) == {**spec, "name": NAME, "state": "JOB_STATE_PENDING"}


def test_create_does_not_touch_the_specification(service: VertexService, spec: dict[str, Any]) -> None:
    before = repr(spec)
    service.create(PARENT, spec)["studySpec"]["metrics"].clear()
    assert repr(spec) == before


def test_a_specification_with_an_unknown_field_is_never_sent(api: FakeApi, service: VertexService) -> None:
    with pytest.raises(InvalidJob):
        service.create(PARENT, {"studySpek": {}})
    assert api.received == []


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize("method", [CREATE, GET, LIST, CANCEL, CREATE_CUSTOM, GET_CUSTOM, LIST_CUSTOM, CANCEL_CUSTOM])
def test_every_call_has_a_deadline(api: FakeApi, service: VertexService, method: str) -> None:
    do(service, method)
    ((called, remaining),) = [(call.method, call.remaining) for call in api.received]
    assert called == method
    assert remaining is not None
    assert 0 < remaining < max(TIMEOUTS.values()) + 1  # the two ends round differently


@pytest.mark.parametrize("method", [CREATE, CREATE_CUSTOM])
@pytest.mark.parametrize("code", ERRORS, ids=lambda code: code.name)
def test_create_is_sent_once_whatever_the_answer(
    api: FakeApi, service: VertexService, pauses: list[float], method: str, code: grpc.StatusCode
) -> None:
    api.fail(method, code)
    with pytest.raises(ServiceError):
        do(service, method)
    assert (api.count(method), pauses) == (1, [])


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize("method", [GET, LIST, CANCEL, GET_CUSTOM, LIST_CUSTOM, CANCEL_CUSTOM])
@pytest.mark.parametrize("code", ERRORS, ids=lambda code: code.name)
def test_what_changes_nothing_is_repeated_after_a_transient_error_only(
    api: FakeApi, service: VertexService, pauses: list[float], method: str, code: grpc.StatusCode
) -> None:
    api.fail(method, code)
    if code.name in TRANSIENT:
        do(service, method)
        assert (api.count(method), pauses) == (2, [1.0])
    else:
        with pytest.raises(ServiceError):
            do(service, method)
        assert (api.count(method), pauses) == (1, [])


def test_a_read_is_given_up_after_a_growing_wait(api: FakeApi, service: VertexService, pauses: list[float]) -> None:
    api.fail(GET, *[grpc.StatusCode.UNAVAILABLE] * 9)
    with pytest.raises(ServiceError) as caught:
        service.get(NAME)
    assert (caught.value.code, caught.value.transient) == ("UNAVAILABLE", True)
    assert pauses == list(STEADY) == [1.0, 2.0, 4.0, 8.0]
    assert api.count(GET) == 5


@pytest.mark.parametrize("during", ["the call", "the pause"])
def test_nothing_is_made_again_when_somebody_waits_for_the_process_to_end(api: FakeApi, client: Any, during: str) -> None:
    brief = during == "the call"

    def pause(_: float) -> None:
        nonlocal brief
        brief = True

    service = VertexService("europe-west4", client=client, pause=pause)
    service.be_brief_when(lambda: brief)
    api.fail(GET, *[grpc.StatusCode.UNAVAILABLE] * 2)
    with pytest.raises(ServiceError) as caught:
        service.get(NAME)
    assert (caught.value.code, api.count(GET)) == ("UNAVAILABLE", 1)


@pytest.mark.parametrize("state", ["JOB_STATE_SUCCEEDED", "JOB_STATE_CANCELLED", "JOB_STATE_CANCELLING"])
@pytest.mark.parametrize("code", [grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT], ids=lambda c: c.name)
def test_cancelling_too_late_or_twice_is_no_error(
    api: FakeApi, service: VertexService, state: str, code: grpc.StatusCode
) -> None:
    api.jobs = {NAME: HyperparameterTuningJob(name=NAME, state=state), CUSTOM_NAME: CustomJob(name=CUSTOM_NAME, state=state)}
    for method in (CANCEL, CANCEL_CUSTOM):
        api.fail(method, code)
        do(service, method)
        assert api.count(method) == 1


def test_a_running_job_that_cannot_be_cancelled_is_an_error(api: FakeApi, service: VertexService) -> None:
    api.jobs[NAME] = HyperparameterTuningJob(name=NAME, state="JOB_STATE_RUNNING")
    api.fail(CANCEL, grpc.StatusCode.FAILED_PRECONDITION, message="not now")
    with pytest.raises(ServiceError, match=f"^cannot cancel {NAME}: not now"):
        service.cancel(NAME)


@pytest.mark.parametrize("name", ["", "123", f"{PARENT}/models/1", f"{NAME}/trials/1", f"{NAME} "])
def test_what_is_no_job_name_is_not_found_without_asking(api: FakeApi, service: VertexService, name: str) -> None:
    for ask in (service.get, service.cancel):
        with pytest.raises(JobNotFound, match="is not the name of a tuning job"):
            ask(name)
    assert api.received == []


def test_find_follows_every_page_and_repeats_only_the_page_that_failed(
    api: FakeApi, service: VertexService, pauses: list[float]
) -> None:
    for number in range(5):
        name = f"{PARENT}/hyperparameterTuningJobs/{number}"
        api.jobs[name] = HyperparameterTuningJob(name=name)
    api.page_size = 2
    api.fail(LIST, grpc.StatusCode.UNAVAILABLE)
    assert [job["name"] for job in service.find(PARENT, {"sweep-id": "a1b2"}, custom=False)] == list(api.jobs)
    assert [call.request.page_token for call in api.received] == ["", "", "2", "4"]
    assert pauses == [1.0]


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("custom", "methods", "names"),
    [(None, [LIST, LIST_CUSTOM], [NAME, CUSTOM_NAME]), (False, [LIST], [NAME]), (True, [LIST_CUSTOM], [CUSTOM_NAME])],
    ids=["both", "tuning jobs", "custom jobs"],
)
def test_find_asks_for_the_kinds_that_are_wanted_only(
    api: FakeApi, service: VertexService, *, custom: bool | None, methods: list[str], names: list[str]
) -> None:
    assert [job["name"] for job in service.find(PARENT, {}, custom=custom)] == names
    assert [call.method for call in api.received] == methods


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"sweep-id": "a1b2"}, "labels.sweep-id=a1b2"),
        ({"sweep-id": "a1b2", "team": "x"}, "labels.sweep-id=a1b2 AND labels.team=x"),
        ({"sweep-id": None}, "labels.sweep-id:*"),
        ({}, ""),
    ],
    ids=["one", "two", "any value", "none"],
)
def test_find_asks_for_all_labels(api: FakeApi, service: VertexService, labels: dict[str, str | None], expected: str) -> None:
    service.find(PARENT, labels)
    assert [(call.request.parent, call.request.filter) for call in api.received] == [(PARENT, expected)] * 2


@pytest.mark.parametrize("labels", [{"a": "b OR labels.c=d"}, {"a.b": "c"}, {"a": ""}, {"A": "b"}])
def test_find_refuses_what_cannot_be_a_label(api: FakeApi, service: VertexService, labels: dict[str, str | None]) -> None:
    with pytest.raises(ValueError, match="a label is made of"):
        service.find(PARENT, labels)
    assert api.received == []


def test_a_job_comes_back_as_the_api_writes_it(api: FakeApi, service: VertexService) -> None:
    job = HyperparameterTuningJob(name=NAME, state="JOB_STATE_RUNNING")
    trial = HyperparameterTuningJob.pb(job).trials.add(id="2", state="SUCCEEDED")
    trial.parameters.add(parameter_id="layers").value.number_value = 66
    trial.parameters.add(parameter_id="lr").value.number_value = 0.010000000000000002
    trial.parameters.add(parameter_id="model").value.string_value = "vit"
    trial.final_measurement.step_count = 3
    trial.final_measurement.metrics.add(metric_id="val_acc", value=0.97)
    api.jobs[NAME] = job
    assert repr(service.get(NAME)["trials"]) == repr(
        [
            {
                "id": "2",
                "state": "SUCCEEDED",
                "parameters": [
                    {"parameterId": "layers", "value": 66.0},
                    {"parameterId": "lr", "value": 0.010000000000000002},
                    {"parameterId": "model", "value": "vit"},
                ],
                "finalMeasurement": {"stepCount": "3", "metrics": [{"metricId": "val_acc", "value": 0.97}]},
            }
        ]
    )


@pytest.mark.parametrize(("state", "known"), [(4, JobState.SUCCEEDED), (99, None)], ids=["known", "from a later version"])
def test_an_unknown_state_is_not_an_error(api: FakeApi, service: VertexService, state: int, known: JobState | None) -> None:
    job = HyperparameterTuningJob(name=NAME)
    HyperparameterTuningJob.pb(job).state = state
    api.jobs[NAME] = job
    assert job_state(service.get(NAME)) is known


def test_an_error_with_details_of_an_unknown_type_keeps_its_code_and_message(api: FakeApi, service: VertexService) -> None:
    job = HyperparameterTuningJob(name=NAME)
    error = HyperparameterTuningJob.pb(job).error
    error.code, error.message = 13, "it broke"
    error.details.append(any_pb2.Any(type_url="type.googleapis.com/google.nobody.Knows", value=b"x"))
    api.jobs[NAME] = job
    assert service.get(NAME)["error"] == {"code": 13, "message": "it broke"}


@pytest.mark.parametrize(("ours", "theirs"), [(JobState, WireJobState), (TrialState, Trial.State)], ids=["job", "trial"])
def test_our_states_are_those_of_the_client(ours: Any, theirs: Any) -> None:
    assert {state.value for state in ours} == {state.name for state in theirs if not state.name.endswith("_UNSPECIFIED")}
