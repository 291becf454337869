"""What a sweep directory knows of its job: `job.json` is the job itself, `sweep.json` says where it runs and how it ended.

Both are written before the job is created, so that whatever happens to this process, the directory alone is enough to find the
job again: by its name, or as long as that is not known, by the label that only this sweep's job has. `job.json` comes first:
whoever puts it there has the directory, and as long as there is no `sweep.json` beside it, certainly nothing was created.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.files import BEST_CONFIG, remove_leftovers, write_new, write_text
from vertex_sweeper.hints import attach_command
from vertex_sweeper.service import Job
from vertex_sweeper.services import RECORDS, Address
from vertex_sweeper.settings import Backend

JOB: Final = "job.json"
SWEEP: Final = "sweep.json"
CONFIG: Final = "multirun.yaml"


@dataclass(frozen=True, slots=True)
class Record:
    """What `sweep.json` holds: where the job is, and the state it was last seen in, when somebody stopped looking."""

    address: Address
    state: str | None = None
    error: str = ""


def claim(directory: Path, address: Address, spec: Mapping[str, Any], *, config: str) -> None:
    """Makes the directory this sweep's own, and puts down what is about to be created; `config` is the text of `multirun.yaml`.

    Of two sweeps that begin at the same time in one directory one gets it, and the other changes nothing there. Raises
    SweepDirectoryError, and then the directory is as it was.
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

    Raises SweepDirectoryError if it is another job's.
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


def withdraw(directory: Path) -> None:
    """Frees the directory for another try: certainly nothing was created."""
    shutil.rmtree(directory / RECORDS, ignore_errors=True)  # no job is in it
    for name in (CONFIG, SWEEP, JOB):  # as long as there is a `job.json`, no other sweep begins here
        (directory / name).unlink(missing_ok=True)


def write_record(directory: Path, record: Record) -> None:
    """Writes `sweep.json`."""
    address = {**asdict(record.address), "backend": record.address.backend.value}
    _write_json(directory / SWEEP, {**address, "state": record.state, "error": record.error})


def write_state(directory: Path, *, state: str | None, error: str) -> None:
    """Puts down how the job was last seen."""
    write_record(directory, replace(read_record(directory), state=state, error=error))


def read_record(directory: Path) -> Record:
    """What `sweep.json` says. Raises SweepDirectoryError."""
    if (directory / JOB).exists() and not (directory / SWEEP).exists():
        raise SweepDirectoryError(
            f"a sweep began in {directory} and was ended before it created its job: it has a {JOB} and no {SWEEP}; to sweep "
            f"there, remove {directory / JOB}"
        )
    document = _read_json(directory / SWEEP)
    try:
        address = Address(Backend(document["backend"]), document["parent"], document["endpoint"], document["impersonate"])
        return Record(address, document["state"], document["error"])
    except (KeyError, ValueError) as error:
        raise SweepDirectoryError(f"{directory / SWEEP} is not what a sweep writes ({error!r}): was it changed?") from error


def read_job(directory: Path) -> Job:
    """The job as it was to be created, with its `name` once that is known. Raises SweepDirectoryError."""
    return _read_json(directory / JOB)


def _tidy(directory: Path) -> None:
    remove_leftovers(directory, (directory / BEST_CONFIG).parent, *(directory / RECORDS).glob("*"))


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


@contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Turns an OSError inside the block into what a user can do about it."""
    try:
        yield
    except SweepDirectoryError:
        raise
    except OSError as error:
        raise SweepDirectoryError(
            f"{directory} cannot be written ({error.strerror}): set hydra.sweep.dir to a place that can"
        ) from error


def _json_text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    write_text(path, _json_text(document))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except FileNotFoundError:
        raise SweepDirectoryError(f"{path.parent} is no sweep directory: it has no {path.name}") from None
    except (OSError, ValueError) as error:
        raise SweepDirectoryError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise SweepDirectoryError(f"{path} is not what a sweep writes: was it changed?")
    return document
