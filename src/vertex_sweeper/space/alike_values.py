"""Values of a parameter that compose alike, so that two of them stand for all.

Where a key has no type (a plain value in YAML), Hydra sets whatever plain value it is given: what it does with one text it does
with every other. An enum, a path, a number with a declared type, a group or a value with an interpolation has each value looked
at by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from omegaconf import AnyNode, DictConfig

from vertex_sweeper.space.hydra_api import Override, OverridesParser
from vertex_sweeper.space.key_paths import key_path
from vertex_sweeper.space.omegaconf_api import is_open, node_at
from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, ServiceValue

REPRESENTATIVES: Final = 2
"""Of values alike so many different ones are composed: from one alone nobody sees whether the parameter changes anything."""

_PLAIN: Final = (bool, int, float, str, type(None))


class AlikeValues:
    """Takes out of the values that are still to be composed those for which others stand.

    A value that is taken out comes back as soon as a config has a type at the key, or counts each value.

    Args:
        contract: the sweep's.
        wanted: by parameter id, the values that are still to be composed; it is changed.
        each: whether each value counts in such a config, since something else in it may hang on them.
    """

    def __init__(
        self, contract: Contract, wanted: dict[str, list[ServiceValue]], each: Callable[[DictConfig], bool] = lambda _: False
    ) -> None:
        self._contract = contract
        self._wanted = wanted
        self._each = each
        self._parser = OverridesParser.create()
        self._spared: dict[str, list[ServiceValue]] = {}
        self._kept: set[str] = set()

    def record(self, sample: Mapping[str, ServiceValue], config: DictConfig) -> bool:
        """Looks at the config that was composed for these values; returns whether values have come back."""
        ids = [id for id in sample if id not in self._kept and (id in self._spared or self._many(id))]
        if not ids:
            return False
        came_back = False
        each = self._each(config)
        for id in ids:
            parameter = self._contract.parameter(id)
            if each or not _is_untyped(config, self._parse(parameter, sample[id])):
                self._kept.add(id)
                came_back = came_back or bool(self._spared.get(id))
                self._wanted[id] += self._spared.pop(id, [])
            elif id not in self._spared:
                self._spare(parameter, sample[id])
        return came_back

    def _many(self, id: str) -> bool:
        kind = self._contract.parameter(id).kind
        return kind in (Kind.DISCRETE, Kind.CATEGORICAL) and len(self._wanted[id]) >= REPRESENTATIVES

    def _spare(self, parameter: Parameter, composed: ServiceValue) -> None:
        kept: dict[type, list[Any]] = {}
        spared: list[ServiceValue] = []
        for value in [composed, *self._wanted[parameter.id]]:
            override = self._parse(parameter, value)
            kind = _plain_type(override, parameter.literal(value))
            if kind is None:
                continue
            known = kept.setdefault(kind, [])
            # Two spellings of one value (`'a'` and `"a"`) do not show whether the parameter changes anything.
            if override.value() in known or len(known) >= REPRESENTATIVES:
                spared.append(value)
            else:
                known.append(override.value())
        self._spared[parameter.id] = spared
        taken = set(spared)
        self._wanted[parameter.id] = [value for value in self._wanted[parameter.id] if value not in taken]

    def _parse(self, parameter: Parameter, value: ServiceValue) -> Override:
        return self._parser.parse_override(f"{parameter.key}={parameter.literal(value)}")


def _plain_type(override: Override, literal: str) -> type | None:
    """The type of a plain value; None for one that has to be looked at by itself."""
    value = override.value()
    if type(value) not in _PLAIN or "${" in literal or value == "???":
        return None
    return type(value)


def _is_untyped(config: DictConfig, override: Override) -> bool:
    """Whether the override sets a plain value without a type, which then stands in the config."""
    if override.package is not None or "/" in override.key_or_group:
        return False
    choices = config.hydra.runtime.choices if "hydra" in config else {}
    if override.key_or_group in choices:
        return False
    node: Any = config
    for name in key_path(override):
        if not isinstance(node, DictConfig) or not is_open(node):
            return False
        node = node_at(node, name)
    return type(node) is AnyNode
