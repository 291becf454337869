from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vertex_sweeper.services.local import LocalService
from vertex_sweeper.testing.gate import Gate


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path) as gate:
        yield gate


@pytest.fixture
def start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., LocalService]]:
    """Makes services whose jobs have a folder named by their id; closed at the end, and nothing must have gone wrong."""
    services: list[LocalService] = []

    def make(**settings: Any) -> LocalService:
        services.append(LocalService(lambda job_id: tmp_path / "jobs of this test" / job_id, **settings))
        return services[-1]

    yield make
    for service in services:
        service.close()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.fixture
def service(start: Callable[..., LocalService]) -> LocalService:
    return start(seed=1)
