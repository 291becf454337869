"""The trial's process: started without a shell, waited for by a parent that may be PID 1, signals handed on.

Signals are blocked and taken one by one with `sigwait`, not handled: nothing gets lost between starting the child and waiting
for it, and nothing can interrupt the shim anywhere else.
"""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, NamedTuple

from vertex_sweeper_runtime.signals import ENDING, exit_code

_ENDING: Final = frozenset({*ENDING, signal.SIGQUIT})
_FORWARDED: Final = _ENDING | {signal.SIGUSR1, signal.SIGUSR2}
_KEYBOARD: Final = frozenset({signal.SIGINT, signal.SIGQUIT})
_HELD: Final = _FORWARDED | {signal.SIGCHLD, signal.SIGALRM}


class Ending(NamedTuple):
    """How the child ended: its exit code, 128 + n for signal n; and whether someone had asked the shim to stop."""

    code: int
    stopped: bool


@contextmanager
def held_signals() -> Iterator[Sequence[int]]:
    """Blocks the signals that the functions below wait for; yields the mask before, for the child.

    What arrives too late to matter is dropped at the end: it must not change the exit code any more.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    # With a handler, children can be waited for even when SIGCHLD was ignored on entry, and `sigwait` gets it on every system.
    before = {number: signal.signal(number, _pass) for number in (signal.SIGCHLD, signal.SIGALRM)}
    try:
        yield tuple(mask)
    finally:
        while signal.sigpending() & _HELD:
            signal.sigwait(_HELD)
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def run(command: Sequence[str], environment: Mapping[str, str], *, mask: Sequence[int]) -> Ending:
    """Starts the command and waits for its end; reaps whatever else ends meanwhile. Raises OSError when it cannot start."""
    # Python ignores SIGPIPE and SIGXFSZ in its own process: the command gets what any program expects.
    child = os.posix_spawnp(command[0], [*command], environment, setsigmask=mask, setsigdef=(signal.SIGPIPE, signal.SIGXFSZ))
    stopped = False
    while True:
        number = signal.sigwait(_HELD)
        if number == signal.SIGCHLD:
            code = _reap(child)
            if code is not None:
                return Ending(code if code >= 0 else exit_code(-code), stopped)
        elif number in _FORWARDED:
            stopped = stopped or number in _ENDING
            if not (number in _KEYBOARD and _in_foreground()):
                os.kill(child, number)


def linger(seconds: int) -> None:
    """Waits, reaping, until the time is over or somebody asks for the end."""
    signal.alarm(seconds)
    while (number := signal.sigwait(_HELD)) not in _ENDING and number != signal.SIGALRM:
        _reap(-1)
    signal.alarm(0)


def _reap(child: int) -> int | None:
    """Collects every process that has ended; the exit code of `child` when it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            code = os.waitstatus_to_exitcode(status)


def _in_foreground() -> bool:
    """Whether the terminal's keys reach this process group: then they have reached the child, too."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _pass(number: int, frame: FrameType | None) -> None:
    """Does nothing; it only has to be there."""
