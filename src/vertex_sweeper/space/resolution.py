"""Resolves what is interpolated in the search space, before it is read as expressions, as Hydra's basic sweeper does.

A value is resolved once, on the config that has all the overrides that every trial with this value has: the fixed ones, and
those of the conditions that it stands under. What is not the same in all these trials, or known in a trial only, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, NamedTuple

from omegaconf import AnyNode, DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from vertex_sweeper.credentials import credentials_among, exposed_line
from vertex_sweeper.messages import one_line
from vertex_sweeper.space.common_config import CommonConfigs, Reached
from vertex_sweeper.space.conditions import decide
from vertex_sweeper.space.config_groups import GroupFiles
from vertex_sweeper.space.omegaconf_api import Node, child, children, dereferenced, is_null, key_in_parent, parent_of, raw_value
from vertex_sweeper.space.overrides import When, WrittenOverride
from vertex_sweeper.space.written_values import Interpolated, NodePath, Shape, mark_interpolated

_PLACEHOLDER: Final = "vertex_sweeper_unresolved"

_NOT_COMMON: Final = {Reached.SWEPT: "which is not the same in every trial", Reached.TRIAL: "which only a trial has"}
_ESCAPED: Final = "write \\${…} for what each trial is to resolve by itself"


class _Name(NamedTuple):
    """Which value is meant: where it was written, its key (empty for a whole mapping), and its conditions."""

    source: str
    key: str
    when: tuple[When, ...]
    shape: Shape

    def __str__(self) -> str:
        return f"{self.source}.{self.key}" if self.key else self.source


class _Unknown(ValueError):
    """Why a value has no answer; `waits` says that another one, which is not resolved yet, has to come first."""

    def __init__(self, reason: str, *, waits: bool = False) -> None:
        super().__init__(reason)
        self.waits = waits


class Resolution:
    """Stands beside a reader that reads the search space again and again, until nothing is left to resolve.

    In the first round nothing is resolved, and placeholders stand in for values; each further round knows the overrides of the
    one before. What brings new overrides comes first: mappings, and values of groups.

    Args:
        config: what Hydra handed to the sweeper.
        files: the config sources.
        allow_secrets: whether credentials may be resolved into the job.
    """

    def __init__(self, config: DictConfig, files: GroupFiles, *, allow_secrets: bool) -> None:
        self._files = files
        self._configs = CommonConfigs(config, files, allow_secrets=allow_secrets)
        self._allow_secrets = allow_secrets
        self._overrides: list[WrittenOverride] = []
        self._resolved: dict[_Name, Any] = {}
        self._refused: dict[_Name, list[str]] = {}
        self._waiting: dict[_Name, str] = {}
        self._due: set[_Name] = set()
        self._placeholders: dict[str, _Name] = {}
        self._mappings: dict[_Name, None] = {}
        self._done, self._restricted = -1, False
        self.notes: list[str] = []

    @property
    def mistakes(self) -> list[str]:
        """A line for each value that was refused."""
        return [line for lines in self._refused.values() for line in lines]

    def about_the_user(self, mistakes: Sequence[str]) -> list[str]:
        """The mistakes that are not about a placeholder."""
        return [line for line in mistakes if _PLACEHOLDER not in line]

    def value(self, item: Interpolated, key: str, source: str, when: tuple[When, ...]) -> Any:
        """What the value is: plain data, or a placeholder as long as that is not known."""
        name = _Name(source, key, when, item.shape)
        if self._is_known(name, item):
            return self._resolved[name]
        placeholder = f"{_PLACEHOLDER}_{len(self._placeholders)}"
        self._placeholders[placeholder] = name
        return placeholder

    def mapping(self, item: Interpolated, source: str, when: tuple[When, ...]) -> Mapping[str, Any]:
        """A mapping that is an interpolation as a whole; empty as long as that is not known."""
        name = _Name(source, "", when, item.shape)
        if self._is_known(name, item):
            return self._resolved[name]  # type: ignore[no-any-return]
        self._mappings[name] = None
        return {}

    def is_over(self, overrides: Sequence[WrittenOverride]) -> bool:
        """Whether there is nothing to resolve any more, after a round that has read these overrides."""
        # A condition that cannot hold is dropped with what stands under it: that needs no value.
        self._overrides = decide(overrides)[0]
        self._configs.forget()
        pending = {name: written for written in self._overrides if (name := self._pending(written)) is not None}
        open_ = [name for name in (*self._mappings, *pending) if name not in self._refused]
        groups = {name for name, written in pending.items() if self._files.has_group(written.override.key_or_group)}
        first = [name for name in open_ if name in self._mappings or name in groups]
        done = len(self._resolved) + len(self._refused)
        if done == self._done and not self._restricted:
            self._refused |= {name: [self._waiting[name]] for name in open_ if name in self._waiting}
            return True
        self._restricted = bool(first) and done != self._done
        self._done, self._due, self._mappings = done, set(first if self._restricted else open_), {}
        return not open_

    def _pending(self, written: WrittenOverride) -> _Name | None:
        value = None if written.override.is_delete() or written.override.is_sweep_override() else written.override.value()
        return self._placeholders.get(value) if isinstance(value, str) else None

    def _is_known(self, name: _Name, item: Interpolated) -> bool:
        if name in self._due and name not in self._resolved and name not in self._refused:
            self._try(name, item)
        return name in self._resolved

    def _try(self, name: _Name, item: Interpolated) -> None:
        try:
            value, used = self._resolve(name, item)
        except _Unknown as unknown:
            if unknown.waits:
                self._waiting[name] = str(unknown)
            else:
                self._refused[name] = [str(unknown)]
            return
        found = [] if self._allow_secrets else credentials_among([(str(name), str(value))])
        if found:
            self._refused[name] = found
            return
        self._resolved[name] = value
        if item.shape is Shape.VALUE:
            with_them = f", with {', '.join(used)}" if used else ""
            self.notes.append(f"{name}: {item.text} reads {value}{with_them}")

    def _resolve(self, name: _Name, item: Interpolated) -> tuple[Any, list[str]]:
        """The value, and the fixed overrides that went into it. Raises _Unknown."""
        try:
            watched = self._configs.of(self._overrides, name.when, lambda written: self._pending(written) is not None)
        except ValueError as error:
            raise _Unknown(f"{name}: {item.text} cannot be resolved: {error}") from error
        value, failed = None, ""
        with watched.asking(name.key) as asked:
            try:
                value = _plain(_node(watched.config, item), item)
            except Exception as error:  # noqa: BLE001 - whatever the app's own resolvers raise
                failed = one_line(str(error).partition("full_key:")[0]) or type(error).__name__
        names = {kind: [mark.name for mark in asked if mark.kind is kind] for kind in Reached}
        if names[Reached.SECRET]:
            raise _Unknown(
                exposed_line(str(name), f"{item.text} reads {names[Reached.SECRET][0]}, which is named like a credential")
            )
        if names[Reached.PENDING]:
            raise _Unknown(f"{name}: {item.text} needs {names[Reached.PENDING][0]}, and that needs it", waits=True)
        for kind, why in _NOT_COMMON.items():
            if names[kind]:
                raise _Unknown(f"{name}: {item.text} asks for {names[kind][0]}, {why}: {_ESCAPED}")
        if failed:
            raise _Unknown(f"{name}: {item.text} cannot be resolved: {failed}")
        return value, names[Reached.FIXED]


def _node(config: DictConfig, item: Interpolated) -> Node:
    """The node of the item in this config. Raises KeyError where there is none."""
    node: Any = config
    if item.path is not None:
        for key in item.path:
            node = child(node, key)
        return node  # type: ignore[no-any-return]
    # A file's value stands, as its key does, in the place of its option.
    place = OmegaConf.select(config, item.package) if item.package else config
    parent = place if isinstance(place, DictConfig) else config
    return AnyNode(item.text, parent=parent) if isinstance(item.text, str) else OmegaConf.create(item.text, parent=parent)


def _plain(node: Node, item: Interpolated) -> Any:
    """What the node is, resolved: for a mapping of the search space, its keys with what is interpolated in them in turn."""
    found = dereferenced(node)
    if found is None or is_null(found):
        return None if item.shape is Shape.VALUE else {}
    if item.shape is Shape.VALUE:
        if OmegaConf.is_config(found):
            return OmegaConf.to_container(found, resolve=True, enum_to_str=True, throw_on_missing=True)
        value = raw_value(found)
        if value == "???":
            raise MissingMandatoryValue("it leads to a value that is missing (???)")
        return value.name if isinstance(value, Enum) else str(value) if isinstance(value, PurePath) else value
    value = found if OmegaConf.is_config(found) else raw_value(found)
    if isinstance(value, Mapping) and not isinstance(value, DictConfig):  # a resolver has made it
        value = DictConfig(dict(value), parent=parent_of(found))
    if not isinstance(value, DictConfig):
        raise TypeError(f"it is {value}, and must be a mapping")
    path = _path_of(value)
    marked = mark_interpolated(OmegaConf.to_container(value, resolve=path is None), item.shape, replace(item, path=path))
    return marked if item.absolute is None else item.absolute(item.shape, marked)


def _path_of(node: Node) -> NodePath | None:
    """The keys from the root to this node; None for one that a resolver has made."""
    names: list[Any] = []
    while (parent := parent_of(node)) is not None:
        if not isinstance(parent, DictConfig) or children(parent).get(key_in_parent(node)) is not node:
            return None
        names.insert(0, key_in_parent(node))
        node = parent
    return tuple(names)
