"""The grid: every combination of the active parameters once, children only under the values that bring them in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vertex_sweeper.services.local.suggest.parameter_tree import Choice, Node
from vertex_sweeper_runtime.contract import Kind, ServiceValue


class GridSuggester:
    """Hands out the grid's points in order, the last parameter varying fastest; then no more."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._points = iterate_points(nodes)

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


def iterate_points(nodes: Sequence[Node]) -> Iterator[tuple[Choice, ...]]:
    """Every point of the grid. Lazy: a grid may be far larger than the number of trials."""
    if not nodes:
        yield ()
        return
    first, rest = nodes[0], nodes[1:]
    for value in _values(first):
        for others in iterate_points((*first.children(value), *rest)):
            yield (Choice(first, value), *others)


def _values(node: Node) -> Iterable[ServiceValue]:
    if node.kind is Kind.INTEGER:
        return range(int(node.low), int(node.high) + 1)
    return node.values
