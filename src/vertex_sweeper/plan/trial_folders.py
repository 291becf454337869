"""Whether each trial has a folder of its own: `hydra.sweep.subdir` may be the same in all of them."""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf, flag_override

from vertex_sweeper.space.watched_config import Mark, WatchedConfig

_OF_A_TRIAL: Final = ("CLOUD_ML_", "AIP_", "CLUSTER_SPEC", "VERTEX_TRIAL")
"""The beginnings of the names of variables that each trial has its own values of."""


class TrialFolders:
    """Looks at the configs of trials until two of them have folders of their own.

    What a folder comes from is resolved, since it cannot be told from its text. Where that fails, only trials know it.

    Args:
        container: whether trials run in containers, whose environment is not this process's.
    """

    def __init__(self, *, container: bool) -> None:
        self._container = container
        self._found: set[str] = set()
        self._differ = False

    @property
    def shared(self) -> str | None:
        """The one folder of all trials, below the sweep's; None where they have several, or where that is not known."""
        return next(iter(self._found)) if self._found and not self._differ else None

    def record(self, config: DictConfig) -> None:
        """Looks at one trial's config, as if two trials had it."""
        if self._differ:
            return
        try:
            self._found.update(self._folders(copy.deepcopy(config)))
        except Exception:  # noqa: BLE001 - a resolver of the app's may raise anything
            self._differ = True
        self._differ = self._differ or len(self._found) > 1

    def _folders(self, config: DictConfig) -> Iterator[str]:
        for number in (1, 2):
            with flag_override(config.hydra, ["readonly", "struct"], values=False):
                config.hydra.job.num, config.hydra.job.id = number, f"trial_{number}"
            # A trial is a process, and begins at a time of its own; within one process Hydra's `now` has one answer.
            OmegaConf.get_cache(config)["now"] = _Always(f"time of trial {number}")
            with WatchedConfig(config, self._guard).asking():
                yield posixpath.normpath(f"./{config.hydra.sweep.subdir}")

    def _guard(self, name: str) -> Mark | None:
        return Mark(_Kind.UNKNOWN, name) if self._container or name.startswith(_OF_A_TRIAL) else None


def shared_folder_note(folder: str) -> str:
    """The line for trials that have one folder."""
    where = "the sweep's own" if folder == "." else folder
    rule = f"hydra.sweep.subdir is the same in all trials ({where}), and they write over each other's files"
    return f"{rule}: put ${{hydra.job.num}} into it for a folder each"


class _Kind(Enum):
    UNKNOWN = "what only a trial knows"


class _Always(dict[Any, Any]):
    """A resolver's cache that has the same answer for whatever it is asked."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self._answer = answer

    def __missing__(self, key: Any) -> str:
        return self._answer
