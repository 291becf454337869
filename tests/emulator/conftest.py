from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from vertex_sweeper.emulator import Emulator


@pytest.fixture
def emulator(caplog: pytest.LogCaptureFixture) -> Iterator[Emulator]:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from vertex_sweeper.emulator import Emulator

    with Emulator() as emulator:
        yield emulator
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.fixture
def client(emulator: Emulator) -> Iterator[Any]:
    """Google's generated client on a channel to the emulator."""
    import grpc
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport

    with grpc.insecure_channel(emulator.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))
