"""`vertex-sweeper show`: a job as it stands, its trials, and why some of them failed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from vertex_sweeper import files, hints, progress
from vertex_sweeper.attach import Target, contract_of, locate, open_target
from vertex_sweeper.commands.common import add_target, aligned, pause, state_text, target_of, write_lines
from vertex_sweeper.outcome import read_outcome

_WIDEST: Final = 48


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the job as its service has it."""
    write_lines(_lines(target_of(options)))
    return 0


def _lines(target: Target) -> Iterator[str]:
    opened = open_target(target)
    name = locate(target, opened, pause=pause)
    job = opened.service.get(name)
    outcome = read_outcome(job, contract_of(job))
    yield f"{name}  {job.get('displayName', '')}  {'waiting' if opened.abandoned else state_text(job)}"
    console = hints.console_address(target.address, name)
    if console:
        yield console
    if opened.abandoned:
        yield f"its process is gone: go on with `{hints.attach_command(str(target.directory))}`"
    yield from progress.overview_lines(outcome, waits=opened.abandoned)
    yield from _table(files.trials_rows(outcome))
    yield from progress.failure_lines(
        outcome, lambda trial: hints.log_command(target.address, name, trial, target.directory or Path())
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The table of trials without its last column: the reasons are listed by themselves."""
    return aligned([row[:-1] for row in rows], widest=_WIDEST) if len(rows) > 1 else ["no trials yet"]
