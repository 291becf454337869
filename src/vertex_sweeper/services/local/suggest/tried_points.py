"""Which points of a finite search space were tried, and which were not. Points have numbers, so that none is listed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from math import prod

from vertex_sweeper.services.local.parameter_tree import Choice, ParameterSpec, walk
from vertex_sweeper_runtime.contract import Kind, ServiceValue


class TriedPoints:
    """The points that trials have, running ones included. Of an infinite space nothing is kept: no point comes twice there."""

    def __init__(self, parameters: Sequence[ParameterSpec]) -> None:
        self._parameters = tuple(parameters)
        self._count = None if any(map(_is_interval, walk(self._parameters))) else _count(self._parameters)
        self._tried: set[int] = set()

    def add(self, choices: Iterable[Choice]) -> None:
        """A trial has this point."""
        if self._count is not None:
            self._tried.add(self._number_of(choices))

    def repeats(self, choices: Iterable[Choice]) -> bool:
        """Whether this point was tried, while others were not."""
        return self._count is not None and len(self._tried) < self._count and self._number_of(choices) in self._tried

    def pick_untried(self, seed: int) -> Mapping[str, ServiceValue]:
        """One of the untried points of a finite space, each as likely as another: its values by the parameters' paths."""
        assert self._count is not None
        number = random.Random(seed).randrange(self._count - len(self._tried))  # noqa: S311 - a suggestion is no secret
        values: dict[str, ServiceValue] = {}
        _place(self._parameters, _skip(number, sorted(self._tried)), values)
        return values

    def _number_of(self, choices: Iterable[Choice]) -> int:
        values = {choice.parameter.path: choice.value for choice in choices if isinstance(choice.parameter, ParameterSpec)}
        return _number(self._parameters, values)


def _is_interval(parameter: ParameterSpec) -> bool:
    return parameter.kind is Kind.DOUBLE and parameter.low != parameter.high


def _count(parameters: Iterable[ParameterSpec]) -> int:
    return prod(_count_below(parameter) for parameter in parameters)


def _count_below(parameter: ParameterSpec) -> int:
    return _plain(parameter) + sum(_count(tuple(parameter.children(value))) for value in _branching(parameter))


def _number(parameters: Iterable[ParameterSpec], values: Mapping[str, ServiceValue]) -> int:
    """The number of a point, from 0: each parameter's own is a digit."""
    number = 0
    for parameter in parameters:
        number = number * _count_below(parameter) + _digit(parameter, values)
    return number


def _digit(parameter: ParameterSpec, values: Mapping[str, ServiceValue]) -> int:
    value, branching = values[parameter.path], _branching(parameter)
    if value not in branching:
        return int(value) - int(parameter.low) - sum(one < value for one in branching)  # type: ignore[operator]
    before = (_count(tuple(parameter.children(one))) for one in branching[: branching.index(value)])
    return _plain(parameter) + sum(before) + _number(tuple(parameter.children(value)), values)


def _place(parameters: Sequence[ParameterSpec], number: int, values: dict[str, ServiceValue]) -> None:
    """Writes the values of the point with this number."""
    for parameter in reversed(parameters):
        number, digit = divmod(number, _count_below(parameter))
        if digit < _plain(parameter):
            values[parameter.path] = _skip(int(parameter.low) + digit, map(int, _branching(parameter)))
            continue
        digit -= _plain(parameter)
        for value in _branching(parameter):
            children = tuple(parameter.children(value))
            if digit < _count(children):
                values[parameter.path] = value
                _place(children, digit, values)
                break
            digit -= _count(children)


def _branching(parameter: ParameterSpec) -> tuple[ServiceValue, ...]:
    """The values that are counted one by one; of an integer those that bring children in: it may have 2**62 others."""
    if parameter.kind is Kind.DOUBLE:
        return (float(parameter.low),)
    if parameter.kind is not Kind.INTEGER:
        return parameter.values
    named = {int(value) for child in parameter.conditional for value in child.values}
    return tuple(sorted(value for value in named if parameter.low <= value <= parameter.high))


def _plain(parameter: ParameterSpec) -> int:
    """How many values are not counted one by one."""
    return int(parameter.high) - int(parameter.low) + 1 - len(_branching(parameter)) if parameter.kind is Kind.INTEGER else 0


def _skip(number: int, taken: Iterable[int]) -> int:
    """The number after as many that are not among those taken, which ascend."""
    for one in taken:
        number += one <= number
    return number
