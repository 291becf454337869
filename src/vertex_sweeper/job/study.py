"""The search space as a study: what the service searches, and what it asks of each value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vertex_sweeper.api import PARENT_VALUES, VALUE_SPECS, StudySpec
from vertex_sweeper.settings import SearchAlgorithm, Settings
from vertex_sweeper.space.search_space import SearchSpace
from vertex_sweeper_runtime.contract import Condition, Kind, Parameter, Scale

_ALGORITHMS = {
    SearchAlgorithm.RANDOM: "RANDOM_SEARCH",
    SearchAlgorithm.GRID: "GRID_SEARCH",
}  # Bayesian is what the API has unspecified

Children = Mapping[str | None, Sequence[Parameter]]
"""The parameters by their parent's id; those without one under None."""


def build_study(settings: Settings, space: SearchSpace) -> StudySpec:
    """The study spec, apart from what is one setting's own field."""
    children = _children(space)
    study: StudySpec = {
        # An unset goal would mean MAXIMIZE: it is always sent.
        "metrics": [{"metricId": id, "goal": goal.value} for id, goal in settings.metrics.items()],
        "parameters": [_parameter_spec(entry, children) for entry in children.get(None, ())],
    }
    if settings.algorithm in _ALGORITHMS:
        study["algorithm"] = _ALGORITHMS[settings.algorithm]
    return study


def continuous_keys(space: SearchSpace) -> list[str]:
    """The keys of all DOUBLE parameters."""
    return [entry.key for entry in space.parameters if entry.kind is Kind.DOUBLE]


def grid_size(space: SearchSpace) -> int:
    """How many different trials a space without a DOUBLE has; a child counts only where its parent lets it exist."""
    children = _children(space)
    return math.prod(_branch_size(parameter, children) for parameter in children.get(None, ()))


def _children(space: SearchSpace) -> Children:
    children: dict[str | None, list[Parameter]] = {}
    for entry in space.parameters:
        children.setdefault(None if entry.when is None else entry.when.parent, []).append(entry)
    return children


def _parameter_spec(parameter: Parameter, children: Children) -> dict[str, Any]:
    spec: dict[str, Any] = {"parameterId": parameter.id, VALUE_SPECS[parameter.kind.value]: _value_spec(parameter)}
    if parameter.kind is not Kind.CATEGORICAL:
        spec["scaleType"] = (parameter.scale or Scale.LINEAR).value
    conditional = [
        {
            PARENT_VALUES[parameter.kind.value]: _parent_values(parameter, child.when),
            "parameterSpec": _parameter_spec(child, children),
        }
        for child in children.get(parameter.id, ())
        if child.when is not None
    ]
    if conditional:
        spec["conditionalParameterSpecs"] = conditional
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


def _branch_size(parameter: Parameter, children: Children) -> int:
    own = children.get(parameter.id, ())
    if not own:
        return _count(parameter)
    asked = {value for child in own if child.when is not None for value in child.when.values}
    per_value = (
        math.prod(_branch_size(child, children) for child in own if child.when is not None and value in child.when.values)
        for value in asked
    )
    return _count(parameter) - len(asked) + sum(per_value)


def _count(parameter: Parameter) -> int:
    if parameter.kind is Kind.INTEGER:
        return int(parameter.high) - int(parameter.low) + 1
    return len(parameter.values)
