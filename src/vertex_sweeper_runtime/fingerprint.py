"""The fingerprint of a composed config, key by key: how a trial finds out that it composes other configs than its sweep did.

An image may hold older files than the machine that started the sweep. That side writes short hashes of the config as Hydra
composes it, unresolved, one for each key and for each choice of swept options; the trial's callback makes the same of its own
config and names the keys that differ. Both sides import this module; the shim does not, for it only passes the text on.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from vertex_sweeper_runtime.checked_json import pack, unpack
from vertex_sweeper_runtime.errors import ContractError

if TYPE_CHECKING:
    from omegaconf import DictConfig

Path = tuple[str, ...]
"""A key's place in the config: the names on the way to it, as an override would say them."""

_LONGEST_LIST = 16
"""Longer lists have one hash, not one for each element."""


class Leaf(NamedTuple):
    """One value of a config: a scalar, an empty container, or a long list. `name` is its path for people."""

    path: Path
    name: str
    value: Any


class Snapshot(NamedTuple):
    """The config of all trials that chose the same options: hashes by name, without what is below or above `ignored` paths.

    `options` holds, for each of the fingerprint's choices, which value was chosen; None where there is none.
    """

    options: tuple[int | None, ...]
    ignored: tuple[Path, ...]
    hashes: Mapping[str, str]


class Fingerprint(NamedTuple):
    """All snapshots of a sweep.

    `choices` are the ids of the parameters that choose options. With a `depth` above 0, deeper keys are hashed together.
    """

    policy: str
    choices: tuple[str, ...]
    snapshots: tuple[Snapshot, ...]
    depth: int = 0

    def snapshot(self, options: Sequence[int | None]) -> Snapshot | None:
        """The snapshot for these options, if they were composed."""
        return next((snapshot for snapshot in self.snapshots if snapshot.options == tuple(options)), None)


class Differences(NamedTuple):
    """Names of keys: with another value here, only there, only here."""

    changed: list[str]
    missing: list[str]
    new: list[str]


def leaves(config: DictConfig) -> Iterator[Leaf]:
    """The values of a composed config as they stand there, interpolations unresolved, without `hydra`."""
    from omegaconf import OmegaConf  # the runtime's modules need nothing but the standard library to be imported

    for key in config:
        if key != "hydra":
            node = config._get_node(key)  # noqa: SLF001 - reading it would resolve it
            raw = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node._value()  # type: ignore[union-attr]  # noqa: SLF001
            yield from _leaves(raw, (_part(key),), _name("", key))


def compared(config: Iterable[Leaf], ignored: Iterable[Path]) -> Iterator[Leaf]:
    """The values that are neither below nor above an ignored path."""
    touched = set(ignored)
    above = {path[:length] for path in touched for length in range(1, len(path) + 1)}
    for leaf in config:
        below = any(leaf.path[:length] in touched for length in range(1, len(leaf.path) + 1))
        if not below and leaf.path not in above:
            yield leaf


def hashes(config: Iterable[Leaf], ignored: Iterable[Path], *, depth: int = 0) -> dict[str, str]:
    """A short hash for each name: of the place, the type and the value."""
    texts: dict[str, list[str]] = {}
    for leaf in compared(config, ignored):
        name = ".".join(leaf.path[:depth]) if 0 < depth < len(leaf.path) else leaf.name
        texts.setdefault(name, []).append(f"{leaf.name}={canonical(leaf.value)}")
    return {name: _short_hash("\n".join(sorted(lines))) for name, lines in texts.items()}


def compare(snapshot: Snapshot, config: DictConfig, *, depth: int = 0) -> Differences:
    """What is different in this config."""
    here, there = hashes(leaves(config), snapshot.ignored, depth=depth), snapshot.hashes
    return Differences(
        changed=[name for name in there if name in here and here[name] != there[name]],
        missing=[name for name in there if name not in here],
        new=[name for name in here if name not in there],
    )


def encode(fingerprint: Fingerprint) -> str:
    """The fingerprint as plain text; snapshots after the first hold only what is different in them.

    It is packed by itself, and has nothing that JSON would escape: the shim reads the contract around it, and should not pay
    for this.
    """
    first = fingerprint.snapshots[0].hashes if fingerprint.snapshots else {}
    snapshots = [
        [
            snapshot.options,
            snapshot.ignored,
            {name: text for name, text in snapshot.hashes.items() if position == 0 or first.get(name) != text},
            [name for name in first if name not in snapshot.hashes],
        ]
        for position, snapshot in enumerate(fingerprint.snapshots)
    ]
    document = [fingerprint.policy, fingerprint.depth, fingerprint.choices, snapshots]
    return pack(document)


def decode(text: str) -> Fingerprint:
    """The fingerprint that `encode` wrote. Raises ContractError when it is damaged."""
    try:
        policy, depth, choices, entries = unpack(text)
        if not isinstance(policy, str) or type(depth) is not int:
            raise TypeError("its policy or depth is of another type")  # noqa: TRY301 - one message for every kind of damage
        snapshots: list[Snapshot] = []
        for options, ignored, own, gone in entries:
            first = snapshots[0].hashes if snapshots else {}
            merged = {name: value for name, value in {**first, **own}.items() if name not in gone}
            snapshots.append(Snapshot(tuple(options), tuple(map(tuple, ignored)), merged))
        return Fingerprint(policy, tuple(choices), tuple(snapshots), depth)
    except (ValueError, TypeError) as error:
        raise ContractError(f"the fingerprint of the sweep's config cannot be read ({error})") from error


def _leaves(value: Any, path: Path, name: str) -> Iterator[Leaf]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, _part(key)), _name(name, key))
    elif isinstance(value, list) and 0 < len(value) <= _LONGEST_LIST:
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, str(index)), f"{name}[{index}]")
    else:
        yield Leaf(path, name, value)


def _part(key: Any) -> str:
    return key.name if isinstance(key, Enum) else str(key)


def _name(above: str, key: Any) -> str:
    # Keys that are no strings, or look like several, are quoted: no two keys have one name.
    plain = isinstance(key, str) and key.replace("_", "a").replace("-", "a").isalnum() and not key[0].isdigit()
    own = key if plain else canonical(key)
    return f"{above}.{own}" if above else own


def canonical(value: Any) -> str:
    """A value with its type, as one text that is the same for every Python and on every system."""
    kind = next((kind for kind in _KINDS if isinstance(value, kind)), None)
    if isinstance(value, Enum):
        return f"enum:{type(value).__name__}.{value.name}"
    if isinstance(value, dict):
        return "{" + ",".join(f"{canonical(key)}:{canonical(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if value is None or kind is None:
        # Of an object that is none of OmegaConf's own types only the type is sure to have the same text everywhere.
        return "null" if value is None else f"object:{type(value).__name__}"
    return f"{kind.__name__}:{_KINDS[kind](value)}"


_KINDS: dict[type, Any] = {
    bool: repr,
    int: repr,
    float: repr,
    str: json.dumps,  # between quotes: a text cannot look like the rest of a list
    bytes: bytes.hex,
    PurePath: lambda path: json.dumps(path.as_posix()),
}


def _short_hash(text: str) -> str:
    # 24 bits: that a changed key keeps its hash happens once in 16 million.
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=3)
    return urlsafe_b64encode(digest.digest()).decode()
