"""The gRPC server: the job service and the long-running operations, by the names under which Google's clients call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from google.longrunning import operations_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from vertex_sweeper.emulator.api import JobApi
from vertex_sweeper.emulator.api_error import ApiError, api_errors
from vertex_sweeper.emulator.callers import Callers, parse_peer
from vertex_sweeper.emulator.certificate import Identity
from vertex_sweeper.emulator.operations import Operations
from vertex_sweeper.errors import ServiceError

JOBS: Final = "/google.cloud.aiplatform.v1.JobService/"
OPERATIONS: Final = "/google.longrunning.Operations/"

_DETAILS: Final = "grpc-status-details-bin"
_LONGEST_MESSAGE: Final = 2500
_LONGEST_DETAILS: Final = 2500
"""How many bytes of an error's text and details are sent: clients accept 8 KiB of both, encoded, or lose the error itself."""

_Call = tuple[Any, Callable[[Any], Any]]
"""A request's message, and what answers it."""

_THREADS: Final = 8
_OPTIONS: Final = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),  # a port in use is an error, and not shared with whoever uses it
)


class GrpcServer:
    """Serves the API's calls on a port, from `open` until `close`. Port 0 takes a free one; `address` is where it is.

    Raises:
        ServiceError: The port cannot be had.
    """

    def __init__(
        self,
        apis: Sequence[JobApi],
        *,
        operations: Operations,
        callers: Callers,
        host: str,
        port: int,
        identity: Identity | None,
        interceptors: Sequence[grpc.ServerInterceptor],
    ) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="emulator")
        self._server = grpc.server(self._threads, interceptors=tuple(interceptors), options=_OPTIONS)
        handlers = _Handlers(_calls(apis, operations), callers, host)
        self._server.add_generic_rpc_handlers((handlers,))
        wanted = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if identity is None:
                got = self._server.add_insecure_port(wanted)
            else:
                pair = (identity.key, identity.certificate)
                got = self._server.add_secure_port(wanted, grpc.ssl_server_credentials([pair]))
        except RuntimeError as error:
            self._threads.shutdown()
            raise ServiceError(f"the emulator cannot listen on {wanted}: choose another port, or 0 for a free one") from error
        handlers.port = got
        self.address = f"{wanted.rpartition(':')[0]}:{got}"

    def open(self) -> None:
        """Begins to answer."""
        self._server.start()

    def close(self) -> None:
        """Ends all calls and stops listening."""
        self._server.stop(None).wait()
        self._threads.shutdown()


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    def __init__(self, calls: Mapping[str, _Call], callers: Callers, host: str) -> None:
        self._callers = callers
        self._host = host
        self.port = 0
        self._methods = {name: self._method(request, answer) for name, (request, answer) in calls.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method
        return self._methods.get(method) or self._method(None, lambda _: _not_served(method))

    def _method(self, request: Any, answer: Callable[[Any], Any]) -> grpc.RpcMethodHandler:
        def behave(received: Any, context: grpc.ServicerContext) -> Any:
            try:
                with api_errors():
                    # At each call: a connection may be passed on, and its port used again. It takes 0.05 ms.
                    shown = dict(context.invocation_metadata()).get("authorization")
                    self._callers.check(parse_peer(context.peer()), (self._host, self.port), shown)
                    return answer(received)
            except ApiError as error:
                _abort(context, error)

        read = request.FromString if request is not None else None
        return grpc.unary_unary_rpc_method_handler(behave, request_deserializer=read, response_serializer=_encode)


def _calls(apis: Sequence[JobApi], operations: Operations) -> dict[str, _Call]:
    calls: dict[str, _Call] = {f"{OPERATIONS}GetOperation": (operations_pb2.GetOperationRequest, operations.get)}
    for api in apis:
        job = api.kind.name
        calls |= {
            f"{JOBS}Create{job}": (api.kind.request("Create"), api.create),
            f"{JOBS}Get{job}": (api.kind.request("Get"), api.get_encoded),
            f"{JOBS}List{job}s": (api.kind.request("List"), api.list_page),
            f"{JOBS}Cancel{job}": (api.kind.request("Cancel"), api.cancel),
            f"{JOBS}Delete{job}": (api.kind.request("Delete"), api.delete),
        }
    return calls


def _not_served(method: str) -> None:
    raise ApiError("UNIMPLEMENTED", f"The emulator serves tuning jobs and custom jobs only, and not {method}.")


def _abort(context: grpc.ServicerContext, error: ApiError) -> None:
    message = _shortened(error.message)
    details = error_details_pb2.BadRequest()
    for field, description in error.fields:
        violation = details.FieldViolation(field=field, description=description)
        if details.ByteSize() + violation.ByteSize() > _LONGEST_DETAILS:
            break
        details.field_violations.append(violation)
    if details.field_violations:
        status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=message)
        status.details.add().Pack(details)
        context.set_trailing_metadata(((_DETAILS, status.SerializeToString()),))
    context.abort(grpc.StatusCode[error.code], message)


def _shortened(message: str) -> str:
    """The message; only the beginning of one that is too long as it is sent, with three bytes for each that is no ASCII."""
    left = _LONGEST_MESSAGE
    for position, char in enumerate(message):
        left -= 1 if " " <= char <= "~" and char != "%" else 3 * len(char.encode("utf-8", "replace"))
        if left < 0:
            return f"{message[:position]}…"
    return message


def _encode(answer: Any) -> bytes:
    encoded: bytes = answer if isinstance(answer, bytes) else answer.SerializeToString()
    return encoded
