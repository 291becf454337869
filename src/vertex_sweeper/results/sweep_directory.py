"""What a sweep directory knows of its job: `job.json` is the job itself, `sweep.json` says where it runs and how it ended.

Both are written before the job is created, so that whatever happens to this process, the directory alone is enough to find the
job again: by its name, or as long as that is not known, by the label that only this sweep's job has. `job.json` comes first:
whoever puts it there has the directory, and as long as there is no `sweep.json` beside it, certainly nothing was created.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from vertex_sweeper.api import Job, specification
from vertex_sweeper.api_names import ACCOUNT, parse_parent
from vertex_sweeper.atomic_files import remove_leftovers, write_new, write_text
from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.job import SWEEP_LABEL
from vertex_sweeper.job.field_types import check_job_shape
from vertex_sweeper.messages import attach_command, printable
from vertex_sweeper.results.tables import BEST_CONFIG
from vertex_sweeper.services.address import BUCKETS_FOLDER, RECORDS, SWEEP, Address
from vertex_sweeper.settings import Backend
from vertex_sweeper.stored_json import DamagedDocument, check_complete, read_json

log = logging.getLogger(__name__)

JOB: Final = "job.json"
CONFIG: Final = "multirun.yaml"

_RECORD: Final = {
    "backend": str,
    "parent": str,
    "endpoint": (str, type(None)),
    "impersonate": (str, type(None)),
    "state": (str, type(None)),
    "error": str,
}


@dataclass(frozen=True, slots=True)
class Record:
    """What `sweep.json` holds: where the job is, and the state it was last seen in, when somebody stopped looking."""

    address: Address
    state: str | None = None
    error: str = ""


def claim(directory: Path, address: Address, spec: Mapping[str, Any], *, config: str) -> None:
    """Makes the directory this sweep's own, and puts down what is about to be created.

    Of two sweeps that begin at the same time in one directory one gets it, and the other changes nothing there.

    Args:
        directory: Hydra's sweep directory; it is made where it is not there.
        address: Where the job is about to be created.
        spec: The job.
        config: The text of `multirun.yaml`; empty for none.

    Raises:
        SweepDirectoryError: It cannot be had, and is as it was.
    """
    with _writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            write_new(directory / JOB, _json_text(spec))
        except FileExistsError:
            raise _taken(directory) from None
        if (directory / RECORDS).exists():
            (directory / JOB).unlink()
            raise SweepDirectoryError(
                f"{directory / RECORDS} has the trials of an earlier sweep: set hydra.sweep.dir to another place"
            )
        try:
            write_record(directory, Record(address))
            write_text(directory / CONFIG, config)
            _tidy(directory)
        except OSError:
            withdraw(directory)
            raise


def adopt(directory: Path, address: Address, job: Mapping[str, Any]) -> None:
    """Makes the directory that of a job which exists, unless it is that already.

    Args:
        directory: Where the job's files go; it is made where it is not there.
        address: Where the job is.
        job: The job as its service gives it, with its name.

    Raises:
        SweepDirectoryError: It is another job's.
    """
    with _writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        _tidy(directory)
        if not (directory / JOB).exists():
            write_record(directory, Record(address))
            write_job(directory, job, job["name"])
            return
    owner = read_job(directory).get("name")
    if owner != job["name"]:
        raise SweepDirectoryError(f"{directory} holds another job, {owner}: set another directory for {job['name']}")


def write_job(directory: Path, job: Mapping[str, Any], name: str) -> None:
    """Puts down the job's name, in front of its specification."""
    _write_json(directory / JOB, {"name": name, **{key: value for key, value in job.items() if key != "name"}})


def withdraw(directory: Path, trials: Iterable[str] = ()) -> None:
    """Frees the directory for another try: certainly nothing was created, or these trials alone have begun, and are gone.

    Args:
        directory: A directory that `claim` has made this sweep's own.
        trials: The ids of the trials that have begun; their logs go.

    Raises:
        SweepDirectoryError: It cannot be freed.
    """
    for name in (RECORDS, BUCKETS_FOLDER):
        shutil.rmtree(directory / name, ignore_errors=True)  # no job is in it
    logs = directory / "logs"
    began = [logs / f"{trial}.{kind}" for trial in trials for kind in ("log", "metrics")]
    with suppress(OSError):  # what is not ours stays
        for path in [*began, *(logs / "bin" / name for name in ("python", "python3"))]:
            if not logs.is_symlink() and not path.parent.is_symlink():
                path.unlink(missing_ok=True)
    for folder in (logs / "bin", logs):
        with suppress(OSError):
            folder.rmdir()
    with _writing(directory):
        for name in (CONFIG, SWEEP, JOB):  # as long as there is a `job.json`, no other sweep begins here
            (directory / name).unlink(missing_ok=True)


