"""OmegaConf's insides: the one module that uses what OmegaConf has no public name for.

The public ways to read a config resolve its interpolations; most of what is here reads it as it was written. Each function says
what it is for and what breaks without it; OmegaConf 2.2 to 2.4 have it all. An attribute that is gone raises AttributeError,
and `tests/space/test_hydra_api.py` names the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf
from omegaconf._utils import split_key
from omegaconf.base import Node
from omegaconf.basecontainer import BaseContainer

__all__ = [
    "Node",
    "as_written",
    "child",
    "children",
    "dereferenced",
    "is_interpolation",
    "is_missing",
    "is_null",
    "is_open",
    "key_in_parent",
    "node_at",
    "parent_of",
    "put_child",
    "raw_value",
    "split_key",
    "using_resolvers",
]

Resolve = Callable[..., Any]
"""A resolver as OmegaConf keeps it: gets (config, parent, node, args, texts of args)."""


def is_null(node: Node) -> bool:
    """Whether null is written there; comparing with None would resolve an interpolation."""
    return bool(node._is_none())


def is_missing(node: Node) -> bool:
    """Whether `???` is written there, which `OmegaConf.is_missing` tells of a key and not of a node."""
    return bool(node._is_missing())


def is_interpolation(node: Node) -> bool:
    """Whether an interpolation is written there."""
    return bool(OmegaConf.is_interpolation(node))


def is_open(node: Any) -> bool:
    """Whether this is a container with items: not null, missing, or an interpolation."""
    return isinstance(node, Container) and not (is_null(node) or is_missing(node) or is_interpolation(node))


def raw_value(node: Node) -> Any:
    """What is written in a node, interpolations as their text. For an open container: its content, with nodes in it."""
    return node._value()


def as_written(node: Node) -> Any:
    """The node as plain data, interpolations as their text."""
    return OmegaConf.to_container(node, resolve=False) if is_open(node) else raw_value(node)


def node_at(config: DictConfig, key: Any) -> Any:
    """The node of a key, None where there is none. `config[key]` would resolve it, and raise where a schema lacks the key."""
    return config._get_node(key, validate_access=False)


def children(container: Any) -> Any:
    """The nodes in an open container: a dict by key, or a list. Iterating over the container would resolve them."""
    return container.__dict__["_content"]


def child(container: Any, key: Any) -> Any:
    """The node of a key or index of an open container. Raises KeyError or IndexError where there is none."""
    return children(container)[key]


def put_child(container: Any, key: Any, node: Node) -> None:
    """Puts a node into an open container past OmegaConf's checks: of types, of read-only flags, of keys that a schema lacks."""
    children(container)[key] = node


def dereferenced(node: Node) -> Any:
    """The node to which an interpolation leads, or the node itself. `OmegaConf.select` would lose a resolver's errors.

    Raises:
        Exception: whatever a resolver of the app raises, or OmegaConf for what does not resolve.
    """
    return node._maybe_dereference_node(throw_on_resolution_failure=True)


def dereferenced_or_none(node: Node) -> Any:
    """The node to which an interpolation leads; None where it does not resolve."""
    return node._maybe_dereference_node()


def parent_of(node: Node) -> Any:
    """The container of a node; None for a root. Without it nobody can tell where an interpolation has led."""
    return node._get_parent()


def key_in_parent(node: Node) -> Any:
    """The key of a node in its container."""
    return node._key()


@contextmanager
def using_resolvers(make: Mapping[str, Callable[[Resolve | None], Resolve | None]]) -> Iterator[None]:
    """While it lasts these resolvers answer; then those of before do again.

    The public way to register does not give back the resolver of before, and an app's `oc.env` would stay replaced.

    Args:
        make: by name, makes the resolver from the one that is there (None where there is none); None leaves it so.
    """
    resolvers = BaseContainer._resolvers
    before = {name: resolvers.get(name) for name in make}
    try:
        for name, resolver in ((name, make[name](before[name])) for name in make):
            if resolver is not None:
                resolvers[name] = resolver
        yield
    finally:
        for name, resolver in before.items():
            if resolver is None:
                resolvers.pop(name, None)
            else:
                resolvers[name] = resolver
