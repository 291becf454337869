"""The launched jobs of a sweep directory: each has a folder of its own in `jobs/`, named by its number, with a job's files.

All that is to be launched is put down before the first job is created, so that whoever comes back can launch the rest:
`planned.json` is a job that nobody has tried to create, and `job.json` beside `sweep.json` one that somebody has.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from vertex_sweeper.api import Job, is_custom_job
from vertex_sweeper.api_names import JobName, parse_parent
from vertex_sweeper.atomic_files import write_new, write_text
from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.messages import attach_command
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.services.address import SWEEP, Address, existing_address
from vertex_sweeper.stored_json import DamagedDocument, check_complete, read_json

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
        ready: Whether it may be: all jobs of its launch are put down, and what they need is uploaded.
        state: The state it was last seen in, None before anybody looked.
        error: Why it ended so.
    """

    number: int
    folder: Path
    job: Job
    address: Address
    planned: bool = False
    ready: bool = True
    state: str | None = None
    error: str = ""


def job_folder(directory: Path, number: int) -> Path:
    """The folder of a launched job in its sweep directory."""
    return directory / JOBS / str(number)


def sweep_directory_of(folder: Path) -> Path | None:
    """The sweep directory that a launched job's folder belongs to; None for any other folder."""
    folder = folder.absolute()
    return folder.parent.parent if folder.parent.name == JOBS and is_number(folder.name) else None


def is_launch(directory: Path) -> bool:
    """Whether launched jobs are in this sweep directory."""
    return (directory / JOBS).is_dir() and not (directory / sweep_directory.JOB).exists()


def put_down(
    directory: Path, address: Address, jobs: Mapping[int, Mapping[str, Any]], *, parallel: int | None
) -> list[LaunchedJob]:
    """Puts down all jobs of a launch, by their numbers, before the first is created; `make_ready` lets them be launched.

    Args:
        directory: The sweep directory; it is made where it is not there.
        address: Where the jobs are about to run.
        jobs: Their specifications.
        parallel: How many run at a time; None for all.

    Returns:
        The jobs, in the order of their specifications.

    Raises:
        SweepDirectoryError: One of these numbers is taken, or the directory cannot be written. Nothing was changed then.
    """
    taken = [number for number in jobs if _is_taken(job_folder(directory, number))]
    if taken or (directory / sweep_directory.JOB).exists():
        raise _taken(directory, f"the launched job {taken[0]}" if taken else "a job")
    made: list[int] = []
    try:
        _write_launch(directory, parallel, preparing=jobs)
        for number, job in jobs.items():
            folder = job_folder(directory, number)
            folder.mkdir(parents=True, exist_ok=True)
            sweep_directory.write_record(folder, sweep_directory.Record(address))
            write_new(folder / PLANNED, _json_text(job))  # of two launches that begin at the same time, one succeeds
            made.append(number)
    except FileExistsError as error:
        withdraw(directory, made)
        raise _taken(directory, "the jobs of another launch") from error
    except OSError as error:
        withdraw(directory, made)
        raise sweep_directory.unwritable(directory, error) from error
    return [
        LaunchedJob(number, job_folder(directory, number), cast("Job", job), address, planned=True)
        for number, job in jobs.items()
    ]


def _is_taken(folder: Path) -> bool:
    """Whether a job is there, or what is no folder. What a launch leaves that was ended before it had put it down is none."""
    begun = any(os.path.lexists(folder / name) for name in (PLANNED, sweep_directory.JOB))
    return begun or (os.path.lexists(folder) and not folder.is_dir())


def _taken(directory: Path, what: str) -> SweepDirectoryError:
    return SweepDirectoryError(
        f"{directory} already holds {what}, and is left as it is: to go on with it, `{attach_command(directory)}`; to launch "
        "anew, set hydra.sweep.dir to another place"
    )


def make_ready(directory: Path, *, parallel: int | None) -> None:
    """Lets all jobs that are put down be launched: from here on, whoever comes back does it. Raises SweepDirectoryError."""
    try:
        _write_launch(directory, parallel, preparing=())
    except OSError as error:
        raise sweep_directory.unwritable(directory, error) from error


