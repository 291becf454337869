"""The types of a job's fields in the API's JSON form, as far as we look at them: for jobs that come from files."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vertex_sweeper.api import is_custom_job
from vertex_sweeper.api_names import JobName, is_custom
from vertex_sweeper.stored_json import DamagedDocument, check_shape, wrong_shapes

_COUNT: Final = (int, str)
"""The API writes 64-bit integers as text."""

_SCALAR: Final = (int, float, str)
_VALUES: Final = {"values": [_SCALAR]}
_BOUNDS: Final = {"minValue": _SCALAR, "maxValue": _SCALAR}

_PARAMETER: Final[dict[str, Any]] = {
    "parameterId": str,
    "scaleType": str,
    "doubleValueSpec": _BOUNDS,
    "integerValueSpec": _BOUNDS,
    "discreteValueSpec": _VALUES,
    "categoricalValueSpec": _VALUES,
}
_PARAMETER["conditionalParameterSpecs"] = [
    {
        "parameterSpec": _PARAMETER,
        "parentIntValues": _VALUES,
        "parentDiscreteValues": _VALUES,
        "parentCategoricalValues": _VALUES,
    }
]

_CONTAINER: Final = {"imageUri": str, "command": [str], "args": [str], "env": [{"name": str, "value": str}]}

_MACHINE: Final = {"machineType": str, "acceleratorType": str, "acceleratorCount": _COUNT}

_CONTAINER_JOB: Final = {
    "workerPoolSpecs": [{"replicaCount": _COUNT, "machineSpec": _MACHINE, "containerSpec": _CONTAINER}],
    "scheduling": {"timeout": str},
    "baseOutputDirectory": {"outputUriPrefix": str},
}

_JOB: Final = {
    "name": (str, type(None)),
    "displayName": str,
    "labels": {str: str},
    "maxTrialCount": _COUNT,
    "parallelTrialCount": _COUNT,
    "maxFailedTrialCount": _COUNT,
    "studySpec": {
        "algorithm": str,
        "measurementSelectionType": str,
        "metrics": [{"metricId": str, "goal": str}],
        "parameters": [_PARAMETER],
    },
    "trialJobSpec": _CONTAINER_JOB,
    "jobSpec": _CONTAINER_JOB,
}


def find_wrong_types(job: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The fields of a job that is to be created which have another type here, each with what is wrong."""
    return tuple(wrong_shapes(job, _JOB)) or tuple(_wrong_counts(job))


def _wrong_counts(job: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    counts = {name: job[name] for name, shape in _JOB.items() if shape is _COUNT and name in job}
    for field in ("trialJobSpec", "jobSpec"):
        for position, pool in enumerate(job.get(field, {}).get("workerPoolSpecs", ())):
            where = f"{field}.workerPoolSpecs[{position}]"
            counts[f"{where}.replicaCount"] = pool.get("replicaCount", 1)
            counts[f"{where}.machineSpec.acceleratorCount"] = pool.get("machineSpec", {}).get("acceleratorCount", 1)
    for where, count in counts.items():
        if not re.fullmatch("[+-]?[0-9]{1,18}", str(count)):
            yield where, f"must be a whole number, and is {count!r:.80}"


def find_not_json(value: object, where: str = "") -> Iterator[tuple[str, str]]:
    """The places in a job that JSON has no word for, each with what is wrong."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from find_not_json(item, f"{where}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from find_not_json(item, f"{where}[{position}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield where, f"must be what JSON can say, and is {value}"
    elif not (value is None or isinstance(value, str | int | float)):
        yield where, f"must be what JSON can say, and is of type {type(value).__name__}"


def check_job_shape(job: Mapping[str, Any], where: str = "") -> None:
    """Raises DamagedDocument for a job that nobody can read; whether its values make sense is the service's to say."""
    check_shape(job, _JOB, where)
    name = job.get("name")
    if name is not None:
        try:
            JobName.parse(name)
        except ValueError as error:
            raise DamagedDocument(str(error)) from None
        if is_custom(name) is not is_custom_job(job):
            raise DamagedDocument(f"{name} is the name of another kind of job")
