"""From the plain mapping under `hydra.sweeper` to typed settings. Values never change silently; mistakes are collected."""

from __future__ import annotations

import itertools
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from vertex_sweeper.api import Goal
from vertex_sweeper.credentials import shown
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.messages import did_you_mean, question, similar_words
from vertex_sweeper.settings.devices import Devices, read_devices
from vertex_sweeper.settings.durations import Seconds, read_seconds
from vertex_sweeper.settings.model import SEARCH_SPACE_KEYS, Backend, JobSettings, Settings
from vertex_sweeper.settings.rules import PATH, broken_rules, missing_for_vertex
from vertex_sweeper.settings.unread import Unread


class ForeignSettings(Protocol):
    """Knows settings of other sweepers, which users bring along."""

    def names(self) -> Collection[str]:
        """The names of settings that have an answer."""

    def answers(self, where: str, value: Any, *, spelling: str = "") -> list[str]:
        """The lines about an unknown setting, by its path and value; none where it is no other sweeper's.

        `spelling` is the one of `names` that was meant, where the setting's own is another.
        """


class NoForeignSettings:
    """Answers for no other sweeper."""

    def names(self) -> Collection[str]:
        """None."""
        return ()

    def answers(self, where: str, value: Any, *, spelling: str = "") -> list[str]:  # noqa: ARG002 - see ForeignSettings
        """None."""
        return []


S = TypeVar("S", bound=JobSettings)
S_co = TypeVar("S_co", bound=JobSettings, covariant=True)


@dataclass(frozen=True, slots=True)
class Reading(Generic[S_co]):
    """What could be read of the settings.

    `unread` is what could not, and has its default in `settings`; `notes` are lines about what was read as something else.
    """

    settings: S_co
    mistakes: tuple[str, ...]
    unread: Unread
    notes: tuple[str, ...]


def read_settings(section: Mapping[str, Any]) -> Settings:
    """The settings in `hydra.sweeper` (plain containers, interpolations resolved), without its search space.

    Raises InvalidSweep with every mistake.
    """
    reading = read_what_is_right(section, Settings)
    if reading.mistakes:
        raise InvalidSweep(reading.mistakes)
    return reading.settings


def read_what_is_right(
    section: Mapping[str, Any],
    cls: type[S],
    *,
    texts: Mapping[str, str] | None = None,
    unresolved: Mapping[str, str] | None = None,
    foreign: ForeignSettings | None = None,
) -> Reading[S]:
    """The settings in a section with all mistakes in them; no rule is broken by what could not be read.

    Mistakes name settings below `hydra.sweeper`, whichever class they are.

    Args:
        section: plain containers; its search space is left out.
        cls: the class of the settings.
        texts: values as the command line has them, by their paths.
        unresolved: why a path has no value, by the path.
        foreign: answers for settings of other sweepers.
    """
    reader = _Reader(cls, texts or {}, foreign or NoForeignSettings())
    for where, why in (unresolved or {}).items():
        reader.cannot_read(where, why)
    space = SEARCH_SPACE_KEYS if issubclass(cls, Settings) else ()
    known = {key: value for key, value in section.items() if key not in (*space, "_target_", "_recursive_")}
    settings: S = reader.read(cls, known, PATH, extra=space)
    unread = Unread(reader.unread)
    broken = broken_rules(settings, unread)
    attaches = isinstance(settings, Settings) and settings.attach is not None
    needs_vertex = settings.backend is Backend.VERTEX and not attaches
    if needs_vertex and f"{PATH}.backend" not in unread and f"{PATH}.attach" not in unread:
        broken += missing_for_vertex(settings)
    # What is at its default because it could not be read breaks no rule.
    mistakes = [*reader.mistakes, *(line for line in broken if not unread.touches(line.partition(":")[0]))]
    return Reading(settings, tuple(mistakes), unread, tuple(reader.notes()))


