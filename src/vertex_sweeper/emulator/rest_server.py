"""The REST server: the same calls as JSON over HTTP, for the client's REST transport and for reading jobs by hand.

A web page in a browser of this machine can send requests to loopback, too, and a job is a command to run. So a request that
comes from a page is refused: it has an Origin, or a Sec-Fetch-Site of another site; and without them, its body cannot be JSON,
and its Host is not ours.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from google.longrunning import operations_pb2
from google.protobuf import json_format

from vertex_sweeper.api_names import ANY_JOB, ANY_PARENT, CUSTOM_JOBS, TUNING_JOBS, format_parent
from vertex_sweeper.emulator.api import JobApi
from vertex_sweeper.emulator.api_error import ApiError, api_errors, invalid
from vertex_sweeper.emulator.callers import Callers
from vertex_sweeper.emulator.certificate import Identity
from vertex_sweeper.emulator.loopback import is_loopback
from vertex_sweeper.emulator.operations import Operations
from vertex_sweeper.emulator.rest_body import read_body

_JSON: Final = "application/json"
_BAD_REQUEST: Final = "type.googleapis.com/google.rpc.BadRequest"
_MOST_LEFT: Final = 1 << 20
_PATIENCE: Final = 2.0
"""How much of what a client still sends is read, in bytes and seconds, before its connection ends: it would miss the answer."""

_Route = tuple[str, str, Callable[[str, Mapping[str, str], bytes], Any]]
"""A method, a pattern of paths, and what answers: it gets the first group of the pattern, the query and the body."""

_POLL: Final = 0.1
"""After how many seconds the server's loop looks whether it shall end."""


