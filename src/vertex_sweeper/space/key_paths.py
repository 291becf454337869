"""A key's path: where an override reaches into a config, what its value sets there, and what its key consists of.

All that reads or compares keys comes here, so that a key has one path wherever it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vertex_sweeper.space.hydra_api import Override
from vertex_sweeper.space.omegaconf_api import split_key

KeyPath = tuple[str, ...]
"""The names on the way from the root of a config to a key."""


def key_path(override: Override) -> KeyPath:
    r"""The names on the way to an override's key: `a.b[0]` and `a.b.0` are one place.

    OmegaConf reads keys in one function, which Hydra 1.4 uses too; that of its version knows `a\.b`.

    Args:
        override: as Hydra parses it; its prefix and package are not in the path.

    Returns:
        The names, each a text, list indices among them. That of a group (`db/mysql`) has one name.

    >>> from hydra.core.override_parser.overrides_parser import OverridesParser
    >>> key_path(OverridesParser.create().parse_override("++model.layers.0=5"))
    ('model', 'layers', '0')
    """
    return tuple(name for name in split_key(override.key_or_group) if name)


def paths_set(path: KeyPath, value: Any) -> Iterator[KeyPath]:
    """The paths that are decided when `value` is set at `path`: Hydra merges dicts, anything else takes the whole place.

    >>> list(paths_set(("model",), {"lr": 0.1, "layers": [1, 2]}))
    [('model', 'lr'), ('model', 'layers')]
    """
    if not isinstance(value, Mapping):
        yield path
        return
    for key, item in value.items():
        yield from paths_set((*path, str(key)), item)
    if not value:
        yield (*path, "")  # an empty dict decides nothing inside, but that there is a dict


def is_within(path: Sequence[Any], above: Sequence[Any]) -> bool:
    """Whether a path is the other one, or below it.

    >>> is_within(("model", "lr"), ("model",))
    True
    """
    return path[: len(above)] == above


def overlap(one: KeyPath, other: KeyPath) -> bool:
    """Whether one of the paths is within the other, so that setting one may change the other.

    >>> overlap(("model",), ("model", "lr")), overlap(("model", "lr"), ("model", "layers"))
    (True, False)
    """
    return is_within(one, other) or is_within(other, one)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value inside of mappings and lists that is neither, with the keys and indices that lead to it.

    >>> list(leaves({"a": [1, {"b": 2}]}))
    [(('a', 0), 1), (('a', 1, 'b'), 2)]
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def without_prefix(key: str) -> str:
    """A key as it is written, without the `+`, `++` or `~` in front.

    >>> without_prefix("++db@backup")
    'db@backup'
    """
    return key.lstrip("+~")


def group_and_package(key: str) -> tuple[str, str]:
    """The parts of `group@package`; the package is empty where there is none.

    >>> group_and_package("db@backup")
    ('db', 'backup')
    """
    group, _, package = key.partition("@")
    return group, package


def group_key(override: Override) -> str:
    """The key by which a defaults list has a group: `db`, or `db@backup`."""
    return override.key_or_group if override.package is None else f"{override.key_or_group}@{override.package}"
