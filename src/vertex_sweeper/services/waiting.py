"""Waiting in the main thread so that signals are seen meanwhile, whichever thread they came to."""

from __future__ import annotations

import time
from typing import Final

GLANCE: Final = 0.2
"""Seconds for which the main thread waits at a time: a signal that came to another thread, or just before, does not wake it."""


def sleep(seconds: float) -> None:
    """Waits, and lets signals be seen meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(GLANCE, left))
