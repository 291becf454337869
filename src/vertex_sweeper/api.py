"""The API's words: a job in JSON form, states, goals, limits, fields, times. No I/O, and nothing of ours is imported.

A job is plain data: a HyperparameterTuningJob or a CustomJob in the API's JSON form (camelCase, 64-bit integers as strings,
zeros omitted). What is created, what is written to `job.json`, and what comes back is the same document; only the service adds
its output fields (`OUTPUT_FIELDS`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Final, TypedDict, cast


class ContainerSpec(TypedDict, total=False):
    """What a pool's containers run."""

    imageUri: str
    command: list[str]
    args: list[str]
    env: list[dict[str, str]]


class WorkerPoolSpec(TypedDict, total=False):
    """One kind of machine of a trial. A pool without a container takes a place in the list only."""

    machineSpec: dict[str, Any]
    replicaCount: str
    diskSpec: dict[str, Any]
    containerSpec: ContainerSpec
    pythonPackageSpec: dict[str, Any]


class TrialJobSpec(TypedDict, total=False):
    """What runs a trial, and on what: the API's CustomJobSpec."""

    workerPoolSpecs: list[WorkerPoolSpec]
    scheduling: dict[str, Any]
    baseOutputDirectory: dict[str, str]
    serviceAccount: str
    network: str
    tensorboard: str
    enableWebAccess: bool
    persistentResourceId: str


class StudySpec(TypedDict, total=False):
    """What is searched, for which metrics, and how."""

    metrics: list[dict[str, str]]
    parameters: list[dict[str, Any]]
    algorithm: str
    measurementSelectionType: str
    studyStoppingConfig: dict[str, Any]


class Job(TypedDict, total=False):
    """A HyperparameterTuningJob or a CustomJob in JSON form, as far as we read or write it.

    A custom job has a `jobSpec`, and none of the fields of counts, study and trials (see `is_custom_job`). A document
    from a file or a service may hold more, and is checked (`job.field_types`) before it is called a job.
    """

    name: str
    displayName: str
    labels: dict[str, str]
    maxTrialCount: int
    parallelTrialCount: int
    maxFailedTrialCount: int
    studySpec: StudySpec
    trialJobSpec: TrialJobSpec
    jobSpec: TrialJobSpec
    encryptionSpec: dict[str, str]
    state: str
    trials: list[dict[str, Any]]
    error: dict[str, Any]
    createTime: str
    startTime: str
    endTime: str
    updateTime: str
    webAccessUris: dict[str, str]


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
    "webAccessUris",
)
"""What only a service writes into a job."""

VALUE_SPECS: Final = {
    "DOUBLE": "doubleValueSpec",
    "INTEGER": "integerValueSpec",
    "DISCRETE": "discreteValueSpec",
    "CATEGORICAL": "categoricalValueSpec",
}
"""By the kind of a parameter: the field of its spec that holds what it may be. Exactly one of them is set."""

PARENT_VALUES: Final = {
    "INTEGER": "parentIntValues",
    "DISCRETE": "parentDiscreteValues",
    "CATEGORICAL": "parentCategoricalValues",
}
"""By the kind of a parent: the field of a conditional spec that holds its values. A DOUBLE cannot be a parent."""

PRIMARY_REPLICA: Final = "workerpool0-0"
"""What the service calls the first process of a trial."""

LONGEST_DISPLAY_NAME: Final = 128
"""How many characters a display name may have (the reference of HyperparameterTuningJob)."""

MOST_LABELS: Final = 64
"""How many labels a job may have."""

MOST_DISCRETE_VALUES: Final = 1000
CLOSEST_DISCRETE_VALUES: Final = 1e-10
"""How many values a DISCRETE parameter may have, and how far apart they must be (the reference of DiscreteValueSpec).

By the reference of DiscreteValueCondition, a value also may be that far off a condition's value and still match.
"""

LONGEST_ARGUMENTS: Final = 100_000
"""How many characters all arguments of a container may have together, the service's own flags among them (ContainerSpec)."""

MOST_VARIABLES: Final = 100
"""How many variables a container may have (the reference of ContainerSpec)."""

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


class Goal(Enum):
    """Where a metric should go, as the API spells it."""

    MINIMIZE = "MINIMIZE"
    MAXIMIZE = "MAXIMIZE"

    def cost(self, value: float) -> float:
        """The value as something of which less is better."""
        return value if self is Goal.MINIMIZE else -value


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


def is_custom_job(job: Mapping[str, Any]) -> bool:
    """Whether the job is a CustomJob, and not a HyperparameterTuningJob."""
    return "jobSpec" in job


def container_job(job: Mapping[str, Any]) -> TrialJobSpec:
    """What runs a custom job, or each trial of a tuning job, and on what; empty where the job does not say it."""
    return cast("TrialJobSpec", job.get("jobSpec" if is_custom_job(job) else "trialJobSpec", {}))


def specification(job: Mapping[str, Any]) -> Job:
    """The job without what a service has added to it."""
    return cast("Job", {key: value for key, value in job.items() if key not in OUTPUT_FIELDS})


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


def format_time(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339, in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: object) -> float:
    """An RFC 3339 time as seconds since 1970. Raises ValueError for anything else, and for a time of no time zone."""
    return parse_datetime(text).timestamp()


def parse_datetime(text: object) -> datetime:
    """An RFC 3339 time, to the microsecond. Raises ValueError as `parse_time` does."""
    # Before 3.11 Python reads no Z, and three or six digits of a second only; the API may write none, three, six or nine.
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", str(text))
    try:
        second, fraction, zone = match.groups() if match else ("", "", "")
        zone = "+00:00" if zone in "Zz" else zone
        return datetime.fromisoformat(f"{second}.{(fraction or '0')[:6]:0<6}{zone}")
    except ValueError:  # or there is no such day
        raise ValueError(f"Must be a time like 2026-01-31T12:00:00Z, got {text!r}.") from None


def format_duration(seconds: float) -> str:
    """As the API writes it: seconds with none, three or six digits behind the point."""
    text = f"{seconds:.6f}"
    while text.endswith("000") and "." in text:
        text = text[:-3].rstrip(".")
    return f"{text}s"


def parse_duration(text: object) -> float:
    """A duration in seconds. Raises ValueError for what `format_duration` does not write, and for less than nothing."""
    if not re.fullmatch(r"\d+(\.\d+)?s", str(text)):
        raise ValueError(f"Must be a number of seconds like 3600s, got {text!r}.")
    return float(str(text)[:-1])