def write_record(directory: Path, record: Record) -> None:
    """Writes `sweep.json`."""
    address = {**asdict(record.address), "backend": record.address.backend.value}
    _write_json(directory / SWEEP, {**address, "state": record.state, "error": record.error})


def write_state(directory: Path, address: Address, job: Mapping[str, Any], *, error: str) -> None:
    """Puts down how the job at the address was last seen. What was deleted or damaged meanwhile is written anew."""
    if not (directory / JOB).exists():
        write_job(directory, specification(job), job["name"])
    try:
        address = read_record(directory).address
    except SweepDirectoryError:
        log.warning("%s was deleted or damaged, and is written anew", printable(directory / SWEEP))
    write_record(directory, Record(address, job.get("state"), error))


def read_record(directory: Path) -> Record:
    """What `sweep.json` says. Raises SweepDirectoryError."""
    if (directory / JOB).exists() and not os.path.lexists(directory / SWEEP):
        raise SweepDirectoryError(
            f"a sweep began in {directory} and was ended before it created its job: it has a {JOB} and no {SWEEP}; to sweep "
            f"there, remove {directory / JOB}"
        )
    document = _read(directory / SWEEP, _check_record)
    address = Address(Backend(document["backend"]), document["parent"], document["endpoint"], document["impersonate"])
    return Record(address, document["state"], document["error"])


def read_job(directory: Path, file: str = JOB) -> Job:
    """The job as it was to be created, with its `name` once that is known. Raises SweepDirectoryError."""
    return cast("Job", _read(directory / file, _check_job))


def _check_record(document: dict[str, Any]) -> None:
    check_complete(document, _RECORD)
    if document["backend"] not in [backend.value for backend in Backend]:
        raise DamagedDocument(f"there is no backend {document['backend'][:100]!r}")
    try:
        parse_parent(document["parent"])
    except ValueError as error:
        raise DamagedDocument(str(error)) from None
    account = document["impersonate"]
    if account is not None and not re.fullmatch(ACCOUNT, account):
        raise DamagedDocument(f"{account[:100]!r} is no service account's address")


def _check_job(document: dict[str, Any]) -> None:
    check_job_shape(document)
    label = document.get("labels", {}).get(SWEEP_LABEL, "")
    if not re.fullmatch(r"[a-z0-9_-]*", label):
        raise DamagedDocument(f"{label[:100]!r} is no label")


def check_owner(directory: Path, *files: str) -> None:
    """Raises SweepDirectoryError where the directory, its record, or one of these files is another user's.

    The command there would run as us.
    """
    records = [path for path in (directory / RECORDS,) if os.path.lexists(path)]
    named = [directory / file for file in files if os.path.lexists(directory / file)]
    for path in (directory.resolve(), *records, *(directory / RECORDS).rglob("*"), *named):
        owner = path.lstat().st_uid
        if owner != os.geteuid():
            raise SweepDirectoryError(
                f"{path} belongs to another user ({owner}), and to go on would run the command on record there, as you: look "
                f"at it, and if you trust it, `{attach_command(directory)} --trust`"
            )


def _tidy(directory: Path) -> None:
    records = directory / RECORDS
    below = [(directory / BEST_CONFIG).parent, *(() if records.is_symlink() else records.glob("*"))]
    remove_leftovers(directory, *(folder for folder in below if not folder.is_symlink()))


def _taken(directory: Path) -> SweepDirectoryError:
    if not (directory / SWEEP).exists():
        return SweepDirectoryError(
            f"another sweep is beginning in {directory}, or was ended before it created its job: set hydra.sweep.dir to "
            f"another place, or when no other sweep is starting, remove {directory / JOB}"
        )
    return SweepDirectoryError(
        f"{directory} already holds a job, and is left as it is: to go on with it, `{attach_command(directory)}`; for a new "
        "sweep, set hydra.sweep.dir to another place"
    )


def unwritable(directory: Path, error: OSError) -> SweepDirectoryError:
    """What a user can do where the directory cannot be written."""
    return SweepDirectoryError(f"{directory} cannot be written ({error.strerror}): set hydra.sweep.dir to a place that can")


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Turns an OSError inside the block into what a user can do about it."""
    try:
        yield
    except SweepDirectoryError:
        raise
    except OSError as error:
        raise unwritable(directory, error) from error


def _json_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    write_text(path, _json_text(document))


def _read(path: Path, check: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    try:
        document = read_json(path)
        check(document)
    except FileNotFoundError:
        raise SweepDirectoryError(f"{path.parent} is no sweep directory: it has no {path.name}") from None
    except OSError as error:
        raise SweepDirectoryError(f"{path} cannot be read: {error.strerror}") from error
    except DamagedDocument as error:
        raise SweepDirectoryError(f"{path} is not what a sweep writes ({error}): was it changed?") from error
    return document
