"""Custom jobs on the emulator, as Google's clients and plain HTTP meet them. How they run is in `tests/services/behaviour`."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.commands import start_emulator
from tests.emulator.jobs import ENDLESS, QUICK, run_job, to_request
from vertex_sweeper.testing.gate import PARENT, Gate, make_custom_job, make_job, wait_for_death, wait_for_end

if TYPE_CHECKING:
    from vertex_sweeper.emulator import Emulator

exceptions = pytest.importorskip("google.api_core.exceptions", reason="google-cloud-aiplatform is not installed")

JOBS = f"/v1/{PARENT}/customJobs"
GOOD = ("sh", "-c", "echo trained")


@pytest.fixture(params=["grpc", "rest"])
def either(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Google's generated client, over either transport."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.aiplatform_v1.services.job_service.transports.rest import JobServiceRestTransport

    if request.param == "grpc":
        yield request.getfixturevalue("client")
        return
    login: Any = AnonymousCredentials()
    transport = JobServiceRestTransport(host=emulator.rest_address, url_scheme="http", credentials=login)
    with JobServiceClient(transport=transport) as client:
        yield client


def run_custom_job(emulator: Emulator, *, parent: str = PARENT, command: tuple[str, ...] = GOOD, **fields: Any) -> str:
    """A custom job that has ended; its name."""
    name = emulator.service.create(parent, make_custom_job(command=command, **fields))["name"]
    wait_for_end(emulator.service, name)
    return name


def names(pager: Any) -> list[str]:
    return [job.display_name for job in pager]


def test_a_custom_job_is_created_read_listed_cancelled_and_deleted(either: Any, emulator: Emulator) -> None:
    job = either.create_custom_job(parent=PARENT, custom_job=to_request(make_custom_job(command=ENDLESS)))
    assert re.fullmatch(rf"{PARENT}/customJobs/\d+", job.name)
    assert job.state.name == "JOB_STATE_PENDING"
    with pytest.raises(exceptions.GoogleAPICallError, match="cancel it first"):
        either.delete_custom_job(name=job.name)
    either.cancel_custom_job(name=job.name)
    wait_for_end(emulator.service, job.name)
    ended = either.get_custom_job(name=job.name)
    assert (ended.state.name, ended.error.code) == ("JOB_STATE_CANCELLED", 1)
    assert ended.job_spec == job.job_spec
    assert list(either.list_custom_jobs(parent=PARENT)) == [ended]
    folder = emulator.folder / "jobs" / job.name.rpartition("/")[2]
    assert folder.exists()
    either.delete_custom_job(name=job.name).result(timeout=60)
    assert not folder.exists()
    assert list(either.list_custom_jobs(parent=PARENT)) == []


def test_the_lists_of_both_kinds_have_their_own_jobs(either: Any, client: Any, emulator: Emulator) -> None:
    run_job(client, emulator.service, displayName="tuned")
    run_custom_job(emulator, displayName="trained")
    assert names(either.list_custom_jobs(parent=PARENT)) == ["trained"]
    assert names(either.list_hyperparameter_tuning_jobs(parent=PARENT)) == ["tuned"]


def test_a_list_is_filtered_and_masked_and_comes_in_pages(either: Any, emulator: Emulator) -> None:
    for name in ("one", "two", "three"):
        run_custom_job(emulator, displayName=name, labels={"who": name})
    run_custom_job(emulator, displayName="four", command=("false",))

    def found(text: str) -> list[str]:
        return names(either.list_custom_jobs(request={"parent": PARENT, "filter": text}))

    assert found("labels.who=two") == ["two"]
    assert found('labels.who:* AND NOT display_name="one"') == ["three", "two"]
    assert found('state="JOB_STATE_FAILED"') == ["four"]
    with pytest.raises(exceptions.GoogleAPICallError, match="colour"):
        found("colour=red")
    pages = either.list_custom_jobs(request={"parent": PARENT, "page_size": 3}).pages
    assert [names(page.custom_jobs) for page in pages] == [["four", "three", "two"], ["one"]]
    masked = list(either.list_custom_jobs(request={"parent": PARENT, "filter": "labels.who=one", "read_mask": "displayName"}))
    assert masked == [type(masked[0])(display_name="one")]
    with pytest.raises(exceptions.GoogleAPICallError, match="trials"):
        either.list_custom_jobs(request={"parent": PARENT, "read_mask": "trials"})


def test_the_asynchronous_client_works(emulator: Emulator) -> None:
    import grpc
    from google.cloud.aiplatform_v1 import JobServiceAsyncClient
    from google.cloud.aiplatform_v1.services.job_service.transports.grpc_asyncio import JobServiceGrpcAsyncIOTransport

    async def use() -> tuple[str, str, list[str]]:
        async with grpc.aio.insecure_channel(emulator.address) as channel:
            client = JobServiceAsyncClient(transport=JobServiceGrpcAsyncIOTransport(channel=channel))
            job = await client.create_custom_job(parent=PARENT, custom_job=to_request(make_custom_job(command=GOOD)))
            wait_for_end(emulator.service, job.name)
            state = (await client.get_custom_job(name=job.name)).state.name
            await client.cancel_custom_job(name=job.name)  # too late
            listed = [found.name async for found in await client.list_custom_jobs(parent=PARENT)]
            await (await client.delete_custom_job(name=job.name)).result()
            return job.name, state, listed

    name, state, listed = asyncio.run(use())
    assert (state, listed, emulator.service.names()) == ("JOB_STATE_SUCCEEDED", [name], [])


def test_where_it_has_started_a_client_finds_what_it_prints(client: Any, emulator: Emulator) -> None:
    name = run_custom_job(emulator)
    uris = dict(client.get_custom_job(name=name).web_access_uris)
    log = emulator.log_of(name.rpartition("/")[2], "1")
    assert uris == {"workerpool0-0": log.as_uri()}
    assert log.read_text() == "trained\n"


@pytest.mark.parametrize("method", ["get", "cancel", "delete"])
def test_a_name_of_the_other_kind_is_an_invalid_argument(client: Any, emulator: Emulator, method: str) -> None:
    custom, tuning = run_custom_job(emulator), run_job(client, emulator.service)
    with pytest.raises(exceptions.InvalidArgument, match=r"A CustomJob's name is projects/.*/customJobs/ID, got "):
        getattr(client, f"{method}_custom_job")(name=tuning)
    with pytest.raises(exceptions.InvalidArgument, match=r"A HyperparameterTuningJob's name is "):
        getattr(client, f"{method}_hyperparameter_tuning_job")(name=custom)
    assert emulator.service.names() == [custom, tuning]


@pytest.mark.parametrize("method", ["get", "cancel", "delete"])
def test_a_job_of_the_same_id_in_the_other_collection_is_not_found(client: Any, emulator: Emulator, method: str) -> None:
    name = run_job(client, emulator.service).replace("hyperparameterTuningJobs", "customJobs")
    with pytest.raises(exceptions.NotFound, match=f"The CustomJob {name} is not found"):
        getattr(client, f"{method}_custom_job")(name=name)


def test_a_job_without_a_job_spec_is_a_custom_job_with_a_mistake(either: Any, emulator: Emulator) -> None:
    from google.cloud.aiplatform_v1.types import CustomJob

    with pytest.raises(exceptions.GoogleAPICallError, match=r"1\.Field: job_spec\.worker_pool_specs; Message: At least one"):
        either.create_custom_job(parent=PARENT, custom_job=CustomJob(display_name="empty"))
    assert emulator.service.names() == []


def ask(emulator: Emulator, path: str, *, body: object = None, method: str | None = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if data else {}
    request = urllib.request.Request(f"http://{emulator.rest_address}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own address
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]["status"]


def test_a_custom_job_can_be_made_and_read_with_nothing_but_http(emulator: Emulator) -> None:
    status, job = ask(emulator, JOBS, body={**make_custom_job(command=GOOD), "state": "JOB_STATE_FAILED", "name": "mine"})
    assert (status, job["state"]) == (200, "JOB_STATE_PENDING")
    wait_for_end(emulator.service, job["name"])
    assert ask(emulator, f"/v1/{job['name']}")[1]["state"] == "JOB_STATE_SUCCEEDED"
    assert [one["name"] for one in ask(emulator, f"{JOBS}?pageSize=5")[1]["customJobs"]] == [job["name"]]
    assert ask(emulator, f"/v1/{job['name']}:cancel", body={})[0] == 200
    _, operation = ask(emulator, f"/v1/{job['name']}", method="DELETE")
    assert ask(emulator, f"/v1/{operation['name']}")[1]["done"] is True


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        (f"{JOBS}/1", None, (404, "NOT_FOUND")),
        (JOBS, {"displayName": "x", "studySpec": {}}, (400, "INVALID_ARGUMENT")),
        (JOBS, make_job(command=QUICK), (400, "INVALID_ARGUMENT")),
        (f"/v1/{PARENT}/hyperparameterTuningJobs", make_custom_job(command=GOOD), (400, "INVALID_ARGUMENT")),
    ],
    ids=["unknown job", "another kind's field", "a tuning job", "a custom job among tuning jobs"],
)
def test_what_is_no_custom_job_is_refused_over_http(
    emulator: Emulator, path: str, body: object, answer: tuple[int, str]
) -> None:
    assert ask(emulator, path, body=body) == answer
    assert emulator.service.names() == []


def test_it_says_how_each_custom_job_ends(tmp_path: Path) -> None:
    from vertex_sweeper.services.vertex import VertexService

    with Gate(tmp_path) as gate, start_emulator() as (process, ready):
        service = VertexService("l", endpoint=f"http://{ready['address']}")
        for ending in ("sys.exit(0)", "sys.exit(3)"):
            service.create(PARENT, gate.custom_job())
            gate.next().do(ending)
        service.create(PARENT, gate.custom_job())
        gate.next()
        process.send_signal(signal.SIGTERM)
        process.wait()
        assert process.stdout is not None
        _, _, *said = process.stdout.read().splitlines()
    lines = [re.sub(r"[0-9]{19}", "ID", line) for line in said]
    assert lines.count("job ID (test) begins") == 3
    assert lines.count("job ID succeeded") == 1
    assert lines[-1] == "job ID cancelled: The job was cancelled."
    (failed,) = [line for line in lines if line.startswith("job ID failed: ")]
    assert re.search(r"non-zero status of 3\. Its log: /.*/jobs/ID/logs/1\.log$", failed)
    assert len(lines) == 6


def test_custom_jobs_are_there_again_after_a_restart_and_go_on(tmp_path: Path) -> None:
    from vertex_sweeper.emulator import Emulator
    from vertex_sweeper.services.vertex import VertexService

    with Gate(tmp_path) as gate, ExitStack() as stack:
        with Emulator(data=tmp_path / "data") as emulator:
            first = run_custom_job(emulator, command=("false",))
            second = emulator.service.create(PARENT, gate.custom_job(args=["a=1"]))["name"]
            service = VertexService("l", endpoint=f"http://{emulator.address}")
            before = service.get(first)
            visitor = gate.next()
        wait_for_death(visitor.pid)
        emulator = stack.enter_context(Emulator(data=tmp_path / "data"))
        service = VertexService("l", endpoint=f"http://{emulator.address}")
        again = gate.next()
        assert again.argv == ["a=1"]
        assert service.get(first) == before
        assert [job["name"] for job in service.find(PARENT, {})] == [second, first]
        again.do("sys.exit(0)")
        wait_for_end(emulator.service, second)
        assert service.get(second)["state"] == "JOB_STATE_SUCCEEDED"
