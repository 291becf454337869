"""What all trials under some conditions have in common: the config that they share, with marks on what they do not."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vertex_sweeper.credentials import holds_credential
from vertex_sweeper.messages import one_line
from vertex_sweeper.space.conditions import excludes, fixed_values, only_value
from vertex_sweeper.space.config_groups import GroupFiles
from vertex_sweeper.space.expressions import elements_of, merged
from vertex_sweeper.space.key_paths import key_path
from vertex_sweeper.space.overrides import When, WrittenOverride
from vertex_sweeper.space.watched_config import Mark, WatchedConfig


class Reached(Enum):
    """What an interpolation has come to."""

    FIXED = "a fixed override"
    SWEPT = "what differs among the trials"
    PENDING = "what is not resolved yet"
    TRIAL = "what a trial has and the multirun has not"
    SECRET = "a credential"  # noqa: S105 - no password


_OF_A_TRIAL: Final = (
    "hydra.job.num",
    "hydra.job.id",
    "hydra.job.override_dirname",
    "hydra.overrides",
    "hydra.mode",
    "hydra.run.dir",
    "hydra.sweep.dir",
    "hydra.runtime.output_dir",
)
"""What the multirun has none of, or another one than its trials."""


class CommonConfigs:
    """Composes them, each once.

    Args:
        config: what Hydra handed to the sweeper.
        files: the config sources.
        allow_secrets: whether credentials in our environment may be read.
    """

    def __init__(self, config: DictConfig, files: GroupFiles, *, allow_secrets: bool) -> None:
        self._config = config
        self._allow_secrets = allow_secrets
        self._files = files
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._watched: dict[tuple[When, ...], WatchedConfig] = {}

    def forget(self) -> None:
        """For overrides that are not those of before."""
        self._watched.clear()

    def of(
        self, overrides: Sequence[WrittenOverride], when: tuple[When, ...], is_pending: Callable[[WrittenOverride], bool]
    ) -> WatchedConfig:
        """The config of trials that meet these conditions. Raises ValueError with what Hydra says when it does not compose."""
        if when not in self._watched:
            self._watched[when] = self._watch(overrides, when, is_pending)
        return self._watched[when]

    def _watch(
        self, overrides: Sequence[WrittenOverride], when: tuple[When, ...], is_pending: Callable[[WrittenOverride], bool]
    ) -> WatchedConfig:
        known = fixed_values(overrides)
        conditions = [condition for condition in when if condition.key not in known]
        chosen = {condition.key: condition.texts for condition in conditions}
        lines: list[str] = []
        marks: list[tuple[WrittenOverride, Mark]] = []
        swept: list[tuple[WrittenOverride, Sequence[str]]] = []
        for written in overrides:
            if any(excludes(one, other) for one in written.when for other in conditions):
                continue
            line = _only_line(written) if set(written.when) <= set(conditions) else None
            if is_pending(written):
                marks.append((written, Mark(Reached.PENDING, written.key)))
            elif line is not None:
                lines.append(line)
                marks.append((written, Mark(Reached.FIXED, line, answers=True)))
            else:
                texts: Sequence[str] = chosen.get(written.key, ())
                lines += [f"{written.key}={text}" for text in texts[:1]]
                swept.append((written, texts))
        watched = WatchedConfig(copy.deepcopy(self._compose(lines)), self._guard)
        self._mark_what_is_of_a_trial(watched)
        for written, options in swept:
            self._mark_options(watched, written, options or _texts(written), lines)
        marks += [(written, Mark(Reached.SWEPT, written.key)) for written, options in swept if len(options) != 1]
        for written, mark in marks:
            if not self._files.is_group(written.override) or mark.kind is Reached.PENDING:
                watched.mark(key_path(written.override), mark)
        return watched

    def _mark_options(
        self, watched: WatchedConfig, written: WrittenOverride, texts: Sequence[str], lines: Sequence[str]
    ) -> None:
        """Marks what the options of a group decide."""
        for text in texts if self._files.is_group(written.override) else ():
            others = [line for line in lines if not line.startswith(f"{written.key}=")]
            try:
                other = self._compose([*others, f"{written.key}={text}"])
            except ValueError:
                continue  # which is told when all options are composed
            watched.mark_differences(other, Mark(Reached.SWEPT, written.key))

    def _mark_what_is_of_a_trial(self, watched: WatchedConfig) -> None:
        for key in _OF_A_TRIAL:
            watched.mark(tuple(key.split(".")), Mark(Reached.TRIAL, key))
        for name in self._config.hydra.job.env_set:
            mark = self._guard(str(name))
            if mark is not None:
                watched.mark(("hydra", "job", "env_set", str(name)), mark)

    def _guard(self, name: str) -> Mark | None:
        secret = not self._allow_secrets and holds_credential(name, os.environ.get(name, ""))
        return Mark(Reached.SECRET, name) if secret else None

    def _compose(self, lines: Sequence[str]) -> DictConfig:
        if tuple(lines) in self._composed:
            return self._composed[tuple(lines)]
        try:
            config = self._files.compose(lines)
        except (HydraException, OmegaConfBaseException) as error:
            cause = f" {error.__cause__}" if isinstance(error.__cause__, OmegaConfBaseException) else ""
            raise ValueError(one_line(f"{error}{cause}")) from error
        OmegaConf.copy_cache(from_config=self._config, to_config=config)  # as for a job: `${now:…}` is that of the sweep
        return self._composed.setdefault(tuple(lines), config)


def _only_line(written: WrittenOverride) -> str | None:
    """The one line that the override is in every trial; None where it is swept."""
    if written.override.is_delete() or not written.override.is_sweep_override():
        return written.line
    text = only_value(written)
    return None if text is None else f"{written.key}={text}"


def _texts(written: WrittenOverride) -> list[str]:
    """The values that the override may give its key, as Hydra prints them; none where there are too many, or no end of them."""
    if not written.override.is_discrete_sweep():
        return [text] if (text := only_value(written)) is not None else []
    try:
        return [element.text for element in merged(elements_of(written.override))]
    except ValueError:
        return []
