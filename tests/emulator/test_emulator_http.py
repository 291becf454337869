"""What comes over HTTP byte by byte: bodies in chunks and gzipped, requests that are none, and what pages of browsers send."""

from __future__ import annotations

import gzip
import json
import socket
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.jobs import QUICK, to_request
from vertex_sweeper.testing.gate import PARENT, make_job

if TYPE_CHECKING:
    from vertex_sweeper.emulator import Emulator

exceptions = pytest.importorskip("google.api_core.exceptions", reason="google-cloud-aiplatform is not installed")

JOBS = f"/v1/{PARENT}/hyperparameterTuningJobs"
BODY = json.dumps(make_job(command=QUICK)).encode()
ZIPPED = gzip.compress(BODY)
LARGEST = 32 << 20


def chunked(body: bytes, *, end: bytes = b"0\r\n\r\n") -> bytes:
    pieces = [body[place : place + 50] for place in range(0, len(body), 50)]
    return b"".join(b"%X;name=value\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end


def send(emulator: Emulator, request: bytes) -> tuple[int, Any, bool]:
    """The status, the answer, and whether the connection stays open."""
    host, port = emulator.rest_address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(request)
        answer = HTTPResponse(connection, method=request.partition(b" ")[0].decode("latin-1"))
        with answer:
            answer.begin()
            assert answer.headers["Content-Type"] == "application/json"
            text = answer.read()
            stays = not answer.will_close
        assert stays or connection.recv(1) == b""
        return answer.status, json.loads(text) if text else None, stays


def post(emulator: Emulator, body: bytes, *headers: str, announced: bool = True) -> tuple[int, Any, bool]:
    lines = [f"POST {JOBS} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    lines += [f"Content-Length: {len(body)}"] if announced else []
    return send(emulator, "\r\n".join([*lines, "", ""]).encode() + body)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(chunked(BODY), ["Transfer-Encoding: chunked"], id="in chunks"),
        pytest.param(chunked(BODY, end=b"0\r\nX-Sum: 1\r\n\r\n"), ["Transfer-Encoding: Chunked"], id="with a trailer"),
        pytest.param(chunked(ZIPPED), ["Transfer-Encoding: chunked", "Content-Encoding: gzip"], id="gzipped in chunks"),
    ],
)
def test_a_body_in_chunks_is_read(emulator: Emulator, body: bytes, headers: list[str]) -> None:
    status, job, stays = post(emulator, body, *headers, announced=False)
    assert (status, stays, emulator.service.names()) == (200, True, [job["name"]])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(ZIPPED, ["Content-Encoding: gzip"], id="gzip"),
        pytest.param(ZIPPED, ["Content-Encoding: X-GZip"], id="its old name"),
        pytest.param(gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), ["Content-Encoding: gzip"], id="in two members"),
        pytest.param(BODY, ["Content-Encoding: identity"], id="as it is"),
        pytest.param(BODY, [f"Content-Length: {len(BODY)}"], id="a length said twice"),
        pytest.param(BODY, ["Sec-Fetch-Site: none"], id="what a person typed"),
        pytest.param(BODY, ["Sec-Fetch-Site: same-origin"], id="of its own site"),
    ],
)
def test_a_body_of_a_known_length_is_read(emulator: Emulator, body: bytes, headers: list[str]) -> None:
    status, job, stays = post(emulator, body, *headers)
    assert (status, stays, emulator.service.names()) == (200, True, [job["name"]])


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(chunked(BODY), ["Transfer-Encoding: chunked", f"Content-Length: {len(BODY)}"], 400, id="two lengths"),
        pytest.param(chunked(BODY), ["Transfer-Encoding: gzip, chunked"], 501, id="two codings"),
        pytest.param(BODY, ["Transfer-Encoding: identity"], 501, id="another coding"),
        pytest.param(BODY, ["Transfer-Encoding: "], 501, id="no coding"),
        pytest.param(b"0x5\r\nhello\r\n0\r\n\r\n", ["Transfer-Encoding: chunked"], 400, id="no hexadecimal size"),
        pytest.param(b"-5\r\nhello\r\n0\r\n\r\n", ["Transfer-Encoding: chunked"], 400, id="a negative size"),
        pytest.param(b"\r\nhello\r\n0\r\n\r\n", ["Transfer-Encoding: chunked"], 400, id="no size"),
        pytest.param(b"5\r\nhello, you\r\n0\r\n\r\n", ["Transfer-Encoding: chunked"], 400, id="more than its size"),
        pytest.param(b"%x\r\n" % (LARGEST + 1), ["Transfer-Encoding: chunked"], 413, id="a chunk that is too large"),
        pytest.param(b"f" * 5000, ["Transfer-Encoding: chunked"], 400, id="a size without an end"),
        pytest.param(BODY, ["Content-Length: -5"], 400, id="a negative length"),
        pytest.param(BODY, ["Content-Length: 5_0"], 400, id="a length that only Python reads"),
        pytest.param(BODY, ["Content-Length: "], 400, id="an empty length"),
        pytest.param(BODY, ["Content-Length: 5", "Content-Length: 6"], 400, id="two different lengths"),
        pytest.param(BODY, [f"Content-Length: {LARGEST + 1}"], 413, id="a length that is too large"),
    ],
)
def test_a_body_whose_end_is_not_clear_is_refused_and_ends_the_connection(
    emulator: Emulator, body: bytes, headers: list[str], status: int
) -> None:
    got, answer, stays = post(emulator, body, *headers, announced=False)
    assert (got, answer["error"]["code"], stays) == (status, status, False)
    assert emulator.service.names() == []


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        pytest.param(BODY, "br", 415, id="another encoding"),
        pytest.param(gzip.compress(ZIPPED), "gzip, gzip", 415, id="two encodings"),
        pytest.param(BODY, "gzip", 400, id="not gzipped"),
        pytest.param(ZIPPED + b"more", "gzip", 400, id="something behind it"),
        pytest.param(ZIPPED[:-9], "gzip", 400, id="too short"),
        pytest.param(gzip.compress(bytes(LARGEST + 1), 1), "gzip", 413, id="much larger than it looks"),
    ],
)
def test_an_encoding_that_cannot_be_undone_is_refused_and_ends_the_connection(
    emulator: Emulator, body: bytes, coding: str, status: int
) -> None:
    got, answer, stays = post(emulator, body, f"Content-Encoding: {coding}")
    assert (got, answer["error"]["code"], stays) == (status, status, False)
    assert emulator.service.names() == []


