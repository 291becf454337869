"""`vertex-sweeper list`: the sweeps below a folder, or the jobs of a project."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vertex_sweeper.api import Job, JobState, job_state
from vertex_sweeper.api_names import JobName, format_parent, is_custom
from vertex_sweeper.cli.common import add_access, aligned, state_text, target_of, write_lines
from vertex_sweeper.errors import JobNotFound, SweepDirectoryError, SweepError
from vertex_sweeper.job import SWEEP_LABEL
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.results.launch_directory import JOBS, is_launch, read_launch
from vertex_sweeper.run.target import open_target
from vertex_sweeper.services.address import SWEEP, vertex_address
from vertex_sweeper.services.opening import reopen_service
from vertex_sweeper.settings import Backend

HEADER = ("state", "created", "trials", "name", "display name")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    help = "a folder with sweep directories in it, or one of these (default: here); or a job's full name"
    parser.add_argument("target", nargs="?", metavar="TARGET", help=help)
    parser.add_argument("--project", help="list the jobs of this project instead")
    parser.add_argument("--location", help="and of this region")
    add_access(parser)


def run(options: argparse.Namespace) -> int:
    """Prints a line a sweep. A directory's state is the one that was last seen there."""
    if bool(options.project) != bool(options.location):
        raise SweepError("--project and --location go together: jobs are listed by region")
    if options.project and options.target:
        raise SweepError(f"{options.target}: --project lists the jobs of a region, name the one or the other")
    options.target = options.target or "."
    rows = list(_rows(options))
    write_lines(aligned(rows) if rows[1:] else ["no sweeps found"])
    return 0


def _rows(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    if options.project:
        return _jobs(options)
    try:
        JobName.parse(options.target)
    except ValueError:
        return _directories(Path(options.target))
    target = target_of(options)
    return _job_rows([open_target(target).service.get(options.target)])


def _jobs(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    parent = format_parent(options.project, options.location)
    address = vertex_address(parent, options.endpoint, options.impersonate_service_account)
    find = reopen_service(address, Path()).find
    return _job_rows(sorted(find(parent, {SWEEP_LABEL: None}), key=lambda job: str(job.get("createTime", "")), reverse=True))


def _job_rows(jobs: Iterable[Job]) -> Iterator[tuple[str, ...]]:
    yield HEADER
    for job in jobs:
        yield state_text(job), str(job.get("createTime", ""))[:19], _trials(job), job["name"], job.get("displayName", "")


def _directories(folder: Path) -> Iterator[tuple[str, ...]]:
    if not folder.is_dir():
        raise SweepDirectoryError(f"{folder} is not a folder: name one with sweep directories in it")
    yield ("last seen", "backend", "trials", "sweep directory", "display name")
    for directory in sorted(_found(folder)):
        try:
            yield _launch_row(directory) if is_launch(directory) else _directory_row(directory)
        except SweepError as error:  # one that is broken does not hide the others
            yield "damaged", "", "", str(directory), str(error)


def _found(folder: Path) -> Iterator[Path]:
    """The sweep directories below a folder, itself among them; launched jobs are seen in theirs."""
    for path, folders, files in os.walk(folder):
        if is_launch(Path(path)):
            folders.remove(JOBS)
            yield Path(path)
        elif SWEEP in {*folders, *files}:
            yield Path(path)


def _launch_row(directory: Path) -> tuple[str, ...]:
    """The row of launched jobs: how many of them were seen to end. Raises SweepError where it cannot be told."""
    jobs, _ = read_launch(directory)
    states = [job_state({"state": job.state}) for job in jobs]
    ended = sum(state is not None and state.ended for state in states)
    failed = sum(state is not None and state.ended and state is not JobState.SUCCEEDED for state in states)
    state = "RUNNING" if ended < len(jobs) else f"{failed} FAILED" if failed else "SUCCEEDED"
    backend = jobs[0].address.backend.value if jobs else ""
    name = jobs[0].job.get("displayName", "").rpartition("-")[0] if jobs else ""
    return state, backend, f"{ended}/{len(jobs)}", str(directory), name


def _directory_row(directory: Path) -> tuple[str, ...]:
    """The sweep's row. Raises SweepError where it cannot be told."""
    record, job = sweep_directory.read_record(directory), sweep_directory.read_job(directory)
    state = state_text({"state": record.state or "RUNNING"}) if "name" in job else "not created"
    trials = str(job.get("maxTrialCount", "?"))
    if record.address.backend is Backend.LOCAL:  # of which more is known than what was last seen
        try:
            opened = reopen_service(record.address, directory)
            for found in opened.find(record.address.parent, {}):
                state, trials = "waiting" if opened.abandoned else state_text(found), _trials(found)
        except JobNotFound:
            pass  # nothing was created, or is on record: it is as we said
    return state, record.address.backend.value, trials, str(directory), job.get("displayName", "")


def _trials(job: Job) -> str:
    """How many trials there are, of how many; nothing for a custom job."""
    return "" if is_custom(job["name"]) else f"{len(job.get('trials', []))}/{job.get('maxTrialCount', '?')}"
