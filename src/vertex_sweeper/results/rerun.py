"""The best trial once more: the command that runs it again, and whether `+best=best` is enough for that.

It mostly is. Where it is not, the command is the trial's own: the whole list of overrides, and which trial of which job it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.messages import shell_line
from vertex_sweeper.results.best_config import GROUP, best_config, left_out
from vertex_sweeper.results.outcome import Trial
from vertex_sweeper.space.hydra_api import Override
from vertex_sweeper.space.key_paths import leaves
from vertex_sweeper_runtime.contract import Contract
from vertex_sweeper_runtime.hydra_overrides import identity, job_id
from vertex_sweeper_runtime.trial_environment import SWEEP_DIRECTORY, container_of


@dataclass(frozen=True, slots=True)
class Rerun:
    """The text of `best/best.yaml`, and the words of the command that runs the trial again."""

    config: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """The words for a shell."""
        return shell_line(self.words)


def rerun_of(trial: Trial, agreed: Contract, *, job: str, directory: str, output: str | None) -> Rerun:
    """How the trial is run again, with the config that it had, whatever that takes from Hydra.

    Args:
        trial: the trial, with its complete overrides.
        agreed: its sweep's contract; nothing else is known of the app.
        job: the id of its tuning job, the last part of the job's name.
        directory: the sweep directory, in which `best/best.yaml` is.
        output: what holds the trials' own folders, the sweep directory or a `gs://` folder, if there is such a thing.
    """
    container = container_of(_environment(trial, job, output))

    def is_group(override: Override) -> bool:
        return override.key_or_group in agreed.groups

    extra = left_out(trial.overrides, is_group, pinned=agreed.pinned)
    whole = (*agreed.command, *trial.overrides, *identity(container))
    enough = agreed.rerun is not None and not _has_overrides(agreed.command) and not _has_config_dir(agreed.command)
    short = (*agreed.command, "--config-dir", directory, f"+{GROUP}={GROUP}", *(agreed.rerun or ()), *extra)
    config = best_config(
        trial.overrides,
        is_group,
        pinned=agreed.pinned,
        job={"num": trial.number, "id": job_id(container)},
        whole="" if enough else shell_line(whole),
    )
    return Rerun(config, short if enough else whole)


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


def _environment(trial: Trial, job: str, output: str | None) -> dict[str, str]:
    """What the container's environment said of the trial, as far as its identity depends on it."""
    variables = {"CLOUD_ML_TRIAL_ID": str(trial.number), "CLOUD_ML_JOB_ID": job}
    if output is not None and output.startswith("gs://"):
        return variables | {"AIP_MODEL_DIR": f"{output.rstrip('/')}/{trial.number}/model/"}
    return variables if output is None else variables | {SWEEP_DIRECTORY: output}


def _has_config_dir(command: Sequence[str]) -> bool:
    """Whether the command has Hydra's flag for a folder of configs, which takes one folder only."""
    return any(word.partition("=")[0] in ("--config-dir", "-cd") for word in command)


def _has_overrides(command: Sequence[str]) -> bool:
    """Whether words of the command may be overrides: these would win over a config, though the trial's own came after them.

    Beside that, Hydra 1.3 takes no flag behind an override.
    """
    return any(word.startswith(("+", "~")) or ("=" in word and not word.startswith("-")) for word in command[1:])


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
