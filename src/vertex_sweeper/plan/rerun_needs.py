"""Whether a rerun by `+best=best` is the whole trial, and what it needs beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.space.key_paths import leaves

_FROM_HYDRA: Final = re.compile(r"\$\{\s*(hydra|hydra_override_dirname)\s*[:.]\s*([^}]*)")

_SAID: Final = re.compile(
    r"job\.(num|id|name|config_name|chdir|(env_set|env_copy|config)(\.[^$]+)?)"
    r"|runtime\.(cwd|version|version_base|output_dir|choices\.[^$]+)"
    r"|run(\.dir)?|sweep\.subdir|mode|verbose|output_subdir"
    r"|(job_logging|hydra_logging|help|hydra_help|sweeper|launcher)(\.[^$]+)?"
)
"""What of Hydra's own config is the same in a run by `+best=best`, or is the run's own (`run.dir`). Nothing else is:
`hydra.overrides` and `hydra.job.override_dirname` are `best=best` there (the latter whatever a config says, on Hydra 1.3), and
`hydra.sweep.dir` is left to the app, so that a sweep around the best trial does not write into the old one."""


class RerunNeeds:
    """What a rerun by `+best=best` needs beside it, seen from the configs that are composed to check a sweep."""

    def __init__(self, *, taken: bool) -> None:
        """`taken`: the app has a config group of the name that ours has."""
        self._whole = taken
        self._multirun = False

    def record(self, config: DictConfig) -> None:
        """Looks at a config that trials may have."""
        self._multirun = self._multirun or config.hydra.mode is RunMode.MULTIRUN
        self._whole = self._whole or _takes_unsaid(config)

    @property
    def words(self) -> tuple[str, ...] | None:
        """The overrides; None where only the whole list of a trial's own will do."""
        # Hydra 1.4 asks the primary config and the command line alone whether a run is one or many.
        return None if self._whole else ("hydra.mode=RUN",) if self._multirun else ()


def _takes_unsaid(config: DictConfig) -> bool:
    """Whether the app's config, or what Hydra does around a job, takes something from Hydra that our config cannot say."""
    plain = {str(key): value for key, value in _plain(config).items()}
    hydra = plain.pop("hydra", None)
    if isinstance(hydra, Mapping):
        plain["hydra.job"] = {key: value for key, value in hydra.get("job", {}).items() if key != "override_dirname"}
    found = (match for _, leaf in leaves(plain) if isinstance(leaf, str) for match in _FROM_HYDRA.finditer(leaf))
    return any(match[1] != "hydra" or not _SAID.fullmatch(_dotted(match[2])) for match in found)


def _plain(config: DictConfig) -> Mapping[Any, Any]:
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    return plain


def _dotted(key: str) -> str:
    """The key with dots alone: `job[num]` is `job.num`."""
    return re.sub(r"\[(\w+)\]", r".\1", key.strip())
