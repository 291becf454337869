"""Faults at the level of HTTP/2 frames: a call that may make a job is sent once, whatever a connection says of it.

A proxy between Google's client and its API answers in the service's place. `test_fault_table.py` has whole sweeps through it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

for module in ("google.cloud.aiplatform_v1", "cryptography"):
    pytest.importorskip(module, reason=f"{module} is not installed")

from tests.faults.frames import BREAKS, HARMLESS, HELD, HTTP, FrameFault, FrameProxy  # noqa: E402
from tests.services.vertex.fake_api import FakeApi  # noqa: E402
from vertex_sweeper.emulator.certificate import make_identity  # noqa: E402
from vertex_sweeper.errors import ServiceError  # noqa: E402
from vertex_sweeper.services.vertex import VertexService  # noqa: E402
from vertex_sweeper.services.vertex.errors import Verb  # noqa: E402
from vertex_sweeper.services.vertex.service import TIMEOUTS  # noqa: E402

PARENT = "projects/p/locations/l"
LABELS = {"sweep": "a1b2"}
SPEC = {"displayName": "tune", "labels": LABELS}
FINAL = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "UNIMPLEMENTED"}
"""Answers in HTTP after which a read is not made again."""

ALL = (*BREAKS, *HELD, *HTTP.values())
READS = [verb for verb in Verb if verb is not Verb.CREATE]


@pytest.fixture(scope="module")
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture(scope="module")
def proxy(api: FakeApi) -> Iterator[FrameProxy]:
    with FrameProxy(api.address) as proxy:
        yield proxy


@dataclass
class Times:
    """What the service waits for: how long for an answer, and how long between two attempts, which it does not do here."""

    timeouts: dict[Verb, float]
    pauses: list[float]


@pytest.fixture
def times() -> Times:
    return Times(dict(TIMEOUTS), [])


@pytest.fixture
def service(api: FakeApi, proxy: FrameProxy, times: Times) -> VertexService:
    api.jobs.clear()
    proxy.received.clear()

    def pause(seconds: float) -> None:
        times.pauses.append(seconds)
        vertex.renew()  # in that time the connection would come back

    vertex = VertexService("l", endpoint=f"http://{proxy.address}", pause=pause, timeouts=times.timeouts)
    return vertex


def do(service: VertexService, verb: Verb, name: str) -> object:
    calls: dict[Verb, Callable[[], object]] = {
        Verb.GET: lambda: service.get(name),
        Verb.LIST: lambda: service.find(PARENT, LABELS, custom=False),
        Verb.CANCEL: lambda: service.cancel(name),
    }
    return calls[verb]()


@pytest.mark.parametrize("fault", ALL, ids=str)
def test_a_create_is_sent_once_and_its_job_is_found(
    fault: FrameFault, api: FakeApi, proxy: FrameProxy, service: VertexService, times: Times
) -> None:
    if fault in HELD:
        times.timeouts[Verb.CREATE] = 1.0
    with proxy.planned(Verb.CREATE, fault), pytest.raises(ServiceError) as caught:
        service.create(PARENT, SPEC)
    assert caught.value.acted is None
    assert "\n" not in str(caught.value)
    assert (proxy.received, len(api.jobs)) == ([Verb.CREATE], int(fault.acted))
    assert [job["name"] for job in service.find(PARENT, LABELS, custom=False)] == list(api.jobs)


@pytest.mark.parametrize("verb", Verb, ids=lambda verb: verb.name.lower())
@pytest.mark.parametrize("fault", HARMLESS, ids=str)
def test_what_is_no_fault_is_not_noticed(
    verb: Verb, fault: FrameFault, proxy: FrameProxy, service: VertexService, api: FakeApi
) -> None:
    with proxy.planned(verb, fault):
        name = service.create(PARENT, SPEC)["name"]
        if verb is not Verb.CREATE:
            do(service, verb, name)
    assert proxy.received.count(verb) == 1
    assert list(api.jobs) == [name]


@pytest.mark.parametrize("verb", READS, ids=lambda verb: verb.name.lower())
@pytest.mark.parametrize("fault", [fault for fault in ALL if fault not in [HTTP[status] for status in FINAL]], ids=str)
def test_what_changes_nothing_is_made_again_by_us(
    verb: Verb,
    fault: FrameFault,
    proxy: FrameProxy,
    service: VertexService,
    times: Times,
) -> None:
    name = service.create(PARENT, SPEC)["name"]
    if fault in HELD:
        times.timeouts[verb] = 0.1
    with proxy.planned(verb, fault, times=1):
        do(service, verb, name)
    # The next call may be made on a connection that is about to be found closed, and then does not arrive.
    assert 1 < proxy.received.count(verb) + (fault in HELD) <= len(times.pauses) + 1 + (fault in HELD)


@pytest.mark.parametrize("verb", READS, ids=lambda verb: verb.name.lower())
@pytest.mark.parametrize("status", FINAL)
def test_what_something_on_the_way_refuses_is_told(verb: Verb, status: int, proxy: FrameProxy, service: VertexService) -> None:
    name = service.create(PARENT, SPEC)["name"]
    with proxy.planned(verb, HTTP[status]), pytest.raises(ServiceError) as caught:
        do(service, verb, name)
    assert (caught.value.code, caught.value.transient) == (FINAL[status], False)
    assert caught.value.acted is (None if verb is Verb.CANCEL else False)
    assert "check location, endpoint and network" in str(caught.value)


# The roots of trust are read once in a process.
REAL_CLIENT = """
import json, sys
from google.oauth2.credentials import Credentials
from tests.faults.frames import BREAKS, FrameProxy
from tests.services.vertex.fake_api import FakeApi
from vertex_sweeper.errors import ServiceError
from vertex_sweeper.services.vertex import VertexService
from vertex_sweeper.services.vertex.connection import open_client
from vertex_sweeper.services.vertex.errors import Verb

counts = {}
with FakeApi() as api, FrameProxy(api.address, identity=tuple(sys.argv[1:])) as proxy:
    credentials = Credentials("secret", quota_project_id="payer")
    for fault in BREAKS:
        client = open_client(f"localhost:{proxy.address.rpartition(':')[2]}", credentials)
        service = VertexService("l", client=client)
        api.jobs.clear()
        with proxy.planned(Verb.CREATE, fault):
            try:
                service.create("projects/p/locations/l", {"displayName": "tune"})
            except ServiceError as error:
                counts[fault.kind] = [len(api.jobs), int(fault.acted), error.acted]
    print(json.dumps([counts, [[h["authorization"], h["x-goog-user-project"]] for h in proxy.headers]]))
"""


def test_the_real_client_sends_a_create_once_over_tls_and_with_its_credentials(tmp_path: Path) -> None:
    identity = make_identity("127.0.0.1")
    files = {"ca.pem": identity.authority, "certificate.pem": identity.certificate, "key.pem": identity.key}
    for name, text in files.items():
        (tmp_path / name).write_bytes(text)
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)]),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(tmp_path / "ca.pem"),
        "NO_PROXY": "localhost",
    }
    words = [sys.executable, "-c", REAL_CLIENT, str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")]
    process = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    counts: dict[str, Any]
    counts, headers = json.loads(process.stdout)
    assert set(counts) == {fault.kind for fault in BREAKS}
    assert {kind: count for kind, count in counts.items() if count[0] != count[1] or count[2] is not None} == {}
    assert headers == [["Bearer secret", "payer"]] * len(BREAKS)
