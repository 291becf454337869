"""The search space: which parameters the study has, and the one sequence of overrides that a trial gets.

Built from `space.overrides`. Parameters are those of the contract, so what the study spec says and what
the container decodes cannot differ.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vertex_sweeper.credentials import credential_in
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.space.conditions import UnlinkedParameter, decide, link
from vertex_sweeper.space.expressions import (
    ParameterDomain,
    categorical,
    domain_of,
    elements_of,
    holds_sweep,
    merged,
    unique_aliases,
)
from vertex_sweeper.space.key_paths import group_and_package, without_prefix
from vertex_sweeper.space.overrides import WrittenOverride
from vertex_sweeper_runtime.contract import Condition, Parameter, Slot

MOST_FIXED_SHOWN = 6
LONGEST_SHOWN = 60
"""Of so many fixed overrides a message shows so much."""


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """What is tuned and what is fixed.

    Every parameter has exactly one Slot in `sequence`; a parameter's parent stands before it in `parameters`. `notes` are lines
    for the user about what was read differently from how it was written. `sources` says of each parameter, by its id, where it
    was written.
    """

    parameters: tuple[Parameter, ...]
    sequence: tuple[str | Slot, ...]
    notes: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[str]:
        """What the overrides are about, fixed and tuned, without `+`, `~` and `@package`."""
        keys = [text.partition("=")[0] for text in self.sequence if isinstance(text, str)]
        keys += [parameter.key for parameter in self.parameters]
        return [group_and_package(without_prefix(key))[0] for key in keys]


def build_space(overrides: Sequence[WrittenOverride]) -> SearchSpace:
    """The search space of all overrides, which are in their final order.

    Raises:
        InvalidSweep: Every mistake.

    >>> from vertex_sweeper.space.overrides import OverrideReader
    >>> space = build_space(OverrideReader(None).command_line(["lr=interval(0,1)", "seed=1"]))
    >>> [parameter.id for parameter in space.parameters], space.keys
    (['lr'], ['seed', 'lr'])
    """
    overrides, notes = decide(overrides)
    swept: list[tuple[WrittenOverride, ParameterDomain]] = []
    fixed: list[str | None] = []  # in the order of overrides, None where a parameter stands
    mistakes: list[str] = []
    for written in overrides:
        read, mistake = _attempt(written)
        if read is None:
            mistakes.append(mistake)
            continue
        notes += _reading_notes(written)
        fixed.append(read if isinstance(read, str) else None)
        if not isinstance(read, str):
            swept.append((written, read))
    if mistakes:
        raise InvalidSweep(mistakes)
    named = _named(swept)
    conditions = link(named)
    slots = iter(named)
    sequence = tuple(Slot(next(slots).id) if text is None else text for text in fixed)
    sources = {one.id: one.written.source for one in named}
    return SearchSpace(_parents_first(named, conditions), sequence, tuple(notes), sources)


def nothing_to_tune(space: SearchSpace) -> str:
    """The line about a sweep that sweeps nothing, with what it fixes."""
    remedy = "sweep at least one key, as in lr='interval(1e-4, 1e-1)' or model=cnn,vit"
    fixed = [_shown(line) for line in space.sequence if isinstance(line, str)]
    more = f" and {len(fixed) - MOST_FIXED_SHOWN} more" if len(fixed) > MOST_FIXED_SHOWN else ""
    return (
        f"nothing to tune: fixed are {', '.join(fixed[:MOST_FIXED_SHOWN])}{more}: {remedy}"
        if fixed
        else f"nothing to tune: {remedy}"
    )


def _shown(line: str) -> str:
    key, equals, text = line.partition("=")
    if credential_in(key, text):
        return key
    return f"{key}{equals}{text[:LONGEST_SHOWN]}{'…' if len(text) > LONGEST_SHOWN else ''}"


def misread(overrides: Sequence[WrittenOverride]) -> list[str]:
    """A line for each override whose expression cannot be a parameter of Vertex."""
    return [mistake for read, mistake in map(_attempt, overrides) if read is None]


def _attempt(written: WrittenOverride) -> tuple[str | ParameterDomain | None, str]:
    try:
        return _read(written), ""
    except ValueError as error:
        return None, f"{written.key}: {written.line.removeprefix(written.key + '=')}: {error} ({written.source})"


_DRAWN = re.compile(r"\bshuffle\s*\(")


def _read(written: WrittenOverride) -> str | ParameterDomain:
    """A fixed override's text, or what a swept one ranges over.

    Under a condition even a fixed override becomes a parameter, of one value: only so can it be absent.
    """
    override = written.override
    if override.is_sweep_override() and override.is_hydra_override():
        raise ValueError("Hydra's own settings cannot be swept: give it one value")
    if not override.is_sweep_override():
        if holds_sweep(override.value()):
            raise ValueError("a sweep inside a list or dict would not be swept: list whole values side by side")
        if override.is_delete():
            if not written.when:
                return written.line
            raise ValueError("a deletion cannot hang on a condition: put it into the option's own config")
        # Hydra would draw anew in each trial: trials are given what it drew here.
        drawn = _DRAWN.search(written.line) is not None
        text = override.get_value_element_as_str() if drawn else override.get_value_string()
        if written.when:
            return categorical([text])
        return f"{written.key}={text}" if drawn else written.line
    domain = domain_of(override)
    if isinstance(domain, ParameterDomain):
        return domain
    return categorical([domain.text]) if written.when else f"{written.key}={domain.text}"


def _reading_notes(written: WrittenOverride) -> list[str]:
    """A line where equal elements were merged or one element made a fixed override."""
    if not written.override.is_choice_sweep():
        return []
    elements = elements_of(written.override)
    single = merged(elements)
    notes = []
    if len(single) < len(elements):
        repeated = [text for text, count in Counter(element.text for element in elements).items() if count > 1]
        notes.append(f"{written.key}: equal elements are tried as one: {', '.join(repeated)}")
    if len(single) == 1:
        notes.append(f"{written.key}: one element is no choice: fixed to {single[0].text}")
    return notes


def _named(swept: Sequence[tuple[WrittenOverride, ParameterDomain]]) -> list[UnlinkedParameter]:
    """A parameter id for each swept override: the Hydra key where it is plain, else a readable alias."""
    # The same id under different parents is undocumented, so a key that stands in several branches gets one id for each.
    often = Counter(written.key for written, _ in swept)
    names = []
    for written, _ in swept:
        name = without_prefix(written.key)
        branch = ".".join(written.when[-1].texts) if written.when else ""
        names.append(f"{name}.{branch}" if often[written.key] > 1 and branch else name)
    ids = unique_aliases(names, fallback="parameter")
    return [UnlinkedParameter(id, written, domain) for id, (written, domain) in zip(ids, swept, strict=True)]


def _parents_first(named: Sequence[UnlinkedParameter], conditions: Mapping[str, Condition]) -> tuple[Parameter, ...]:
    def depth(one: UnlinkedParameter) -> int:
        steps, id = 0, one.id
        while id in conditions:
            steps, id = steps + 1, conditions[id].parent
        return steps

    return tuple(_parameter(one, conditions.get(one.id)) for one in sorted(named, key=depth))


def _parameter(one: UnlinkedParameter, when: Condition | None) -> Parameter:
    domain = one.domain
    return Parameter(
        id=one.id,
        key=one.written.key,
        kind=domain.kind,
        low=domain.low,
        high=domain.high,
        values=domain.values,
        literals=domain.literals,
        scale=domain.scale,
        when=when,
    )
