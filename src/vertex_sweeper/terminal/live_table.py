"""The live table at the foot of a terminal: which trials run, and how far the sweep is. Elsewhere there is none.

Lines of the log stand above it, and go into a log file without it: before each of them the table is taken away, and the next
look at the job draws it again.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final, TextIO

OURS: Final = "vertex_sweeper"
"""The logger of everything that is said while a job is watched."""


class LiveTable:
    """Some lines that are drawn over by the next ones.

    Args:
        stream: the terminal.
        size: its columns and lines, now.
    """

    def __init__(self, stream: TextIO, *, size: Callable[[], tuple[int, int]] = shutil.get_terminal_size) -> None:
        self._stream = stream
        self._size = size
        self._height = 0

    def draw(self, lines: Sequence[str]) -> None:
        """Shows these lines instead of the last ones, as far as there is room."""
        columns, rows = self._size()
        shown = [_cut(line, columns - 1) for line in lines[: max(rows - 1, 0)]]
        self._write(self._erasure() + "".join(f"{line}\n" for line in shown))
        self._height = len(shown)

    def clear(self) -> None:
        """Takes the lines away."""
        if self._height:
            self._write(self._erasure())
            self._height = 0

    @contextmanager
    def below_the_log(self) -> Iterator[None]:
        """While this lasts, the lines make way for those of the log; at its end they are gone."""
        logger, handler = logging.getLogger(OURS), _Clearing(self)
        # A logger's own handlers come before those of the loggers above it, which print.
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            self.clear()

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal was closed: there is nobody to see anything, and a job to take care of
            self._stream.write(text)
            self._stream.flush()

    def _erasure(self) -> str:
        return f"\x1b[{self._height}F\x1b[J" if self._height else ""


class _Clearing(logging.Handler):
    def __init__(self, table: LiveTable) -> None:
        super().__init__()
        self._table = table

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - whatever it says
        self._table.clear()


def table_of_terminal() -> LiveTable | None:
    """The terminal that standard error is shown on, if it can draw over its lines."""
    if not (sys.stderr and sys.stderr.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        return None
    return LiveTable(sys.stderr)


def _cut(line: str, columns: int) -> str:
    width = kept = 0
    for index, letter in enumerate(line):
        width += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if width > columns:
            return f"{line[:kept]}…"
        if width < columns:
            kept = index + 1
    return line
