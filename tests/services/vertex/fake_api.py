"""Vertex's job service as far as it is used here, on loopback over real gRPC.

The real generated client talks to it unchanged. It has no rules of its own: it keeps what it is given, answers with it, and
fails when and how it is told.
"""

from __future__ import annotations

from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.cloud.aiplatform_v1.types import (
    CancelCustomJobRequest,
    CancelHyperparameterTuningJobRequest,
    CreateCustomJobRequest,
    CreateHyperparameterTuningJobRequest,
    CustomJob,
    GetCustomJobRequest,
    GetHyperparameterTuningJobRequest,
    HyperparameterTuningJob,
    JobState,
    ListCustomJobsRequest,
    ListCustomJobsResponse,
    ListHyperparameterTuningJobsRequest,
    ListHyperparameterTuningJobsResponse,
)
from google.protobuf import any_pb2, empty_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from typing_extensions import Self

SERVICE = "google.cloud.aiplatform.v1.JobService"


@dataclass(frozen=True)
class Received:
    """One call as it arrived."""

    method: str
    request: Any
    remaining: float | None
    """Seconds the client is still willing to wait; None for ever."""


class FakeApi:
    """Runs between `with` and its end at `address`."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.jobs: dict[str, Any] = {}
        self.page_size = 100
        self._failures: defaultdict[str, deque[status_pb2.Status]] = defaultdict(deque)
        self._losses: defaultdict[str, deque[status_pb2.Status]] = defaultdict(deque)
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()

    def fail(self, method: str, *codes: grpc.StatusCode, message: str = "no", details: tuple[Any, ...] = ()) -> None:
        """Answers the next calls of the method with these codes, one after the other."""
        for code in codes:
            packed = []
            for detail in details:
                packed.append(any_pb2.Any())
                packed[-1].Pack(detail)
            self._failures[method].append(status_pb2.Status(code=code.value[0], message=message, details=packed))

    def lose(self, method: str, code: grpc.StatusCode) -> None:
        """Does what the next call of the method asks for, and answers with this code."""
        self._losses[method].append(status_pb2.Status(code=code.value[0], message="lost"))

    def count(self, method: str) -> int:
        return sum(call.method == method for call in self.received)

    def _handlers(self) -> grpc.GenericRpcHandler:
        nothing, encode_nothing = empty_pb2.Empty(), empty_pb2.Empty.SerializeToString
        table: dict[str, tuple[Any, Any, Any]] = {
            "CreateHyperparameterTuningJob": (
                CreateHyperparameterTuningJobRequest,
                HyperparameterTuningJob.serialize,
                self._create,
            ),
            "GetHyperparameterTuningJob": (GetHyperparameterTuningJobRequest, HyperparameterTuningJob.serialize, self._get),
            "ListHyperparameterTuningJobs": (
                ListHyperparameterTuningJobsRequest,
                ListHyperparameterTuningJobsResponse.serialize,
                self._list,
            ),
            "CancelHyperparameterTuningJob": (CancelHyperparameterTuningJobRequest, encode_nothing, lambda _: nothing),
            "CreateCustomJob": (CreateCustomJobRequest, CustomJob.serialize, self._create),
            "GetCustomJob": (GetCustomJobRequest, CustomJob.serialize, self._get),
            "ListCustomJobs": (ListCustomJobsRequest, ListCustomJobsResponse.serialize, self._list),
            "CancelCustomJob": (CancelCustomJobRequest, encode_nothing, lambda _: nothing),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                self._behaviour(name, answer), request_deserializer=request.deserialize, response_serializer=serialize
            )
            for name, (request, serialize, answer) in table.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _behaviour(self, method: str, answer: Any) -> Any:
        def behave(request: Any, context: grpc.ServicerContext) -> Any:
            self.received.append(Received(method, request, context.time_remaining()))
            if self._failures[method]:
                context.abort_with_status(rpc_status.to_status(self._failures[method].popleft()))
            answered = answer(request)
            if self._losses[method]:
                context.abort_with_status(rpc_status.to_status(self._losses[method].popleft()))
            return answered

        return behave

    def _create(self, request: Any) -> Any:
        custom = isinstance(request, CreateCustomJobRequest)
        job: Any = CustomJob(request.custom_job) if custom else HyperparameterTuningJob(request.hyperparameter_tuning_job)
        job.name = f"{request.parent}/{'customJobs' if custom else 'hyperparameterTuningJobs'}/{len(self.jobs) + 1}"
        job.state = JobState.JOB_STATE_PENDING
        self.jobs[job.name] = job
        return job

    def _get(self, request: Any) -> Any:
        return self.jobs[request.name]

    def _listed(self, job: Any, wanted: str) -> bool:  # noqa: ARG002
        """Whether the job passes the filter; here any does."""
        return True

    def _list(self, request: Any) -> Any:
        custom = isinstance(request, ListCustomJobsRequest)
        start = int(request.page_token or 0)
        jobs = [job for job in self.jobs.values() if isinstance(job, CustomJob) is custom and self._listed(job, request.filter)]
        end = start + self.page_size
        page, token = jobs[start:end], str(end) if end < len(jobs) else ""
        if custom:
            return ListCustomJobsResponse(custom_jobs=page, next_page_token=token)
        return ListHyperparameterTuningJobsResponse(hyperparameter_tuning_jobs=page, next_page_token=token)
