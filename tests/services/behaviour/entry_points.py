"""The ways by which jobs come to run here, each as a service that also tells of changes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from vertex_sweeper.api import Job
from vertex_sweeper.errors import JobNotFound
from vertex_sweeper.services.base import Service
from vertex_sweeper.services.local import LocalService

ENTRY_POINTS: Final = ("local", "grpc", "rest")


class EntryPoint:
    """A service, and the local one behind it, which tells of changes."""

    def __init__(self, service: Service, behind: LocalService) -> None:
        self._behind = behind
        self._service = service

    def create(self, parent: str, spec: Mapping[str, Any]) -> Job:
        return self._service.create(parent, spec)

    def get(self, name: str) -> Job:
        with suppress(JobNotFound):
            self._behind.get(name)  # `wait_for_change` waits for what this thread has not seen yet
        return self._service.get(name)

    def names(self) -> list[str]:
        return self._behind.names()

    def cancel(self, name: str) -> None:
        self._service.cancel(name)

    def wait_for_change(self, seconds: float) -> None:
        self._behind.wait_for_change(seconds)


def open_service(name: str, folder: Path, stack: ExitStack, **settings: Any) -> EntryPoint:
    """A service by this entry point, until the stack is closed."""
    if name == "local":
        local = stack.enter_context(LocalService(lambda job_id: folder / job_id, **settings))
        return EntryPoint(local, local)
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from vertex_sweeper.emulator import Emulator
    from vertex_sweeper.services.vertex import VertexService

    emulator = stack.enter_context(Emulator(**settings))
    if name == "grpc":
        return EntryPoint(VertexService("europe-west4", endpoint=f"http://{emulator.address}"), emulator.service)
    return EntryPoint(VertexService("europe-west4", client=_rest_client(emulator.rest_address)), emulator.service)


def _rest_client(address: str) -> Any:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.aiplatform_v1.services.job_service.transports.rest import JobServiceRestTransport

    transport = JobServiceRestTransport(host=address, url_scheme="http", credentials=AnonymousCredentials())
    return JobServiceClient(transport=transport)
