"""The REST door: the same calls as JSON over HTTP, for the client's REST transport and for reading jobs by hand.

A web page in a browser of this machine can send requests to loopback, too, and a job is a command to run. So a request that
comes from a page is refused: it has an Origin; and without one, its body cannot be JSON, and its Host is not ours.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from google.cloud.aiplatform_v1 import types
from google.longrunning import operations_pb2
from google.protobuf import json_format

from vertex_sweeper.emulator.api import JobApi
from vertex_sweeper.emulator.certificate import Identity
from vertex_sweeper.emulator.loopback import is_loopback
from vertex_sweeper.emulator.refusal import HTTP_STATUSES, Refusal, refusals

_PARENT: Final = r"projects/[^/]+/locations/[^/]+"
_JOB: Final = rf"{_PARENT}/hyperparameterTuningJobs/[^/:]+"
_JSON: Final = "application/json"
_POLL: Final = 0.1
"""After how many seconds the server's loop looks whether it shall end."""


class RestDoor:
    """Serves an API on a free port of `host`, from `open` until `close`; `address` is where it is."""

    def __init__(self, api: JobApi, *, host: str, identity: Identity | None) -> None:
        self._server = _Server(api, host=host)
        if identity is not None:
            # The handshake is the business of the connection's own thread: a client that never ends it holds up nobody.
            context = _tls(identity)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.address = self._server.address
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL,), name="emulator-rest", daemon=True)

    def open(self) -> None:
        """Begins to answer."""
        self._thread.start()

    def close(self) -> None:
        """Ends all connections and stops listening."""
        if self._thread.ident is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def __init__(self, api: JobApi, *, host: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.api = api
        self._open: set[Any] = set()
        super().__init__((host, 0), _Handler)
        self.address = f"[{host}]:{self.server_port}" if ":" in host else f"{host}:{self.server_port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # a client may keep one open for its next request
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the midst of a call is nobody's mistake; ours are answered as INTERNAL."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def do_DELETE(self) -> None:
        self._respond()

    def log_message(self, *_: Any) -> None:
        """Says nothing: what a client asked for is its own business."""

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            with refusals():
                self._check_sender(body)
                status, answer = 200, json_format.MessageToDict(self._call(body))
        except Refusal as refusal:
            status = HTTP_STATUSES[refusal.code]
            answer = {"error": {"code": status, "message": refusal.message, "status": refusal.code}}
        text = json.dumps(answer, indent=2).encode()
        self.send_response(status)
        self.send_header("Content-Type", _JSON)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _check_sender(self, body: bytes) -> None:
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        if "Origin" in self.headers or not is_loopback(host):
            raise Refusal("PERMISSION_DENIED", "The emulator answers programs of this machine, and no web pages.")
        if body and self.headers.get_content_type() != _JSON:
            raise Refusal("INVALID_ARGUMENT", f"A body must be {_JSON}, got {self.headers.get_content_type()}.")

    def _call(self, body: bytes) -> Any:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        path = unquote(url.path).removeprefix("/v1/")
        for method, pattern, call in _ROUTES:
            match = re.fullmatch(pattern, path)
            if method == self.command and match:
                return call(self.server.api, match.group(1), query, body)
        raise Refusal(
            "UNIMPLEMENTED", f"The emulator serves hyperparameter tuning jobs only, and not {self.command} {url.path}."
        )


def _create(api: JobApi, parent: str, _: Mapping[str, str], body: bytes) -> Any:
    request = types.CreateHyperparameterTuningJobRequest.pb()(parent=parent)
    try:
        json_format.Parse(body, request.hyperparameter_tuning_job)
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise Refusal("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from error
    return api.create(request)


def _list(api: JobApi, parent: str, query: Mapping[str, str], _: bytes) -> Any:
    fields = {name: query[name] for name in ("filter", "pageSize", "pageToken", "readMask") if name in query}
    request = types.ListHyperparameterTuningJobsRequest.pb()(parent=parent)
    try:
        return api.list_page(json_format.ParseDict(fields, request))
    except json_format.ParseError as error:
        raise Refusal("INVALID_ARGUMENT", f"Invalid query: {error}") from error


def _get(api: JobApi, name: str, *_: Any) -> Any:
    return api.get(types.GetHyperparameterTuningJobRequest.pb()(name=name))


def _cancel(api: JobApi, name: str, *_: Any) -> Any:
    return api.cancel(types.CancelHyperparameterTuningJobRequest.pb()(name=name))


def _delete(api: JobApi, name: str, *_: Any) -> Any:
    return api.delete(types.DeleteHyperparameterTuningJobRequest.pb()(name=name))


def _get_operation(api: JobApi, name: str, *_: Any) -> Any:
    return api.get_operation(operations_pb2.GetOperationRequest(name=name))


_ROUTES: Final[tuple[tuple[str, str, Callable[[JobApi, str, Mapping[str, str], bytes], Any]], ...]] = (
    ("POST", rf"({_PARENT})/hyperparameterTuningJobs", _create),
    ("GET", rf"({_PARENT})/hyperparameterTuningJobs", _list),
    ("GET", rf"({_JOB})", _get),
    ("POST", rf"({_JOB}):cancel", _cancel),
    ("DELETE", rf"({_JOB})", _delete),
    ("GET", rf"({_JOB}/operations/[^/]+)", _get_operation),
)


def _tls(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Python reads a key from a file only: one that nobody else may open, and that is gone at once.
    with tempfile.NamedTemporaryFile() as file:
        file.write(identity.key + identity.certificate)
        file.flush()
        context.load_cert_chain(file.name)
    return context
