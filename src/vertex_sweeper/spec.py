"""The job: settings and search space as a HyperparameterTuningJob in the API's JSON form. Pure; the only place that spells it.

The same document is written to `job.json`, accepted by `gcloud`, parsed into the real message, and run by the local service.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.service import Job
from vertex_sweeper.settings import DEFAULT_PARALLEL, DEFAULT_TRIALS, Algorithm, Measurement, Settings, TrialSettings
from vertex_sweeper.space import SearchSpace
from vertex_sweeper_runtime import contract
from vertex_sweeper_runtime.contract import Condition, Contract, Kind, Parameter, Scale

SHIM = "vertex-trial"
SWEEP_LABEL = "hydra-vertex-sweeper"
"""The label that tells one sweep's job from all others of the project."""

LONGEST_CONTRACT = 96 * 1024
"""Linux gives one environment variable 128 KiB; the rest is left to other people's expansions."""

LONGEST_ARGUMENTS = 100_000
"""Vertex: all arguments together have at most so many characters. Flags come on top of what we send."""

_ALGORITHMS = {Algorithm.RANDOM: "RANDOM_SEARCH", Algorithm.GRID: "GRID_SEARCH"}  # Bayesian is what the API has unspecified
_SELECTIONS = {Measurement.LAST: "LAST_MEASUREMENT", Measurement.BEST: "BEST_MEASUREMENT"}
_VALUE_SPECS = {
    Kind.DOUBLE: "doubleValueSpec",
    Kind.INTEGER: "integerValueSpec",
    Kind.DISCRETE: "discreteValueSpec",
    Kind.CATEGORICAL: "categoricalValueSpec",
}
_PARENT_VALUES = {
    Kind.INTEGER: "parentIntValues",
    Kind.DISCRETE: "parentDiscreteValues",
    Kind.CATEGORICAL: "parentCategoricalValues",
}


def build_contract(settings: Settings, space: SearchSpace, *, command: Sequence[str]) -> Contract:
    """What the container must know: raises InvalidSweep when it would not fit into an environment variable."""
    agreed = Contract(
        command=tuple(command),
        sequence=space.sequence,
        parameters=space.parameters,
        metrics=tuple(settings.metrics),
        keep_alive=settings.trial.keep_alive or 0,
    )
    size = len(contract.encode(agreed))
    if size > LONGEST_CONTRACT:
        what, most = max(_parts(agreed).items(), key=lambda part: part[1])
        rule = f"the contract with the container has {size} characters and must have at most {LONGEST_CONTRACT}"
        raise InvalidSweep([f"{rule}: its largest part is {what}, {most} characters uncompressed: make that smaller"])
    return agreed


def build_job(settings: Settings, space: SearchSpace, agreed: Contract, *, display_name: str, sweep_id: str) -> Job:
    """The whole job. Raises InvalidSweep where the counts, the algorithm and the search space do not fit together."""
    most = _max_trial_count(settings, space)
    parallel = settings.parallel_trial_count or min(DEFAULT_PARALLEL, most)
    failed = settings.max_failed_trial_count or min(most, parallel + 3)
    too_many = {"parallel_trial_count": parallel, "max_failed_trial_count": failed}
    mistakes = [
        f"hydra.sweeper.{key}: {count} must not be more than max_trial_count, {most}"
        for key, count in too_many.items()
        if count > most
    ]
    if mistakes:
        raise InvalidSweep(mistakes)
    return {
        "displayName": display_name,
        "labels": {**settings.labels, SWEEP_LABEL: sweep_id},
        "maxTrialCount": most,
        "parallelTrialCount": parallel,
        # Left at zero, Vertex ends a job whose first trial fails, and what follows is unspecified: always say it. One
        # batch and a few more may fail before the rest of the budget is kept.
        "maxFailedTrialCount": failed,
        "studySpec": _study_spec(settings, space),
        "trialJobSpec": _trial_job_spec(settings, agreed),
    }


def _study_spec(settings: Settings, space: SearchSpace) -> dict[str, Any]:
    study: dict[str, Any] = {
        # An unset goal would mean MAXIMIZE and an unset selection LAST: both are always sent.
        "metrics": [{"metricId": id, "goal": goal.value} for id, goal in settings.metrics.items()],
        "parameters": [_parameter_spec(entry, space) for entry in space.parameters if entry.when is None],
        "measurementSelectionType": _SELECTIONS[settings.measurement_selection],
    }
    if settings.algorithm in _ALGORITHMS:
        study["algorithm"] = _ALGORITHMS[settings.algorithm]
    return study


