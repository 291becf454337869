"""`vertex-sweeper show`: a job as it stands, its trials, and why some of them failed."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vertex_sweeper import directory as sweep_directory
from vertex_sweeper import files, hints, progress
from vertex_sweeper.attach import Target, contract_of, locate
from vertex_sweeper.commands.common import add_target, aligned, open_target, pause, target_of, write_lines
from vertex_sweeper.outcome import Outcome, Trial, read_outcome
from vertex_sweeper.service import TrialState
from vertex_sweeper.settings import Backend

_WIDEST: Final = 48


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the job; a local sweep's as its files tell, any other as its service does."""
    target = target_of(options)
    write_lines(_local_lines(target) if target.address.backend is Backend.LOCAL else _service_lines(target))
    return 0


def _service_lines(target: Target) -> Iterator[str]:
    opened = open_target(target)
    name = locate(target, opened, pause=pause)
    job = opened.service.get(name)
    outcome = read_outcome(job, contract_of(job))
    yield f"{name}  {job.get('displayName', '')}  {_state(job.get('state'))}"
    console = hints.console_address(target.address, name)
    if console:
        yield console
    yield from progress.overview_lines(outcome)
    yield from _table(files.trials_table(outcome))
    yield from progress.failure_lines(outcome, lambda trial: hints.log_command(target.address, name, trial, Path()))


def _local_lines(target: Target) -> Iterator[str]:
    directory = target.directory
    assert directory is not None
    record, job = sweep_directory.read_record(directory), sweep_directory.read_job(directory)
    table = directory / files.TRIALS
    text = table.read_text(encoding="utf-8", errors="replace") if table.exists() else ""
    state = _state(record.state) if record.state else "running, or its process was killed"
    yield f"{directory}  {job.get('displayName', '')}  {state}{f': {record.error}' if record.error else ''}"
    yield from _table(text)
    failed = Outcome(None, tuple(_failed(text)), {})
    yield from progress.failure_lines(
        failed, lambda trial: hints.log_command(target.address, str(target.name), trial, directory)
    )


def _table(text: str) -> list[str]:
    """The table of trials without its last column: the reasons are listed by themselves."""
    rows = list(csv.reader(text.splitlines(keepends=True)))
    return aligned([row[:-1] for row in rows], widest=_WIDEST) if len(rows) > 1 else ["no trials yet"]


def _failed(text: str) -> Iterator[Trial]:
    for row in csv.DictReader(text.splitlines(keepends=True)):
        if row["state"] == TrialState.INFEASIBLE.value:
            yield Trial(int(row["number"]), TrialState.INFEASIBLE, {}, (), {}, reason=row["reason"])


def _state(spelling: str | None) -> str:
    return (spelling or "state unknown").removeprefix("JOB_STATE_")
