"""`vertex-sweeper list`: the sweeps below a folder, or the jobs of a project."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

from vertex_sweeper import directory as sweep_directory
from vertex_sweeper.commands.common import add_access, aligned, write_lines
from vertex_sweeper.errors import SweepDirectoryError, SweepError
from vertex_sweeper.services import open_service, vertex_address
from vertex_sweeper.spec import SWEEP_LABEL

log = logging.getLogger(__name__)

HEADER = ("state", "created", "trials", "name", "display name")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="where sweep directories are (default: here)")
    parser.add_argument("--project", help="list the jobs of this project instead")
    parser.add_argument("--location", help="and of this region")
    add_access(parser)


def run(options: argparse.Namespace) -> int:
    """Prints a line a sweep. A directory's state is the one that was last seen there."""
    if bool(options.project) != bool(options.location):
        raise SweepError("--project and --location go together: jobs are listed by region")
    rows = list(_jobs(options) if options.project else _directories(options.folder))
    write_lines(aligned(rows) if rows[1:] else ["no sweeps found"])
    return 0


def _jobs(options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    parent = f"projects/{options.project}/locations/{options.location}"
    address = vertex_address(parent, options.endpoint, options.impersonate_service_account)
    find = open_service(address, Path()).find
    assert find is not None
    yield HEADER
    for job in sorted(find(parent, {SWEEP_LABEL: None}), key=lambda job: str(job.get("createTime", "")), reverse=True):
        state = str(job.get("state", "")).removeprefix("JOB_STATE_")
        trials = f"{len(job.get('trials', []))}/{job.get('maxTrialCount', '?')}"
        yield state, str(job.get("createTime", ""))[:19], trials, job["name"], job.get("displayName", "")


def _directories(folder: Path) -> Iterator[tuple[str, ...]]:
    if not folder.is_dir():
        raise SweepDirectoryError(f"{folder} is not a folder: name one with sweep directories in it")
    yield ("last seen", "backend", "trials", "sweep directory", "display name")
    for path in sorted(folder.rglob(sweep_directory.SWEEP)):
        try:
            record, job = sweep_directory.read_record(path.parent), sweep_directory.read_job(path.parent)
        except SweepDirectoryError as error:  # one that is broken does not hide the others
            log.warning("%s", error)
            continue
        state = (record.state or "RUNNING").removeprefix("JOB_STATE_") if "name" in job else "not created"
        trials = str(job.get("maxTrialCount", "?"))
        yield state, record.address.backend.value, trials, str(path.parent), job.get("displayName", "")
