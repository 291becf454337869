"""What Google's generated client meets: lists, deletion, errors. How jobs run is in `tests/services/behaviour`."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.jobs import ENDLESS, QUICK, run_job, to_request
from vertex_sweeper.testing.gate import PARENT, double, make_job, wait_for_end

if TYPE_CHECKING:
    from vertex_sweeper.emulator import Emulator

exceptions = pytest.importorskip("google.api_core.exceptions", reason="google-cloud-aiplatform is not installed")


def names(pager: Any) -> list[str]:
    return [job.display_name for job in pager]


def test_a_list_has_the_jobs_of_its_parent_the_newest_first(client: Any, emulator: Emulator) -> None:
    for name in ("one", "two"):
        run_job(client, emulator.service, displayName=name)
    run_job(client, emulator.service, displayName="elsewhere", parent="projects/p/locations/other")
    assert names(client.list_hyperparameter_tuning_jobs(parent=PARENT)) == ["two", "one"]
    assert names(client.list_hyperparameter_tuning_jobs(parent="projects/p/locations/other")) == ["elsewhere"]
    assert names(client.list_hyperparameter_tuning_jobs(parent="projects/q/locations/l")) == []


def test_a_list_is_filtered_by_label_state_and_name(client: Any, emulator: Emulator) -> None:
    run_job(client, emulator.service, displayName="one", labels={"vertex-sweeper": "a1"})
    run_job(client, emulator.service, displayName="two", labels={"vertex-sweeper": "b2"})
    failing = run_job(client, emulator.service, displayName="three", **failing_fields())

    def found(text: str) -> list[str]:
        return names(client.list_hyperparameter_tuning_jobs(request={"parent": PARENT, "filter": text}))

    assert found("labels.vertex-sweeper=a1") == ["one"]
    assert found("labels.vertex-sweeper:*") == ["two", "one"]
    assert found('state="JOB_STATE_FAILED"') == ["three"]
    assert found('display_name:"t*" AND NOT state="JOB_STATE_FAILED"') == ["two"]
    created = client.get_hyperparameter_tuning_job(name=failing).create_time.rfc3339()
    assert found(f'create_time<"{created}"') == ["two", "one"]
    with pytest.raises(exceptions.InvalidArgument, match="colour"):
        found("colour=red")


def failing_fields() -> dict[str, Any]:
    return {"trialJobSpec": make_job(command=["false"])["trialJobSpec"]}


def test_a_list_comes_in_pages_that_stay_what_they_are_while_jobs_come_and_go(client: Any, emulator: Emulator) -> None:
    made = [run_job(client, emulator.service, displayName=str(number)) for number in range(5)]
    request = {"parent": PARENT, "page_size": 2, "filter": 'display_name!="new"'}
    first = next(client.list_hyperparameter_tuning_jobs(request=request).pages)
    assert names(first.hyperparameter_tuning_jobs) == ["4", "3"]
    run_job(client, emulator.service, displayName="new")
    client.delete_hyperparameter_tuning_job(name=made[3]).result()
    rest = client.list_hyperparameter_tuning_jobs(request={**request, "page_token": first.next_page_token})
    assert [names(page.hyperparameter_tuning_jobs) for page in rest.pages] == [["2", "1"], ["0"]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"page_token": "made up"}, "page_token", id="a token that was never given"),
        pytest.param({"filter": "labels.a:*", "page_token": None}, "page_token", id="the token of another list"),
        pytest.param({"page_size": -1}, "got -1", id="a negative size"),
        pytest.param({"parent": "projects/p"}, "'projects/p'", id="no location"),
        pytest.param({"read_mask": "colour"}, "read_mask", id="a field that is not there"),
    ],
)
def test_a_list_that_cannot_be_is_refused(client: Any, emulator: Emulator, change: dict[str, Any], why: str) -> None:
    for _ in range(2):
        run_job(client, emulator.service)
    first = next(client.list_hyperparameter_tuning_jobs(request={"parent": PARENT, "page_size": 1}).pages)
    if change.get("page_token", "") is None:
        change["page_token"] = first.next_page_token
    with pytest.raises(exceptions.InvalidArgument, match=why):
        client.list_hyperparameter_tuning_jobs(request={"parent": PARENT, **change})


def test_a_list_with_a_mask_has_these_fields_only(client: Any, emulator: Emulator) -> None:
    run_job(client, emulator.service, displayName="one")
    [job] = client.list_hyperparameter_tuning_jobs(request={"parent": PARENT, "read_mask": "displayName,state"})
    assert job == type(job)(display_name="one", state=4)


def test_a_deleted_job_is_gone_with_its_files_and_the_operation_can_be_asked_for(client: Any, emulator: Emulator) -> None:
    from google.longrunning import operations_pb2

    name = run_job(client, emulator.service)
    folder = emulator.folder / "jobs" / name.rpartition("/")[2]
    assert (folder / "logs" / "1.log").exists()
    operation = client.delete_hyperparameter_tuning_job(name=name)
    assert operation.result(timeout=60) is not None
    assert not folder.exists()
    with pytest.raises(exceptions.NotFound):
        client.get_hyperparameter_tuning_job(name=name)
    with pytest.raises(exceptions.NotFound):
        client.delete_hyperparameter_tuning_job(name=name)
    request = operations_pb2.GetOperationRequest(name=operation.operation.name)
    assert client.get_operation(request).done
    with pytest.raises(exceptions.NotFound):
        client.get_operation(operations_pb2.GetOperationRequest(name=f"{name}/operations/0"))


def test_a_running_job_is_not_deleted(client: Any, emulator: Emulator) -> None:
    job = to_request(make_job(command=ENDLESS))
    name = client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=job).name
    with pytest.raises(exceptions.FailedPrecondition, match="cancel it first"):
        client.delete_hyperparameter_tuning_job(name=name)
    client.cancel_hyperparameter_tuning_job(name=name)
    assert wait_for_end(emulator.service, name)["state"] == "JOB_STATE_CANCELLED"
    client.delete_hyperparameter_tuning_job(name=name).result(timeout=60)


def test_all_mistakes_of_a_job_come_in_one_answer(client: Any) -> None:
    job = make_job(command=QUICK, most=0, parameters=[double(2, 1)])
    with pytest.raises(exceptions.InvalidArgument) as caught:
        client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=to_request(job))
    assert caught.value.message.startswith("List of found errors: 1.Field: max_trial_count; Message: ")
    assert "2.Field: study_spec.parameters[0].double_value_spec; Message: " in caught.value.message


def test_what_only_the_service_may_say_is_passed_over(client: Any, emulator: Emulator) -> None:
    given: dict[str, Any] = {
        "name": f"{PARENT}/hyperparameterTuningJobs/7",
        "state": "JOB_STATE_FAILED",
        "trials": [{"id": "9"}],
    }
    name = run_job(client, emulator.service, **given, createTime="2001-01-01T00:00:00Z", error={"code": 3})
    assert name != given["name"]
    job = client.get_hyperparameter_tuning_job(name=name)
    assert (job.state.name, [trial.id for trial in job.trials], job.error.code) == ("JOB_STATE_SUCCEEDED", ["1"], 0)
    assert job.create_time.year > 2001


@pytest.mark.parametrize("method", ["get", "cancel", "delete"])
def test_a_malformed_name_is_an_invalid_argument(client: Any, method: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="'nonsense'"):
        getattr(client, f"{method}_hyperparameter_tuning_job")(name="nonsense")


def test_other_jobs_are_not_offered_and_the_answer_says_so(client: Any) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match=r"jobs and custom jobs only, and not /google.*ListNasJobs"):
        client.list_nas_jobs(parent=PARENT)


# Over REST, by hand: the client's REST transport has its turn in `tests/services/behaviour`.


def ask(emulator: Emulator, path: str, *, body: object = None, method: str | None = None, **headers: str) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    default = {"Content-Type": "application/json"} if data else {}
    url = f"http://{emulator.rest_address}{path}"
    request = urllib.request.Request(url, data, {**default, **headers}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own address
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]


def test_a_job_can_be_made_and_read_with_nothing_but_http(emulator: Emulator) -> None:
    status, job = ask(emulator, f"/v1/{PARENT}/hyperparameterTuningJobs", body=make_job(command=QUICK))
    assert (status, job["state"]) == (200, "JOB_STATE_PENDING")
    wait_for_end(emulator.service, job["name"])
    assert ask(emulator, f"/v1/{job['name']}")[1]["trials"][0]["state"] == "SUCCEEDED"
    assert len(ask(emulator, f"/v1/{PARENT}/hyperparameterTuningJobs?pageSize=5")[1]["hyperparameterTuningJobs"]) == 1
    assert ask(emulator, f"/v1/{job['name']}:cancel", body={})[0] == 200
    _, operation = ask(emulator, f"/v1/{job['name']}", method="DELETE")
    assert ask(emulator, f"/v1/{operation['name']}")[1]["done"] is True


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/projects/p/locations/l/hyperparameterTuningJobs/1", None, 404, "NOT_FOUND"),
        ("/v1/projects/p/locations/l/nasJobs", None, 501, "UNIMPLEMENTED"),
        ("/v1/projects/p/locations/l/hyperparameterTuningJobs", {"colour": "red"}, 400, "INVALID_ARGUMENT"),
        ("/v1/projects/p/locations/l/hyperparameterTuningJobs", [], 400, "INVALID_ARGUMENT"),
        ("/v1/projects/p/locations/l/hyperparameterTuningJobs?pageSize=x", None, 400, "INVALID_ARGUMENT"),
    ],
    ids=["unknown job", "another kind of job", "unknown field", "no object", "no number"],
)
def test_an_error_over_http_has_the_apis_form(emulator: Emulator, path: str, body: object, status: int, code: str) -> None:
    got, error = ask(emulator, path, body=body)
    assert (got, error["code"], error["status"]) == (status, status, code)
    assert error["message"]


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Host": "evil.example"}, {"Content-Type": "text/plain"}],
    ids=["with an origin", "by a name of its own", "with a body that is not JSON"],
)
def test_a_web_page_cannot_start_a_job(emulator: Emulator, headers: dict[str, str]) -> None:
    job = make_job(command=QUICK)
    status, error = ask(emulator, f"/v1/{PARENT}/hyperparameterTuningJobs", body=job, **headers)
    assert status in (400, 403), error
    assert emulator.service.names() == []


# Over TLS.


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_whoever_trusts_the_certificate_file_can_call_over_both_doors_and_nobody_else(name: str) -> None:
    import grpc

    from vertex_sweeper.emulator import Emulator

    def ask_grpc(roots: bytes) -> None:
        channel_to = emulator.address.replace("127.0.0.1", name)
        with grpc.secure_channel(channel_to, grpc.ssl_channel_credentials(roots)) as channel:
            grpc.channel_ready_future(channel).result(timeout=5)

    with Emulator(tls=True) as emulator, Emulator(tls=True) as other:
        assert emulator.ca_file is not None
        assert other.ca_file is not None
        ask_grpc(emulator.ca_file.read_bytes())
        url = f"https://{emulator.rest_address.replace('127.0.0.1', name)}/v1/{PARENT}/hyperparameterTuningJobs"
        with urllib.request.urlopen(url, context=ssl.create_default_context(cafile=emulator.ca_file)) as answer:
            assert json.load(answer) == {}
        with pytest.raises(urllib.error.URLError, match="certificate"):
            urllib.request.urlopen(url, context=ssl.create_default_context(cafile=other.ca_file))


# For tests of clients.


def test_an_interceptor_can_lose_an_answer_after_the_service_has_acted() -> None:
    import grpc

    from vertex_sweeper.emulator import Emulator
    from vertex_sweeper.errors import ServiceError
    from vertex_sweeper.services.vertex import VertexService

    class LoseAnswers(grpc.ServerInterceptor):  # type: ignore[misc]
        def intercept_service(self, continuation: Any, details: Any) -> Any:
            handler = continuation(details)
            if not details.method.endswith("CreateHyperparameterTuningJob"):
                return handler

            def act_and_drop(request: Any, context: grpc.ServicerContext) -> Any:
                handler.unary_unary(request, context)
                context.abort(grpc.StatusCode.UNAVAILABLE, "lost")

            return grpc.unary_unary_rpc_method_handler(act_and_drop, handler.request_deserializer, handler.response_serializer)

    with Emulator(interceptors=[LoseAnswers()]) as emulator:
        service = VertexService("l", endpoint=f"http://{emulator.address}")
        with pytest.raises(ServiceError) as caught:
            service.create(PARENT, make_job(command=QUICK))
        assert caught.value.acted is None
        assert len(service.find(PARENT, {})) == 1
