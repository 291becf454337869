"""Opening the client: when, with which credentials, and what is said when there are none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vertex_sweeper.endpoint import api_host
from vertex_sweeper.errors import MissingExtra, ServiceError
from vertex_sweeper.services.vertex import VertexService
from vertex_sweeper.services.vertex.connection import Connection
from vertex_sweeper.services.vertex.message import parse

if TYPE_CHECKING:
    from tests.services.vertex.fake_api import FakeApi

PARENT = "projects/my-project/locations/europe-west4"
NAME = f"{PARENT}/hyperparameterTuningJobs/1"
SRC = Path(__file__).parents[3] / "src"
LOGIN = {"refresh_token": "secret-refresh", "client_id": "i", "client_secret": "secret-s"}


class TokenServer(HTTPServer):
    """Google's token endpoint, on loopback; answers with `status` and `answer`."""

    status = 200
    answer: dict[str, Any] = {"access_token": "secret-token", "expires_in": 3600}  # noqa: RUF012 - replaced, never changed
    asked = 0


class TokenHandler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_POST(self) -> None:
        self.server.asked += 1
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with TokenServer(("127.0.0.1", 0), TokenHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def login(tokens: TokenServer) -> Any:
    """A user's login that has to fetch a token first."""
    credentials = pytest.importorskip("google.oauth2.credentials", reason="google-cloud-aiplatform is not installed")
    url = f"http://127.0.0.1:{tokens.server_port}/token"
    return credentials.Credentials(None, token_uri=url, **LOGIN)


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    environment = {**kept, "PYTHONPATH": str(SRC), "NO_GCE_CHECK": "true", **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)


def test_making_a_service_imports_nothing_of_google() -> None:
    code = """if True:
        import sys
        from vertex_sweeper.services.vertex import VertexService
        VertexService("europe-west4")
        # Namespace packages may be there from the start of the interpreter; they have no file.
        print([name for name in sys.modules if name.split(".")[0] in ("google", "grpc", "proto")
               and getattr(sys.modules[name], "__file__", None)])
    """
    assert run(code).stdout == "[]\n"


@pytest.mark.parametrize(
    "use", [lambda: VertexService("europe-west4").get(NAME), lambda: parse({"displayName": "x"})], ids=["call", "check"]
)
def test_without_googles_client_the_message_is_the_install_command(monkeypatch: pytest.MonkeyPatch, use: Any) -> None:
    for module in ("google.auth.exceptions", "google.cloud.aiplatform_v1.types"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"backend vertex needs an extra: pip install 'hydra-vertex-sweeper\[vertex\]'"):
        use()


@pytest.mark.parametrize("file", [None, "key.json"], ids=["nothing at all", "a file that is not there"])
def test_without_credentials_the_login_command_is_named_and_nothing_was_done(tmp_path: Path, file: str | None) -> None:
    pytest.importorskip("google.auth", reason="google-cloud-aiplatform is not installed")
    code = f"""if True:
        import sys
        from vertex_sweeper.errors import ServiceError
        from vertex_sweeper.services.vertex import VertexService
        try:
            VertexService("europe-west4").get({NAME!r})
        except ServiceError as error:
            print(error.acted, error.transient, error, sep="|")
    """
    given = {} if file is None else {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / file)}
    acted, transient, line = run(code, HOME=str(tmp_path), **given).stdout.split("|")
    assert (acted, transient) == ("False", "False")
    assert "`gcloud auth application-default login`" in line
    assert (str(tmp_path) in line) is (file is not None)


def test_a_client_is_opened_once_and_its_login_renewed_when_it_has_expired(tokens: TokenServer) -> None:
    credentials = login(tokens)
    opened = []

    def open_() -> tuple[object, Any]:
        opened.append(object())
        return opened[-1], credentials

    connection = Connection(open_)
    assert connection.client() is connection.client() is opened[0]
    assert (len(opened), tokens.asked, credentials.token) == (1, 1, "secret-token")
    credentials.token = None
    connection.client()
    assert tokens.asked == 2


def test_a_renewed_connection_looks_for_credentials_anew(tokens: TokenServer) -> None:
    """Whoever watches a job for days logs in again meanwhile, in another shell."""
    tokens.status = 400
    expired, valid = login(tokens), login(tokens)
    valid.token = "new"  # noqa: S105 - of nobody
    found = [expired, valid]
    connection = Connection(lambda: (object(), found.pop(0)))
    with pytest.raises(ServiceError, match="expired or were revoked"):
        connection.client()
    connection.renew()
    connection.client()
    assert found == []


@pytest.mark.parametrize(
    ("impersonate", "remedy"),
    [(None, "expired or were revoked; log in again"), ("sa@p.iam", "cannot act as sa@p.iam: .*serviceAccountTokenCreator")],
    ids=["own login", "acting as a service account"],
)
def test_a_login_that_cannot_be_renewed_is_refused_before_the_call(
    tokens: TokenServer, impersonate: str | None, remedy: str
) -> None:
    tokens.status, tokens.answer = 400, {"error": "invalid_grant", "error_description": "secret-text"}
    credentials = login(tokens)
    with pytest.raises(ServiceError, match=remedy) as caught:
        Connection(lambda: (object(), credentials), impersonate=impersonate).client()
    assert (caught.value.acted, caught.value.transient) == (False, False)
    assert "secret" not in str(caught.value)
    assert "`gcloud auth application-default login`" in str(caught.value)


def test_an_unreachable_login_server_may_be_tried_again(tokens: TokenServer) -> None:
    credentials = login(tokens)
    tokens.server_close()  # nothing listens there any more
    with pytest.raises(ServiceError, match="login server cannot be reached") as caught:
        Connection(lambda: (object(), credentials)).client()
    assert (caught.value.acted, caught.value.transient) == (False, True)


def test_a_plain_endpoint_is_spoken_to_without_credentials(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")
    service = VertexService("europe-west4", endpoint=f"http://{api.address}/")
    assert service.get(service.create(PARENT, {"displayName": "tune"})["name"])["displayName"] == "tune"


def test_where_no_emulator_listens_certainly_nothing_was_created(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    monkeypatch.setattr("vertex_sweeper.services.vertex.connection._EMULATOR_PATIENCE", 0.05)
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServiceError, match=rf"nothing answers at {address}.*vertex-sweeper emulator") as caught:
            VertexService("l", endpoint=f"http://{address}").create(PARENT, {"displayName": "tune"})
    assert (caught.value.acted, caught.value.transient) == (False, False)


def test_the_endpoint_is_the_regions_own() -> None:
    assert api_host("europe-west4") == "europe-west4-aiplatform.googleapis.com"


IMPORTING = """
import gc
before = gc.isenabled(), gc.get_freeze_count()
from vertex_sweeper.services.vertex.extra import vertex_extra
with vertex_extra():
    import google.cloud.aiplatform_v1
    assert not gc.isenabled()
assert (gc.isenabled(), gc.get_freeze_count()) == before, (gc.isenabled(), gc.get_freeze_count(), before)
"""


def test_after_the_clients_import_garbage_is_collected_as_before() -> None:
    subprocess.run([sys.executable, "-c", IMPORTING], check=True, capture_output=True, timeout=60)
