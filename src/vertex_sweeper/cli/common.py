"""What the commands share: naming a job, opening its service, printing a table."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vertex_sweeper.messages import printable
from vertex_sweeper.run.target import Target, read_target


def add_target(parser: argparse.ArgumentParser) -> None:
    """The job that a command is about, and how to reach it."""
    parser.add_argument("target", metavar="TARGET", help="a sweep directory, or a job's full name: projects/…/locations/…/…")
    add_access(parser)


def add_access(parser: argparse.ArgumentParser) -> None:
    """How to reach the service."""
    parser.add_argument("--endpoint", help="another host than the region's own; with http:// an emulator")
    parser.add_argument("--impersonate-service-account", metavar="ACCOUNT", help="act as this service account")


def target_of(options: argparse.Namespace) -> Target:
    """What the user named. Raises SweepDirectoryError for what is neither a sweep directory nor a job."""
    return read_target(options.target, endpoint=options.endpoint, impersonate=options.impersonate_service_account)


def state_text(job: Mapping[str, Any]) -> str:
    """A job's state as we show it."""
    return str(job.get("state") or "state unknown").removeprefix("JOB_STATE_")


def pause(seconds: float) -> bool:
    """Waits; Ctrl-C ends the whole command."""
    time.sleep(seconds)
    return True


def write_lines(lines: Iterable[str]) -> None:
    """Prints to standard output, whatever the names in the lines are made of."""
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))


def aligned(rows: Sequence[Sequence[str]], *, widest: int | None = None) -> list[str]:
    """The rows as lines with aligned columns. Columns without anything below their title are left out.

    A text longer than `widest` is cut.
    """
    shown = [[_cut(printable(text), widest) for text in row] for row in rows]
    columns = [column for column in zip(*shown, strict=True) if len(rows) == 1 or any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in zip(*columns, strict=True)]


def _cut(text: str, widest: int | None) -> str:
    return text if widest is None or len(text) <= widest else f"{text[: widest - 1]}…"
