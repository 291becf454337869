"""What the user wrote, in order: one WrittenOverride for each override of `params`, `conditional`, and the command line.

In `params` a string is an expression in Hydra's override grammar; any other YAML value is that value, fixed. A later spelling
of a key replaces the earlier one in its place, as in Hydra's basic sweeper; the same key twice in one place is a mistake as
soon as one of them is swept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException

from vertex_sweeper.messages import one_line, printable
from vertex_sweeper.space.expressions import elements_of, holds_sweep
from vertex_sweeper.space.fixed_values import fixed_value_notes, hidden_expression, text_of
from vertex_sweeper.space.hydra_api import Override, OverridesParser, override_with_groups
from vertex_sweeper.space.key_paths import without_prefix
from vertex_sweeper.space.written_values import Interpolated

PARAMS = "hydra.sweeper.params"
CONDITIONAL = "hydra.sweeper.conditional"
COMMAND_LINE = "the command line"


def source_note(source: str) -> str:
    """Where something was written, as the end of a line about it; empty for the command line, which needs no saying."""
    return f" ({source})" if source != COMMAND_LINE else ""


@dataclass(frozen=True, slots=True)
class When:
    """`model=vit` or `optimizer=sgd,rmsprop`, as written: the parent's key and the override texts of its values."""

    key: str
    texts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.key}={','.join(self.texts)}"


@dataclass(frozen=True, slots=True)
class WrittenOverride:
    """One override, where it was written, and under which conditions, the outermost first."""

    override: Override
    source: str
    when: tuple[When, ...] = ()

    @property
    def key(self) -> str:
        """The key as the user wrote it, with `+`, `~` and `@package`."""
        return self.override.get_key_element()

    @property
    def line(self) -> str:
        """The whole override as it was given."""
        line = self.override.input_line
        assert line is not None
        return line


class Resolver(Protocol):
    """Tells what is interpolated in the search space: plain data, or something in its place as long as that is not known."""

    def value(self, item: Interpolated, key: str, source: str, when: tuple[When, ...]) -> Any:
        """The value of a key."""

    def mapping(self, item: Interpolated, source: str, when: tuple[When, ...]) -> Mapping[str, Any]:
        """A mapping of values, conditions or parts."""


class OverrideReader:
    """Parses what the user wrote with Hydra's own parser, and collects the mistakes; `notes` are lines for the user."""

    def __init__(self, config_loader: ConfigLoader | None, resolver: Resolver | None = None) -> None:
        self._parser = OverridesParser.create()
        self._config_loader = config_loader
        self._resolver = resolver
        self.mistakes: list[str] = []
        self.notes: list[str] = []

    def params(self, params: Any, source: str = PARAMS, when: tuple[When, ...] = ()) -> list[WrittenOverride]:
        """The overrides of one `params` mapping; `source` is how messages name it."""
        overrides = []
        for key, value in self._mapping(params, source, when).items():
            if isinstance(value, Interpolated):
                assert self._resolver is not None
                value = self._resolver.value(value, str(key), source, when)  # noqa: PLW2901
            line = self._line(str(key), value, source)
            if line is not None:
                overrides += self._read_line(line, source, when)
        return overrides

    def conditional(self, conditional: Any, source: str = CONDITIONAL, when: tuple[When, ...] = ()) -> list[WrittenOverride]:
        """The overrides of a `conditional` mapping, at any depth."""
        overrides: list[WrittenOverride] = []
        for condition, part in self._mapping(conditional, source, when).items():
            where = f"{source}.{condition}"
            parsed = self._condition(str(condition), where)
            inner = when if parsed is None else (*when, parsed)
            block = self._mapping(part, f"{where} as a whole", inner)
            if not _is_block(block):
                self.mistakes.append(f"{where}: must hold `params`, and `conditional` if it goes deeper: {block!r}")
            elif parsed is not None:
                overrides += self.params(block.get("params") or {}, where, inner)
                overrides += self.conditional(block.get("conditional") or {}, where, inner)
        return overrides

    def _mapping(self, part: Any, source: str, when: tuple[When, ...]) -> Any:
        if not isinstance(part, Interpolated):
            return part
        assert self._resolver is not None
        return self._resolver.mapping(part, source, when)

    def command_line(self, arguments: Iterable[str]) -> list[WrittenOverride]:
        """The overrides of the sweep's arguments."""
        return [written for line in arguments for written in self._read_line(line, COMMAND_LINE, ())]

    def _read_line(self, line: str, source: str, when: tuple[When, ...]) -> list[WrittenOverride]:
        try:
            return [WrittenOverride(self._parse(line), source, when)]
        except HydraException as error:
            self.mistakes.append(f"{source}: {printable(line)}: {one_line(error)}")
            return []

    def _parse(self, line: str) -> Override:
        return override_with_groups(self._parser, line, self._config_loader)

    def _line(self, key: str, value: Any, source: str) -> str | None:
        """A YAML value as an override; None, and a mistake, where a fixed value cannot be one."""
        if isinstance(value, str):
            return f"{key}={value}"
        if key.startswith("~") and value is None:
            return key
        self.notes += (f"{source}.{note}" for note in fixed_value_notes(key, value))
        hidden = hidden_expression(key, value, self._parser)
        if hidden is not None:
            self.mistakes.append(f"{source}.{hidden}")
            return None
        return self.fixed_line(key, value, source)

    def fixed_line(self, key: str, value: Any, source: str) -> str | None:
        """A YAML value as an override that Hydra reads as this very value; None, and a mistake, where no text is."""
        text = text_of(value, self._parser)
        if text is not None:
            return f"{key}={text}"
        why = "bytes, or keys of a mapping that are empty, not plain text, or look like a number, bool or null"
        self.mistakes.append(
            f"{source}.{key}: {value!r} cannot be said in Hydra's override grammar ({why}): set it in a config of your app"
        )
        return None

    def _condition(self, text: str, where: str) -> When | None:
        try:
            override = self._parse(text)
        except HydraException as error:
            self.mistakes.append(f"{where}: must read parent=value: {one_line(error)}")
            return None
        if override.is_discrete_sweep():
            try:
                return When(override.get_key_element(), tuple(element.text for element in elements_of(override)))
            except ValueError as error:
                self.mistakes.append(f"{where}: {error}")
                return None
        if override.is_delete() or holds_sweep(override.value()):
            self.mistakes.append(f"{where}: must read parent=value or parent=value1,value2")
            return None
        return When(override.get_key_element(), (override.get_value_element_as_str(),))


