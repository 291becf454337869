"""Where a Hydra override reaches into a config: the place of its key, what its value sets, and what is inside of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vertex_sweeper.space.hydra_api import Override
from vertex_sweeper.space.omegaconf_api import split_key

Path = tuple[str, ...]


def key_path(override: Override) -> Path:
    r"""The names on the way to an override's key: `a.b[0]` and `a.b.0` are one place.

    OmegaConf reads keys in one function, which Hydra 1.4 uses too; that of its version knows `a\.b`.
    """
    return tuple(name for name in split_key(override.key_or_group) if name)


def paths_set(path: Path, value: Any) -> Iterator[Path]:
    """The places that are decided when `value` is set at `path`: Hydra merges dicts, anything else takes the whole place."""
    if not isinstance(value, Mapping):
        yield path
        return
    for key, item in value.items():
        yield from paths_set((*path, str(key)), item)
    if not value:
        yield (*path, "")  # an empty dict decides nothing inside, but that there is a dict


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every value inside of mappings and lists that is neither, with the keys and places that lead to it."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, str(key)))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from leaves(item, (*path, place))
    else:
        yield path, value
