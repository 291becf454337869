"""The protocol of whoever runs a sweep's trials: three verbs, in the API's own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from vertex_sweeper.api import Job


class Service(Protocol):
    """Runs hyperparameter tuning jobs.

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
            The job with its `name`, `<parent>/hyperparameterTuningJobs/<id>`.

        Raises:
            InvalidJob: The service does not accept the specification.
            ServiceError: It refuses, or cannot be reached; `acted` tells whether a job may exist all the same.
        """

    def get(self, name: str) -> Job:
        """The job as it stands, its trials included, in no particular order.

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
