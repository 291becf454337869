"""The local service: the three verbs, served by threads and child processes of this machine."""

from __future__ import annotations

import copy
import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from vertex_sweeper.errors import JobNotFound, ServiceError
from vertex_sweeper.local.environment import Workplace, provide_interpreter
from vertex_sweeper.local.grid import GridSuggester
from vertex_sweeper.local.job import Bench, JobRun, Suggester, format_now
from vertex_sweeper.local.nodes import read_nodes
from vertex_sweeper.local.process import Nursery
from vertex_sweeper.local.rendering import PLAIN, Rendering
from vertex_sweeper.local.sampler import Algorithm, OptunaSuggester
from vertex_sweeper.local.study import Limits, Study
from vertex_sweeper.local.validation import check_job
from vertex_sweeper.service import Job

log = logging.getLogger(__name__)


class LocalService:
    """Runs hyperparameter tuning jobs here: a `Service` that needs no network, no account and no money.

    Any number of jobs run at once, each with its own slots. Nothing that a job started outlives it, `close()`, or this
    process, however it ends. No signal handlers are installed. A job's first worker pool runs, as one process.

    Args:
        workspace: The folder for a job of this id. Its trials print into `logs/<trial id>.log` and report into
            `logs/<trial id>.metrics`.
        seed: The same seed gives the same suggestions, as long as trials also end in the same order. None: a random one.
        environment: What trials inherit; by default this process's environment.
        rendering: How values become arguments.
        grace: For how many seconds a trial that was asked to end (SIGTERM) may go on.
    """

    def __init__(
        self,
        workspace: Callable[[str], Path],
        *,
        seed: int | None = None,
        environment: Mapping[str, str] | None = None,
        rendering: Rendering = PLAIN,
        grace: float = 10.0,
    ) -> None:
        self._workspace = workspace
        self._seed = seed
        self._changed = threading.Condition()
        self._changes = 0
        self._seen = threading.local()
        self._jobs: dict[str, JobRun] = {}
        self._closed = False
        self._nursery = Nursery()
        self._bench = Bench(
            nursery=self._nursery,
            rendering=rendering,
            environment=dict(os.environ if environment is None else environment),
            grace=grace,
            changed=self._changed,
            notify=self._notify,
        )

    def create(self, parent: str, spec: Mapping[str, Any]) -> Job:
        """Creates and starts a job. See `Service.create`.

        Raises:
            InvalidJob: The specification has mistakes; all of them are named.
            MissingExtra: The suggestion library is not installed.
            ServiceError: The service was closed.
        """
        check_job(spec)
        spec = copy.deepcopy(dict(spec))  # the caller's own may change while trials are still to be started
        pools = spec["trialJobSpec"]["workerPoolSpecs"]
        job_id = str(10**18 + secrets.randbelow(9 * 10**18))
        folder = Path(self._workspace(job_id)).absolute()
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        if len(pools) > 1 or int(pools[0].get("replicaCount", 1)) > 1:
            log.info("Only the first worker pool runs here, with one replica: its processes don't find each other locally.")
        base = spec["trialJobSpec"].get("baseOutputDirectory", {}).get("outputUriPrefix", "")
        name = f"{parent}/hyperparameterTuningJobs/{job_id}"
        run = JobRun(
            Study(spec, name=name, now=format_now()),
            workplace=Workplace(job_id, folder, pools[0], provide_interpreter(folder / "logs"), base),
            suggester=self._suggester(spec),
            bench=self._bench,
        )
        with self._changed:
            if self._closed:
                raise ServiceError("the local service is closed")
            self._jobs[name] = run
            created = run.snapshot()
            run.start()
        return created

    def get(self, name: str) -> Job:
        """A snapshot of the job. See `Service.get`."""
        with self._changed:
            self._seen.changes = self._changes
            return self._run(name).snapshot()

    def cancel(self, name: str) -> None:
        """Asks the job to end. See `Service.cancel`."""
        self._run(name).cancel()

    def wait_for_change(self, seconds: float) -> None:
        """Returns when a job or trial has changed its state since this thread's last `get` or wait, or after that time."""
        with self._changed:
            seen = getattr(self._seen, "changes", self._changes)
            self._changed.wait_for(lambda: self._changes != seen, timeout=seconds)
            self._seen.changes = self._changes

    def close(self) -> None:
        """Kills everything that runs, at once. Jobs that had not ended are cancelled. Repeatable; `get` goes on working."""
        with self._changed:
            self._closed = True
            runs = list(self._jobs.values())
        for run in runs:
            run.kill()
        self._nursery.close()
        for run in runs:
            run.join(5)  # a moment: their processes are dead

    def __enter__(self) -> LocalService:  # noqa: PYI034 - `Self` came with Python 3.11
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _suggester(self, spec: Mapping[str, Any]) -> Suggester:
        study = spec["studySpec"]
        nodes = read_nodes(study["parameters"])
        algorithm = Algorithm(study.get("algorithm", Algorithm.BAYESIAN.value))
        if algorithm is Algorithm.GRID:
            return GridSuggester(nodes)
        seed = secrets.randbits(32) if self._seed is None else self._seed
        return OptunaSuggester(nodes, metrics=Limits.of(spec).metrics, algorithm=algorithm, seed=seed)

    def _run(self, name: str) -> JobRun:
        with self._changed:
            try:
                return self._jobs[name]
            except KeyError:
                raise JobNotFound(f"the local service has no job {name}") from None

    def _notify(self) -> None:
        self._changes += 1
        self._changed.notify_all()
