"""Config groups bring their own search space: what is worth tuning depends on the option, and stands in a file beside it.

When `model=cnn,vit` is swept, `search_space/model/vit.yaml` holds what is tuned where the model is vit. Its keys are
overrides under the condition `model=vit`, as in the sweep's own `conditional`; whatever the sweep says itself comes before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from vertex_sweeper.space.conditions import excludes
from vertex_sweeper.space.config_groups import GLOBAL, GroupFiles, PlacedOption, SpaceFile
from vertex_sweeper.space.expressions import Element, elements_of, merged
from vertex_sweeper.space.hydra_api import Override, QuotedString
from vertex_sweeper.space.key_paths import is_within, key_path, paths_set, without_prefix
from vertex_sweeper.space.overrides import OverrideReader, When, WrittenOverride
from vertex_sweeper.space.written_values import Interpolated, Shape, holds_interpolation, mark_interpolated

DEFAULT_GROUP = "search_space"

CONDITIONAL = "conditional"
"""The one key of a search-space file that is no parameter: conditions, as in the sweep."""


def add_group_spaces(
    overrides: Sequence[WrittenOverride], *, group: str, files: GroupFiles, reader: OverrideReader
) -> tuple[list[WrittenOverride], list[str]]:
    """The sweep's overrides with those that the options of its swept groups bring, and a line for each file that was used.

    A file's overrides follow their group, and come before the first key that the sweep sets itself: later overrides win.
    Mistakes in files are added to the reader's.
    """
    spaces = _GroupSpaces(tuple(overrides), group, files, reader)
    front: list[WrittenOverride] = []
    back: list[WrittenOverride] = []
    for written in overrides:
        (back if back or not files.is_group(written.override) else front).append(written)
        front += spaces.brought_by(written)
    return front + back, spaces.notes


@dataclass(frozen=True, slots=True)
class _GroupSpaces:
    """Reads the search spaces of the groups that are swept among `overrides`, the sweep's own."""

    overrides: tuple[WrittenOverride, ...]
    group: str
    files: GroupFiles
    reader: OverrideReader
    notes: list[str] = field(default_factory=list)

    def brought_by(self, written: WrittenOverride) -> Iterator[WrittenOverride]:
        """What a swept group's options bring, and what the groups that are swept there bring in turn."""
        # A group that is swept under its own option is refused later; here it would never end.
        if written.key in {when.key for when in written.when}:
            return
        elements = _elements(written.override) if self.files.is_group(written.override) else []
        # A group of one option is not tuned: what the option brings hangs on nothing.
        alone = len(elements) == 1 and not written.when
        for element in elements:
            when = written.when if alone else (*written.when, When(written.key, (element.text,)))
            for option in _options(element.value):
                for brought in self._of_option(written, element, option, when):
                    yield brought
                    yield from self.brought_by(brought)

    def _of_option(
        self, written: WrittenOverride, element: Element, option: str, when: tuple[When, ...]
    ) -> list[WrittenOverride]:
        path = f"{self.group}/{written.override.key_or_group}/{option}"
        try:
            file = self.files.space_file(path)
            if file is None:
                return []
            found = self._read(file, self._placed(file, written, element, option), when)
        except ValueError as error:
            self.reader.mistakes.append(str(error))
            return []
        used = [new for new in found if not any(_replaces(own, new, self.files) for own in self.overrides)]
        self.notes.append(_note(file, f"{written.key}={element.text}", found, used))
        return used

    def _placed(self, file: SpaceFile, written: WrittenOverride, element: Element, option: str) -> PlacedOption:
        try:
            placed = self.files.place_option(written.key, option, [*self._choices(written), f"{written.key}={element.text}"])
        except ValueError as error:
            raise ValueError(f"{file.name}: the package of {written.key}={element.text} cannot be told: {error}") from error
        return placed if file.package is None else replace(placed, package=file.package.removeprefix(GLOBAL).lstrip("."))

    def _choices(self, written: WrittenOverride) -> Iterator[str]:
        """Overrides beside which this one composes: what is fixed, its parents, a first choice of each other group."""
        parents = {when.key: when.texts[0] for when in written.when}
        for other in self.overrides:
            if other.key == written.key or other.key in parents or other.when:
                continue
            if not other.override.is_sweep_override():
                yield other.line
            elif self.files.is_group(other.override):
                yield from (f"{other.key}={element.text}" for element in _elements(other.override)[:1])
        yield from (f"{key}={text}" for key, text in parents.items())

    def _read(self, file: SpaceFile, placed: PlacedOption, when: tuple[When, ...]) -> list[WrittenOverride]:
        params = {key: value for key, value in file.content.items() if key != CONDITIONAL}
        conditional = file.content.get(CONDITIONAL) or {}
        if not isinstance(conditional, Mapping) and not holds_interpolation(conditional):
            self.reader.mistakes.append(f"{file.name}: {CONDITIONAL}: must be a mapping of conditions: {conditional!r}")
            conditional = {}
        absolute = _absolute(params, placed)
        if len(absolute) < len(params):
            raise ValueError(f"{file.name}: two of its keys mean the same one ({', '.join(params)}): keep one")
        origin = Interpolated(None, Shape.PARAMS, package=placed.package, absolute=partial(_absolute_part, placed=placed))
        overrides = self.reader.params(mark_interpolated(absolute, Shape.PARAMS, origin), file.name, when)
        if isinstance(conditional, Mapping):
            conditional = _absolute_conditions(conditional, placed)
        where = f"{file.name}: {CONDITIONAL}"
        return overrides + self.reader.conditional(mark_interpolated(conditional, Shape.CONDITIONAL, origin), where, when)


