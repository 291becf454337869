"""The best trial once more: the command that runs it again, and whether `+best=best` is enough for that.

It mostly is. Where it is not, the command is the trial's own: the whole list of overrides, and which trial of which job it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vertex_sweeper.job.rerun import GROUP, has_flag
from vertex_sweeper.messages import shell_line
from vertex_sweeper.results.best_config import best_config, left_out
from vertex_sweeper.results.outcome import TrialResult
from vertex_sweeper.space.hydra_api import Override
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


def rerun_of(trial: TrialResult, agreed: Contract, *, job: str, directory: str, output: str | None) -> Rerun:
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
    enough = agreed.rerun is not None and not _has_overrides(agreed.command) and not has_flag(agreed.command, "--config-dir")
    short = (*agreed.command, "--config-dir", directory, f"+{GROUP}={GROUP}", *(agreed.rerun or ()), *extra)
    config = best_config(
        trial.overrides,
        is_group,
        pinned=agreed.pinned,
        job={"num": trial.number, "id": job_id(container)},
        whole="" if enough else shell_line(whole),
    )
    return Rerun(config, short if enough else whole)


def _environment(trial: TrialResult, job: str, output: str | None) -> dict[str, str]:
    """What the container's environment said of the trial, as far as its identity depends on it."""
    variables = {"CLOUD_ML_TRIAL_ID": str(trial.number), "CLOUD_ML_JOB_ID": job}
    if output is not None and output.startswith("gs://"):
        return variables | {"AIP_MODEL_DIR": f"{output.rstrip('/')}/{trial.number}/model/"}
    return variables if output is None else variables | {SWEEP_DIRECTORY: output}


def _has_overrides(command: Sequence[str]) -> bool:
    """Whether words of the command may be overrides: these would win over a config, though the trial's own came after them.

    Beside that, Hydra 1.3 takes no flag behind an override.
    """
    return any(word.startswith(("+", "~")) or ("=" in word and not word.startswith("-")) for word in command[1:])
