from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.services.behaviour.entry_points import DOORS, Door, open_door
from tests.services.local.gate import Gate


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path) as gate:
        yield gate


@pytest.fixture(params=DOORS)
def start(request: pytest.FixtureRequest, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Door]]:
    """Opens one of the doors, with a service's settings; nothing must have gone wrong behind it."""
    with ExitStack() as stack:
        yield lambda **settings: open_door(request.param, tmp_path / "jobs", stack, **settings)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.fixture
def service(start: Callable[..., Door]) -> Door:
    return start(seed=1)