def _write_launch(directory: Path, parallel: int | None, *, preparing: Iterable[int]) -> None:
    write_text(directory / JOBS / LAUNCH, _json_text({"parallel": parallel, "preparing": list(preparing)}))


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
    """Makes a job that was begun, and certainly was not created, one that is planned. Raises SweepDirectoryError."""
    try:
        (launched.folder / sweep_directory.JOB).rename(launched.folder / PLANNED)  # in one step: at no time is it neither
    except OSError as error:
        raise sweep_directory.unwritable(launched.folder, error) from error


def is_planned(launched: LaunchedJob) -> bool:
    """Whether nobody has begun the job yet, or taken it back."""
    return os.path.lexists(launched.folder / PLANNED)


def take_back(launched: LaunchedJob) -> bool:
    """Removes a planned job that is not to be launched; False where somebody has begun it. Raises SweepDirectoryError."""
    try:
        (launched.folder / PLANNED).unlink()  # as with `begin`, one succeeds
    except FileNotFoundError:
        return False
    except OSError as error:
        raise sweep_directory.unwritable(launched.folder, error) from error
    _clear(launched.folder)
    return True


def clear_unfinished(directory: Path) -> None:
    """Removes what is left of jobs whose launch was ended while it put them down."""
    for number in _numbers(directory):
        folder = job_folder(directory, number)
        if not _is_taken(folder):
            _clear(folder)
    tidy(directory)


def _clear(folder: Path) -> None:
    with suppress(OSError):  # what else is in it stays
        (folder / SWEEP).unlink(missing_ok=True)
        folder.rmdir()


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
    try:
        numbers = _numbers(directory)
    except OSError as error:
        raise SweepDirectoryError(f"{directory / JOBS} cannot be read: {error.strerror}") from error
    found = [read_folder(job_folder(directory, number)) for number in numbers]
    parallel, preparing = _read_options(directory)
    return [replace(job, ready=job.number not in preparing) for job in found if job is not None], parallel


def _read_options(directory: Path) -> tuple[int | None, set[int]]:
    """How many run at a time, and which jobs are not ready; a file that is none of ours says nothing."""
    try:
        document = read_json(directory / JOBS / LAUNCH)
        check_complete(document, {"parallel": (int, type(None)), "preparing": [int]})
    except (OSError, DamagedDocument):
        return None, set()
    parallel = document["parallel"]
    return parallel if parallel is not None and parallel > 0 else None, set(document["preparing"])


def _numbers(directory: Path) -> list[int]:
    folders = (directory / JOBS).iterdir() if (directory / JOBS).is_dir() else ()
    return sorted(int(path.name) for path in folders if is_number(path.name) and path.is_dir())


def is_number(text: str) -> bool:
    """Whether this is a job's number as we write it: `7`, and not `007`."""
    return re.fullmatch(r"0|[1-9][0-9]{0,17}", text) is not None


def read_folder(folder: Path) -> LaunchedJob | None:
    """The job of a folder; None where nothing is in it, as where a job was refused. Raises SweepDirectoryError."""
    planned = os.path.lexists(folder / PLANNED) and not os.path.lexists(folder / sweep_directory.JOB)
    file = folder / (PLANNED if planned else sweep_directory.JOB)
    if not os.path.lexists(file):
        return None
    try:
        return _read_job(folder, file)
    except SweepDirectoryError:
        if planned and not os.path.lexists(file):  # begun or taken back by another process in this moment
            return read_folder(folder)
        raise


def _read_job(folder: Path, file: Path) -> LaunchedJob:
    planned = file.name == PLANNED
    job = sweep_directory.read_job(folder, file.name)
    if not is_custom_job(job):
        raise SweepDirectoryError(f"{file} is a tuning job's, and no launched job: was it changed?")
    record = sweep_directory.read_record(folder)
    address, name = existing_address(record.address), job.get("name")
    if name is not None and (planned or JobName.parse(name).location != parse_parent(address.parent)[1]):
        raise SweepDirectoryError(f"{file} calls its job {name}, which no launch of {address.parent} does: was it changed?")
    return LaunchedJob(int(folder.name), folder, job, address, planned=planned, state=record.state, error=record.error)


def _json_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
