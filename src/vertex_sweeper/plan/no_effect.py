"""Whether what is tuned changes anything: a parameter whose key another override decides has no effect, but costs trials.

Hydra takes such overrides without a word (`lr=0.1,0.2 ++lr=0.5`), and which of them counts is for Hydra to say: so the configs
are looked at that are composed anyway to check the sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from omegaconf import DictConfig

from vertex_sweeper.space.hydra_api import Override, OverridesParser
from vertex_sweeper.space.key_paths import KeyPath, key_path, overlap
from vertex_sweeper.space.omegaconf_api import as_written, node_at
from vertex_sweeper.space.overrides import COMMAND_LINE, source_note
from vertex_sweeper_runtime.contract import Contract, Parameter, ServiceValue, Slot

_NOTHING: Final = "nothing"


class EffectCheck:
    """What trials find at the keys of parameters, for each of their literals.

    Args:
        agreed: the sweep's contract.
        is_group: whether an override chooses an option, unless its value is a dict.
    """

    def __init__(self, agreed: Contract, is_group: Callable[[Override], bool]) -> None:
        self._agreed = agreed
        self._is_group = is_group
        self._parser = OverridesParser.create()
        self._watched: dict[str, _Watched] = {}
        for parameter in agreed.parameters:
            override = self._parser.parse_override(f"{parameter.key}=1")
            # An interpolation's literals may well mean the same, and an option is no value.
            if not is_group(override) and not any("${" in literal for literal in parameter.literals):
                self._watched[parameter.id] = _Watched(parameter, key_path(override), {})

    def record(self, sample: Mapping[str, ServiceValue], config: DictConfig) -> None:
        """Looks at the config that was composed for these values, by parameter id."""
        seen = {id: self._watched[id] for id in sample if id in self._watched}
        roots = {watched.path[0]: None for watched in seen.values()}
        plain = {name: _plain(config, name) for name in roots}  # once for all keys below it
        for id, (parameter, path, found) in seen.items():
            value = _value_at(plain[path[0]], path[1:])
            if value is not None:
                found[parameter.literal(sample[id])] = value

    def mistakes(self, sources: Mapping[str, str]) -> Iterator[str]:
        """A line for each parameter that changes nothing; `sources` says where they were written, by id."""
        for id, (parameter, path, found) in self._watched.items():
            if len(found) > 1 and len(set(found.values())) == 1:
                (value,) = set(found.values())
                why = self._winner(id, path)
                if value == _NOTHING and not why:
                    continue  # some keys are not found the way they are written, such as an enum's
                because = (
                    f", because {why} comes after it: keep one of them" if why else ", whatever it is given: do not sweep it"
                )
                where = source_note(sources.get(id, COMMAND_LINE))
                yield f"{parameter.key}: has no effect: every trial has {value} there{because}{where}"

    def _winner(self, id: str, path: KeyPath) -> str:
        """The last override behind the parameter that reaches the same place, as it was written."""
        slot = next(index for index, item in enumerate(self._agreed.sequence) if isinstance(item, Slot) and item.id == id)
        behind = [item for item in self._agreed.sequence[slot:] if isinstance(item, str)]
        return next((item for item in reversed(behind) if self._reaches(item, path)), "")

    def _reaches(self, text: str, path: KeyPath) -> bool:
        override = self._parser.parse_override(text)
        if self._is_group(override) and not isinstance(override.value(), dict):
            return False  # it chooses an option, and options come before all values
        return overlap(path, key_path(override))


class _Watched(NamedTuple):
    """A parameter, where its value stands, and what was found there for each literal."""

    parameter: Parameter
    path: KeyPath
    found: dict[str, str]


def _plain(config: DictConfig, name: str) -> Any:
    """One of the config's branches as plain data, as it was written, interpolations and all."""
    node = node_at(config, name)
    return _Nothing if node is None else as_written(node)


def _value_at(value: Any, path: KeyPath) -> str | None:
    """What stands there in a branch; None where that cannot be told."""
    for name in path:
        if isinstance(value, Mapping):
            value = next((item for key, item in value.items() if str(key) == name), _Nothing)
        elif isinstance(value, list) and name.lstrip("-").isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, str) and "${" in value:
            return None
        else:
            value = _Nothing
    return _NOTHING if value is _Nothing else repr(value)


class _Nothing:
    """Stands where a key is not there."""
