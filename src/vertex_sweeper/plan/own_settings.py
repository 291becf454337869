"""The settings of a sweep, out of the config that Hydra hands over: resolved, and with what the command line says exactly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.messages import one_line
from vertex_sweeper.plan.hydra_overrides import given_hydra_overrides
from vertex_sweeper.plan.other_launchers import OtherLaunchers
from vertex_sweeper.plan.other_sweepers import OtherSweepers
from vertex_sweeper.settings import SEARCH_SPACE_KEYS, LaunchSettings, Reading, Settings, read_what_is_right, set_settings
from vertex_sweeper.space.hydra_api import Override, OverridesParser
from vertex_sweeper.space.key_paths import key_path, paths_set
from vertex_sweeper.space.omegaconf_api import is_interpolation, is_null, node_at

PATH: Final = "hydra.sweeper"
LAUNCHER: Final = "hydra.launcher"

USED_TO_ATTACH: Final = ("attach", "dry_run", "wait", "on_interrupt", "vertex.endpoint", "vertex.impersonate_service_account")
"""The settings that count where a job exists."""

_LITERAL: Final = re.compile(r"[\w.+-]+")


def read_own_settings(config: DictConfig) -> Reading[Settings]:
    """The settings of this sweep, as far as they could be read, and the mistakes in them."""
    plain, unresolved = _settings_section(config.hydra.sweeper, leave_out=SEARCH_SPACE_KEYS)
    texts = texts_as_written(_own_overrides(config))
    return read_what_is_right(plain, Settings, texts=texts, unresolved=unresolved, foreign=OtherSweepers())


def read_launch_settings(config: DictConfig) -> Reading[LaunchSettings]:
    """The settings of this launcher, likewise. All that is said of them names `hydra.sweeper`: see `in_launcher_words`."""
    plain, unresolved = _settings_section(config.hydra.launcher)
    texts = texts_as_written(_own_overrides(config, LAUNCHER))
    as_sweepers = {f"{PATH}{where.removeprefix(LAUNCHER)}": text for where, text in texts.items()}
    return read_what_is_right(plain, LaunchSettings, texts=as_sweepers, unresolved=unresolved, foreign=OtherLaunchers())


def valid_settings(config: DictConfig) -> Settings:
    """The settings alone, for what needs no search space. Raises InvalidSweep with every mistake."""
    reading = read_own_settings(config)
    if reading.mistakes:
        raise InvalidSweep(reading.mistakes)
    return reading.settings


def unused_to_attach(config: DictConfig, settings: Settings, *, own_directory: bool) -> list[str]:
    """The settings that are set and do nothing where a job exists, by their names; `own_directory` is where it has one."""
    given = {".".join(key_path(override)).removeprefix(f"{PATH}.") for override in _own_overrides(config)}
    named = [*set_settings(settings), *(key for key in SEARCH_SPACE_KEYS if _is_given(config.hydra.sweeper, key))]
    alone = [name for name in given if not any(_within(other, name) or _within(name, other) for other in named)]
    unused = [f"{PATH}.{name}" for name in [*named, *sorted(alone)] if not any(_within(used, name) for used in USED_TO_ATTACH)]
    directory = [line for line in given_hydra_overrides(config) if line.startswith("hydra.sweep.dir=")]
    return unused + (directory if own_directory else [])


def texts_as_written(overrides: list[Override]) -> dict[str, str]:
    """What the command line has for numbers, bools and null, by the path of the key: `1.10` is 1.1 as soon as it is parsed.

    Only a key that has its own override is in it; one that a later override sets with a dict is not.
    """
    texts: dict[str, str] = {}
    for override in overrides:
        path = key_path(override)
        value = None if override.is_delete() else override.value()
        decided = [".".join(part) for part in paths_set(path, value)]
        texts = {key: text for key, text in texts.items() if not any(_within(place, key) for place in decided)}
        text = "" if override.is_delete() else override.get_value_string().strip()
        if _LITERAL.fullmatch(text) and (value is None or isinstance(value, bool | int | float)):
            texts[".".join(path)] = text
    return texts


def _own_overrides(config: DictConfig, path: str = PATH) -> list[Override]:
    parsed = OverridesParser.create().parse_overrides(given_hydra_overrides(config))
    return [override for override in parsed if _within(path, override.key_or_group)]


def _is_given(section: DictConfig, key: str) -> bool:
    node = node_at(section, key) if key in section else None
    if not isinstance(node, DictConfig):
        return key != "search_space" and node is not None
    return not is_null(node) and (is_interpolation(node) or bool(len(node)))


def _within(section: str, name: str) -> bool:
    return name == section or name.startswith(f"{section}.")


def _settings_section(section: DictConfig, *, leave_out: tuple[str, ...] = ()) -> tuple[dict[str, Any], dict[str, str]]:
    """`hydra.sweeper` or `hydra.launcher`, resolved: the same on Hydra 1.3, which resolved it before, and 1.4.

    Beside it, by their paths, what cannot be resolved and why.
    """
    unresolved: dict[str, str] = {}
    return dict(_resolved(section, PATH, unresolved, leave_out=leave_out)), unresolved


def _resolved(
    section: DictConfig, path: str, unresolved: dict[str, str], *, leave_out: tuple[str, ...] = ()
) -> Iterator[tuple[Any, Any]]:
    """The items of a section. What has no value does not hide what stands beside it."""
    for key in section:
        if key in leave_out:
            continue
        where = f"{path}.{key!s}"
        try:
            value = section[key]
            if isinstance(value, DictConfig):
                yield key, dict(_resolved(value, where, unresolved))
            else:
                yield key, OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        except OmegaConfBaseException as error:
            unresolved[where] = one_line(error)