@dataclass(slots=True)
class _Reader:
    """Reads settings classes, and collects what is wrong."""

    root: type[JobSettings]
    texts: Mapping[str, str]
    foreign: ForeignSettings
    mistakes: list[str] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)

    def read(self, cls: type[Any], section: Mapping[str, Any], path: str, *, extra: Sequence[str] = ()) -> Any:
        """An instance of a settings class; what is wrong stays at its default."""
        hints = get_type_hints(cls)
        names = [each.name for each in fields(cls)]
        values: dict[str, Any] = {}
        for key, value in section.items():
            where = f"{path}.{key}"
            if key not in names:
                unset = [name for name in names if section.get(name) is None]
                self.mistakes += self.unknown(where, value, [*names, *extra], unset)
            elif value is None and key != "metrics" and not _optional(hints[key]):
                self.cannot_read(where, "must not be null")
            elif value is not None:
                found = self.attempt(hints[key], value, where)
                values.update([(key, found[0])] if found else [])
        return cls(**values)

    def unknown(self, where: str, value: Any, names: Sequence[str], unset: Sequence[str]) -> list[str]:
        """The lines about an unknown setting: one of this name elsewhere was meant, a similar name, or another sweeper's.

        What was meant is not missing because of that.
        """
        path, _, key = where.rpartition(".")
        elsewhere = [known for known in _paths(self.root) if known.rpartition(".")[2] == key]
        others = similar_words(key, self.foreign.names(), cutoff=0.8) if path == PATH else []
        similar = [] if elsewhere else similar_words(key, [*names, *others])
        if path == PATH or not similar:
            lines = self.foreign.answers(where, value) or self.foreign.answers(
                where, value, spelling=similar[0] if similar else ""
            )
            if lines:
                return lines
        self.unread.update(f"{PATH}.{known}" for known in elsewhere)
        self.unread.update(f"{path}.{name}" for name in similar if name in unset)
        return [f"{where}: unknown setting{question(elsewhere or similar)}"]

    def attempt(self, hint: Any, value: Any, where: str) -> list[Any]:
        """What was read; nothing, and a mistake, where that could not be."""
        try:
            return [self.value(hint, value, where)]
        except ValueError as error:
            self.cannot_read(where, str(error))
            return []

    def cannot_read(self, where: str, why: str) -> None:
        """One more mistake."""
        self.unread.add(where)
        self.mistakes.append(f"{where}: {why}")

    def value(self, hint: Any, value: Any, where: str) -> Any:
        """`value` as the type that `hint` asks for. Raises ValueError without `where`."""
        also = ""
        if get_origin(hint) in _UNIONS:
            parts = [part for part in get_args(hint) if part is not type(None)]
            hint, also = _one_of(parts, value), ", or a list" if any(get_origin(part) is Sequence for part in parts) else ""
        if isinstance(hint, type) and is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise ValueError(f"{shown(value)} must be a mapping of settings, as in {{{fields(hint)[0].name}: …}}")
            return self.read(hint, value, where)
        if isinstance(hint, type) and issubclass(hint, Enum):
            return _member(hint, value, also=also)
        if get_origin(hint) is Mapping:
            return self.mapping(hint, value, where)
        if get_origin(hint) is Sequence:
            return self.sequence(hint, value, where)
        return self.plain(hint, value, where)

    def plain(self, hint: Any, value: Any, where: str) -> Any:
        """A value without parts. Raises ValueError."""
        if hint is Seconds:
            return read_seconds(value)
        if hint is Devices:
            return read_devices(value)
        if hint is str:
            return self.text(value, where)
        if hint is float and type(value) is int:
            return float(value)
        if type(value) is not hint:
            raise ValueError(f"{shown(value)} must be {_TYPE_NAMES[hint]}{_type_remedy(value)}")
        return value

    def text(self, value: Any, where: str) -> str:
        """A text, or what reads as something else and was meant as one, exactly as it was written. Raises ValueError."""
        if isinstance(value, str):
            return value
        if where in self.texts and not isinstance(value, Mapping | list):
            return self.texts[where]
        if type(value) is int:
            self.numbers[where] = value  # whoever wrote 010 or 1_000 in YAML sees what it is
            return str(value)
        raise ValueError(f"{shown(value, where.rpartition('.')[2])} must be a string: quote it")

    def mapping(self, hint: Any, value: Any, where: str) -> Any:
        """A mapping from texts; what is wrong in it is left out."""
        if not isinstance(value, Mapping):
            raise ValueError(f"{shown(value)} must be a mapping, as in {{name: value}}")  # noqa: TRY004 - collected with all other mistakes
        _, kind = get_args(hint)
        if kind is Any:
            return {str(key): item for key, item in value.items()}
        read: dict[str, Any] = {}
        for key, item in value.items():
            place = f"{where}.{key}"
            if isinstance(key, str) or type(key) is int:
                found = self.attempt(kind, item, place)
                read.update([(str(key), found[0])] if found else [])
            else:
                self.cannot_read(place, f"its name {key!r} must be a string: quote it")
        return read

    def sequence(self, hint: Any, value: Any, where: str) -> Any:
        """A list of settings, or of words. Raises ValueError."""
        (kind,) = get_args(hint)
        if _optional(kind):
            if not isinstance(value, list):
                raise ValueError(f"{shown(value)} must be a list, with one mapping of settings for each")
            # An empty place in the list is not an item with defaults: the two mean different things.
            items = [
                self.attempt(kind, item, f"{where}[{place}]") if item not in ({}, None) else [None]
                for place, item in enumerate(value)
            ]
            return tuple(itertools.chain(*items))
        if kind is Devices:
            if not value:
                raise ValueError("must not be empty: name the devices of each slot, or write none")
            return tuple(itertools.chain(*(self.attempt(kind, item, f"{where}[{place}]") for place, item in enumerate(value))))
        if not isinstance(value, list):
            raise ValueError(f"{shown(value)} must be a list of strings, one for each word: [python, train.py]")  # noqa: TRY004 - collected with all other mistakes
        return tuple(self.text(item, f"{where}[{place}]") for place, item in enumerate(value))

    def notes(self) -> Iterator[str]:
        """A line about numbers that are used as texts, and of which only the value is known."""
        if self.numbers:
            texts = ", ".join(f"{where}={shown(str(value), where.rpartition('.')[2])}" for where, value in self.numbers.items())
            yield f"numbers that are used as texts: {texts}; quote what should be written otherwise"


