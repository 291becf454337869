"""The search space as it stands in YAML, with a note of what is interpolated in it and from where that is to be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Shape(Enum):
    """What a part of the search space is: `params`, `conditional`, what stands under one condition, or one value."""

    PARAMS = "params"
    CONDITIONAL = "conditional"
    BLOCK = "block"
    VALUE = "value"


_WITHIN = {Shape.PARAMS: Shape.VALUE, Shape.CONDITIONAL: Shape.BLOCK}

NodePath = tuple[Any, ...]
"""The keys on the way from the root of a config."""


@dataclass(frozen=True, slots=True)
class Interpolated:
    """A part of the search space that is an interpolation, or a value with some in it.

    Args:
        text: the part as it was written.
        shape: what it is to become.
        path: where it stands in the sweep's config; None for what stands in a search-space file.
        package: for a file's, the place that its relative interpolations start from.
        absolute: for a file's, makes the keys of a mapping absolute.
    """

    text: Any
    shape: Shape
    path: NodePath | None = None
    package: str = ""
    absolute: Callable[[Shape, Mapping[str, Any]], Mapping[str, Any]] | None = None


def mark_interpolated(part: Any, shape: Shape, origin: Interpolated) -> Any:
    """The part with an `Interpolated` for whatever is interpolated; `origin` says where the part stands."""
    if shape is Shape.VALUE or isinstance(part, str):
        return Interpolated(part, shape, origin.path, origin.package, origin.absolute) if holds_interpolation(part) else part
    if not isinstance(part, Mapping):
        return part
    marked = {}
    for key, inner in part.items():
        path = None if origin.path is None else (*origin.path, key)
        within = Interpolated(inner, shape, path, origin.package, origin.absolute)
        name = str(key)
        if shape is Shape.BLOCK:
            known = name in (Shape.PARAMS.value, Shape.CONDITIONAL.value)
            marked[name] = mark_interpolated(inner, Shape(name), within) if known else inner
        else:
            marked[name] = mark_interpolated(inner, _WITHIN[shape], within)
    return marked


def holds_interpolation(value: Any) -> bool:
    """Whether OmegaConf would find an interpolation in it, one behind a backslash among them."""
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, Mapping):
        return any(map(holds_interpolation, value.values()))
    return isinstance(value, list) and any(map(holds_interpolation, value))