def _elements(override: Override) -> list[Element]:
    """The elements of a sweep over a group; none where there are too many, which is told where the sweep is read."""
    if not override.is_discrete_sweep():
        return []
    try:
        return merged(elements_of(override))
    except ValueError:
        return []


def _options(value: Any) -> Iterator[str]:
    """The options that an element chooses: one, several (`[a,b]`), or none (`null`)."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str | QuotedString):
            yield item.text if isinstance(item, QuotedString) else item


def _absolute(params: Mapping[str, Any], placed: PlacedOption) -> dict[str, Any]:
    return {_absolute_key(str(key), placed, group=not isinstance(value, Mapping)): value for key, value in params.items()}


def _absolute_part(shape: Shape, part: Mapping[str, Any], placed: PlacedOption) -> Mapping[str, Any]:
    """A mapping to which an interpolation has led, with absolute keys."""
    if shape is Shape.PARAMS:
        return _absolute(part, placed)
    return _absolute_conditions(part, placed) if shape is Shape.CONDITIONAL else _absolute_block(part, placed)


def _absolute_conditions(conditional: Mapping[str, Any], placed: PlacedOption) -> dict[str, Any]:
    """Conditions with absolute keys; what has not their shape stays as it is, for the reader to name."""
    conditions: dict[str, Any] = {}
    for condition, block in conditional.items():
        key, equals, values = str(condition).partition("=")
        inner = _absolute_block(block, placed) if isinstance(block, Mapping) else block
        conditions[f"{_absolute_key(key, placed, group=True)}{equals}{values}"] = inner
    return conditions


def _absolute_block(block: Mapping[str, Any], placed: PlacedOption) -> dict[str, Any]:
    absolute = {"params": _absolute, CONDITIONAL: _absolute_conditions}
    return {
        name: absolute[name](part, placed) if name in absolute and isinstance(part, Mapping) else part
        for name, part in block.items()
    }


def _absolute_key(key: str, placed: PlacedOption, *, group: bool) -> str:
    """A file's key as the command line has it: relative to the option's package, or with a leading `/` already absolute.

    Where Hydra chooses a group at that very place (`model.optimizer`), the key is that group's.
    """
    rest = without_prefix(key)
    prefix = key[: len(key) - len(rest)]
    if rest.startswith("/"):
        return f"{prefix}{rest[1:]}"
    full = f"{placed.package}.{rest}" if placed.package else rest
    return prefix + (placed.groups.get(full, full) if group else full)


def _replaces(own: WrittenOverride, brought: WrittenOverride, files: GroupFiles) -> bool:
    """Whether the sweep itself sets what a file would tune: the same key, or a dict or value that holds it."""
    if any(excludes(one, other) for one in own.when for other in brought.when):
        return False
    if without_prefix(own.key) == without_prefix(brought.key):
        return True
    above, below = key_path(own.override), key_path(brought.override)
    if above == below or not is_within(below, above):
        return False
    chooses = files.is_group(own.override)  # an option, that is, unless the value is a dict
    decided = {path for value in _values(own) if isinstance(value, Mapping) or not chooses for path in paths_set(above, value)}
    return any(is_within(below, path) for path in decided)


def _values(written: WrittenOverride) -> Iterable[Any]:
    override = written.override
    return [element.value for element in _elements(override)] if override.is_discrete_sweep() else [override.value()]


def _note(file: SpaceFile, condition: str, found: Sequence[WrittenOverride], used: Sequence[WrittenOverride]) -> str:
    keys = ", ".join(dict.fromkeys(written.key for written in used)) or "nothing"
    kept = list(dict.fromkeys(written.key for written in found if written not in used))
    source = f" ({file.source})" if file.source else ""
    return f"{condition} brings {file.name}{source}: {keys}" + (f"; the sweep itself sets {', '.join(kept)}" if kept else "")
