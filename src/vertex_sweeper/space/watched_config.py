"""A config that tells which of its values interpolations ask for: marked values note it, and answer or refuse.

Where an interpolation leads cannot be told from its text (`${spaces.${which}}`, a chain of them, a resolver of the app's own).
So it is resolved, and the values that matter say when it comes to them, whichever way it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final, NamedTuple

from omegaconf import AnyNode, DictConfig, ListConfig
from omegaconf.errors import InterpolationKeyError, MissingMandatoryValue

from vertex_sweeper.space.hydra_api import using_hydra_config
from vertex_sweeper.space.key_paths import KeyPath
from vertex_sweeper.space.omegaconf_api import (
    Node,
    as_written,
    child,
    children,
    dereferenced,
    dereferenced_or_none,
    is_interpolation,
    is_missing,
    is_open,
    put_child,
    raw_value,
    using_resolvers,
)

_MARKED: Final = "vertex_sweeper.marked"
_ENVIRONMENT: Final = "oc.env"


class Mark(NamedTuple):
    """What a value is marked with: its key as messages name it, and whether it answers. `kind` is for whoever put it there."""

    kind: Enum
    name: str
    answers: bool = False


class WatchedConfig:
    """A composed config with marks in it, which changes it: give it one that is nobody else's.

    Args:
        config: as Hydra composed it, with its `hydra` node.
        guard: the mark of an environment variable that must not be read; None for all others.
    """

    def __init__(self, config: DictConfig, guard: Callable[[str], Mark | None] = lambda _: None) -> None:
        self.config = config
        self._guard = guard
        self._own = ""
        self._marked: list[tuple[Mark, Node | None]] = []
        self._asked: dict[Mark, None] = {}

    def mark(self, path: KeyPath, mark: Mark) -> None:
        """Marks what stands at the path, or would; where something that is no container is in the way, that is marked.

        What is marked already keeps its mark.
        """
        node: Any = self.config
        for index, name in enumerate(path):
            key = _key_in(node, name)
            found = None if key is None else child(node, key)
            if _is_marked(found):
                return
            inner = found
            if found is not None and is_interpolation(found) and index < len(path) - 1:
                # Hydra sets such a key where the interpolation leads.
                inner = dereferenced_or_none(found)
            if index == len(path) - 1 or not is_open(inner):
                self._put(node, name if key is None else key, found, mark)
                return
            node = inner

    def mark_leaves(self, path: KeyPath, kind: Enum) -> Iterator[tuple[Mark, tuple[Any, ...]]]:
        """Marks every value below the path by its own key, and gives each mark with the keys to it; they go on answering."""
        node: Any = self.config
        for name in path:
            node = child(node, name)
        for parent, key, keys in list(_leaves(node, path)):
            mark = Mark(kind, ".".join(map(str, keys)), answers=True)
            self._put(parent, key, child(parent, key), mark)
            yield mark, keys

    def mark_differences(self, other: DictConfig, mark: Mark) -> None:
        """Marks what is not the same in another config, as it is written there and here."""
        self._differ(self.config, other, mark)

    def _differ(self, here: Any, there: Any, mark: Mark) -> None:
        for key in {**dict.fromkeys(here.keys()), **dict.fromkeys(there.keys())}:
            one, two = children(here).get(key), children(there).get(key)
            dicts = all(isinstance(node, DictConfig) and is_open(node) for node in (one, two))
            if dicts and one.keys() == two.keys():
                self._differ(one, two, mark)
            elif not _is_marked(one) and _text(one) != _text(two):
                # With other keys the whole is another one: a resolver may ask for the keys alone.
                self._put(here, key, one, mark)

    @contextmanager
    def asking(self, own: str = "") -> Iterator[dict[Mark, None]]:
        """While it lasts the config can be resolved, `${hydra:…}` in it too; gives the marks that were asked for.

        Those named `own` answer, and do not count.
        """
        self._asked, self._own = {}, own
        resolvers = {_MARKED: lambda _: self._answer, _ENVIRONMENT: self._guarded}
        with using_resolvers(resolvers), using_hydra_config(self.config):
            yield self._asked

    def _put(self, parent: Any, key: Any, value: Node | None, mark: Mark) -> None:
        # Past OmegaConf's checks: the node is typed, or read-only, or its parent does not know the key.
        node = AnyNode(f"${{{_MARKED}:{len(self._marked)}}}", key=key, parent=parent)
        self._marked.append((mark, value))
        put_child(parent, key, node)

    def _answer(self, config: Any, parent: Any, node: Any, args: tuple[Any, ...], texts: tuple[str, ...]) -> Any:  # noqa: ARG002 - OmegaConf's
        mark, value = self._marked[args[0]]
        if mark.name != self._own:
            self._asked[mark] = None
            if not mark.answers:
                raise ValueError(f"{mark.name} is not known here")
        if value is None:
            raise InterpolationKeyError(f"Interpolation key '{mark.name}' not found")
        value = dereferenced(value)
        if value is not None and is_missing(value):
            raise MissingMandatoryValue(f"Missing mandatory value: {mark.name}")
        return value

    def _guarded(self, read: Callable[..., Any] | None) -> Callable[..., Any] | None:
        if read is None:
            return None

        def guarded(config: Any, parent: Any, node: Any, args: tuple[Any, ...], texts: tuple[str, ...]) -> Any:
            mark = self._guard(str(args[0])) if args else None
            if mark is not None:
                self._asked[mark] = None
                raise ValueError(f"{mark.name} is not read")
            return read(config, parent, node, args, texts)

        return guarded


def _is_marked(node: Node | None) -> bool:
    return isinstance(node, AnyNode) and str(raw_value(node)).startswith(f"${{{_MARKED}:")


def _key_in(container: Any, name: str) -> Any:
    """The key or index that an override means by this name; None where there is none."""
    if isinstance(container, ListConfig):
        return int(name) if name.lstrip("-").isdigit() and -len(container) <= int(name) < len(container) else None
    return next((key for key in container if (key.name if isinstance(key, Enum) else str(key)) == name), None)


def _leaves(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, Any, tuple[Any, ...]]]:
    """Each value's container, key and path; a list, and an empty dict, is one value."""
    for key in node if is_open(node) else ():
        inner = child(node, key)
        if isinstance(inner, DictConfig) and is_open(inner) and len(inner):
            yield from _leaves(inner, (*path, key))
        else:
            yield node, key, (*path, key)


def _text(node: Node | None) -> str:
    if node is None:
        return ""
    return f"{type(node).__name__} {as_written(node)!r}"