def _is_block(block: Any) -> bool:
    """Whether this can stand under a condition."""
    if not isinstance(block, Mapping) or set(block) - {"params", "conditional"}:
        return False
    return all(part is None or isinstance(part, Mapping | Interpolated) for part in block.values())


def merge(*sources: Sequence[WrittenOverride]) -> tuple[list[WrittenOverride], list[str]]:
    """All overrides in their final order, later spellings in the place of earlier ones; and the mistakes.

    Each source is one place (what stands in YAML, what on the command line). Fixed overrides of one place may repeat a key, as
    in Hydra itself: `d={a:1} d={b:2}` sets both.
    """
    mistakes = [mistake for overrides in sources for mistake in _repeated(overrides)]
    merged: list[WrittenOverride] = []
    for overrides in sources:
        replaced = {written.key for written in overrides}
        kept: list[WrittenOverride] = []
        fresh = list(overrides)
        for written in merged:
            if written.key not in replaced:
                kept.append(written)
                continue
            kept += [new for new in fresh if new.key == written.key]
            fresh = [new for new in fresh if new.key != written.key]
        merged = kept + fresh
    return merged, mistakes


def _repeated(overrides: Sequence[WrittenOverride]) -> Iterable[str]:
    for key in dict.fromkeys(written.key for written in overrides if not written.when):
        same = [written for written in overrides if written.key == key]
        swept = any(written.override.is_sweep_override() for written in same)
        if len(same) > 1 and (swept or any(written.when for written in same)):
            lines = " and ".join(f"{written.line} ({written.source})" for written in same)
            yield f"{key} is given more than once: {lines}: keep one"


def rivals(overrides: Sequence[WrittenOverride], has_group: Callable[[str], bool]) -> Iterable[str]:
    """A line for each value that is swept in two spellings, `lr` and `++lr`: the first would have no effect."""
    swept = [
        written
        for written in overrides
        if written.override.is_sweep_override() and not has_group(written.override.key_or_group)
    ]
    for first, second in itertools.combinations(swept, 2):
        apart = first.when and second.when and first.when != second.when
        if first.key != second.key and without_prefix(first.key) == without_prefix(second.key) and not apart:
            yield f"{first.key} and {second.key} are one key, swept twice: {first.line} and {second.line}: keep one"
