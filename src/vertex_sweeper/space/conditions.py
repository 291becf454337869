"""Which parameter exists only for which values of another one.

Vertex hangs conditions on INTEGER, DISCRETE and CATEGORICAL parameters; they nest, and form a tree. This module turns the
conditions as the user wrote them (`model=vit`, at any depth, nested or flat) into that tree, or says why it is none.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.messages import did_you_mean
from vertex_sweeper.space.expressions import Domain, Element, domain_of, holds_sweep
from vertex_sweeper.space.overrides import CONDITIONAL, Entry, When
from vertex_sweeper_runtime.contract import Condition, Kind, ServiceValue


@dataclass(frozen=True, slots=True)
class Node:
    """A swept entry with its parameter id."""

    id: str
    entry: Entry
    domain: Domain


def decide(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """Entries whose conditions can still go either way, and a note for each that was dropped.

    Where a condition's parent is not swept but fixed (`model=vit` on the command line), the condition is decided here and now:
    its entries become unconditional, or leave the sweep.
    """
    fixed = fixed_values(entries)
    decided, notes = [], []
    for entry in entries:
        false = next((when for when in entry.when if when.key in fixed and fixed[when.key] not in when.texts), None)
        if false is not None:
            notes.append(f"{entry.key}: not tuned, because {false.key}={fixed[false.key]} is fixed and it needs {false}")
            continue
        decided.append(replace(entry, when=tuple(when for when in entry.when if when.key not in fixed)))
    return decided, notes


def fixed_values(entries: Sequence[Entry]) -> dict[str, str]:
    """The keys that have one value in every trial, with that value as Hydra prints it."""
    return {entry.key: text for entry in entries if not entry.when and (text := only_value(entry)) is not None}


def excludes(one: When, other: When) -> bool:
    """Whether the two cannot hold in one trial."""
    return one.key == other.key and not set(one.texts) & set(other.texts)


def only_value(entry: Entry) -> str | None:
    """The one value that the entry gives its key; None where there are several, or a mistake that is told elsewhere."""
    if entry.override.is_delete():
        return None
    if not entry.override.is_sweep_override():
        return None if holds_sweep(entry.override.value()) else entry.override.get_value_element_as_str()
    try:
        domain = domain_of(entry.override)
    except ValueError:
        return None
    return domain.text if isinstance(domain, Element) else None


def link(nodes: Sequence[Node]) -> dict[str, Condition]:
    """The condition of each node that has one, by its id. Raises InvalidSweep with every mistake, by name."""
    mistakes: list[str] = []
    conditions: dict[str, Condition] = {}
    by_key: dict[str, list[Node]] = {}
    for node in nodes:
        by_key.setdefault(node.entry.key, []).append(node)
    for node in nodes:
        if node.entry.when:
            try:
                parent = _parent(node, by_key)
                conditions[node.id] = Condition(parent.id, _values(parent, node.entry.when[-1]))
            except ValueError as error:
                mistakes.append(f"{node.entry.source}: {error}")
    mistakes = list(dict.fromkeys(mistakes))  # one for each condition, however many entries it has
    mistakes = mistakes or _cycles(conditions) or _overlaps(by_key, conditions)
    if mistakes:
        raise InvalidSweep(mistakes)
    return conditions


def _parent(child: Node, by_key: Mapping[str, Sequence[Node]]) -> Node:
    *outer, innermost = child.entry.when
    candidates = list(by_key.get(innermost.key, ()))
    if not candidates:
        known = did_you_mean(innermost.key, by_key)
        raise ValueError(f"{innermost.key} is not swept{known}: a condition needs a parent among the parameters")
    if outer:
        # Conditions form a tree: two parents that do not stand one under the other cannot both be asked.
        candidates = [node for node in candidates if node.entry.when == tuple(outer)]
        if not candidates:
            path = " and ".join(map(str, outer))
            raise ValueError(f"{innermost.key} is not tuned under {path}: conditions nest only along one branch")
    if len(candidates) > 1:
        places = " and ".join(str(node.entry.when[-1]) if node.entry.when else node.entry.source for node in candidates)
        raise ValueError(f"{innermost.key} is tuned under {places}: nest this condition inside the one that is meant")
    return candidates[0]


def _values(parent: Node, when: When) -> tuple[ServiceValue, ...]:
    """The parent's values, as the service writes them, that the condition's texts stand for."""
    domain = parent.domain
    if domain.kind is Kind.DOUBLE:
        raise ValueError(f"{when.key} is a DOUBLE, and no condition can hang on one: make it a choice or a range of ints")
    # A fixed override under a condition keeps its own spelling (`true`, `[1, 2]`), and texts of conditions are Hydra's.
    only = only_value(parent.entry)
    texts = domain.literals if only is None else (only,)
    values: list[ServiceValue] = []
    for text in when.texts:
        if domain.kind is Kind.INTEGER:
            if not text.lstrip("-").isdigit() or not domain.low <= int(text) <= domain.high:
                raise ValueError(f"{when.key} never is {text}: it ranges from {domain.low} to {domain.high}")
            values.append(int(text))
        elif text in texts:
            values.append(domain.values[texts.index(text)])
        else:
            meant, all_of_them = did_you_mean(text, texts), ", ".join(texts)
            raise ValueError(f"{when.key} never is {text or 'empty'}{meant}: it is {all_of_them}")
    return tuple(values)


def _cycles(conditions: Mapping[str, Condition]) -> list[str]:
    mistakes = []
    for start in conditions:
        path = [start]
        while path[-1] in conditions and conditions[path[-1]].parent not in path:
            path.append(conditions[path[-1]].parent)
        if path[-1] in conditions and conditions[path[-1]].parent == start and start == min(path):
            mistakes.append(f"the conditions run in a circle: {' under '.join([*path, start])}")
    return mistakes


def _overlaps(by_key: Mapping[str, Sequence[Node]], conditions: Mapping[str, Condition]) -> list[str]:
    """Pairs of parameters that would set the same key in the same trial."""
    mistakes = []
    for key, nodes in by_key.items():
        for one, other in itertools.combinations(nodes, 2):
            if not _exclusive(one.id, other.id, conditions):
                places = [_place(node.entry) for node in (one, other)]
                mistakes.append(
                    f"{key}: tuned under {places[0]} and under {places[1]}, which can hold together: "
                    "keep one, or give them disjoint values of one parent"
                )
    return mistakes


def _place(entry: Entry) -> str:
    """Under which conditions an entry stands, and in which file where it is not the sweep's own."""
    if not entry.when:
        return entry.source
    under = " under ".join(map(str, reversed(entry.when)))
    return under if entry.source.startswith(CONDITIONAL) else f"{under} ({entry.source})"


def _exclusive(one: str, other: str, conditions: Mapping[str, Condition]) -> bool:
    return any(
        mine.parent == theirs.parent and not set(mine.values) & set(theirs.values)
        for mine in _chain(one, conditions)
        for theirs in _chain(other, conditions)
    )


def _chain(id: str, conditions: Mapping[str, Condition]) -> list[Condition]:
    chain = []
    while id in conditions:
        chain.append(conditions[id])
        id = conditions[id].parent
    return chain
