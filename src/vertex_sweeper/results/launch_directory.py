"""The launched jobs of a sweep directory: each has a folder of its own in `jobs/`, named by its number, with a job's files.

All that is to be launched is put down before the first job is created, so that whoever comes back can launch the rest:
`planned.json` is a job that nobody has tried to create, and `job.json` beside `sweep.json` one that somebody has.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from vertex_sweeper.api import Job
from vertex_sweeper.atomic_files import write_text
from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.job.field_types import check_job_shape
from vertex_sweeper.messages import attach_command
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.services.address import SWEEP, Address
from vertex_sweeper.stored_json import DamagedDocument, read_json

JOBS: Final = "jobs"
PLANNED: Final = "planned.json"
LAUNCH: Final = "launch.json"


@dataclass(frozen=True, slots=True)
class LaunchedJob:
    """One launched job, as its folder has it.

    Attributes:
        number: Its `hydra.job.num`.
        folder: Its folder.
        job: Its specification, with its name once that is known.
        address: Where it runs.
        planned: Whether nobody has tried to create it yet.
        state: The state it was last seen in, None before anybody looked.
        error: Why it ended so.
    """

    number: int
    folder: Path
    job: Job
    address: Address
    planned: bool = False
    state: str | None = None
    error: str = ""


def job_folder(directory: Path, number: int) -> Path:
    """The folder of a launched job in its sweep directory."""
    return directory / JOBS / str(number)


def sweep_directory_of(folder: Path) -> Path | None:
    """The sweep directory that a launched job's folder belongs to; None for any other folder."""
    folder = folder.absolute()
    return folder.parent.parent if folder.parent.name == JOBS and folder.name.isdecimal() else None


def is_launch(directory: Path) -> bool:
    """Whether launched jobs are in this sweep directory."""
    return (directory / JOBS).is_dir() and not (directory / sweep_directory.JOB).exists()


def put_down(directory: Path, address: Address, jobs: Mapping[int, Mapping[str, Any]], *, parallel: int | None) -> None:
    """Puts down all jobs of a launch, by their numbers, before the first is created.

    Args:
        directory: The sweep directory; it is made where it is not there.
        address: Where the jobs are about to run.
        jobs: Their specifications.
        parallel: How many run at a time; None for all.

    Raises:
        SweepDirectoryError: One of these numbers is taken, or the directory cannot be written. Nothing was changed then.
    """
    taken = [number for number in jobs if job_folder(directory, number).exists()]
    if taken or (directory / sweep_directory.JOB).exists():
        what = f"the launched job {taken[0]}" if taken else "a job"
        raise SweepDirectoryError(
            f"{directory} already holds {what}, and is left as it is: to go on with it, `{attach_command(directory)}`; to "
            "launch anew, set hydra.sweep.dir to another place"
        )
    made: list[Path] = []
    try:
        for number, job in jobs.items():
            folder = job_folder(directory, number)
            folder.mkdir(parents=True)
            made.append(folder)
            sweep_directory.write_record(folder, sweep_directory.Record(address))
            write_text(folder / PLANNED, _json_text(job))
        write_text(directory / JOBS / LAUNCH, _json_text({"parallel": parallel}))
    except OSError as error:
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        raise sweep_directory.unwritable(directory, error) from error


def begin(launched: LaunchedJob) -> bool:
    """Makes a planned job one that is about to be created; False where somebody else has. Raises SweepDirectoryError."""
    try:
        (launched.folder / PLANNED).rename(launched.folder / sweep_directory.JOB)  # of two who try, one succeeds
    except FileNotFoundError:
        return False
    except OSError as error:
        raise sweep_directory.unwritable(launched.folder, error) from error
    return True


def plan_again(launched: LaunchedJob) -> None:
    """Makes a job that certainly was not created one that is planned. Raises SweepDirectoryError."""
    try:
        launched.folder.mkdir(parents=True, exist_ok=True)
        sweep_directory.write_record(launched.folder, sweep_directory.Record(launched.address))
        write_text(launched.folder / PLANNED, _json_text(launched.job))
        (launched.folder / sweep_directory.JOB).unlink(missing_ok=True)
    except OSError as error:
        raise sweep_directory.unwritable(launched.folder, error) from error


def forget(launched: LaunchedJob) -> None:
    """Removes what is left of a job that certainly was not created, and is not to be."""
    for name in (PLANNED, sweep_directory.JOB, SWEEP):
        (launched.folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # what else is in it stays
        launched.folder.rmdir()


def withdraw(directory: Path, numbers: Iterable[int]) -> None:
    """Removes jobs that were put down and not begun."""
    for number in numbers:
        shutil.rmtree(job_folder(directory, number), ignore_errors=True)
    tidy(directory)


def tidy(directory: Path) -> None:
    """Frees a directory that has no jobs any more."""
    with suppress(OSError):
        if not _numbers(directory):
            (directory / JOBS / LAUNCH).unlink(missing_ok=True)
            (directory / JOBS).rmdir()


def read_launch(directory: Path) -> tuple[list[LaunchedJob], int | None]:
    """The launched jobs of a sweep directory by number, and how many run at a time. Raises SweepDirectoryError."""
    found = [_read_folder(job_folder(directory, number)) for number in _numbers(directory)]
    try:
        parallel = read_json(directory / JOBS / LAUNCH).get("parallel")
    except (OSError, DamagedDocument):
        parallel = None
    return [job for job in found if job is not None], parallel if type(parallel) is int and parallel > 0 else None


def _numbers(directory: Path) -> list[int]:
    folders = (directory / JOBS).iterdir() if (directory / JOBS).is_dir() else ()
    return sorted(int(path.name) for path in folders if path.name.isdecimal() and path.is_dir())


def _read_folder(folder: Path) -> LaunchedJob | None:
    """The job of a folder; None where nothing is in it, as where a job was refused."""
    planned, number = folder / PLANNED, int(folder.name)
    if not planned.exists():
        if not (folder / sweep_directory.JOB).exists():
            return None
        record, job = sweep_directory.read_record(folder), sweep_directory.read_job(folder)
        return LaunchedJob(number, folder, job, record.address, state=record.state, error=record.error)
    try:
        document = read_json(planned)
        check_job_shape(document)
    except (OSError, DamagedDocument) as error:
        raise SweepDirectoryError(f"{planned} is not what a launch writes ({error}): was it changed?") from error
    return LaunchedJob(number, folder, cast("Job", document), sweep_directory.read_record(folder).address, planned=True)


def _json_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
