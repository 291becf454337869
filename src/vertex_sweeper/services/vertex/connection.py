"""The generated client with its credentials: opened at the first call, its login renewed in time.

Of Google's three ways in, this is the lightest: the SDK on top of it takes twice as long to import. Importing the one service
that is needed gains nothing over importing all, because its package loads them anyway.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from vertex_sweeper.endpoint import PLAIN, Endpoint, api_host
from vertex_sweeper.errors import ServiceError
from vertex_sweeper.services.vertex.errors import describe_auth
from vertex_sweeper.services.vertex.extra import vertex_extra
from vertex_sweeper.services.vertex.login import find_credentials, renew
from vertex_sweeper.services.waiting import GLANCE

EMULATOR: Final = "VERTEX_EMULATOR_HOST"
"""The variable that names an emulator's address, `127.0.0.1:PORT`."""

TOKEN: Final = "VERTEX_EMULATOR_TOKEN"  # noqa: S105 - a name
"""The variable with what an emulator wants to be shown, where it asks for something."""

_EMULATOR_PATIENCE: Final = 5.0
"""Seconds in which something on this machine must take a connection."""

_CHANNEL_OPTIONS: Final = {
    "grpc.max_send_message_length": -1,
    "grpc.max_receive_message_length": -1,  # a job comes with all of its trials and their measurements
    # Below all that `retry=None` switches off, gRPC sends a call again whose connection says that it was not processed (GOAWAY
    # with a smaller last stream, REFUSED_STREAM). A create that was processed all the same would then make a second job.
    "grpc.enable_retries": 0,
    "grpc.service_config_disable_resolution": 1,  # nor does a name server say what is repeated
    # A connection that has died without a word is noticed while a call waits on it, and not used for the next one.
    "grpc.keepalive_time_ms": 20_000,
    "grpc.keepalive_timeout_ms": 10_000,
    # Connections of one process to one address otherwise share their failures: a new one would wait out the others' back-off.
    "grpc.use_local_subchannel_pool": 1,
}
"""What holds for every connection, with credentials and without."""

OpenClient = tuple[Any, Any]
"""A `JobServiceClient`, and the credentials whose expiry must be watched (None when there is nothing to watch)."""


class Connection:
    """Opens once, whatever thread asks first.

    A token that cannot be renewed inside gRPC surfaces as UNAVAILABLE with the reason in its text only. So it is renewed here,
    before the call: the error has its own class, and certainly nothing was created.
    """

    def __init__(self, open_: Callable[[], OpenClient], *, impersonate: str | None = None) -> None:
        self._open = open_
        self._impersonate = impersonate
        self._lock = threading.Lock()
        self._opened: OpenClient | None = None

    def client(self) -> Any:
        """The client, with a valid login. Raises ServiceError or MissingExtra."""
        with vertex_extra():
            from google.auth.exceptions import GoogleAuthError

        with self._lock:
            try:
                if self._opened is None:
                    self._opened = self._open()
                client, credentials = self._opened
                if credentials is not None and not credentials.valid:
                    renew(credentials)
            except GoogleAuthError as error:
                raise describe_auth(error, impersonate=self._impersonate) from error
        return client

    def renew(self) -> None:
        """Opens anew at the next call. Calls that wait on the old client go on."""
        with self._lock:
            self._opened = None


def connect(location: str, *, endpoint: str | None = None, impersonate: str | None = None) -> OpenClient:
    """Opens the real service with the application default credentials.

    An endpoint that begins with `http://` is an emulator: no credentials are looked for, none are sent.
    """
    host = Endpoint.parse(endpoint or api_host(location))
    if host.plain:
        return _connect_plain(host), None
    # The credentials first: without them there is no need to wait for the client's import.
    credentials = find_credentials(impersonate)
    with vertex_extra():
        from google.oauth2 import service_account

    client = open_client(host.target, credentials)
    # A service account's key signs its own tokens in a copy of the credentials that the client keeps: nothing to renew.
    return client, None if isinstance(credentials, service_account.Credentials) else credentials


def open_client(host: str, credentials: Any) -> Any:
    """A `JobServiceClient` of the real service: all that the environment says of certificates and quotas holds.

    Only the channel is made by us, of what the client would make it of.
    """
    with vertex_extra():
        from google.api_core.client_options import ClientOptions
        from google.cloud.aiplatform_v1 import JobServiceClient
        from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport

    def open_channel(*arguments: Any, options: Iterable[tuple[str, Any]] = (), **more: Any) -> Any:
        merged = {**dict(options), **_CHANNEL_OPTIONS}
        return JobServiceGrpcTransport.create_channel(*arguments, options=tuple(merged.items()), **more)

    transport = partial(JobServiceGrpcTransport, channel=open_channel)
    return JobServiceClient(credentials=credentials, client_options=ClientOptions(api_endpoint=host), transport=transport)


def _connect_plain(host: Endpoint) -> Any:
    with vertex_extra():
        import grpc
        from google.cloud.aiplatform_v1 import JobServiceClient
        from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport

    address = str(host).removeprefix(PLAIN)
    options = {**_CHANNEL_OPTIONS, "grpc.enable_http_proxy": 0}
    channel = grpc.insecure_channel(host.target, options=tuple(options.items()))
    # Asked before any call, so that a wrong address certainly created nothing: afterwards nobody could tell.
    if not _gets_ready(channel):
        channel.close()
        raise ServiceError(
            f"nothing answers at {address}: start it with `vertex-sweeper emulator` (its --data has the jobs of an earlier one"
            f", {EMULATOR} says where it is), or to use Vertex AI unset {EMULATOR} and hydra.sweeper.vertex.endpoint",
            acted=False,
        )
    token = os.environ.get(TOKEN)
    if token and host.loopback:  # nobody else is told
        channel = grpc.intercept_channel(channel, _with_token(token))
    return JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))


def _gets_ready(channel: Any) -> bool:
    import grpc

    ready, end = grpc.channel_ready_future(channel), time.monotonic() + _EMULATOR_PATIENCE
    while (left := end - time.monotonic()) > 0:
        try:
            ready.result(timeout=min(GLANCE, left))
        except grpc.FutureTimeoutError:
            continue
        return True
    return False


def _with_token(token: str) -> Any:
    """What shows an emulator's token with each call."""
    import grpc

    class WithToken(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no types
        def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            metadata = [*(client_call_details.metadata or ()), ("authorization", f"Bearer {token}")]
            return continuation(_Details(client_call_details, metadata), request)

    return WithToken()


class _Details:
    """A call's details with other metadata."""

    def __init__(self, details: Any, metadata: Any) -> None:
        for name in ("method", "timeout", "credentials", "wait_for_ready", "compression"):
            setattr(self, name, getattr(details, name, None))
        self.metadata = metadata
