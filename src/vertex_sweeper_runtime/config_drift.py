"""Whether a trial composes the config that its sweep composed where it was started: an image may hold other files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from vertex_sweeper_runtime import fingerprint
from vertex_sweeper_runtime.contract import Contract, Kind, ServiceValue
from vertex_sweeper_runtime.fingerprint import Differences

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)

_MOST_NAMES: Final = 20


class ConfigDrift(NamedTuple):
    """What differs, as one line, and whether the task must not start then."""

    line: str
    fatal: bool


def find_drift(agreed: Contract, config: DictConfig) -> ConfigDrift | None:
    """The drift of this trial's config, if there is any. `config` is Hydra's, with its `hydra` node, unresolved."""
    from omegaconf import OmegaConf

    if not agreed.drift:
        return None
    expected = fingerprint.decode(agreed.drift)
    given = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)  # one by one they would be resolved
    lines = [str(line) for line in given or ()]
    others = [line for line in lines if not _is_of_sweep(line, agreed)]
    if others:
        log.info("The config is not compared with the sweep's: the command itself sets %s", ", ".join(others))
        return None
    chosen = _chosen_values(agreed, lines)
    choices = [agreed.parameter(id) for id in expected.choices]
    snapshot = expected.snapshot([entry.values.index(chosen[entry.id]) if entry.id in chosen else None for entry in choices])
    if snapshot is None:  # a combination of options that was not composed there
        return None
    found = fingerprint.compare(snapshot, config, depth=expected.depth)
    if not any(found):
        return None
    rule = "this trial's config is not the one that was composed where the sweep was started"
    remedy = "build the image from the same files, or set hydra.sweeper.trial.drift=off"
    return ConfigDrift(f"{rule}: {_named(found)}: {remedy}", fatal=expected.policy == "error")


def _is_of_sweep(line: str, agreed: Contract) -> bool:
    return line in agreed.sequence or any(line.startswith(f"{parameter.key}=") for parameter in agreed.parameters)


def _chosen_values(agreed: Contract, lines: Sequence[str]) -> dict[str, ServiceValue]:
    """What was chosen for parameters on which others may hang. A key may be tuned in several branches; one of them holds."""
    chosen: dict[str, ServiceValue] = {}
    for parameter in agreed.parameters:  # parents come first
        when = parameter.when
        if when is not None and chosen.get(when.parent) not in when.values:
            continue
        texts = [line.removeprefix(f"{parameter.key}=") for line in lines if line.startswith(f"{parameter.key}=")]
        if texts and parameter.kind is Kind.INTEGER:
            chosen[parameter.id] = parameter.decode(texts[-1])
        elif texts and texts[-1] in parameter.literals:
            chosen[parameter.id] = parameter.values[parameter.literals.index(texts[-1])]
    return chosen


def _named(found: Differences) -> str:
    said = [f"{name} differs" for name in found.changed]
    said += [f"{name} is missing here" for name in found.missing] + [f"{name} is only here" for name in found.new]
    more = f", … {len(said)} in all" if len(said) > _MOST_NAMES else ""
    return ", ".join(said[:_MOST_NAMES]) + more
