"""Faults between a real client and the emulator: some in the server, by an interceptor, some in the wire, by a proxy."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc
from google.cloud.aiplatform_v1.types import ListHyperparameterTuningJobsResponse

from vertex_sweeper.services.vertex.errors import Verb

if TYPE_CHECKING:
    from typing_extensions import Self

F = TypeVar("F")

PATIENCE = 60.0  # for what ought to take milliseconds; only a failing test waits that long

METHODS = {
    "CreateHyperparameterTuningJob": Verb.CREATE,
    "GetHyperparameterTuningJob": Verb.GET,
    "ListHyperparameterTuningJobs": Verb.LIST,
    "CancelHyperparameterTuningJob": Verb.CANCEL,
    "CreateCustomJob": Verb.CREATE,
    "GetCustomJob": Verb.GET,
    "ListCustomJobs": Verb.LIST,
    "CancelCustomJob": Verb.CANCEL,
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a call: its answer is a status code, or one of the three below.

    `acted`: the service did what it was asked for, and only the answer is lost.
    """

    kind: str
    acted: bool

    def __str__(self) -> str:
        return f"{self.kind} after it acted" if self.acted else self.kind


DROPPED = Fault("connection dropped", acted=True)
LATE = Fault("answer too late", acted=True)
HIDDEN = Fault("new job not listed", acted=True)


class Wire:
    """A proxy that can cut all connections through it, as a network does. A context manager."""

    def __init__(self) -> None:
        self._upstream = ""
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"

    def connect(self, upstream: str) -> None:
        """Begins to take connections, for the server at this address."""
        self._upstream = upstream
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Ends all connections, in both directions, at once."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._server.accept()
            except OSError:  # closed
                return
            host, _, port = self._upstream.rpartition(":")
            far = socket.create_connection((host, int(port)))
            with self._lock:
                self._open |= {accepted, far}
            for source, target in ((accepted, far), (far, accepted)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()


class PlannedFaults(Generic[F]):
    """Which calls are to fail and how; counts them all. `received` are the calls that clients have made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: dict[Verb, tuple[F, float]] = {}
        self.received: list[Verb] = []

    @contextlib.contextmanager
    def planned(self, verb: Verb, fault: F, *, times: float = math.inf) -> Iterator[None]:
        """Inside the block the next calls of the verb end like this, so many times."""
        self._planned[verb] = (fault, times)
        try:
            yield
        finally:
            self._planned.pop(verb, None)

    def take(self, verb: Verb) -> F | None:
        """A call has come: how it is to fail; None for one that goes well."""
        with self._lock:
            self.received.append(verb)
            fault, times = self._planned.get(verb, (None, 0))
            if fault is None or times <= 0:
                return None
            self._planned[verb] = (fault, times - 1)
            return fault


class Faults(PlannedFaults[Fault], grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Does to calls what it was told."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = continuation(handler_call_details)
        verb = METHODS.get(handler_call_details.method.rpartition("/")[2])
        if handler is None or verb is None:
            return handler

        def behave(request: Any, context: grpc.ServicerContext) -> Any:
            return self._behave(verb, lambda: handler.unary_unary(request, context), context)

        return grpc.unary_unary_rpc_method_handler(behave, handler.request_deserializer, handler.response_serializer)

    def _behave(self, verb: Verb, act: Any, context: grpc.ServicerContext) -> Any:
        fault = self.take(verb)
        answer = act() if fault is None or fault.acted else None
        if fault is DROPPED:
            self._wire.cut()
        elif fault is LATE:
            given_up = threading.Event()
            if context.add_callback(given_up.set):  # False: the client is gone already
                assert given_up.wait(PATIENCE)
        elif fault is HIDDEN:
            return ListHyperparameterTuningJobsResponse.pb()()
        elif fault is not None:
            context.abort(grpc.StatusCode[fault.kind], "as the test wants it")
        return answer