_UNIONS = (Union, types.UnionType)


def _one_of(hints: Sequence[Any], value: Any) -> Any:
    """The hint that the value is read by: a setting that may be a list too is one where it is written as one."""
    return next((hint for hint in hints if (get_origin(hint) is Sequence) == isinstance(value, list)), hints[0])


def _member(cls: type[Enum], value: Any, *, also: str) -> Enum:
    spellings = {member.value if cls is not Goal else member.value.lower(): member for member in cls}
    if value is False and "off" in spellings:  # what YAML reads for a bare `off`
        return spellings["off"]
    if isinstance(value, str) and value.lower() in spellings:
        return spellings[value.lower()]
    raise ValueError(f"{value!r} must be one of {', '.join(spellings)}{also}{did_you_mean(str(value), list(spellings))}")


_TYPE_NAMES: Mapping[Any, str] = {int: "a whole number", bool: "true or false", float: "a number"}


def _type_remedy(value: Any) -> str:
    return f": write it without quotes, {value}" if isinstance(value, str) and value.lstrip("-").isdigit() else ""


def _paths(cls: type[Any], path: str = "") -> Iterator[str]:
    """The paths of all settings, without those of lists' items."""
    for name, hint in get_type_hints(cls).items():
        yield f"{path}{name}"
        for part in (hint, *get_args(hint)):
            if isinstance(part, type) and is_dataclass(part):
                yield from _paths(part, f"{path}{name}.")


def _optional(hint: Any) -> bool:
    return get_origin(hint) in _UNIONS and type(None) in get_args(hint)
