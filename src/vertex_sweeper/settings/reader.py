"""From the plain mapping under `hydra.sweeper` to typed settings. Nothing is converted silently; mistakes are collected."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.near import near
from vertex_sweeper.outcome import Goal
from vertex_sweeper.settings.credentials import shown
from vertex_sweeper.settings.model import SEARCH_SPACE_KEYS, Backend, Seconds, Settings
from vertex_sweeper.settings.rules import broken_rules, missing_for_vertex


def read_settings(section: Mapping[str, Any]) -> Settings:
    """The settings in `hydra.sweeper` (plain containers, interpolations resolved), without its search space.

    Raises InvalidSweep with every mistake.
    """
    known = {key: value for key, value in section.items() if key not in (*SEARCH_SPACE_KEYS, "_target_", "_recursive_")}
    mistakes: list[str] = []
    settings: Settings = _read(Settings, known, "hydra.sweeper", mistakes, extra=SEARCH_SPACE_KEYS)
    mistakes += broken_rules(settings)
    backend_is_known = not any(mistake.startswith("hydra.sweeper.backend:") for mistake in mistakes)
    if settings.backend is Backend.VERTEX and backend_is_known and settings.attach is None:
        mistakes += missing_for_vertex(settings)
    if mistakes:
        raise InvalidSweep(mistakes)
    return settings


def _read(cls: type[Any], section: Mapping[str, Any], path: str, mistakes: list[str], *, extra: Sequence[str] = ()) -> Any:
    """An instance of a settings class; what is wrong stays at its default and is added to `mistakes`."""
    hints = get_type_hints(cls)
    names = [entry.name for entry in fields(cls)]
    values = {}
    for key, value in section.items():
        where = f"{path}.{key}"
        if key not in names:
            mistakes.append(f"{where}: unknown setting{near(str(key), [*names, *extra])}")
        elif value is None and key != "metrics" and not _optional(hints[key]):
            mistakes.append(f"{where}: must not be null")
        elif value is not None:
            try:
                values[key] = _value(hints[key], value, where, mistakes)
            except ValueError as error:
                mistakes += str(error).split("\n")
    return cls(**values)


def _value(hint: Any, value: Any, where: str, mistakes: list[str]) -> Any:
    """`value` as the type that `hint` asks for. Raises ValueError; never converts between types."""
    if _optional(hint):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where}: {shown(value)} must be a mapping of settings, as in {{{fields(hint)[0].name}: …}}")
        return _read(hint, value, where, mistakes)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _member(hint, value, where)
    if get_origin(hint) is Mapping:
        return _mapping(hint, value, where, mistakes)
    if get_origin(hint) is Sequence:
        return _sequence(hint, value, where, mistakes)
    if type(value) is not getattr(hint, "__supertype__", hint):
        raise ValueError(f"{where}: {shown(value)} must be {_TYPE_NAMES[hint]}{_type_remedy(hint, value)}")
    return value


def _sequence(hint: Any, value: Any, where: str, mistakes: list[str]) -> Any:
    (kind,) = get_args(hint)
    if _optional(kind):
        if not isinstance(value, list):
            raise ValueError(f"{where}: {shown(value)} must be a list, with one mapping of settings for each")
        # An empty place in the list is not an item with defaults: the two mean different things.
        return tuple(
            _value(kind, item, f"{where}[{place}]", mistakes) if item not in ({}, None) else None
            for place, item in enumerate(value)
        )
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{where}: {shown(value)} must be a list of strings, one for each word: [python, train.py]")
    return tuple(value)


def _mapping(hint: Any, value: Any, where: str, mistakes: list[str]) -> Any:
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: {shown(value)} must be a mapping, as in {{name: value}}")  # noqa: TRY004 - collected with all other mistakes
    _, kind = get_args(hint)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {str(key): _member(kind, item, f"{where}.{key}") for key, item in value.items()}
    wrong = {key: item for key, item in value.items() if kind is str and not isinstance(item, str)}
    mistakes += [f"{where}.{key}: {shown(item, str(key))} must be a string: quote it" for key, item in wrong.items()]
    return {str(key): item for key, item in value.items() if key not in wrong}  # the rules look at the others all the same


def _member(cls: type[Enum], value: Any, where: str) -> Enum:
    spellings = {member.value if cls is not Goal else member.value.lower(): member for member in cls}
    if value is False and "off" in spellings:  # what YAML reads for a bare `off`
        return spellings["off"]
    if isinstance(value, str) and value.lower() in spellings:
        return spellings[value.lower()]
    raise ValueError(f"{where}: {value!r} must be one of {', '.join(spellings)}{near(str(value), list(spellings))}")


_TYPE_NAMES: Mapping[Any, str] = {
    int: "a whole number",
    Seconds: "a whole number of seconds",
    bool: "true or false",
    str: "a string",
}


def _type_remedy(hint: type, value: Any) -> str:
    if hint is str:
        return ": quote it"
    return f": write it without quotes, {value}" if isinstance(value, str) and value.lstrip("-").isdigit() else ""


def _optional(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)
