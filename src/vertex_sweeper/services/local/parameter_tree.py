"""The study's parameters as a tree: what each one may be, and which children come with which of its values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from vertex_sweeper.api import CLOSEST_DISCRETE_VALUES, PARENT_VALUES, VALUE_SPECS
from vertex_sweeper_runtime.contract import Kind, Number, Scale, ServiceValue


class TunedParameter(Protocol):
    """What a rendering must know of a parameter. A `ParameterSpec` has it, and so has a contract's `Parameter`."""

    @property
    def id(self) -> str:
        """What the service calls the parameter."""

    @property
    def kind(self) -> Kind:
        """Which of the four kinds it is."""

    @property
    def low(self) -> Number:
        """The smallest value of a DOUBLE or INTEGER."""

    @property
    def high(self) -> Number:
        """The largest value of a DOUBLE or INTEGER."""

    @property
    def values(self) -> tuple[ServiceValue, ...]:
        """The values of a DISCRETE (ascending) or CATEGORICAL."""

    @property
    def scale(self) -> Scale | None:
        """The scale, if one was set."""


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """One parameter spec. `path` is its unique name: two children of one parent may share an id."""

    id: str
    path: str
    kind: Kind
    low: Number = 0
    high: Number = 0
    values: tuple[ServiceValue, ...] = ()
    scale: Scale | None = None
    conditional: tuple[ConditionalSpec, ...] = ()

    def children(self, value: ServiceValue) -> Iterator[ParameterSpec]:
        """The children that exist in a trial in which this parameter has this value."""
        return (child.parameter for child in self.conditional if any(matches(value, one) for one in child.values))


@dataclass(frozen=True, slots=True)
class ConditionalSpec:
    """A child, and the values of its parent that bring it into a trial."""

    values: tuple[ServiceValue, ...]
    parameter: ParameterSpec


@dataclass(frozen=True, slots=True)
class Choice:
    """A parameter and the value that a trial has for it."""

    parameter: TunedParameter
    value: ServiceValue

    def to_json(self) -> dict[str, Any]:
        """As a trial shows it: the service answers INTEGER and DISCRETE with floats, too."""
        value = self.value if isinstance(self.value, str) else float(self.value)
        return {"parameterId": self.parameter.id, "value": value}


def matches(value: ServiceValue, wanted: ServiceValue) -> bool:
    """Whether a parent's value is the one that a condition names."""
    if isinstance(value, str) or isinstance(wanted, str):
        return value == wanted
    return math.isclose(value, wanted, rel_tol=0, abs_tol=CLOSEST_DISCRETE_VALUES)


def kind_of(spec: Mapping[str, Any]) -> Kind | None:
    """The kind of a parameter spec; None when it has no value spec, or several."""
    kinds = [kind for kind in Kind if VALUE_SPECS[kind.value] in spec]
    return kinds[0] if len(kinds) == 1 else None


def read_parameter_specs(specs: Iterable[Mapping[str, Any]], *, prefix: str = "") -> tuple[ParameterSpec, ...]:
    """The trees of a valid list of parameter specs in the API's JSON form."""
    return tuple(_read(spec, prefix=prefix) for spec in specs)


def walk(parameters: Iterable[ParameterSpec]) -> Iterator[ParameterSpec]:
    """Every parameter of the trees, parents before their children."""
    for parameter in parameters:
        yield parameter
        yield from walk(child.parameter for child in parameter.conditional)


def choose(parameters: Sequence[ParameterSpec], *, value_of: Callable[[ParameterSpec], ServiceValue]) -> Iterator[Choice]:
    """The choices of a trial: every root, and every child whose parent's value brings it in."""
    for parameter in parameters:
        value = value_of(parameter)
        yield Choice(parameter, value)
        yield from choose(tuple(parameter.children(value)), value_of=value_of)


def _read(spec: Mapping[str, Any], *, prefix: str) -> ParameterSpec:
    kind = kind_of(spec)
    if kind is None:
        raise ValueError(f"{spec.get('parameterId')}: exactly one value spec is needed")
    id = spec["parameterId"]
    path = f"{prefix}{id}"
    domain = spec[VALUE_SPECS[kind.value]]
    # The JSON form leaves zeros out: a missing bound is 0.
    number: Callable[[Any], Number] = int if kind is Kind.INTEGER else float
    bounded = kind in (Kind.DOUBLE, Kind.INTEGER)
    scale = spec.get("scaleType", "SCALE_TYPE_UNSPECIFIED")
    return ParameterSpec(
        id=id,
        path=path,
        kind=kind,
        low=number(domain.get("minValue", 0)) if bounded else 0,
        high=number(domain.get("maxValue", 0)) if bounded else 0,
        values=() if bounded else read_values(kind, domain),
        scale=None if scale == "SCALE_TYPE_UNSPECIFIED" else Scale(scale),
        conditional=tuple(
            ConditionalSpec(
                read_values(kind, entry[PARENT_VALUES[kind.value]]), _read(entry["parameterSpec"], prefix=f"{path}/{number_}:")
            )
            for number_, entry in enumerate(spec.get("conditionalParameterSpecs", ()))
        ),
    )


def read_values(kind: Kind, holder: Mapping[str, Any]) -> tuple[ServiceValue, ...]:
    """The `values` of a value spec or a condition, as this kind's own type. Raises ValueError or TypeError."""
    convert: Callable[[Any], ServiceValue] = {Kind.INTEGER: int, Kind.CATEGORICAL: str}.get(kind, float)
    return tuple(convert(value) for value in holder.get("values", ()))
