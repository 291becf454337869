"""Google's other APIs on loopback over real HTTP, for Google's real clients.

It answers what it is told, and keeps what it was asked. It also is the login server of a service account that it makes, a
storage API, and a registry of images.
"""

from __future__ import annotations

import json
import re
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from typing_extensions import Self

APIS = ("cloudresourcemanager", "serviceusage", "iam", "compute", "aiplatform")
PROJECT, REGION, BUCKET = "my-project", "europe-west4", "my-bucket"
ACCOUNT = "sweeper@my-project.iam.gserviceaccount.com"
DIGEST = f"sha256:{'a' * 64}"

Answer = tuple[int, Any]


def error(status: int, message: str, *, reason: str = "", **facts: str) -> Answer:
    """An answer as Google's APIs give it when they refuse."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": facts}
    details = {"details": [info]} if reason else {}
    return status, {"error": {"code": status, "message": message, "status": "PERMISSION_DENIED", **details}}


def quota(limit: int, *, region: int | None = None) -> Answer:
    """A quota's limit, and another one in the region."""
    buckets: list[dict[str, Any]] = [{"effectiveLimit": str(limit)}]
    if region is not None:
        buckets.append({"effectiveLimit": str(region), "dimensions": {"region": REGION}})
    return 200, {"consumerQuotaLimits": [{"quotaBuckets": buckets}]}


@cache
def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


class FakeGoogle:
    """Runs between `with` and its end. `answers` are looked up by regular expression, the last one that fits."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.authorized: list[str] = []
        self.granted: set[str] | None = None
        """What is granted of all that is asked for; None for everything."""
        project = rf"/v3/projects/{PROJECT}"
        gpus = {"zones/europe-west4-a": {"acceleratorTypes": [{"name": "x"}]}, "zones/us-west1-b": {"warning": {}}}
        self.answers: dict[str, Answer] = {
            "/token": (200, {"access_token": "secret-token", "expires_in": 3600, "token_type": "Bearer"}),
            project: (200, {"state": "ACTIVE"}),
            ".*:testIamPermissions": (200, None),
            "/storage/v1/b/.*/iam/testPermissions": (200, None),
            f"/storage/v1/b/{BUCKET}": (200, {"name": BUCKET, "location": "EUROPE-WEST4", "locationType": "region"}),
            ".*/hyperparameterTuningJobs": (200, {}),
            ".*/acceleratorTypes": (200, {"items": gpus}),
            ".*/consumerQuotaMetrics/.*": quota(100),
            "/v2/.*/manifests/.*": (200, {}),
        }
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.host = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def image(self) -> str:
        """An image in its registry."""
        return f"{self.host}/train/app:1"

    def environment(self, folder: Path) -> dict[str, str]:
        """The variables by which Google's clients find it, and are whom it knows."""
        address = f"http://{self.host}"
        overrides = {f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}": f"{address}/" for api in APIS}
        key = folder / "key.json"
        key.write_text(json.dumps(self._key()), encoding="utf-8")
        return {**overrides, "STORAGE_EMULATOR_HOST": address, "GOOGLE_APPLICATION_CREDENTIALS": str(key)}

    def _key(self) -> dict[str, str]:
        names = {"type": "service_account", "project_id": PROJECT, "client_email": ACCOUNT, "private_key_id": "1"}
        return {**names, "private_key": _private_key(), "token_uri": f"http://{self.host}/token"}

    def _answer(self, method: str, path: str, body: bytes) -> Answer:
        address = urlsplit(path)
        self.asked.append((method, path))
        fitting = [answer for pattern, answer in self.answers.items() if re.fullmatch(pattern, address.path)]
        status, document = fitting[-1] if fitting else error(404, "not found")
        if document is None:  # a question about permissions
            wanted = parse_qs(address.query).get("permissions") or json.loads(body)["permissions"]
            document = {"permissions": [name for name in wanted if self.granted is None or name in self.granted]}
        return status, document

    def _handler(fake) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.authorized.append(self.headers.get("Authorization", ""))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, document = fake._answer(self.command, self.path, body)
                text = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                if self.path.startswith("/v2/"):
                    self.send_header("Docker-Content-Digest", DIGEST)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(text)

            do_POST = do_HEAD = do_GET  # noqa: N815 - the names are http.server's

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
