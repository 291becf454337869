"""The types of a job's fields in the API's JSON form, as far as we look at them: for jobs that come from files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vertex_sweeper.errors import JobNotFound
from vertex_sweeper.stored_json import DamagedDocument, check_shape
from vertex_sweeper.vertex.names import JobName

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
    "trialJobSpec": {
        "workerPoolSpecs": [{"replicaCount": _COUNT, "machineSpec": {}, "containerSpec": _CONTAINER}],
        "scheduling": {"timeout": str},
        "baseOutputDirectory": {"outputUriPrefix": str},
    },
}


def check_job_shape(job: Mapping[str, Any], where: str = "") -> None:
    """Raises DamagedDocument for a job that nobody can read; whether its values make sense is the service's to say."""
    check_shape(job, _JOB, where)
    name = job.get("name")
    if name is not None:
        try:
            JobName.parse(name)
        except JobNotFound as error:
            raise DamagedDocument(str(error)) from None
