"""Waiting in the main thread so that signals are seen meanwhile, whichever thread they came to; and what is done about them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from vertex_sweeper_runtime.signals import ENDING

GLANCE: Final = 0.2
"""Seconds for which the main thread waits at a time: a signal that came to another thread, or just before, does not wake it."""


def sleep(seconds: float) -> None:
    """Waits, and lets signals be seen meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(GLANCE, left))


@contextmanager
def ending_signals(receive: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Inside, `receive` handles the signals that ask a process to end, instead of what they do by themselves.

    One that is ignored, as nohup leaves it, stays so. Python allows handlers in the main thread only: elsewhere nothing is
    changed, and signals are left to the host.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN}
    try:
        for number in before:
            signal.signal(number, receive)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