class RestServer:
    """Serves the API's calls on a free port of `host`, from `open` until `close`; `address` is where it is."""

    def __init__(
        self, apis: Sequence[JobApi], *, operations: Operations, callers: Callers, host: str, identity: Identity | None
    ) -> None:
        self._server = _Server(_routes(apis, operations), callers, host=host)
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

    def __init__(self, routes: Sequence[_Route], callers: Callers, *, host: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.routes = routes
        self.callers = callers
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
    _unread = False
    _allowed: set[str]

    def handle(self) -> None:
        """Asks whose connection it is before anything is read from it."""
        try:
            if self.server.callers.token is None:
                self._check_caller(None)
        except ApiError as error:
            self.command = self.requestline = self.request_version = ""
            self._send_error(error)
        else:
            super().handle()
        if self._unread:
            self._read_on()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What `http.server` itself refuses: a request that is none, or a method that nothing here has."""
        self.request_version = self.protocol_version  # of a line that was not understood it takes the oldest, without headers
        status = "UNIMPLEMENTED" if code == HTTPStatus.NOT_IMPLEMENTED else "INVALID_ARGUMENT"
        self._send_error(
            ApiError(status, explain or message or HTTPStatus(code).description or HTTPStatus(code).phrase, http=code)
        )

    def log_message(self, *_: Any) -> None:
        """Says nothing: what a client asked for is its own business."""

    def _respond(self) -> None:
        self._unread = True
        try:
            with api_errors():
                self._check_caller(self.headers.get("Authorization"))
                self._check_sender()
                body = read_body(self.headers, self.rfile)
                self._unread = False
                answer = json_format.MessageToDict(self._call(body))
        except ApiError as error:
            self._send_error(error, close=self._unread)
        else:
            self._send(200, answer)

    def _send_error(self, error: ApiError, *, close: bool = True) -> None:
        answer: dict[str, Any] = {"code": error.http, "message": error.message, "status": error.code}
        if error.fields:
            violations = [{"field": field, "description": description} for field, description in error.fields]
            answer["details"] = [{"@type": _BAD_REQUEST, "fieldViolations": violations}]
        self._unread = close
        self._send(error.http, {"error": answer})

    def _send(self, status: int, answer: Any) -> None:
        text = json.dumps(answer, indent=2).encode()
        self.send_response(status)
        self.send_header("Content-Type", _JSON)
        self.send_header("Content-Length", str(len(text)))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", ", ".join(sorted(self._allowed)))
        if self._unread:
            self.send_header("Connection", "close")  # which also has this object end it
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _read_on(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.settimeout(_PATIENCE)
            self.connection.shutdown(socket.SHUT_WR)
            left = _MOST_LEFT
            while left > 0 and (piece := self.connection.recv(1 << 16)):
                left -= len(piece)

    def _check_caller(self, shown: str | None) -> None:
        client, server = self.client_address, self.connection.getsockname()
        self.server.callers.check((str(client[0]), int(client[1])), (str(server[0]), int(server[1])), shown)

    def _check_sender(self) -> None:
        hosts = self.headers.get_all("Host", ())
        foreign = set(map(str.lower, self.headers.get_all("Sec-Fetch-Site", ()))) - {"none", "same-origin"}
        if "Origin" in self.headers or foreign or len(hosts) != 1 or not is_loopback(_host_of(hosts[0])):
            raise ApiError("PERMISSION_DENIED", "The emulator answers programs of this machine, and no web pages.")

    def _call(self, body: bytes) -> Any:
        if body and self.headers.get_content_type() != _JSON:
            raise ApiError("INVALID_ARGUMENT", f"A body must be {_JSON}, got {self.headers.get_content_type()}.")
        try:
            url = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        except ValueError as error:
            raise ApiError("INVALID_ARGUMENT", f"Not an address: {self.path!r}.") from error
        path = unquote(url.path)
        self._allowed = set()
        for method, pattern, call in self.server.routes:
            match = re.fullmatch(rf"/v1/{pattern}", path)
            if method == self.command and match:
                return call(match.group(1), query, body)
            self._allowed |= {method} if match else set()
        raise _not_served(self.command, path, allowed=self._allowed)


for _method in ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"):
    setattr(_Handler, f"do_{_method}", _Handler._respond)  # noqa: SLF001 - what http.server calls


def _host_of(text: str) -> str:
    try:
        return urlsplit(f"//{text}").hostname or ""
    except ValueError:
        return ""


def _not_served(method: str, path: str, *, allowed: set[str]) -> ApiError:
    if allowed:
        return ApiError("UNIMPLEMENTED", f"{path} takes {' and '.join(sorted(allowed))}, and not {method}.", http=405)
    place = re.fullmatch(rf"/v1/{ANY_PARENT}/([A-Za-z]+)(/.*)?", path)
    if place and place[1] not in (TUNING_JOBS, CUSTOM_JOBS):
        return ApiError("UNIMPLEMENTED", f"The emulator serves tuning jobs and custom jobs only, and not {method} {path}.")
    where = f"tuning jobs are at /v1/{format_parent('P', 'L')}/{TUNING_JOBS}, custom jobs at …/{CUSTOM_JOBS}"
    return ApiError("NOT_FOUND", f"There is no {method} {path}: {where}.")


def _routes(apis: Sequence[JobApi], operations: Operations) -> list[_Route]:
    routes: list[_Route] = [
        ("GET", rf"({ANY_JOB}/operations/[^/]+)", partial(_ask, operations.get, operations_pb2.GetOperationRequest))
    ]
    for api in apis:
        jobs, job = rf"({ANY_PARENT})/{api.kind.collection}", rf"{ANY_PARENT}/{api.kind.collection}/[^/\s:]+"
        routes += [
            ("POST", jobs, partial(_create, api)),
            ("GET", jobs, partial(_list, api)),
            ("GET", rf"({job})", partial(_ask, api.get, api.kind.request("Get"))),
            ("POST", rf"({job}):cancel", partial(_ask, api.cancel, api.kind.request("Cancel"))),
            ("DELETE", rf"({job})", partial(_ask, api.delete, api.kind.request("Delete"))),
        ]
    return routes


def _create(api: JobApi, parent: str, _: Mapping[str, str], body: bytes) -> Any:
    request = api.kind.request("Create")(parent=parent)
    try:
        json_format.Parse(body, getattr(request, api.kind.field))
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(api.kind.field, f"Invalid JSON payload received. {error}") from error
    return api.create(request)


def _list(api: JobApi, parent: str, query: Mapping[str, str], _: bytes) -> Any:
    fields = {name: query[name] for name in ("filter", "pageSize", "pageToken", "readMask") if name in query}
    request = api.kind.request("List")(parent=parent)
    try:
        return api.list_page(json_format.ParseDict(fields, request))
    except json_format.ParseError as error:
        raise ApiError("INVALID_ARGUMENT", f"Invalid query: {error}") from error


def _ask(answer: Callable[[Any], Any], request: Any, name: str, *_: Any) -> Any:
    """What is said of, or done to, one job or operation."""
    return answer(request(name=name))


def _tls(identity: Identity) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Python reads a key from a file only: one that nobody else may open, and that is gone at once.
    with tempfile.NamedTemporaryFile() as file:
        file.write(identity.key + identity.certificate)
        file.flush()
        context.load_cert_chain(file.name)
    return context
