"""`vertex-sweeper logs`: what a trial or a launched job printed, or the command that shows it."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from vertex_sweeper.api_names import JobName
from vertex_sweeper.cli.common import add_target, pause, target_of, write_lines
from vertex_sweeper.errors import SweepError
from vertex_sweeper.results.launch_directory import LaunchedJob, is_launch, read_launch
from vertex_sweeper.results.outcome import read_outcome
from vertex_sweeper.run.target import contract_of, locate, open_target
from vertex_sweeper.services.address import existing_address
from vertex_sweeper.settings import Backend
from vertex_sweeper.terminal import next_steps
from vertex_sweeper.terminal.launch_lines import log_of
from vertex_sweeper_runtime.regular_files import open_regular


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)
    parser.add_argument("number", type=int, metavar="N", help="the trial's number, or the launched job's")


def run(options: argparse.Namespace) -> int:
    """Prints the log where it is on this machine, else how to see it.

    Raises:
        SweepError: There is no such trial or job, or it has not begun.
    """
    directory = Path(options.target)
    return _of_launch(directory, options) if is_launch(directory) else _of_sweep(options)


def _of_launch(directory: Path, options: argparse.Namespace) -> int:
    jobs = {job.number: job for job in read_launch(directory)[0]}
    job = jobs.get(options.number)
    if job is None:
        numbers = f"{min(jobs)} to {max(jobs)}" if jobs else "none"
        raise SweepError(f"{directory} has no launched job {options.number}: its jobs are {numbers}")
    if job.address.backend is Backend.LOCAL:
        return _print(log_of(job.address, job.folder), job)
    name = job.job.get("name")
    if job.planned or name is None:
        raise SweepError(f"job {job.number} has not begun: it has no log")
    address = existing_address(job.address, options.endpoint, options.impersonate_service_account)
    write_lines([next_steps.job_log_command(address, JobName.parse(name))])
    return 0


def _of_sweep(options: argparse.Namespace) -> int:
    target = target_of(options)
    opened = open_target(target)
    name = locate(target, opened, pause=pause)
    job = opened.service.get(name)
    trials = {trial.number: trial for trial in read_outcome(job, contract_of(job)).trials}
    trial = trials.get(options.number)
    if trial is None:
        raise SweepError(f"trial {options.number} has not begun: {len(trials)} have")
    directory = target.directory or Path()
    log = next_steps.log_file(target.address, name, trial, directory)
    if log is not None:
        return _print(log, None)
    command = next_steps.log_command(target.address, name, trial, directory)
    if command is None:
        raise SweepError(f"the log of trial {options.number} is nowhere to be had")
    write_lines([command])
    return 0


def _print(log: Path | None, job: LaunchedJob | None) -> int:
    """Copies the file as it is: it may be a picture for all we know."""
    if log is None:
        assert job is not None
        raise SweepError(f"job {job.number} has not begun: it has no log")
    try:
        with open(open_regular(str(log)), "rb") as file:  # noqa: PTH123 - an open file descriptor
            sys.stdout.flush()
            shutil.copyfileobj(file, sys.stdout.buffer)
    except OSError as error:
        raise SweepError(f"{log} cannot be read: {error.strerror}") from error
    return 0
