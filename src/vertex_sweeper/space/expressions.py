"""From one Hydra sweep expression to what a Vertex parameter may be.

Hydra parses; this module decides which of Vertex's four kinds carries the elements without loss, and in which range. Elements
are compared and kept as the text that Hydra itself prints for them (`Override.sweep_string_iterator`), never as the user's
expression: `range(1e-4, 1e-3, 3e-4)` has four elements on Hydra 1.3 and three on 1.4.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.errors import HydraException

from vertex_sweeper.api import CLOSEST_DISCRETE_VALUES, MOST_DISCRETE_VALUES
from vertex_sweeper.messages import did_you_mean
from vertex_sweeper.space.hydra_api import (
    Glob,
    IntervalSweep,
    Override,
    OverridesParser,
    Quote,
    QuotedString,
    RangeSweep,
    Sweep,
    ValueType,
    override_text,
    range_casts,
)
from vertex_sweeper_runtime.contract import Kind, Number, Scale, ServiceValue

MOST_EXACT_INTEGER = 2**53
"""Vertex reports INTEGER values as doubles: beyond this they would come back as other numbers."""

TAGS = {"log": Scale.LOG, "reverse_log": Scale.REVERSE_LOG}
CATEGORICAL_TAG = "categorical"


@dataclass(frozen=True, slots=True)
class ParameterDomain:
    """The kind and range of a parameter, not yet named: fields as in `vertex_sweeper_runtime.contract.Parameter`."""

    kind: Kind
    low: Number = 0
    high: Number = 0
    values: tuple[ServiceValue, ...] = ()
    literals: tuple[str, ...] = ()
    scale: Scale | None = None


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a choice or range: what Hydra parsed, and the text it prints for it."""

    value: Any
    text: str


def domain_of(override: Override) -> ParameterDomain | Element:
    """What a swept override ranges over; a lone Element when there is nothing to choose.

    Raises:
        ValueError: The rule that the expression breaks, and the remedy, but without the key.

    >>> parse = OverridesParser.create().parse_override
    >>> domain_of(parse("lr=tag(log,interval(1e-4,1e-1))")).kind.value, domain_of(parse("model=cnn,vit")).literals
    ('DOUBLE', ('cnn', 'vit'))
    """
    sweep = override.value()
    tags = set(sweep.tags) if isinstance(sweep, Sweep) else set()
    scale = _scale(tags)
    if isinstance(sweep, IntervalSweep):
        if CATEGORICAL_TAG in tags:
            raise ValueError("an interval has no elements to be categories: remove tag(categorical, …)")
        return _interval(sweep, scale)
    if isinstance(sweep, RangeSweep) and CATEGORICAL_TAG not in tags and _is_whole(sweep):
        return _whole_range(sweep, scale)
    elements = merged(elements_of(override))
    if not elements:
        raise ValueError("there are no elements: the range is empty, or glob() finds no option")
    if len(elements) == 1:
        return elements[0]
    if CATEGORICAL_TAG not in tags and all(_is_exact_number(element.value) for element in elements):
        discrete = _discrete(elements, scale)
        if discrete is not None:
            return discrete
    if scale is not None:
        raise ValueError("only numbers have a scale, and these elements are not all numbers: remove the tag")
    return categorical([element.text for element in elements])


def elements_of(override: Override) -> list[Element]:
    """All elements of a choice, glob or range, in Hydra's order, equal ones included. At most one beyond Vertex's limit."""
    # One pass over one iterator: shuffle() draws anew each time it is asked.
    drawn = itertools.islice(override.sweep_iterator(), MOST_DISCRETE_VALUES + 1)
    # Hydra prints the options that a glob finds as they are, and everything else through its transformer.
    is_glob = override.value_type is ValueType.GLOB_CHOICE_SWEEP
    elements = [Element(value, str(value) if is_glob else _printed(value)) for value in drawn]
    if len(elements) > MOST_DISCRETE_VALUES:
        raise ValueError(f"more than {MOST_DISCRETE_VALUES} elements, Vertex's limit: use interval() or int(interval())")
    return elements


def holds_sweep(value: Any) -> bool:
    """Whether a value is a sweep, or a list or dict with one in it: Hydra parses `[choice(1,2)]`, and cannot use it."""
    if isinstance(value, dict):
        return any(map(holds_sweep, value.values()))
    return any(map(holds_sweep, value)) if isinstance(value, list) else isinstance(value, Sweep | Glob)


def _printed(value: Any) -> str:
    """What Hydra prints for an element; raises ValueError for one that Hydra itself would not read back from there."""
    if holds_sweep(value):
        raise ValueError("a sweep inside a sweep: write all elements side by side")
    if not isinstance(value, (str, int, float, list, dict, QuotedString)) and value is not None:
        raise ValueError("only values can be elements, and a function that changes the config is none: give it one value")
    text = override_text(value)
    if isinstance(value, str) and not _READ_BACK.fullmatch(text):
        try:
            OverridesParser.create().parse_override(f"x={text}")
        except HydraException:
            # Hydra's functions take the quotes off their arguments: choice('é', b) has an element that needs them.
            raise ValueError(
                f"Hydra writes an element as {text} and cannot read it back: list such elements without a function, "
                f"as in {QuotedString(value, Quote.single).with_quotes()},…"
            ) from None
    return text


