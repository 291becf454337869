"""The grid: every combination of the active parameters once, children only under the values that bring them in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vertex_sweeper.services.local.parameter_tree import Choice, ParameterSpec
from vertex_sweeper_runtime.contract import Kind, ServiceValue


class GridSuggester:
    """Hands out the grid's points in order, the last parameter varying fastest; then no more."""

    def __init__(self, parameters: Sequence[ParameterSpec]) -> None:
        self._points = iterate_points(parameters)

    def suggest(self, trial: int) -> tuple[Choice, ...] | None:  # noqa: ARG002 - a grid needs no trial's number
        """The next point; None when every point was handed out."""
        return next(self._points, None)

    def drawn(self, trial: int) -> Mapping[str, Any]:  # noqa: ARG002 - nothing is drawn
        """Nothing: a grid's order is always the same."""
        return {}

    def recall(self, trial: int, drawn: Mapping[str, Any]) -> None:  # noqa: ARG002 - a grid's order is always the same
        """A point of an earlier process, where they were handed out in the same order."""
        next(self._points, None)

    def tell(self, trial: int, values: Mapping[str, float] | None) -> None:
        """A grid learns nothing."""


def iterate_points(parameters: Sequence[ParameterSpec]) -> Iterator[tuple[Choice, ...]]:
    """Every point of the grid. Lazy: a grid may be far larger than the number of trials."""
    if not parameters:
        yield ()
        return
    first, rest = parameters[0], parameters[1:]
    for value in _values(first):
        for others in iterate_points((*first.children(value), *rest)):
            yield (Choice(first, value), *others)


def _values(parameter: ParameterSpec) -> Iterable[ServiceValue]:
    if parameter.kind is Kind.INTEGER:
        return range(int(parameter.low), int(parameter.high) + 1)
    return parameter.values
