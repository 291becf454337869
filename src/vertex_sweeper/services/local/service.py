"""The local service: the three verbs, served by threads and child processes of this machine."""

from __future__ import annotations

import copy
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from vertex_sweeper.api import Job, container_job, format_time, is_custom_job
from vertex_sweeper.api_names import CUSTOM_JOBS, TUNING_JOBS, format_job
from vertex_sweeper.atomic_files import make_folder
from vertex_sweeper.errors import JobNotFound, ServiceError
from vertex_sweeper.services.local.execute.environment import JobSetup, provide_interpreter
from vertex_sweeper.services.local.execute.executor import Executor
from vertex_sweeper.services.local.execute.flag_rendering import PLAIN, Rendering
from vertex_sweeper.services.local.execute.process import ProcessExecutor
from vertex_sweeper.services.local.execute.running_trial import RunnerContext
from vertex_sweeper.services.local.execute.threads import threads_of_trial
from vertex_sweeper.services.local.job import JobRun
from vertex_sweeper.services.local.records.records import JobOrigin, Records
from vertex_sweeper.services.local.study.custom_job import study_class
from vertex_sweeper.services.local.study.early_stopping import MEDIAN, RULES
from vertex_sweeper.services.local.study.study import JobChanges, Study
from vertex_sweeper.services.local.study.trial_outcome import describe_exit
from vertex_sweeper.services.local.suggest.base import Suggester
from vertex_sweeper.services.local.suggest.grid import GridSuggester
from vertex_sweeper.services.local.suggest.making import make_suggester
from vertex_sweeper.services.local.validation import check_job
from vertex_sweeper.services.waiting import GLANCE

log = logging.getLogger(__name__)

_MOMENT: Final = 5.0
"""For how many seconds at most a job's thread is waited for that has next to nothing left to do."""


