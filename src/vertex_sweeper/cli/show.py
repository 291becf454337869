"""`vertex-sweeper show`: a job as it stands, its trials, and why some of them failed; or the jobs of a launch."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from vertex_sweeper.api_names import is_custom
from vertex_sweeper.cli.common import add_target, aligned, pause, state_text, target_of, write_lines
from vertex_sweeper.messages import attach_command
from vertex_sweeper.results import tables
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.results.launch_results import JobEnd, error_of, job_rows
from vertex_sweeper.results.outcome import Outcome, read_outcome
from vertex_sweeper.run.launch_target import read_launch_target
from vertex_sweeper.run.launched import look_at
from vertex_sweeper.run.target import Target, contract_of, locate, open_target
from vertex_sweeper.run.watch import ended
from vertex_sweeper.settings import Backend
from vertex_sweeper.terminal import lines, next_steps

_WIDEST: Final = 48


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the job as its service has it."""
    launch = read_launch_target(options.target)
    if launch is not None:
        write_lines([str(launch.directory), *aligned(job_rows(look_at(launch)), widest=_WIDEST)])
        return 0
    write_lines(_lines(target_of(options)))
    return 0


def _lines(target: Target) -> Iterator[str]:
    opened = open_target(target)
    name = locate(target, opened, pause=pause)
    job = opened.service.get(name)
    agreed = contract_of(job)
    if is_custom(name):
        ended_job = JobEnd(
            LaunchedJob(agreed.number or 0, Path(), job, target.address), job, error_of(job) if ended(job) else ""
        )
        yield from (name, *aligned(job_rows([ended_job]), widest=_WIDEST))
        return
    outcome = read_outcome(job, agreed)
    local = target.address.backend is Backend.LOCAL
    state = "waiting" if opened.abandoned else state_text(job)
    yield f"{target.directory if local else name}  {job.get('displayName', '')}  {state}"
    console = next_steps.console_address(target.address, name)
    if console:
        yield console
    if opened.abandoned:
        yield f"its process is gone: go on with `{attach_command(str(target.directory))}`"
    yield from lines.overview_lines(outcome, waits=opened.abandoned)
    yield from _table(tables.trials_rows(outcome), _words(outcome) if local else {})
    yield from lines.failure_lines(
        outcome, lambda trial: next_steps.log_command(target.address, name, trial, target.directory or Path())
    )


def _words(outcome: Outcome) -> dict[str, str]:
    """What is said of each trial's state where it is not Vertex's."""
    unknown = "state unknown"
    return {
        str(trial.number): lines.end_of(trial, outcome)
        if trial.ended
        else trial.state.value.lower()
        if trial.state
        else unknown
        for trial in outcome.trials
    }


def _table(rows: Sequence[Sequence[str]], states: Mapping[str, str]) -> list[str]:
    """The table of trials without its last column: the reasons are listed by themselves.

    `states` are those, by number, that are shown in another way than in the table.
    """
    shown = [[row[0], states.get(row[0], row[1]), *row[2:-1]] for row in rows]
    return aligned(shown, widest=_WIDEST) if len(shown) > 1 else ["no trials yet"]
