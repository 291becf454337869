"""The signals that ask a process to end, and the exit codes of what they end."""

import signal
from typing import Final

ENDING: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, a request to end, and a terminal that closes, which Windows does not have."""


def exit_code(number: int) -> int:
    """What shells report for a program that was ended by a signal.

    >>> exit_code(9)
    137
    """
    return 128 + number


INTERRUPTED: Final = exit_code(signal.SIGINT)
"""The exit code of what Ctrl-C ends: 130."""