@pytest.mark.parametrize(
    "headers",
    [
        ["Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: same-site"],
        ["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"],
        ["Sec-Fetch-Site: "],
        ["Origin: null"],
        ["Host: evil.example"],
    ],
    ids=" and ".join,
)
def test_what_a_page_of_another_site_sends_is_refused(emulator: Emulator, headers: list[str]) -> None:
    assert post(emulator, BODY, *headers)[0] == 403
    assert emulator.service.names() == []


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        pytest.param("GET / HTTP/1.1", 404, "NOT_FOUND", id="no path"),
        pytest.param("GET /favicon.ico HTTP/1.1", 404, "NOT_FOUND", id="another path"),
        pytest.param(f"GET /v1beta1/{PARENT}/hyperparameterTuningJobs HTTP/1.1", 404, "NOT_FOUND", id="another version"),
        pytest.param(f"GET {JOBS}/1:resume HTTP/1.1", 404, "NOT_FOUND", id="another verb"),
        pytest.param(f"OPTIONS {JOBS} HTTP/1.1", 405, "UNIMPLEMENTED", id="options"),
        pytest.param(f"PUT {JOBS} HTTP/1.1", 405, "UNIMPLEMENTED", id="put"),
        pytest.param(f"PATCH {JOBS}/1 HTTP/1.1", 405, "UNIMPLEMENTED", id="patch"),
        pytest.param(f"GET {JOBS}/1:cancel HTTP/1.1", 405, "UNIMPLEMENTED", id="the method of another call"),
        pytest.param(f"BREW {JOBS} HTTP/1.1", 501, "UNIMPLEMENTED", id="no method"),
        pytest.param(f"GET /v1/{PARENT}/nasJobs HTTP/1.1", 501, "UNIMPLEMENTED", id="other jobs"),
        pytest.param("GET http://[x/ HTTP/1.1", 400, "INVALID_ARGUMENT", id="no address"),
        pytest.param("GET / HTTP/9.9", 505, "INVALID_ARGUMENT", id="another protocol"),
        pytest.param("GET / / /", 400, "INVALID_ARGUMENT", id="no request"),
    ],
)
def test_what_is_not_there_is_answered_in_the_apis_form(emulator: Emulator, line: str, status: int, code: str) -> None:
    got, answer, _ = send(emulator, f"{line}\r\nHost: localhost\r\n\r\n".encode())
    error = answer["error"]
    assert (got, error["code"], error["status"]) == (status, status, code)
    assert error["message"]


