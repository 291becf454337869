"""Mistakes of several steps, told together."""

from __future__ import annotations

from collections.abc import Sequence

from vertex_sweeper.credentials import hidden
from vertex_sweeper.errors import InvalidSweep


class Mistakes:
    """Collects InvalidSweep errors of several steps, so that the user sees them together.

    As a context manager it takes the InvalidSweep that its block raises, and goes on behind the block.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> bool:
        if isinstance(error, InvalidSweep):
            self._lines += error.mistakes
            return True
        return False

    def add(self, lines: Sequence[str]) -> None:
        """Takes lines of a step that went on beyond them."""
        self._lines += lines

    def raise_if_any(self) -> None:
        """Raises InvalidSweep with all that was collected, credentials hidden."""
        if self._lines:
            raise InvalidSweep([hidden(line) for line in self._lines])
