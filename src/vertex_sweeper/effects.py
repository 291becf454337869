"""Whether what is tuned changes anything: a parameter whose key another override decides is tuned in vain, and paid for.

Hydra takes such overrides without a word (`lr=0.1,0.2 ++lr=0.5`), and which of them counts is for Hydra to say: so the configs
are looked at that are composed anyway to check the sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import Container, DictConfig, OmegaConf

from vertex_sweeper.entries import COMMAND_LINE
from vertex_sweeper.keys import Path, key_path
from vertex_sweeper_runtime.contract import Contract, Parameter, ServiceValue, Slot

_NOTHING: Final = "nothing"


class Effects:
    """What trials find at the keys of parameters, for each of their literals.

    Args:
        agreed: the sweep's contract.
        is_group: whether an override chooses an option, unless its value is a dict.
    """

    def __init__(self, agreed: Contract, is_group: Callable[[Override], bool]) -> None:
        self._agreed = agreed
        self._parser = OverridesParser.create()
        self._paths: dict[str, Path] = {}
        self._found: dict[str, dict[str, str]] = {}
        for parameter in agreed.parameters:
            override = self._parser.parse_override(f"{parameter.key}=1")
            # An interpolation's literals may well mean the same, and an option is no value.
            if not is_group(override) and not any("${" in literal for literal in parameter.literals):
                self._paths[parameter.id] = key_path(override)
                self._found[parameter.id] = {}

    def record(self, sample: Mapping[str, ServiceValue], config: DictConfig) -> None:
        """Looks at the config that was composed for these values, by parameter id."""
        for id, value in sample.items():
            found = _value_at(config, self._paths[id]) if id in self._paths else None
            if found is not None:
                self._found[id][self._agreed.parameter(id).literal(value)] = found

    def mistakes(self, sources: Mapping[str, str]) -> Iterator[str]:
        """A line for each parameter that changes nothing; `sources` says where they were written, by id."""
        for id, found in self._found.items():
            if len(found) > 1 and len(set(found.values())) == 1:
                parameter = self._agreed.parameter(id)
                source = sources.get(id, COMMAND_LINE)
                where = f" ({source})" if source != COMMAND_LINE else ""
                (value,) = set(found.values())
                why = self._winner(parameter)
                if value == _NOTHING and not why:
                    continue  # a key that is not found the way it is written, such as Hydra 1.4's `a.b\.c`
                because = f": {why} comes after it, keep one of them" if why else ", whatever it is given: do not sweep it"
                yield f"{parameter.key}: would be tuned in vain, every trial has {value} there{because}{where}"

    def _winner(self, parameter: Parameter) -> str:
        """The last override behind the parameter that reaches the same place, as it was written."""
        path, behind, winner = self._paths[parameter.id], False, ""
        for item in self._agreed.sequence:
            if isinstance(item, Slot):
                behind = behind or item.id == parameter.id
            elif behind:
                other = key_path(self._parser.parse_override(item))
                shared = min(len(path), len(other))
                winner = item if path[:shared] == other[:shared] else winner
        return winner


def _value_at(config: DictConfig, path: Path) -> str | None:
    """What stands there as it was written, interpolations and all; None where that cannot be told."""
    node = config._get_node(path[0], validate_access=False)  # noqa: SLF001 - reading it would resolve it
    value: Any = OmegaConf.to_container(node, resolve=False) if _is_open(node) else getattr(node, "_value", lambda: None)()
    for name in path[1:]:
        if isinstance(value, Mapping):
            value = {str(key): item for key, item in value.items()}.get(name, _Nothing)
        elif isinstance(value, list) and name.lstrip("-").isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, str) and "${" in value:
            return None
        else:
            value = _Nothing
    return _NOTHING if value is _Nothing else repr(value)


def _is_open(node: Any) -> bool:
    return isinstance(node, Container) and not (node._is_none() or node._is_missing() or node._is_interpolation())  # noqa: SLF001


class _Nothing:
    """Stands where a key is not there."""
