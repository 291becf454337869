"""What a sweep directory knows of its job: `job.json` is the job itself, `sweep.json` says where it runs and how it ended.

Both are written before the job is created, so that whatever happens to this process, the directory alone is enough to find the
job again: by its name, or as long as that is not known, by the label that only this sweep's job has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.files import write_text
from vertex_sweeper.service import Job
from vertex_sweeper.services import Address
from vertex_sweeper.settings import Backend

JOB: Final = "job.json"
SWEEP: Final = "sweep.json"


@dataclass(frozen=True, slots=True)
class Record:
    """What `sweep.json` holds: where the job is, and the state it was last seen in, when somebody stopped looking."""

    address: Address
    state: str | None = None
    error: str = ""


def claim(directory: Path) -> None:
    """Makes the sweep directory, or says why it cannot be this sweep's."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SweepDirectoryError(
            f"{directory} cannot be written ({error.strerror}): set hydra.sweep.dir to a place that can"
        ) from error
    if (directory / JOB).exists():
        raise SweepDirectoryError(
            f"{directory} already holds a job, and is left as it is: to go on with it, hydra.sweeper.attach={directory}; for a "
            "new sweep, set hydra.sweep.dir to another place"
        )


def write_intent(directory: Path, address: Address, spec: Mapping[str, Any]) -> None:
    """Puts down what is about to be created. `job.json` comes last: with it, the directory is taken."""
    write_record(directory, Record(address))
    _write_json(directory / JOB, spec)


def write_job(directory: Path, job: Mapping[str, Any], name: str) -> None:
    """Puts down the job's name, in front of its specification."""
    _write_json(directory / JOB, {"name": name, **{key: value for key, value in job.items() if key != "name"}})


def withdraw_intent(directory: Path) -> None:
    """Frees the directory for another try: certainly nothing was created."""
    for name in (JOB, SWEEP):
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
    document = _read_json(directory / SWEEP)
    try:
        address = Address(Backend(document["backend"]), document["parent"], document["endpoint"], document["impersonate"])
        return Record(address, document["state"], document["error"])
    except (KeyError, ValueError) as error:
        raise SweepDirectoryError(f"{directory / SWEEP} is not what a sweep writes ({error!r}): was it changed?") from error


def read_job(directory: Path) -> Job:
    """The job as it was to be created, with its `name` once that is known. Raises SweepDirectoryError."""
    return _read_json(directory / JOB)


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


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
