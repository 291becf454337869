"""A fixture for tests of what submits tuning jobs: `pytest_plugins = ["vertex_sweeper.emulator.pytest_plugin"]` in a conftest.

Not an entry point of pytest: everybody who has the package installed would pay for it in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vertex_sweeper.emulator import Emulator


@pytest.fixture
def vertex_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An emulator of the test's own; while it runs, sweeps with `backend: vertex` go there. Its jobs end with the test."""
    from vertex_sweeper.emulator import Emulator

    with Emulator() as emulator:
        monkeypatch.setenv("VERTEX_EMULATOR_HOST", emulator.address)
        if emulator.token is not None:
            monkeypatch.setenv("VERTEX_EMULATOR_TOKEN", emulator.token)
        yield emulator
