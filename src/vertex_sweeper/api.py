"""The seam between a sweep and whoever runs its trials: three verbs, in the API's own words.

A job is plain data: a HyperparameterTuningJob in the API's JSON form (camelCase, 64-bit integers as strings, zeros omitted).
What is created, what is written to `job.json`, and what comes back is the same document; only the service adds its output
fields (`OUTPUT_FIELDS`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Protocol

Job = dict[str, Any]
"""A HyperparameterTuningJob in JSON form."""

OUTPUT_FIELDS: Final = (
    "name",
    "state",
    "trials",
    "error",
    "createTime",
    "startTime",
    "endTime",
    "updateTime",
    "satisfiesPzs",
    "satisfiesPzi",
)
"""What only a service writes into a job."""


PRIMARY_REPLICA: Final = "workerpool0-0"
"""What the service calls the first process of a trial."""

MOST_LABELS: Final = 64
"""How many labels a job may have."""

MOST_POOLS: Final = 4
"""How many worker pools a trial may have."""

VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""What a container's variable may be called: the reference wants a valid C identifier."""

TPU: Final = re.compile(r"TPU.*|cloud-tpu|ct\w+-hightpu-.*", re.IGNORECASE)
"""Machines and accelerators that tuning jobs do not take."""

FLEX_START_GPUS: Final = re.compile(r"NVIDIA_(L4|TESLA_A100|A100.*|H100.*|H200.*|B200.*)")
LONGEST_FLEX_START: Final = 7 * 24 * 60 * 60
"""What is documented of jobs that queue for GPUs: which ones, and the longest timeout in seconds."""

LABEL_CHARACTERS: Final = 63
LABEL_BYTES: Final = 127
"""How long a label's key or value may be. The reference says 64 characters; the service's own message, as users quote it, says
less than 64 characters and less than 128 bytes of UTF-8, which is the stricter rule."""


def broken_label_rules(key: str, value: str) -> list[str]:
    """What is wrong with a label, in the service's terms, each with the text that is wrong; empty for a label that it takes.

    Lowercase letters may be of any alphabet. That keys begin with a letter or digit is the rule of the service's own message.
    """
    broken = []
    for text in (key, value):
        if not all(char in "_-" or (char.isalnum() and char == char.lower()) for char in text):
            broken.append(f"{text!r} must be lowercase letters, digits, '_' and '-' only")
        size = len(text.encode("utf-8", "surrogatepass"))
        if len(text) > LABEL_CHARACTERS or size > LABEL_BYTES:
            rule = f"must have at most {LABEL_CHARACTERS} characters and {LABEL_BYTES} bytes"
            broken.append(f"{text!r} {rule}, and has {len(text)} characters and {size} bytes")
    if not key[:1].isalnum():
        broken.append(f"the key {key!r} must begin with a letter or digit")
    return broken


class JobState(Enum):
    """All states of a job, as the API spells them. An unknown spelling is None, never an error (see `job_state`)."""

    QUEUED = "JOB_STATE_QUEUED"
    PENDING = "JOB_STATE_PENDING"
    RUNNING = "JOB_STATE_RUNNING"
    SUCCEEDED = "JOB_STATE_SUCCEEDED"
    FAILED = "JOB_STATE_FAILED"
    CANCELLING = "JOB_STATE_CANCELLING"
    CANCELLED = "JOB_STATE_CANCELLED"
    PAUSED = "JOB_STATE_PAUSED"
    EXPIRED = "JOB_STATE_EXPIRED"
    UPDATING = "JOB_STATE_UPDATING"
    PARTIALLY_SUCCEEDED = "JOB_STATE_PARTIALLY_SUCCEEDED"

    @property
    def ended(self) -> bool:
        """Whether a job in this state will never change again."""
        return self in _ENDED


_ENDED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED, JobState.PARTIALLY_SUCCEEDED})


class TrialState(Enum):
    """All states of a trial, as the API spells them. There is no FAILED: a failed trial is INFEASIBLE."""

    REQUESTED = "REQUESTED"
    ACTIVE = "ACTIVE"
    STOPPING = "STOPPING"
    SUCCEEDED = "SUCCEEDED"
    INFEASIBLE = "INFEASIBLE"

    @property
    def ended(self) -> bool:
        """Whether a trial in this state will never change again."""
        return self in (TrialState.SUCCEEDED, TrialState.INFEASIBLE)


CANCELLED: Final = "The job was cancelled."
TOO_MANY_FAILURES: Final = "The job failed: too many trials had failed."
"""Why trials of the local service ended that ended with their job. What Vertex says of such trials is not known."""

NO_MEASUREMENT: Final = "The trial ended without a final measurement"
"""How the local service's reason begins where a trial did all it was told and has no result. Vertex's is not known."""


def specification(job: Mapping[str, Any]) -> Job:
    """The job without what a service has added to it."""
    return {key: value for key, value in job.items() if key not in OUTPUT_FIELDS}


def job_state(job: Mapping[str, Any]) -> JobState | None:
    """The job's state; None when the service has one that this version does not know, or none yet."""
    try:
        return JobState(job.get("state"))
    except ValueError:
        return None


def trial_state(trial: Mapping[str, Any]) -> TrialState | None:
    """The trial's state; None when the service has one that this version does not know, or none yet."""
    try:
        return TrialState(trial.get("state"))
    except ValueError:
        return None


class Service(Protocol):
    """Runs hyperparameter tuning jobs.

    Every method may be called from any thread. What is passed in is not kept or changed, what is returned belongs to the
    caller. Errors are `ServiceError`s: `InvalidJob` for a specification the service refuses, `JobNotFound` for an unknown
    name.
    """

    def create(self, parent: str, spec: Mapping[str, Any]) -> Job:
        """Creates and starts a job; returns it with its `name`, `<parent>/hyperparameterTuningJobs/<id>`.

        Not repeatable: two calls are two jobs. `parent` is `projects/<project>/locations/<location>`.
        """

    def get(self, name: str) -> Job:
        """A snapshot of the job as it stands, its trials included, in no particular order."""

    def cancel(self, name: str) -> None:
        """Asks the job to end; it does so later, as `JOB_STATE_CANCELLED`. Asking again, or too late, changes nothing."""
