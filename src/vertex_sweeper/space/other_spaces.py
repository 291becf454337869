"""Search spaces as other tools write them, a mapping for each key, as the expressions that they would be here.

`{min: 0, max: 1}` is W&B's, `{type: range, bounds: [0, 1]}` Ax's, `{low: 0, high: 1, type: float}` Optuna's, `{lower: 0,
upper: 1}` Nevergrad's, `{doubleValueSpec: {minValue: 0, maxValue: 1}}` the API's own. A mapping may be a value of the app as
well, so an expression is only ever proposed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from vertex_sweeper.space.hydra_api import Quote, QuotedString, override_text

_BOUNDS: Final = (("min", "max"), ("low", "high"), ("lower", "upper"), ("minValue", "maxValue"), ("mu", "sigma"))
_LISTS: Final = ("values", "choices")
_HOW: Final = frozenset({"type", "distribution", "value_type", "log", "log_scale", "scaleType", "step", "q", "integer"})
_BESIDE: Final = _HOW | {
    "init",
    "name",
    "parameterId",
    "probabilities",
    "is_ordered",
    "sort_values",
    "digits",
    "sigma",
    "scale",
}
"""What these tools have beside the bounds or the values."""

_API: Final = ("doubleValueSpec", "integerValueSpec", "discreteValueSpec", "categoricalValueSpec")
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NO_WORDS: Final = re.compile(r"true|false|null|nan|inf", re.IGNORECASE)


def as_expression(value: Any) -> str | None:
    """The expression that a mapping would be here; None for one that is no search space."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        return None
    for spec in _API:
        if isinstance(value.get(spec), Mapping) and not set(value) - {spec} - _BESIDE:
            kind = {"type": spec.removesuffix("ValueSpec")}
            return as_expression({**{key: item for key, item in value.items() if key != spec}, **value[spec], **kind})
    for key in _LISTS:
        if isinstance(value.get(key), list) and value[key] and not set(value) - {key} - _BESIDE:
            return as_choice(value[key])
    if set(value) in ({"type", "value"}, {"distribution", "value"}) and _kind(value) in ("fixed", "constant"):
        return element(value["value"])
    if {"start", "stop"} <= set(value) <= {"start", "stop", "step"} and None not in map(_number, value.values()):
        return f"range({', '.join(str(value[key]) for key in ('start', 'stop', 'step') if key in value)})"
    found = _range(value)
    return None if found is None else _interval(*found, value)


def as_choice(values: Sequence[Any]) -> str:
    """A choice of these values, each as Hydra reads it back."""
    return ",".join(map(element, values))


def element(value: Any) -> str:
    """A value as an element of a choice."""
    if isinstance(value, str) and _WORD.fullmatch(value) and not _NO_WORDS.fullmatch(value):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return override_text(quoted(value))


def quoted(value: Any) -> Any:
    """A YAML value with its strings quoted, so that Hydra's printer and parser keep them strings."""
    if isinstance(value, str):
        return QuotedString(text=value, quote=Quote.single)
    if isinstance(value, Mapping):
        return {key: quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [quoted(item) for item in value]
    return value


def _kind(value: Mapping[str, Any]) -> str:
    return " ".join(str(value.get(key, "")).lower() for key in ("type", "distribution", "value_type")).strip()


def _range(value: Mapping[str, Any]) -> tuple[Decimal, Decimal] | None:
    """The bounds, and both of them finite; None where there are none, or something else besides."""
    keys: tuple[str, ...] = ()
    ends: list[Any] = []
    if isinstance(value.get("bounds"), list):
        keys, ends = ("bounds",), value["bounds"]
    for pair in _BOUNDS:
        if set(pair) <= set(value):
            keys, ends = pair, [value[key] for key in pair]
    numbers = [number for number in map(_number, ends) if number is not None]
    if len(ends) != 2 or len(numbers) != 2 or set(value) - set(keys) - _BESIDE:  # noqa: PLR2004 - two ends
        return None
    low, high = numbers
    if keys == ("mu", "sigma"):  # a normal distribution, of which Vertex has none: where nearly all of it is
        low, high = low - 2 * high, low + 2 * high
    return (low, high) if low < high else None


def _number(value: Any) -> Decimal | None:
    # Some YAML readers take 1e-5 for a text.
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = Decimal(str(value))
    except ArithmeticError:
        return None
    return number if number.is_finite() else None


def _interval(low: Decimal, high: Decimal, value: Mapping[str, Any]) -> str:
    kind = _kind(value)
    step = _number(value.get("step") or value.get("q"))
    whole = low == int(low) and high == int(high) and _whole(kind, value)
    log = "log" in kind or value.get("log") is True or value.get("log_scale") is True or "LOG" in str(value.get("scaleType"))
    if re.search(r"log_(uniform|normal)\b", kind):  # W&B's bounds are exponents there
        ends = f"{math.exp(low):.6g}, {math.exp(high):.6g}"
    elif step is not None and step > 0 and not log:
        # Both ends are possible there, and range() leaves its end out; half a step more is safe from rounding.
        end = high + 1 if whole and step == int(step) else high + step / 2
        return f"range({_text(low, whole=whole)}, {_text(end, whole=whole)}, {_text(step, whole=whole)})"
    else:
        ends = f"{_text(low, whole=whole)}, {_text(high, whole=whole)}"
    interval = f"int(interval({ends}))" if whole else f"interval({ends})"
    return f"tag(log, {interval})" if log else interval


def _whole(kind: str, value: Mapping[str, Any]) -> bool:
    """Whether whole bounds mean whole numbers: where that is said, or where the tool takes it so."""
    if "integer" in value:
        return value["integer"] is True
    if re.search(r"\b(float|double|uniform|log_uniform\w*|q_uniform)\b", kind):
        return False
    if re.search(r"\b(int|integer|int_uniform)\b", kind):
        return True
    ends = [item for key in ("min", "max", "low", "high") if (item := value.get(key)) is not None] or value.get("bounds", [])
    return bool(ends) and all(type(end) is int for end in ends)


def _text(number: Decimal, *, whole: bool) -> str:
    if whole and number == int(number):
        return str(int(number))
    text = repr(float(number))
    return text.removesuffix(".0") if number == int(number) and "e" not in text else text
