"""A scrubbed environment for every test, and what several tests wait with."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vertex_sweeper_runtime.machine import RANKS, SIZES

sys.path.insert(0, str(Path(__file__).parent))  # `support` is imported by name

PREFIXES = ("VERTEX_", "CLOUD_ML_", "AIP_", "HYDRA_", "GOOGLE_")
NAMES = (*RANKS, *SIZES, "CLUSTER_SPEC", "TF_CONFIG")


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that runs the tests, or of the test before, is seen as a trial's or a user's setting."""
    import os

    for name in list(os.environ):
        if name.startswith(PREFIXES) or name in NAMES:
            monkeypatch.delenv(name)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for what another process does without telling; fails after half a minute."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    return wait
