"""Ctrl-C, SIGTERM and a hang-up, as something a sweep can ask about, and what is to be done then.

The first signal is remembered, and wakes a sweep that waits, for a change or for an answer; the second ends the process at
once, if it is no hang-up. In between, files are written undisturbed.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from enum import Enum, auto
from types import FrameType, TracebackType
from typing import TypeVar

from vertex_sweeper.errors import ServiceError, Unanswered
from vertex_sweeper.services.waiting import GLANCE, ending_signals
from vertex_sweeper.settings import OnInterrupt
from vertex_sweeper_runtime.signals import INTERRUPTED

log = logging.getLogger(__name__)

T = TypeVar("T")

QUESTION = "\nThe job runs on without this process. (d)etach, (c)ancel it, or (w)ait on? "


class Reaction(Enum):
    """What a sweep does about a signal."""

    WAIT = auto()
    DETACH = auto()
    CANCEL = auto()


class Interrupt:
    """Catches the signals that ask a sweep to end, as a context manager.

    Args:
        kill: Ends whatever runs, called on the second signal in a thread of its own, before the process exits with 130.
    """

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self._waiting = False
        self._again = False
        self._asking = False
        self._settled = False
        self._acknowledged = False
        self._handlers = ending_signals(self._receive)
        self.received: signal.Signals | None = None
        """The first signal, once there was one."""

    @property
    def pending(self) -> bool:
        """Whether a signal has come, and nobody has done yet what it asks for."""
        return self.received is not None and not self._settled

    def __enter__(self) -> Interrupt:  # noqa: PYI034 - typing.Self is of Python 3.11
        self._handlers.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._handlers.__exit__(None, None, None)

    def pause(self, wait: Callable[[float], None], seconds: float) -> bool:
        """Calls `wait(seconds)`, and returns at once when a signal comes or is pending; False if one is."""
        self._wake_from(lambda: wait(seconds), lambda: self.pending)
        return not self.pending

    def call(self, function: Callable[[], T], *, patience: float, what: str) -> T:
        """What the function returns, on a thread of its own; when a signal comes or is pending, within `patience` seconds.

        Args:
            function: Called once.
            patience: How many seconds it may take from the signal on.
            what: What is waited for, as the line says it that acknowledges the signal at once.

        Raises:
            Unanswered: It has not returned by then, and is left alone.
        """
        answer: Future[T] = Future()
        threading.Thread(target=_answer, args=(answer, function), daemon=True).start()
        self._wake_from(lambda: _wait_for(answer, math.inf), lambda: self.pending)
        if self.pending and not answer.done():
            self.acknowledge(f"waiting for {what}, {patience:g} s at most")
            if not _wait_for(answer, patience):
                assert self.received is not None
                raise Unanswered(f"{self.received.name} came before {what}", transient=True)
        return answer.result()

    def ask(self, answer: Callable[[], str]) -> str:
        """What a person answers to the first signal; nothing if another one comes meanwhile."""
        answers: list[str] = []
        self._again = False
        self._asking = True
        try:
            self._wake_from(lambda: answers.append(answer()), lambda: self._again)
        finally:
            self._asking = False
        return answers[0] if answers else ""

    def acknowledge(self, what: str) -> None:
        """Says what is done about the signal that has come, once."""
        if self.received is not None and not self._acknowledged:
            self._acknowledged = True
            log.info("%s: %s; once more ends this process at once", self.received.name, what)

    def forget(self) -> None:
        """Makes the next signal the first one again."""
        self.received = None
        self._acknowledged = False

    def settle(self) -> None:
        """What the signal asks for is being done: waiting is as it was before, and the next one ends the process."""
        self._settled = True

    def _wake_from(self, wait: Callable[[], object], awake: Callable[[], bool]) -> None:
        try:
            self._waiting = True
            try:
                if not awake():  # the signal came between the caller's last look and here
                    wait()
            finally:
                self._waiting = False
        except _Woken:
            pass

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received is not None and number == getattr(signal, "SIGHUP", None):
            return  # a terminal that closes sends several, and nobody insists on anything
        if self.received is not None and not self._asking:
            # The interrupted code may hold any lock, so the killing is not done on its stack.
            killer = threading.Thread(target=self._kill, daemon=True)
            killer.start()
            killer.join(timeout=5)
            os._exit(INTERRUPTED)
        self.received = self.received or signal.Signals(number)
        self._again = self._asking
        self._asking = False
        if self._waiting:
            raise _Woken


class _Woken(BaseException):
    """Raised by the signal handler, and only while `Interrupt` waits for something."""


def _answer(answer: Future[T], function: Callable[[], T]) -> None:
    try:
        answer.set_result(function())
    except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
        answer.set_exception(error)


def _wait_for(answer: Future[T], seconds: float) -> bool:
    done = threading.Event()
    answer.add_done_callback(lambda _: done.set())
    end = time.monotonic() + seconds
    while not done.wait(min(GLANCE, max(0.0, end - time.monotonic()))):
        if time.monotonic() >= end:
            return False
    return True


@contextmanager
def ending(interrupt: Interrupt, kill: Callable[[], None]) -> Iterator[None]:
    """Kills what this process runs when something goes wrong inside; after a signal, an error of the service is the end of it.

    Args:
        interrupt: The signal that may have come.
        kill: Kills what this process runs.

    Raises:
        SystemExit: 130, after a signal and an error of the service.
    """
    try:
        yield
    except BaseException as error:
        kill()
        if interrupt.received and isinstance(error, ServiceError):
            log.warning("%s", error)
            raise SystemExit(INTERRUPTED) from error
        raise


def react(interrupt: Interrupt, on_interrupt: OnInterrupt, *, answer: Callable[[], str] | None) -> Reaction:
    """What is to be done about the signal that came, with a job that goes on without this process.

    Only Ctrl-C comes from a person: a hang-up (the laptop was closed) always lets go of the job, whatever the setting. Asked,
    only `c` cancels and only `w` goes on; anything else, the end of the input and a second Ctrl-C let go, which costs nobody a
    result.

    Args:
        interrupt: The signal that has come.
        on_interrupt: The user's setting.
        answer: Asks the person at the terminal; None where there is nobody to be asked.
    """
    if interrupt.received is getattr(signal, "SIGHUP", None) or on_interrupt is OnInterrupt.DETACH:
        return Reaction.DETACH
    if on_interrupt is OnInterrupt.CANCEL:
        return Reaction.CANCEL
    if interrupt.received is not signal.SIGINT or answer is None:
        return Reaction.DETACH
    word = interrupt.ask(answer).strip().lower()
    if word in ("w", "wait"):
        interrupt.forget()
        return Reaction.WAIT
    return Reaction.CANCEL if word in ("c", "cancel") else Reaction.DETACH


def terminal() -> Callable[[], str] | None:
    """Asks the person at the terminal; None when there is none, or this process is in the background of its shell."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    if hasattr(os, "tcgetpgrp") and os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
        return None  # reading would stop the process

    def ask() -> str:
        sys.stderr.write(QUESTION)
        sys.stderr.flush()
        return sys.stdin.readline()

    return ask
