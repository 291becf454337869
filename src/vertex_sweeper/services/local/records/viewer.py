"""The jobs of a local service in another process, as its records tell: the three verbs for whoever comes back.

Whether that process is alive is told by the lock on its records, so that a sweep that runs and one that was killed cannot be
taken for each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, NoReturn

from vertex_sweeper.api import CANCELLED, Job, JobState, format_time
from vertex_sweeper.api_names import is_custom
from vertex_sweeper.errors import JobNotFound, ServiceError
from vertex_sweeper.services.backoff import Backoff
from vertex_sweeper.services.local.records.records import LOCK, UNREADABLE, JobOrigin, Records, job_ids, lock_owner, read_job
from vertex_sweeper.services.local.study.study import CANCELLED_CODE, Study

_REREADS: Final = Backoff(first=0.01, longest=0.05, times=5)
"""Before a job is read again. A job is several files: read while they change, they may not fit together."""

_GLANCE: Final = 0.2
"""Seconds between two looks whether a file has changed."""

_PATIENCE: Final = 10.0
"""For how many seconds at most it is seen what a process makes of a signal."""


class Viewer:
    """A `Service` that creates nothing and runs nothing.

    Args:
        records: The folder of the `LocalService` that does.
    """

    def __init__(self, records: Path) -> None:
        self._records = records

    def names(self) -> list[str]:
        """The names of the jobs on record. Raises ServiceError for a record that cannot be read."""
        return [self._study(job_id).name for job_id in job_ids(self._records)]

    def find(self, parent: str, labels: Mapping[str, str | None], *, custom: bool | None = None) -> list[Job]:
        """The jobs below the parent that carry all these labels; None stands for any value, and for either kind of job."""
        jobs = [self._study(job_id).to_json() for job_id in job_ids(self._records)]
        found = [job for job in jobs if job["name"].startswith(f"{parent}/") and _carries(job.get("labels", {}), labels)]
        return [job for job in found if custom is None or is_custom(job["name"]) is custom]

    def create(self, parent: str, spec: Mapping[str, Any]) -> NoReturn:
        """Not possible for a viewer. Raises ServiceError."""
        name = spec.get("displayName", "a job")
        raise ServiceError(f"{name} is not created in {parent}: {self._records} is another process's", acted=False)

    def get(self, name: str) -> Job:
        """The job as it was last put on record. Raises JobNotFound or ServiceError."""
        return self._study(self._id(name)).to_json()

    def abandoned(self, name: str) -> bool:
        """Whether the job has not ended, and nobody runs it: its process was killed."""
        # Asked in this order, an end between the two questions is seen.
        return not self._runs() and not self._study(self._id(name)).state.ended

    def trial_directory(self, name: str) -> Path:
        """The working directory of its trials."""
        return Path(self._read(self._id(name))[0].directory)

    def cancel(self, name: str) -> None:
        """Asks the process that runs the job to cancel it; a job that nobody runs ends here and now. Raises ServiceError."""
        job_id = self._id(name)
        owner = lock_owner(self._records)
        state = self._study(job_id).state
        if state.ended:
            return
        if owner is None or not owner.alive:
            self._end(job_id)
        elif state is JobState.CANCELLING:
            return  # once more would not leave it the time
        elif owner.elsewhere:
            raise ServiceError(f"{name} is run by process {owner.process} of {owner.elsewhere}: cancel it there")
        else:
            try:
                owner.terminate(self._records / LOCK)
            except ProcessLookupError:
                pass  # gone in this moment
            except PermissionError:
                raise ServiceError(f"{name} is run by process {owner.process}, which is another user's") from None
            self._see_to_it(name)

    def waiting(self, name: str) -> Callable[[float], None]:
        """Waits for a change of the job, or for so many seconds. Raises ServiceError when nobody runs it any more."""

        def wait(seconds: float) -> None:
            before, end = self._changed(name), time.monotonic() + seconds
            while self._changed(name) == before and time.monotonic() < end:
                if self.abandoned(name):
                    raise ServiceError("the process that ran the job is gone, and nobody runs it")
                time.sleep(min(_GLANCE, seconds))

        return wait

    def _see_to_it(self, name: str) -> None:
        """Waits for a word of the process that was sent a signal: it may let go of the job instead, as it was told to."""
        deadline = time.monotonic() + _PATIENCE
        while self._study(self._id(name)).state in (JobState.PENDING, JobState.RUNNING) and time.monotonic() < deadline:
            if self.abandoned(name):
                self._end(self._id(name))
                return
            time.sleep(_GLANCE)

    def _changed(self, name: str) -> int:
        """When the record was last changed, in nanoseconds."""
        folder = self._records / self._id(name)
        try:
            return folder.stat().st_mtime_ns
        except OSError as error:
            raise ServiceError(f"{folder} is gone: {error.strerror}") from error

    def _runs(self) -> bool:
        owner = lock_owner(self._records)
        return owner is not None and owner.alive

    def _end(self, job_id: str) -> None:
        try:
            records = Records(self._records)
        except OSError as error:
            raise ServiceError(f"{self._records} cannot be written ({error.strerror}): make it writable") from error
        try:
            origin, study = self._read(job_id)
            unfinished = [trial for trial in study.trials if not trial.state.ended]
            now = format_time(time.time())
            study.end(CANCELLED_CODE, CANCELLED, now=now)
            study.close(now=now)
            record = records.of(job_id, origin)
            for trial in unfinished:
                record.write_trial(trial)
            record.write_job(study, lock=nullcontext())
        finally:
            records.close()

    def _id(self, name: str) -> str:
        job_id = name.rpartition("/")[2]
        if job_id not in job_ids(self._records) or self._study(job_id).name != name:
            raise JobNotFound(f"{self._records} has no job {name}")
        return job_id

    def _study(self, job_id: str) -> Study:
        return self._read(job_id)[1]

    def _read(self, job_id: str) -> tuple[JobOrigin, Study]:
        for seconds in (*_REREADS, None):
            try:
                return read_job(self._records, job_id)
            except UNREADABLE as error:
                if seconds is None:
                    remedy = "put it back, or where it is the last trial's remove it, and that trial is suggested again"
                    raise ServiceError(f"{self._records / job_id} cannot be read ({error}): {remedy}") from error
                time.sleep(seconds)
        raise AssertionError("the last try returns or raises")  # pragma: no cover


def _carries(own: Mapping[str, str], labels: Mapping[str, str | None]) -> bool:
    return all(label in own and value in (None, own[label]) for label, value in labels.items())