def test_a_head_has_no_body(emulator: Emulator) -> None:
    assert send(emulator, f"HEAD {JOBS} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())[:2] == (405, None)


def test_the_fields_that_are_wrong_come_in_a_bad_request_over_both(emulator: Emulator, client: Any) -> None:
    job = make_job(command=QUICK, most=0) | {"displayName": ""}
    expected = {"display_name": "A display name is required.", "max_trial_count": "Must be at least 1, got 0."}
    status, answer, stays = post(emulator, json.dumps(job).encode())
    (detail,) = answer["error"]["details"]
    assert (status, stays, detail["@type"]) == (400, True, "type.googleapis.com/google.rpc.BadRequest")
    assert {one["field"]: one["description"] for one in detail["fieldViolations"]} == expected
    with pytest.raises(exceptions.InvalidArgument) as caught:
        client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=to_request(job))
    (bad_request,) = caught.value.details
    assert {one.field: one.description for one in bad_request.field_violations} == expected
    with pytest.raises(exceptions.InvalidArgument) as caught:
        client.list_hyperparameter_tuning_jobs(parent="projects/p")
    assert [one.field for one in caught.value.details[0].field_violations] == ["parent"]


def test_hundreds_of_mistakes_do_not_hide_that_it_is_the_job_which_is_wrong(client: Any) -> None:
    job = make_job(command=QUICK) | {"labels": {f"Ä{number}": "Ü" for number in range(500)}}
    with pytest.raises(exceptions.InvalidArgument, match="List of found errors") as caught:
        client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=to_request(job))
    assert caught.value.details[0].field_violations[0].field == "labels"


@pytest.mark.parametrize("method", ["get", "cancel", "delete"])
def test_a_job_that_is_not_there_is_named_as_it_was_asked_for(client: Any, method: str) -> None:
    name = f"{PARENT}/hyperparameterTuningJobs/5"
    with pytest.raises(exceptions.NotFound, match=f"HyperparameterTuningJob {name} is not found"):
        getattr(client, f"{method}_hyperparameter_tuning_job")(name=name)


def test_ids_are_positive_numbers_of_64_bits(client: Any, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for draw in (lambda below: below - 1, lambda _: 0):
        monkeypatch.setattr("secrets.randbelow", draw)
        job = to_request(make_job(command=QUICK))
        name = client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=job).name
        assert 0 < int(name.rpartition("/")[2]) < 2**63
    assert len(emulator.service.names()) == 2


def test_an_image_is_wanted_as_by_the_api(client: Any) -> None:
    job = make_job(command=QUICK)
    del job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["imageUri"]
    with pytest.raises(exceptions.InvalidArgument, match=r"container_spec\.image_uri"):
        client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=to_request(job))
