"""`vertex-sweeper logs`: what a trial or a launched job printed, or the command that shows it."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from vertex_sweeper.api import Job
from vertex_sweeper.api_names import is_custom
from vertex_sweeper.cli.common import add_target, pause, target_of, write_lines
from vertex_sweeper.errors import SweepError
from vertex_sweeper.results.launch_directory import read_launch
from vertex_sweeper.results.outcome import TrialResult, read_outcome
from vertex_sweeper.run.launch_target import LaunchTarget, read_launch_target
from vertex_sweeper.run.target import Target, contract_of, locate, open_target
from vertex_sweeper.services.address import existing_address
from vertex_sweeper.terminal import next_steps
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
    launch = read_launch_target(options.target)
    target = target_of(options) if launch is None else _in_launch(launch, options)
    opened = open_target(target)
    name = locate(target, opened, pause=pause)
    job = opened.service.get(name)
    trial = _trial(job, name, options.number)
    directory = target.directory or Path()
    log = next_steps.log_file(target.address, name, trial, directory)
    command = next_steps.log_command(target.address, name, trial, directory)
    if log is not None and log.exists():
        _print(log)
    elif command is not None:
        write_lines([command])
    else:
        raise SweepError(f"the log of {options.number} is nowhere to be had: it has not begun, or its file is gone")
    return 0


def _in_launch(launch: LaunchTarget, options: argparse.Namespace) -> Target:
    """The launched job of this number."""
    jobs = {job.number: job for job in read_launch(launch.directory)[0] if launch.has(job.number)}
    job = jobs.get(options.number)
    if job is None:
        numbers = ", ".join(map(str, jobs)) or "none"
        raise SweepError(f"{launch.directory} has no launched job {options.number}: its jobs are {numbers}")
    if job.planned:
        raise SweepError(f"job {job.number} has not begun: it has no log")
    address = existing_address(job.address, options.endpoint, options.impersonate_service_account)
    return Target(address, job.job.get("name"), job.folder)


def _trial(job: Job, name: str, number: int) -> TrialResult:
    """The trial of this number; of a custom job, the job itself."""
    if is_custom(name):
        return next_steps.as_trial(job)
    trials = {trial.number: trial for trial in read_outcome(job, contract_of(job)).trials}
    if number not in trials:
        raise SweepError(f"trial {number} has not begun: {len(trials)} have")
    return trials[number]


def _print(log: Path) -> None:
    """Copies the file as it is: whatever was printed is no text of ours."""
    try:
        with open(open_regular(str(log)), "rb") as file:  # noqa: PTH123 - an open file descriptor
            sys.stdout.flush()
            shutil.copyfileobj(file, sys.stdout.buffer)
    except OSError as error:
        raise SweepError(f"{log} cannot be read: {error.strerror}") from error
