"""The overrides of Hydra's own settings that a trial is given, as they were written for the sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.space.hydra_api import OverridesParser, alias_expander
from vertex_sweeper.space.key_paths import key_path
from vertex_sweeper.space.overrides import WrittenOverride

_STAYS_HERE = (
    "hydra.sweeper",
    "hydra.launcher",
    "hydra.mode",
    "hydra.sweep.dir",
    "hydra.run.dir",
    "hydra.job.num",
    "hydra.job.id",
)
"""Hydra overrides that are about this multirun, not about a trial; the groups of the same names likewise."""


def given_hydra_overrides(config: DictConfig) -> list[str]:
    """The overrides of Hydra's own settings as they were given: reading the list one by one would resolve interpolations."""
    lines = OmegaConf.to_container(config.hydra.overrides.hydra, resolve=False)
    assert isinstance(lines, list)
    return [str(line) for line in lines]


def trial_hydra_overrides(config: DictConfig) -> list[str]:
    """Those that a trial needs too (`hydra.job.chdir=true`)."""
    parser = OverridesParser.create()
    lines = given_hydra_overrides(config)
    keys = {line: ".".join(key_path(parser.parse_override(line))).replace("/", ".") for line in lines}
    return [line for line in lines if not any(keys[line] == name or keys[line].startswith(f"{name}.") for name in _STAYS_HERE)]


def left_behind(config: DictConfig) -> list[list[str]]:
    """What trials could be given besides, where their config does not compose without the sweep's choices: the least first.

    Settings for the sweeper or the launcher that stand in the app's config fit into none other. A trial has our sweeper; its
    image may not have the launcher, and without any there is a place for its settings.
    """
    parser = OverridesParser.create()
    given = {parser.parse_override(line).key_or_group: line for line in given_hydra_overrides(config)}
    extra = [[given["hydra/sweeper"]]] if "hydra/sweeper" in given else []
    if "hydra/launcher" in given:
        extra += [["~hydra/launcher"], *([*lines, "~hydra/launcher"] for lines in extra)]
    return extra


def refuse_absolute_search_paths(config: DictConfig, *, portable: bool) -> None:
    """Raises InvalidSweep where `hydra.searchpath` names a folder that a container would not have."""
    parser = OverridesParser.create()
    given = [parser.parse_override(line) for line in given_hydra_overrides(config)] if portable else []
    values = [override.value() for override in given if override.key_or_group == "hydra.searchpath"]
    paths = [str(path) for value in values if isinstance(value, list) for path in value]
    absolute = [path for path in paths if Path(path.removeprefix("file://")).is_absolute()]
    if absolute:
        rule = "is an absolute path, and a container would not have it"
        remedy = "write it relative to the working directory, as in file://conf, or as a package, pkg://my_app.conf"
        raise InvalidSweep([f"hydra.searchpath: {path} {rule}: {remedy}" for path in absolute])


def aliased(own: Sequence[WrittenOverride], config: DictConfig, config_loader: ConfigLoader) -> list[str]:
    """A mistake for each key that a trial would take for an alias. Hydra 1.4 has replaced those of the command line already."""
    expand = alias_expander(config_loader, config.hydra.job.config_name)
    read = [(written, expand(written.line)) for written in own]
    return [
        f"{written.key} is a key here and an alias in hydra.aliases, and a trial would read {line}: write the key that is "
        f"meant, or rename the alias ({written.source})"
        for written, line in read
        if line != written.line
    ]
