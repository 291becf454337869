"""One suite for every entry point: the local service itself, and Google's own client that talks to the emulator."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.services.behaviour.entry_points import ENTRY_POINTS, open_service
from vertex_sweeper.testing import ServiceSuite
from vertex_sweeper.testing.gate import Start


class TestEveryService(ServiceSuite):
    @pytest.fixture(params=ENTRY_POINTS)
    def start(self, request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Start]:
        """Opens a service with these settings; nothing must have gone wrong in it."""
        with ExitStack() as stack:
            yield lambda **settings: open_service(request.param, tmp_path / "jobs", stack, **settings)
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
