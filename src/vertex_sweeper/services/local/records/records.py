"""Jobs on disk, so that another process can take them up: a document for each job and one for each of its trials."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, NamedTuple

from vertex_sweeper.api import is_custom_job
from vertex_sweeper.api_names import is_custom, split_job
from vertex_sweeper.atomic_files import make_folder, write_text
from vertex_sweeper.errors import JobsTaken, ServiceError
from vertex_sweeper.job.field_types import check_job_shape
from vertex_sweeper.messages import printable
from vertex_sweeper.services.backoff import Backoff
from vertex_sweeper.services.local.execute import reaper
from vertex_sweeper.services.local.parameter_tree import ParameterSpec, read_parameter_specs
from vertex_sweeper.services.local.records.lock_owner import LockOwner
from vertex_sweeper.services.local.study.custom_job import study_class
from vertex_sweeper.services.local.study.study import Study
from vertex_sweeper.services.local.study.trial import Trial
from vertex_sweeper.services.local.validation import check_job
from vertex_sweeper.stored_json import DamagedDocument, check_complete, check_shape, read_sealed, sealed

log = logging.getLogger(__name__)

JOB: Final = "job.json"
"""The document of a job as a whole, in its folder; a trial's is called after its number."""

LOCK: Final = ".lock"
"""The file in the folder that its service keeps locked, and in which it says who it is."""

_PATIENCE: Final = reaper.PATIENCE + 2


class JobOrigin(NamedTuple):
    """What a job began with and the API has no field for.

    That is where its trials work, the seed of their suggestions, and the devices of each slot, if they are shared out.
    """

    directory: str
    seed: int
    devices: tuple[str, ...] = ()


class Records:
    """A folder with a folder for each job; one service at a time has it.

    Whoever holds `lock`, an open file, has the folder. A service's reaper inherits it: after a service was killed, the next
    one gets the folder when nothing is left of what the first had started.

    Raises:
        JobsTaken: Another process has the folder.
        OSError: It cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = make_folder(folder)
        self.lock = _open_lock(folder, os.O_RDWR | os.O_CREAT)
        try:
            self._take()
        except BaseException:
            os.close(self.lock)
            raise

    def close(self) -> None:
        """Lets others have the folder. To be called once."""
        os.close(self.lock)

    def remove(self, job_id: str) -> None:
        """Forgets a job."""
        (self._folder / job_id / JOB).unlink(missing_ok=True)  # first: without it the others are nothing
        shutil.rmtree(self._folder / job_id, ignore_errors=True)

    def read(self) -> Iterator[tuple[str, JobOrigin, Study]]:
        """All jobs on record, by id, the oldest first. What cannot be read is passed over, and the log says so."""
        found = []
        for job_id in job_ids(self._folder):
            try:
                origin, study = read_job(self._folder, job_id)
                check_job(study.spec)
                found.append((job_id, origin, study))
            except UNREADABLE as error:
                log.warning(
                    "The record %s cannot be read, and its job is left out: %s", *map(printable, (self._folder / job_id, error))
                )
        yield from sorted(found, key=lambda entry: entry[2].created)

    def of(self, job_id: str, origin: JobOrigin) -> JobRecord:
        """One job's record."""
        return JobRecord(self._folder / job_id, origin)

    def _take(self) -> None:
        import fcntl  # not on Windows, where nothing runs locally

        pauses = iter(_backoff())
        while True:
            try:
                fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                seconds = next(pauses, None)
                if seconds is None:
                    raise JobsTaken(
                        f"another process uses the jobs in {self._folder}: end it, or choose another folder"
                    ) from None
                time.sleep(seconds)  # a lock that tells of its release has no timeout
        # Of an earlier owner nothing is left: cut off first, so that nobody takes its process for this one.
        os.ftruncate(self.lock, 0)
        os.pwrite(self.lock, LockOwner.of_this_process().to_text().encode(), 0)


