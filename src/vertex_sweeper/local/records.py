"""Jobs on disk, so that another process can take them up: a document for each job and one for each of its trials."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from vertex_sweeper.errors import ServiceError
from vertex_sweeper.files import write_text
from vertex_sweeper.local import guard
from vertex_sweeper.local.nodes import read_nodes
from vertex_sweeper.local.study import Study
from vertex_sweeper.local.trial import Trial

log = logging.getLogger(__name__)

JOB: Final = "job.json"
"""The document of a job as a whole, in its folder; a trial's is called after its number."""

_PATIENCE: Final = guard.PATIENCE + 2


class Records:
    """A folder with a folder for each job; one service at a time has it.

    Whoever holds `lock`, an open file, has the folder. A service's guardian inherits it: after a service was killed, the next
    one gets the folder when nothing is left of what the first had started.

    Raises:
        ServiceError: Another process has the folder.
    """

    def __init__(self, folder: Path) -> None:
        import fcntl  # not on Windows, where nothing runs locally

        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(self.lock)
                    raise ServiceError(f"another process uses the jobs in {folder}: end it, or choose another folder") from None
                time.sleep(0.02)  # a lock that tells of its release has no timeout
            else:
                return

    def close(self) -> None:
        """Lets others have the folder. To be called once."""
        os.close(self.lock)

    def remove(self, job_id: str) -> None:
        """Forgets a job."""
        (self._folder / job_id / JOB).unlink(missing_ok=True)  # first: without it the others are nothing
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def read(self) -> Iterator[tuple[str, Study]]:
        """All jobs on record, by id, the oldest first. What cannot be read is passed over, and the log says so."""
        found = []
        for path in self._folder.glob(f"*/{JOB}"):
            try:
                found.append((path.parent.name, _read_study(path)))
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("The record %s cannot be read, and its job is left out: %r", path.parent, error)
        yield from sorted(found, key=lambda entry: entry[1].created)

    def of(self, job_id: str) -> JobRecord:
        """One job's record."""
        return JobRecord(self._folder / job_id)


class JobRecord:
    """A job's documents. Where they cannot be written the log says so, and the job goes on: it would not survive a restart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing = threading.Lock()

    def write_job(self, study: Study, *, lock: AbstractContextManager[Any]) -> None:
        """Writes the job as a whole as it stands; `lock` is held while it is read."""
        with self._writing:  # two threads may write, and the last one must have the last state
            with lock:
                record = study.to_record()
            self._write(JOB, record)

    def write_trial(self, trial: Trial) -> None:
        """Writes a trial."""
        self._write(f"{trial.number}.json", trial.to_record())

    def _write(self, name: str, record: Mapping[str, Any]) -> None:
        try:
            write_text(self._folder / name, json.dumps(record, ensure_ascii=True, allow_nan=False))
        except OSError as error:
            log.error("%s cannot be written, and a restart would not know of it: %s", self._folder / name, error)  # noqa: TRY400


def _read_study(path: Path) -> Study:
    record = json.loads(path.read_text(encoding="utf-8"))
    nodes = read_nodes(record["spec"]["studySpec"]["parameters"])
    others = path.parent.glob("[0-9]*.json")
    return Study.from_record(record, [Trial.from_record(json.loads(one.read_text(encoding="utf-8")), nodes) for one in others])
