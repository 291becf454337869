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
from vertex_sweeper.space.expressions import Element, ParameterDomain, domain_of, holds_sweep
from vertex_sweeper.space.overrides import CONDITIONAL, When, WrittenOverride
from vertex_sweeper_runtime.contract import Condition, Kind, ServiceValue


@dataclass(frozen=True, slots=True)
class UnlinkedParameter:
    """A swept override with its parameter id, before its condition is known."""

    id: str
    written: WrittenOverride
    domain: ParameterDomain


def decide(overrides: Sequence[WrittenOverride]) -> tuple[list[WrittenOverride], list[str]]:
    """Overrides whose conditions can still go either way, and a note for each that was dropped.

    Where a condition's parent is not swept but fixed (`model=vit` on the command line), the condition is decided here and now:
    its overrides become unconditional, or leave the sweep.
    """
    fixed = fixed_values(overrides)
    decided, notes = [], []
    for written in overrides:
        false = next((when for when in written.when if when.key in fixed and fixed[when.key] not in when.texts), None)
        if false is not None:
            notes.append(f"{written.key}: not tuned, because {false.key}={fixed[false.key]} is fixed and it needs {false}")
            continue
        decided.append(replace(written, when=tuple(when for when in written.when if when.key not in fixed)))
    return decided, notes


def fixed_values(overrides: Sequence[WrittenOverride]) -> dict[str, str]:
    """The keys that have one value in every trial, with that value as Hydra prints it."""
    return {written.key: text for written in overrides if not written.when and (text := only_value(written)) is not None}


def excludes(one: When, other: When) -> bool:
    """Whether the two cannot hold in one trial."""
    return one.key == other.key and not set(one.texts) & set(other.texts)


def only_value(written: WrittenOverride) -> str | None:
    """The one value that the override gives its key; None where there are several, or a mistake that is told elsewhere."""
    if written.override.is_delete():
        return None
    if not written.override.is_sweep_override():
        return None if holds_sweep(written.override.value()) else written.override.get_value_element_as_str()
    try:
        domain = domain_of(written.override)
    except ValueError:
        return None
    return domain.text if isinstance(domain, Element) else None


def link(parameters: Sequence[UnlinkedParameter]) -> dict[str, Condition]:
    """The condition of each parameter that has one, by its id. Raises InvalidSweep with every mistake, by name."""
    mistakes: list[str] = []
    conditions: dict[str, Condition] = {}
    by_key: dict[str, list[UnlinkedParameter]] = {}
    for parameter in parameters:
        by_key.setdefault(parameter.written.key, []).append(parameter)
    for parameter in parameters:
        if parameter.written.when:
            try:
                parent = _parent(parameter, by_key)
                conditions[parameter.id] = Condition(parent.id, _values(parent, parameter.written.when[-1]))
            except ValueError as error:
                mistakes.append(f"{parameter.written.source}: {error}")
    mistakes = list(dict.fromkeys(mistakes))  # one for each condition, however many overrides it has
    mistakes = mistakes or _cycles(conditions) or _overlaps(by_key, conditions)
    if mistakes:
        raise InvalidSweep(mistakes)
    return conditions


def _parent(child: UnlinkedParameter, by_key: Mapping[str, Sequence[UnlinkedParameter]]) -> UnlinkedParameter:
    *outer, innermost = child.written.when
    candidates = list(by_key.get(innermost.key, ()))
    if not candidates:
        known = did_you_mean(innermost.key, by_key)
        raise ValueError(f"{innermost.key} is not swept{known}: a condition needs a parent among the parameters")
    if outer:
        # Conditions form a tree: two parents that do not stand one under the other cannot both be asked.
        candidates = [parameter for parameter in candidates if parameter.written.when == tuple(outer)]
        if not candidates:
            path = " and ".join(map(str, outer))
            raise ValueError(f"{innermost.key} is not tuned under {path}: conditions nest only along one branch")
    if len(candidates) > 1:
        places = " and ".join(
            str(parameter.written.when[-1]) if parameter.written.when else parameter.written.source for parameter in candidates
        )
        raise ValueError(f"{innermost.key} is tuned under {places}: nest this condition inside the one that is meant")
    return candidates[0]


def _values(parent: UnlinkedParameter, when: When) -> tuple[ServiceValue, ...]:
    """The parent's values, as the service writes them, that the condition's texts stand for."""
    domain = parent.domain
    if domain.kind is Kind.DOUBLE:
        raise ValueError(f"{when.key} is a DOUBLE, and no condition can hang on one: make it a choice or a range of ints")
    # A fixed override under a condition keeps its own spelling (`true`, `[1, 2]`), and texts of conditions are Hydra's.
    only = only_value(parent.written)
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


def _overlaps(by_key: Mapping[str, Sequence[UnlinkedParameter]], conditions: Mapping[str, Condition]) -> list[str]:
    """Pairs of parameters that would set the same key in the same trial."""
    mistakes = []
    for key, parameters in by_key.items():
        for one, other in itertools.combinations(parameters, 2):
            if not _exclusive(one.id, other.id, conditions):
                places = [_where(parameter.written) for parameter in (one, other)]
                mistakes.append(
                    f"{key}: tuned under {places[0]} and under {places[1]}, which can hold together: "
                    "keep one, or give them disjoint values of one parent"
                )
    return mistakes


def _where(written: WrittenOverride) -> str:
    """Under which conditions an override stands, and in which file where it is not the sweep's own."""
    if not written.when:
        return written.source
    under = " under ".join(map(str, reversed(written.when)))
    return under if written.source.startswith(CONDITIONAL) else f"{under} ({written.source})"


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