def _parameter_spec(parameter: Parameter, space: SearchSpace) -> dict[str, Any]:
    spec: dict[str, Any] = {"parameterId": parameter.id, _VALUE_SPECS[parameter.kind]: _value_spec(parameter)}
    if parameter.kind is not Kind.CATEGORICAL:
        spec["scaleType"] = (parameter.scale or Scale.LINEAR).value
    children = [
        {_PARENT_VALUES[parameter.kind]: _parent_values(parameter, child.when), "parameterSpec": _parameter_spec(child, space)}
        for child in space.parameters
        if child.when is not None and child.when.parent == parameter.id
    ]
    if children:
        spec["conditionalParameterSpecs"] = children
    return spec


def _value_spec(parameter: Parameter) -> dict[str, Any]:
    if parameter.kind is Kind.DOUBLE:
        return {"minValue": parameter.low, "maxValue": parameter.high}
    if parameter.kind is Kind.INTEGER:
        # 64-bit integers are strings in the API's JSON form.
        return {"minValue": str(parameter.low), "maxValue": str(parameter.high)}
    return {"values": list(parameter.values)}


def _parent_values(parent: Parameter, when: Condition) -> dict[str, Any]:
    values = [str(value) if parent.kind is Kind.INTEGER else value for value in when.values]
    return {"values": values}


def _trial_job_spec(settings: Settings, agreed: Contract) -> dict[str, Any]:
    trial, vertex = settings.trial, settings.vertex
    spec: dict[str, Any] = {"workerPoolSpecs": [_worker_pool(trial, agreed)]}
    if trial.timeout is not None:
        spec["scheduling"] = {"timeout": f"{trial.timeout}s"}
    if vertex.base_output_directory is not None:
        spec["baseOutputDirectory"] = {"outputUriPrefix": vertex.base_output_directory}
    optional = {
        "serviceAccount": vertex.service_account,
        "network": vertex.network,
        "enableWebAccess": trial.enable_web_access or None,
    }
    return spec | _set(optional)


def _worker_pool(trial: TrialSettings, agreed: Contract) -> dict[str, Any]:
    machine = {
        "machineType": trial.machine_type,
        "acceleratorType": trial.accelerator_type,
        "acceleratorCount": trial.accelerator_count or (1 if trial.accelerator_type else None),
    }
    disk = {
        "bootDiskType": trial.disk_type,
        "bootDiskSizeGb": trial.disk_size_gb,
    }
    environment = {**trial.env, contract.VARIABLE: contract.encode(agreed)}
    container = {
        "imageUri": trial.image,
        "command": [SHIM, *agreed.command],
        "args": [item for item in agreed.sequence if isinstance(item, str)],
        "env": [{"name": name, "value": value} for name, value in environment.items()],
    }
    pool = {
        "machineSpec": _set(machine),
        "replicaCount": str(trial.replica_count),
        "diskSpec": _set(disk) or None,
        "containerSpec": _set(container),
    }
    return _set(pool)


def _set(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Only the fields that are set: the API's JSON form leaves the others out."""
    return {name: value for name, value in fields.items() if value is not None and value != []}


def _max_trial_count(settings: Settings, space: SearchSpace) -> int:
    if settings.algorithm is not Algorithm.GRID:
        return settings.max_trial_count or DEFAULT_TRIALS
    # The API allows no DOUBLE in a grid.
    continuous = [entry.key for entry in space.parameters if entry.kind is Kind.DOUBLE]
    if continuous:
        raise InvalidSweep(
            [f"{key}: a grid cannot go through an interval: use choice() or range(), or algorithm=random" for key in continuous]
        )
    return settings.max_trial_count or grid_size(space)


def grid_size(space: SearchSpace) -> int:
    """How many different trials a space without a DOUBLE has; a child counts only where its parent lets it exist."""
    return math.prod(_branch_size(parameter, space) for parameter in space.parameters if parameter.when is None)


def _branch_size(parameter: Parameter, space: SearchSpace) -> int:
    children = [child for child in space.parameters if child.when is not None and child.when.parent == parameter.id]
    if not children:
        return _count(parameter)
    asked = {value for child in children if child.when is not None for value in child.when.values}
    per_value = (
        math.prod(_branch_size(child, space) for child in children if child.when is not None and value in child.when.values)
        for value in asked
    )
    return _count(parameter) - len(asked) + sum(per_value)


def _count(parameter: Parameter) -> int:
    if parameter.kind is Kind.INTEGER:
        return int(parameter.high) - int(parameter.low) + 1
    return len(parameter.values)


def _parts(agreed: Contract) -> dict[str, int]:
    """The contract's parts as messages name them, with their sizes before compression."""
    parts = {"the fixed overrides": sum(len(item) for item in agreed.sequence if isinstance(item, str))}
    parts["the command"] = sum(map(len, agreed.command))
    for parameter in agreed.parameters:
        parts[parameter.key] = len(json.dumps([parameter.values, parameter.literals]))
    return parts
