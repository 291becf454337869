"""A small storage server on loopback: uploads as Google's client makes them, with the precondition kept, or as refused."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, urlsplit


@dataclass
class Storage:
    """What was uploaded, and how the server answers.

    `objects` are contents by `bucket/name`; `refuses` is an HTTP status for every upload, 0 for none; `requests` are the
    methods and paths of all requests, `authorizations` their headers of that name.
    """

    address: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    refuses: int = 0
    requests: list[str] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    sessions: dict[str, tuple[str, bytearray]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


@contextmanager
def serve_storage() -> Iterator[Storage]:  # noqa: C901 - one small server
    """A server for the time of a test."""
    storage = Storage()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self._body()
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            bucket = url.path.split("/")[-2]
            condition = "0" in query.get("ifGenerationMatch", [])
            if storage.refuses:
                self._answer(storage.refuses, {"error": {"message": "refused", "code": storage.refuses}})
            elif query["uploadType"] == ["multipart"]:
                boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
                assert boundary is not None
                _, about, content, _ = body.split(b"--" + boundary[1].encode())
                name = json.loads(about.split(b"\r\n\r\n", 1)[1])["name"]
                self._store(f"{bucket}/{name}", content.split(b"\r\n\r\n", 1)[1][:-2], condition=condition)
            else:
                name = f"{bucket}/{json.loads(body)['name']}"
                if condition and name in storage.objects:
                    self._answer(412, {"error": {"message": "conditionNotMet", "code": 412}})
                    return
                session = str(len(storage.sessions))
                storage.sessions[session] = name, bytearray()
                self._answer(200, {}, Location=f"{storage.address}/session/{session}")

        def do_PUT(self) -> None:
            name, content = storage.sessions[self.path.rsplit("/", 1)[1]]
            content += self._body()
            if len(content) < int(self.headers["Content-Range"].rsplit("/", 1)[1]):
                self._answer(308, {}, Range=f"bytes=0-{len(content) - 1}")
            else:
                self._store(name, bytes(content), condition=True)

        def _store(self, name: str, content: bytes, *, condition: bool) -> None:
            with storage.lock:
                there = name in storage.objects
                if not (condition and there):
                    storage.objects[name] = content
            if condition and there:
                self._answer(412, {"error": {"message": "conditionNotMet", "code": 412}})
            else:
                import google_crc32c

                digest = base64.b64encode(google_crc32c.Checksum(content).digest()).decode()
                self._answer(200, {"name": name, "size": str(len(content)), "crc32c": digest})

        def _body(self) -> bytes:
            storage.requests.append(f"{self.command} {self.path}")
            storage.authorizations.append(self.headers["Authorization"])
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, status: int, document: object, **headers: str) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        storage.address = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield storage
        finally:
            server.shutdown()
            thread.join()