class LocalService:
    """Runs tuning jobs and custom jobs here: a `Service` that needs no network, no account and no money.

    Any number of jobs run at once. Nothing that a job started outlives it, `close()`, or this process, however it ends.
    No signal handlers are installed. A job's first worker pool runs, as one process; a custom job is one trial, number 1.

    Args:
        workspace: The folder for a job of this id. Its trials print into `logs/<trial id>.log` and report into
            `logs/<trial id>.metrics`.
        seed: The same seed gives the same suggestions, as long as trials also end in the same order. None: a random one.
        devices: Those of each slot, as CUDA_VISIBLE_DEVICES names them: a trial sees those of its slot, and a job has at most
            as many trials at a time. Each job has all of them. None: trials see what they inherit.
        environment: What trials inherit; by default this process's environment.
        rendering: How values become arguments.
        executor: What starts the trials. It is this service's from now on, which closes it; by default a new `ProcessExecutor`.
        grace: For how many seconds a trial that was asked to end (SIGTERM) may go on.
        metric_interval: Every how many seconds the metrics of running trials are read, in jobs that may stop trials early.
        clock: What time it is, in seconds since 1970.
        records: A folder of the service's own, where jobs are put on record. A later service with the same folder has them
            again (`resume`), and `close()` does not cancel them. It is taken, and made, with the first job.
        buckets: The folder that stands for the buckets which Vertex mounts; None where trials inherit its name, or need none.
        sweep_directory: Hydra's sweep directory, as trials are told it; by default the job's own folder.
        needs_image: Whether a job whose containers have no image is refused, as by the API.
        describe: What is said of an exit code (negative: a signal's number), given what the trial printed; by default
            `describe_exit`, as Google's service might.
    """

    def __init__(
        self,
        workspace: Callable[[str], Path],
        *,
        seed: int | None = None,
        devices: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        rendering: Rendering = PLAIN,
        executor: Executor | None = None,
        grace: float = 10.0,
        metric_interval: float = 1.0,
        clock: Callable[[], float] = time.time,
        records: Path | None = None,
        buckets: Path | None = None,
        sweep_directory: Path | None = None,
        needs_image: bool = False,
        describe: Callable[[int, Path], str] = lambda code, _: describe_exit(code),
    ) -> None:
        self._workspace, self._needs_image = workspace, needs_image
        self._buckets, self._sweep_directory = buckets, sweep_directory
        self._seed, self._devices = seed, tuple(devices)
        self._changed = threading.Condition()
        self._changes = 0
        self._seen = threading.local()
        self._jobs: dict[str, JobRun] = {}
        self._closed = False
        self._folder = records
        self._records: Records | None = None
        self._executor = ProcessExecutor() if executor is None else executor
        self._context = RunnerContext(
            executor=self._executor,
            rendering=rendering,
            environment=dict(os.environ if environment is None else environment),
            grace=grace,
            metric_interval=metric_interval,
            clock=clock,
            changed=self._changed,
            notify=self._notify,
            describe=describe,
        )

    def create(self, parent: str, spec: Mapping[str, Any]) -> Job:
        """Creates and starts a job. See `Service.create`.

        Raises:
            InvalidJob: The specification has mistakes; all of them are named.
            MissingExtra: The suggestion library, which a tuning job needs, is not installed.
            ServiceError: The service was closed, or has no place for its records and logs. Nothing is left of the job then.
        """
        check_job(spec, needs_image=self._needs_image, slots=len(self._devices))
        spec = copy.deepcopy(dict(spec))  # the caller's own may change while trials are still to be started
        job_id = str(10**18 + secrets.randbelow(8 * 10**18))  # the API's ids are positive numbers of 64 bits
        now = format_time(self._context.clock())
        seed = secrets.randbits(32) if self._seed is None else self._seed
        origin = JobOrigin(str(Path.cwd()), seed, self._devices)
        name = format_job(parent, job_id, collection=CUSTOM_JOBS if is_custom_job(spec) else TUNING_JOBS)
        study = study_class(spec)(spec, name=name, now=now)
        # Before anything is written: what it needs may be missing.
        suggester = make_suggester(spec, metrics=study.limits.metrics, seed=origin.seed)
        self._take_records()
        try:
            run = self._prepare(job_id, origin, study, suggester)
            with self._changed:
                if self._closed:
                    raise ServiceError("the local service is closed", acted=False)
                run.keep(or_raise=True)  # before anything starts, and before anybody hears of it
                self._jobs[run.name] = run
                created = run.snapshot()
                run.start()
        except (OSError, RuntimeError) as error:  # no room, no right, something else in its place; no more threads
            self._jobs.pop(study.name, None)
            if self._records is not None:
                self._records.remove(job_id)
            raise _not_created(error) from error
        return created

    def resume(self) -> None:
        """Takes up the jobs on record: what has ended is there again, what has not goes on.

        Ended trials stay what they are; those that were running begin again under their numbers, with their values, in the
        working directory of the first time.

        Raises:
            ServiceError: Another service has the records.
        """
        self._take_records()
        for job_id, origin, study in self._records.read() if self._records is not None else ():
            if not study.state.ended:
                study.take_up(now=format_time(self._context.clock()))
            suggester = (
                GridSuggester(())
                if study.state.ended
                else make_suggester(study.spec, metrics=study.limits.metrics, seed=origin.seed)
            )
            try:
                run = self._prepare(job_id, origin, study, suggester)
            except OSError as error:
                log.warning("The job %s is left out: %s", study.name, error.strerror)
                continue
            with self._changed:
                self._jobs[study.name] = run
                if not study.state.ended:
                    run.start()

    def get(self, name: str) -> Job:
        """A snapshot of the job. See `Service.get`."""
        with self._changed:
            self._seen.changes = self._changes
            return self._run(name).snapshot()

    def changes(self, name: str, since: int = 0) -> JobChanges:
        """What has changed in the job since that revision: the cheap way to follow it. Raises JobNotFound."""
        return self._run(name).changes(since)

    def names(self) -> list[str]:
        """The names of all jobs, in the order of their creation."""
        with self._changed:
            return list(self._jobs)

    def cancel(self, name: str) -> None:
        """Asks the job to end. See `Service.cancel`."""
        self._run(name).cancel()

    def delete(self, name: str) -> bool:
        """Forgets a job that has ended, and its record; its folder stays. False if it has not. Raises JobNotFound."""
        with self._changed:
            run = self._run(name)
            if not run.ended:
                return False
            del self._jobs[name]
        run.join(_MOMENT)  # it may still be writing its end
        if self._records is not None:
            self._records.remove(run.job_id)
        return True

    def wait_for_change(self, seconds: float) -> None:
        """Returns when a job or trial has changed its state since this thread's last `get` or wait, or after that time."""
        with self._changed:
            seen = getattr(self._seen, "changes", self._changes)
            end = time.monotonic() + seconds
            while self._changes == seen and (left := end - time.monotonic()) > 0:
                self._changed.wait(min(GLANCE, left))
            self._seen.changes = self._changes

    def close(self) -> None:
        """Kills everything that runs, at once. Repeatable; `get` goes on working.

        Jobs that had not ended are cancelled; those on record are left as they stand.
        """
        with self._changed:
            closed, self._closed = self._closed, True
            runs = list(self._jobs.values())
        for run in runs:
            run.close()
        self._executor.close()
        for run in runs:
            run.join(_MOMENT)  # their processes are dead
        if self._records is not None and not closed:
            self._records.close()
        with self._changed:
            self._notify()  # nobody has to wait any longer

    def __enter__(self) -> LocalService:  # noqa: PYI034 - `Self` came with Python 3.11
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _take_records(self) -> None:
        with self._changed:
            if self._folder is None or self._records is not None or self._closed:
                return
            try:
                self._records = Records(self._folder)
            except OSError as error:
                line = f"{self._folder} cannot be written ({error.strerror}): make it writable, it keeps the job's record"
                raise ServiceError(line, acted=False) from error
            # A reaper that still has to end trials keeps others away from the records.
            self._executor.hold(self._records.lock)

    def _prepare(self, job_id: str, origin: JobOrigin, study: Study, suggester: Suggester) -> JobRun:
        spec, folder = study.spec, Path(self._workspace(job_id)).absolute()
        make_folder(folder / "logs")
        runs = container_job(spec)
        pools = runs["workerPoolSpecs"]
        if any(pools[1:]):
            log.info("Only the first worker pool runs here: the processes of several don't find each other locally.")
        for rule in [rule for rule in RULES if rule in spec.get("studySpec", {}) and rule != MEDIAN]:
            log.info("%s is a model of Vertex's own, and not imitated: here no trial is stopped by it.", rule)
        setup = JobSetup(
            job_id=job_id,
            folder=folder,
            directory=origin.directory,
            pool=pools[0],
            programs=provide_interpreter(folder / "logs"),
            base_output=runs.get("baseOutputDirectory", {}).get("outputUriPrefix", ""),
            buckets=self._buckets,
            sweep=self._sweep_directory,
            custom=is_custom_job(spec),
            devices=origin.devices,
            threads=threads_of_trial(min(study.limits.parallel, study.limits.most)),
        )
        record = self._records.of(job_id, origin) if self._records is not None else None
        return JobRun(study, setup=setup, suggester=suggester, context=self._context, record=record)

    def _run(self, name: str) -> JobRun:
        with self._changed:
            try:
                return self._jobs[name]
            except KeyError:
                raise JobNotFound(f"the local service has no job {name}") from None

    def _notify(self) -> None:
        self._changes += 1
        self._changed.notify_all()


def _not_created(error: OSError | RuntimeError) -> ServiceError:
    if not isinstance(error, OSError):
        return ServiceError(f"the job was not created: {error}", acted=False)
    place = error.filename or "its folder"
    line = f"the job was not created: {place} cannot be written ({error.strerror}): make room there, or take another folder"
    return ServiceError(line, acted=False)
