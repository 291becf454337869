"""The protocol of whoever runs jobs, three verbs in the API's own words; and such a service ready for calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from vertex_sweeper.api import Job
from vertex_sweeper.services.waiting import sleep


class Service(Protocol):
    """Runs hyperparameter tuning jobs and custom jobs: what has a `jobSpec` is a custom job, and its name says so.

    Every method may be called from any thread. What is passed in is not kept or changed, what is returned belongs to the
    caller. Errors are `ServiceError`s: `InvalidJob` for a specification the service refuses, `JobNotFound` for an unknown
    name.

    A sweep lives by these calls alone, whoever answers them:

        job = service.create("projects/my-project/locations/europe-west4", spec)
        while not (state := job_state(job)) or not state.ended:
            time.sleep(10)
            job = service.get(job["name"])
    """

    def create(self, parent: str, spec: Mapping[str, Any]) -> Job:
        """Creates and starts a job. Not repeatable: two calls are two jobs.

        Args:
            parent: `projects/<project>/locations/<location>`.
            spec: The job in the API's JSON form, without `OUTPUT_FIELDS`.

        Returns:
            The job with its `name`, `<parent>/hyperparameterTuningJobs/<id>` or `<parent>/customJobs/<id>`.

        Raises:
            InvalidJob: The service does not accept the specification.
            ServiceError: It refuses, or cannot be reached; `acted` tells whether a job may exist all the same.
        """

    def get(self, name: str) -> Job:
        """The job as it stands, a tuning job's trials included, in no particular order.

        Raises:
            JobNotFound: There is no job of this name.
            ServiceError: The service refuses, or cannot be reached.
        """

    def cancel(self, name: str) -> None:
        """Asks the job to end; it does so later, as `JOB_STATE_CANCELLED`. Asking again, or too late, changes nothing.

        Raises:
            JobNotFound: There is no job of this name.
            ServiceError: The service refuses, or cannot be reached.
        """


class Find(Protocol):
    """Lists jobs."""

    def __call__(self, parent: str, labels: Mapping[str, str | None], *, custom: bool | None = None) -> list[Job]:
        """The jobs below a parent that carry these labels.

        Args:
            parent: `projects/<project>/locations/<location>`.
            labels: By key; None for any value.
            custom: Whether custom jobs are meant, or tuning jobs; None for both, which may cost another call.

        Raises:
            ServiceError: The service refuses, or cannot be reached.
        """


@dataclass(frozen=True, slots=True)
class OpenService:
    """A service ready for calls, and how to live with it.

    Attributes:
        service: The service.
        find: Lists the jobs below a parent with these labels.
        wait: Returns after so many seconds, or when the service knows of a change.
        kill: Ends at once whatever this process runs.
        outlives: Whether a job goes on without this process.
        abandoned: Whether the job was left by a process that was killed, and waits for somebody to go on with it.
        go_on: Does that, in this process.
        be_brief_when: Takes what says whether somebody waits for this process to end: then no call is made again. None where
            there is no network on the way.
        renew: Makes the next call on a new connection, with credentials that are looked for anew.
    """

    service: Service
    find: Find
    wait: Callable[[float], None] = sleep
    kill: Callable[[], None] = lambda: None
    outlives: bool = True
    abandoned: bool = False
    go_on: Callable[[], None] = lambda: None
    be_brief_when: Callable[[Callable[[], bool]], None] | None = None
    renew: Callable[[], None] = lambda: None

    @property
    def runs_here(self) -> bool:
        """Whether `go_on` runs in this process what another one had begun."""
        return self.abandoned and not self.outlives

    @property
    def goes_on(self) -> bool:
        """Whether somebody runs the job when this process has ended."""
        return self.outlives and not self.abandoned
