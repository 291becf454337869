"""The kinds of the API's jobs: by which names they are called, and the messages that speak of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.cloud.aiplatform_v1 import types

from vertex_sweeper.api_names import CUSTOM_JOBS, TUNING_JOBS


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind of job.

    Attributes:
        name: What the API calls such a job: `CustomJob`.
        field: The field of a request that creates one.
        collection: What stands before a job's id in its name.
        message: A job's message. Its class is without the client's wrapping, which costs more than all else.
        page: The message of a page of the list, in the same way.
    """

    name: str
    field: str
    collection: str
    message: Any
    page: Any

    def request(self, verb: str) -> Any:
        """The message of a request: `Create`, `Get`, `List`, `Cancel` or `Delete`."""
        return getattr(types, f"{verb}{self.name}{'s' if verb == 'List' else ''}Request").pb()

    def jobs_of(self, page: Any) -> Any:
        """The jobs of a page of the list."""
        return getattr(page, f"{self.field}s")


TUNING_JOB: Final = JobKind(
    "HyperparameterTuningJob",
    "hyperparameter_tuning_job",
    TUNING_JOBS,
    types.HyperparameterTuningJob.pb(),
    types.ListHyperparameterTuningJobsResponse.pb(),
)
CUSTOM_JOB: Final = JobKind("CustomJob", "custom_job", CUSTOM_JOBS, types.CustomJob.pb(), types.ListCustomJobsResponse.pb())
