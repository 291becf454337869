"""Why a trial on this machine failed, in its log's words: the last exception, else the shim's line, else the exit code.

The exit code stands behind it, `(exit code 1)`, where `exit_codes.py` finds it again.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from vertex_sweeper.log_tail import log_tail
from vertex_sweeper.messages import one_line
from vertex_sweeper_runtime.contract import SHIM
from vertex_sweeper_runtime.errors import PERMANENT, CannotRunError

LONGEST: Final = 200
"""Of an exception's line at most so many characters are shown: the log has the rest."""

LONGEST_OF_SHIM: Final = 600
"""What the shim says ends with the remedy."""

_MOST_LINES: Final = 100_000
_SOON: Final = 20
_SHIM: Final = f"{SHIM}: "
_HEADER: Final = re.compile(r"^(?P<before>.*?)(?P<group>\+ Exception Group )?Traceback \(most recent call last\)(?::$| ─+╮$)")
_SYNTAX: Final = re.compile(r'^(?P<before>)  File ".*", line \d+$')
"""A script that cannot be parsed: there is no header above."""

_MEMBER: Final = re.compile(r"^(?P<before> *)\+(?P<first>-\+)?-{4,} \d+ -{4,}$")
"""What stands above each member of an exception group."""

_EXCEPTION: Final = re.compile(r"^[^\W\d][\w.<>]*(?:: ?.*)?$")
_FATAL: Final = "Fatal Python error: "
_IGNORED: Final = "Exception ignored"


def explain_exit(code: int, log: Path) -> str:
    """Why a trial failed that ended with this code (negative: a signal's number) and left this log; one line of plain text."""
    name = _signal_name(-code if code < 0 else code - 128)
    if code < 0:
        return f"was ended by {name or f'signal {-code}'}"
    said = _said(code, log_tail(log, lines=_MOST_LINES), signal_name=name)
    if said:
        return f"{_shortened(said, LONGEST_OF_SHIM if said.startswith(_SHIM) else LONGEST)} (exit code {code})"
    return f"was ended by {name} (exit code {code})" if name else f"exited with code {code}"


def last_exception(lines: Sequence[str]) -> str:
    """The first line of the last exception's message, with its type; empty where the log's lines show none.

    It is the first line behind a traceback that is not indented as its frames are. Of an exception group it is the last
    member's. What Python reports and passes over while it ends (`Exception ignored in: …`) is none.
    """
    found, inside, passed_over = "", None, False
    above = ""
    for index, line in enumerate(lines):
        start = _start(lines, index, inside)
        if start is not None:
            inside, passed_over = start, above.startswith(_IGNORED)
        elif line.startswith(_FATAL):
            found, inside = line, None
        elif inside is not None and line.startswith(inside) and _EXCEPTION.match(line[len(inside) :]):
            if not passed_over:
                found = _with_next(line[len(inside) :], (later.removeprefix(inside) for later in lines[index + 1 : index + 3]))
            inside = None
        above = line or above
    return found


def _said(code: int, lines: Sequence[str], *, signal_name: str) -> str:
    """What the log says of an exit code."""
    exception, shim = last_exception(lines), _last_words_of_shim(lines)
    if signal_name:  # whatever was raised before, and caught, is not what ended the process
        awaited = "KeyboardInterrupt" if signal_name == "SIGINT" else _FATAL
        return exception if exception.startswith(awaited) else ""
    if code in PERMANENT and shim:
        # What kept the task from its beginning is better said by Python, if it said anything.
        return exception if code == CannotRunError.exit_code and exception else shim
    return exception


def _start(lines: Sequence[str], index: int, inside: str | None) -> str | None:
    """What stands before each line of the traceback that begins with this line; None where none begins."""
    line = lines[index]
    header = _HEADER.match(line) or (_SYNTAX.match(line) if inside is None else None)
    if header is not None:
        before = header["before"]
        if header.groupdict().get("group"):
            return f"{before}| "
        # A rank before each line; or a logger's words before the first, a box that rich draws, `Original Traceback`, …
        return before if any(later.startswith(f"{before}  File ") for later in lines[index + 1 : index + _SOON]) else ""
    member = _MEMBER.match(line)
    return f"{member['before']}{'  ' if member['first'] else ''}| " if member is not None else None


def _with_next(text: str, later: Iterator[str]) -> str:
    """A message that only announces its second line gets that, too."""
    text = text.rstrip()
    more = next((line.strip() for line in later if line.strip()), "") if text.endswith(":") else ""
    return f"{text} {more}".strip()


def _last_words_of_shim(lines: Sequence[str]) -> str:
    """What the shim said last, on one line; without that it waits for a look inside."""
    words: list[str] = []
    for line in reversed(lines):
        if line.startswith(_SHIM):
            words.append(line.removeprefix(_SHIM))
        elif words:
            break
    said = [line for line in reversed(words) if not re.match(r"exit code \d+; the container stays ", line)]
    return f"{_SHIM}{'; '.join(said)}" if said else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def _shortened(text: str, longest: int) -> str:
    plain = one_line(text)
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"
