"""Ctrl-C, SIGTERM and a hang-up, as something a sweep can ask about.

The first signal is remembered, and wakes a waiting sweep; the second ends the process at once. In between, files are written
and calls are made undisturbed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType

EXIT_CODE = 130
"""What shells report for a program ended by Ctrl-C."""

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupt:
    """Catches the signals that ask a sweep to end, as a context manager.

    Args:
        kill: Ends whatever runs, called on the second signal in a thread of its own, before the process exits with 130.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self._waiting = False
        self._news = False
        self._previous: dict[int, object] = {}
        self.received: signal.Signals | None = None
        """The first signal, once there was one."""

    def __enter__(self) -> Interrupt:  # noqa: PYI034 - typing.Self is of Python 3.11
        # Python allows handlers in the main thread only; started elsewhere, a sweep leaves signals to its host. One that is
        # ignored (nohup) stays ignored.
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, previous)  # type: ignore[arg-type]  # what signal.signal itself gave us

    def pause(self, wait: Callable[[float], None], seconds: float) -> None:
        """Calls `wait(seconds)`, and returns at once when a signal comes."""
        try:
            self._waiting = True
            try:
                if not self._news:  # it came between the caller's last look and here
                    wait(seconds)
            finally:
                self._waiting = False
        except _Woken:
            pass
        self._news = False

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is not None:
            # The interrupted code may hold any lock, so the killing is not done on its stack.
            killer = threading.Thread(target=self._kill, daemon=True)
            killer.start()
            killer.join(timeout=5)
            os._exit(EXIT_CODE)
        self.received = signal.Signals(number)
        self._news = True
        if self._waiting:
            raise _Woken


class _Woken(BaseException):
    """Raised by the signal handler, and only inside `Interrupt.pause`."""