class JobRecord:
    """A job's documents. Where they cannot be written the log says so, and the job goes on: it would not survive a restart."""

    def __init__(self, folder: Path, origin: JobOrigin) -> None:
        self._folder = folder
        self._origin = origin
        self._writing = threading.Lock()

    def write_job(self, study: Study, *, lock: AbstractContextManager[Any], or_raise: bool = False) -> None:
        """Writes the job as a whole as it stands; `lock` is held while it is read. Raises OSError with `or_raise` only."""
        with self._writing:  # two threads may write, and the last one must have the last state
            with lock:
                record = study.to_record()
            self._write(JOB, self._origin._asdict() | record, or_raise=or_raise)

    def write_trial(self, trial: Trial) -> None:
        """Writes a trial."""
        self._write(f"{trial.number}.json", trial.to_record())

    def _write(self, name: str, record: Mapping[str, Any], *, or_raise: bool = False) -> None:
        try:
            write_text(self._folder / name, sealed(record))
        except OSError as error:
            if or_raise:
                raise
            path = printable(self._folder / name)
            log.error("%s cannot be written, and a restart would not know of it: %s", path, printable(error))  # noqa: TRY400


UNREADABLE: Final = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What `read_job` raises of a record that is damaged, or of another hand."""

_SHAPE: Final = {
    "directory": str,
    "seed": int,
    "devices": [str],
    "name": str,
    "state": str,
    "created": str,
    "started": str,
    "ended": str,
    "updated": str,
    "error": (dict, type(None)),
    "stopped": str,
    "pauses": [[float]],
    "spec": {},
}


def job_ids(folder: Path) -> list[str]:
    """The ids of the jobs on record. Raises ServiceError where that cannot be told."""
    try:
        return [path.name for path in sorted(folder.iterdir()) if (path / JOB).exists()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ServiceError(f"{folder} cannot be read: {error.strerror}") from error


def read_job(folder: Path, job_id: str) -> tuple[JobOrigin, Study]:
    """One job on record. Raises one of UNREADABLE."""
    own = folder / job_id
    if own.is_symlink():
        raise DamagedDocument("a link")
    record = read_sealed(own / JOB)
    check_complete(record, _SHAPE)
    check_job_shape(record["spec"], "spec")
    check_shape(record["error"] or {"code": 0, "message": ""}, {"code": int, "message": str}, "error")
    name = split_job(record["name"])
    if name is None or name[1] != job_id or not record["name"].isprintable():
        raise DamagedDocument(f"it is of {record['name'][:200]!r}")
    spec = record["spec"]
    if is_custom(record["name"]) is not is_custom_job(spec):
        raise DamagedDocument(f"{record['name']} is the name of another kind of job")
    parameters = () if is_custom_job(spec) else read_parameter_specs(spec["studySpec"]["parameters"])
    trials = [_read_trial(one, parameters) for one in own.glob("[0-9]*.json")]
    origin = JobOrigin(record["directory"], record["seed"], tuple(record["devices"]))
    return origin, study_class(spec).from_record(record, trials)


def _read_trial(path: Path, parameters: Sequence[ParameterSpec]) -> Trial:
    try:
        return Trial.from_record(read_sealed(path), parameters)
    except (ValueError, LookupError, TypeError) as error:
        raise DamagedDocument(f"{path.name}: {error}") from error


def lock_owner(folder: Path) -> LockOwner | None:
    """Who has the folder; None when nobody has, not even the reaper of one that was killed. Raises ServiceError."""
    try:
        import fcntl
    except ImportError:
        return None  # Windows, where nothing runs locally
    for seconds in _backoff():
        try:
            lock = _open_lock(folder, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ServiceError(f"{folder / LOCK} cannot be read, and so not who runs the job: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            said = os.pread(lock, 4096, 0)
        else:
            return None
        finally:
            os.close(lock)
        if said:
            try:
                return LockOwner.parse(said)
            except DamagedDocument as error:
                raise ServiceError(f"{folder / LOCK} is locked, and does not say by whom ({error}): end who did it") from error
        time.sleep(seconds)  # it has just got the lock
    raise ServiceError(f"{folder / LOCK} is locked, and does not say by whom: end who did it")


def _backoff() -> Backoff:
    """Between two tries to get the lock, or to read who has it."""
    return Backoff(first=0.01, longest=0.05, patience=_PATIENCE)


def _open_lock(folder: Path, how: int) -> int:
    """The open file of the folder's lock. Raises OSError; it is no link: it is written to."""
    lock = os.open(folder / LOCK, how | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)  # others may ask who it is
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        os.close(lock)
        raise OSError(errno.EINVAL, "not a file")
    return lock
