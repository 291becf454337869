"""The end of a log on this machine, as plain text. Nothing in here knows of sweeps."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from vertex_sweeper.messages import seen
from vertex_sweeper_runtime.regular_files import open_regular

_TAIL_BYTES: Final = 64 * 1024

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")


def log_tail(path: Path, *, lines: int = 15) -> list[str]:
    """The last lines of a log, as plain text, without the empty ones at its end.

    Of a line that was drawn over and over (a progress bar), the last drawing is kept.

    Args:
        path: the log. Only its end is read.
        lines: how many are returned at most.

    Returns:
        The lines; none if there is no log, or no regular file in its place.
    """
    try:
        with os.fdopen(open_regular(str(path)), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return []
    whole = text.split("\n")
    if size > _TAIL_BYTES and len(whole) > 1:
        whole = whole[1:]  # the first line has lost its beginning
    shown = [_plain(line) for line in whole]
    while shown and not shown[-1]:
        shown.pop()
    return shown[-lines:]


def _plain(line: str) -> str:
    drawn = _ESCAPES.sub("", line).rstrip("\r \t").rpartition("\r")[2]
    return "".join(filter(seen, drawn.replace("\t", "    ")))