def merged(elements: Sequence[Element]) -> list[Element]:
    """The elements with a text of their own, each at its first place."""
    first: dict[str, Element] = {}
    for element in elements:
        first.setdefault(element.text, element)
    return list(first.values())


def categorical(texts: Sequence[str]) -> ParameterDomain:
    """A CATEGORICAL over override texts, each behind a readable label that survives any service.

    How Vertex passes spaces, quotes, commas or an empty text to a container is not known, so labels are plain.
    """
    labels = unique_aliases(texts, fallback="value")
    return ParameterDomain(Kind.CATEGORICAL, values=tuple(labels), literals=tuple(texts))


def unique_aliases(texts: Sequence[str], *, fallback: str) -> list[str]:
    """A plain name for each text (letters, digits, `_`, `.`, inner `-`), the text itself where it is plain and free.

    >>> unique_aliases(["a b", "a_b", "[1,2]"], fallback="value")
    ['a_b_2', 'a_b', '1_2']
    """
    plain = {text for text in texts if _PLAIN.fullmatch(text)}
    names: list[str] = []
    for text in texts:
        if text in plain and text not in names:
            names.append(text)
            continue
        stem = _NOT_PLAIN.sub("_", text).strip("_.-")[:64] or fallback
        numbered = (f"{stem}_{number}" for number in itertools.count(2))
        names.append(next(name for name in itertools.chain([stem], numbered) if name not in plain and name not in names))
    return names


_READ_BACK = re.compile(r"[A-Za-z0-9_./*-]*")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.-]+")


def _scale(tags: set[str]) -> Scale | None:
    for tag in sorted(tags - {*TAGS, CATEGORICAL_TAG}):
        raise ValueError(
            f"unknown tag {tag!r}{did_you_mean(tag, [*TAGS, CATEGORICAL_TAG])}: use log, reverse_log or categorical"
        )
    scales = [scale for tag, scale in TAGS.items() if tag in tags]
    if len(scales) > 1 or (scales and CATEGORICAL_TAG in tags):
        raise ValueError(f"the tags {', '.join(sorted(tags))} exclude each other: keep one")
    return scales[0] if scales else None


def _interval(sweep: IntervalSweep, scale: Scale | None) -> ParameterDomain:
    low, high = sweep.start, sweep.end
    assert low is not None
    assert high is not None
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"the bounds {low}, {high} must be finite")
    if low >= high:
        raise ValueError(f"the interval {low} to {high} is empty: the lower bound must be less than the upper")
    _check_scale(scale, low)
    if isinstance(low, int) and isinstance(high, int):
        _check_exact(low, high)
        return ParameterDomain(Kind.INTEGER, low=low, high=high, scale=scale)
    # Adding zero takes its sign off: an interval has no literals, and of the two zeros trials get one only.
    return ParameterDomain(Kind.DOUBLE, low=float(low) + 0.0, high=float(high) + 0.0, scale=scale)


def _is_whole(sweep: RangeSweep) -> bool:
    ends = (sweep.start, sweep.stop, sweep.step)
    return all(type(end) is int for end in ends) and sweep.step == 1 and not range_casts(sweep)


def _whole_range(sweep: RangeSweep, scale: Scale | None) -> ParameterDomain | Element:
    whole = sweep.range()
    assert isinstance(whole, range)
    if not whole:
        raise ValueError("there are no elements: the range is empty")
    if len(whole) == 1:
        return Element(whole[0], str(whole[0]))
    _check_scale(scale, whole[0])
    _check_exact(whole[0], whole[-1])
    return ParameterDomain(Kind.INTEGER, low=whole[0], high=whole[-1], scale=scale)


def _is_exact_number(value: Any) -> bool:
    """Whether a double holds this element exactly. bool is no number here, and quoted text is text."""
    if type(value) is float:
        return math.isfinite(value)
    return type(value) is int and abs(value) < 2**1000 and int(float(value)) == value


def _discrete(elements: Sequence[Element], scale: Scale | None) -> ParameterDomain | None:
    """A DISCRETE over these numbers, or None when two are too close for it (`1` and `1.0` are equal)."""
    ascending = sorted(elements, key=lambda element: float(element.value))
    values = [element.value for element in ascending]
    if any(high - low < CLOSEST_DISCRETE_VALUES for low, high in itertools.pairwise(map(float, values))):
        return None
    _check_scale(scale, values[0])
    return ParameterDomain(
        Kind.DISCRETE, values=tuple(values), literals=tuple(element.text for element in ascending), scale=scale
    )


def _check_scale(scale: Scale | None, low: Number) -> None:
    if scale is not None and low <= 0:
        name = "log" if scale is Scale.LOG else "reverse_log"
        raise ValueError(f"a {name} scale needs the whole range above 0, and it begins at {low}: raise the lower bound")


def _check_exact(low: int, high: int) -> None:
    if max(abs(low), abs(high)) > MOST_EXACT_INTEGER:
        raise ValueError(f"whole numbers beyond 2**53 do not come back from Vertex exactly, and this range ends at {high}")
