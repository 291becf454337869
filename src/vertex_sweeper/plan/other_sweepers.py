"""What other sweepers call the settings: one table, from which an unknown setting is answered with the word that it has here.

`docs/coming-from.md` shows the same side by side; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.space.other_spaces import as_expression

OPTUNA: Final = "Optuna's sweeper"
AX: Final = "Ax"
NEVERGRAD: Final = "Nevergrad"
WANDB: Final = "W&B sweeps"
RAY: Final = "Ray Tune"
SAGEMAKER: Final = "SageMaker"
BASIC: Final = "Hydra's basic sweeper"
API: Final = "the API's JSON form"

Say = Callable[[Any], str]
"""From the value that another sweeper's setting has to what is written here instead; empty where the value cannot tell."""


class Word(NamedTuple):
    """A setting of other sweepers: who has it, the setting of ours that does the same, how, and what else is to be known."""

    sweepers: tuple[str, ...]
    ours: str
    say: Say
    remark: str = ""


def same(value: Any) -> str:
    """The value itself, where it is plain."""
    return f"={value}" if isinstance(value, int | str) and re.fullmatch(r"[\w.-]+", str(value)) else ""


def nothing(_: Any) -> str:
    """Nothing, where no value tells."""
    return ""


def _goal(value: Any) -> str:
    """A direction, or one for each of several metrics."""
    ids = ["objective"] if isinstance(value, str) else ["first", "second", "third"]
    words = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    goals = {"min": "minimize", "minimize": "minimize", "max": "maximize", "maximize": "maximize"}
    found = [goals.get(str(word).lower().rpartition(".")[2], "") for word in words]
    if not found or "" in found or len(found) > len(ids):
        return "={objective: maximize}"
    return f"={{{', '.join(f'{id}: {goal}' for id, goal in zip(ids, found, strict=False))}}}"


def _minimizes(value: Any) -> str:
    return f"={{objective: {'maximize' if value is False else 'minimize'}}}"


def _maximizes(value: Any) -> str:
    return f"={{objective: {'maximize' if value is True else 'minimize'}}}"


def _metric(value: Any) -> str:
    """W&B's `{name: loss, goal: minimize}`, or a name alone."""
    name, goal = (value.get("name"), value.get("goal", "minimize")) if isinstance(value, Mapping) else (value, "maximize")
    return f"={{{name}: {goal}}}" if isinstance(name, str) and re.fullmatch(r"[\w.-]+", name) else "={val_acc: maximize}"


def _algorithm(value: Any) -> str:
    """A search algorithm by another name: random and grid are what they are, and anything else learns from its results."""
    options = value if isinstance(value, Mapping) else {"_target_": value}
    text = str(options.get("_target_")).lower()
    seed = options.get("seed")
    also = f" and hydra.sweeper.local.seed={seed}" if isinstance(seed, int) else ""
    return f"={next((word for word in ('random', 'grid') if word in text), 'bayesian')}{also}"


def _space(value: Any) -> str:
    """Each key of a search space as an expression."""
    found = {key: expression for key, item in _items(value) if (expression := as_expression(item)) is not None}
    return ", with " + ", ".join(f"{key}: {expression}" for key, expression in found.items()) if found else ""


def _items(value: Any) -> list[tuple[str, Any]]:
    return [(str(key), item) for key, item in value.items()] if isinstance(value, Mapping) else []


def _most(*sweepers: str) -> Word:
    return Word(sweepers, "max_trial_count", same)


def _parallel(*sweepers: str) -> Word:
    return Word(sweepers, "parallel_trial_count", same)


_RETURNED = "`objective` is what the task returns; of several, name each"
_ON_RECORD = "a sweep is on record there, and hydra.sweeper.attach comes back to it"
_NO_CONSTRAINTS = "Vertex has no constraints on parameters: let the app return NaN for what it cannot try"
_SEED = Word((AX,), "local.seed", same, "Vertex itself takes no seed")
_STOPPING = "ends trials that fall behind; for apps that report while they train"
_FAILED = "a count of trials, and no rate"
_PARAMS = Word((OPTUNA,), "params", _space)

WORDS: Final[Mapping[str, Word]] = {
    # Optuna's sweeper.
    "n_trials": _most(OPTUNA),
    "n_jobs": _parallel(OPTUNA),
    "direction": Word((OPTUNA,), "metrics", _goal, _RETURNED),
    "study_name": Word((OPTUNA,), "display_name", same),
    "storage": Word((OPTUNA,), "hydra.sweep.dir", nothing, _ON_RECORD),
    "sampler": Word((OPTUNA,), "algorithm", _algorithm),
    "pruner": Word((OPTUNA,), "median_automated_stopping_spec", lambda _: "={}", _STOPPING),
    "max_failure_rate": Word((OPTUNA,), "max_failed_trial_count", nothing, _FAILED),
    "custom_search_space": Word((OPTUNA,), "conditional", nothing, "what hangs on another key's value is said there"),
    # Ax.
    "max_trials": _most(AX),
    "max_batch_size": _parallel(AX, BASIC),
    "ax_config.max_trials": _most(AX),
    "ax_config.params": _PARAMS._replace(sweepers=(AX,)),
    "ax_config.experiment.name": Word((AX,), "display_name", same),
    "ax_config.experiment.objective_name": Word((AX,), "metrics", _metric),
    "ax_config.experiment.minimize": Word((AX,), "metrics", _minimizes, _RETURNED),
    "ax_config.experiment.parameter_constraints": Word((AX,), "", nothing, _NO_CONSTRAINTS),
    "ax_config.experiment.outcome_constraints": Word((AX,), "spec_overrides", nothing, "a metric's safetyConfig stands there"),
    "ax_config.experiment.status_quo": Word((AX,), "", nothing, "no trial is given to a study beforehand"),
    "ax_config.early_stop.minimize": Word((AX,), "metrics", _minimizes, _RETURNED),
    "ax_config.early_stop.max_epochs_without_improvement": Word(
        (AX,), "study_stopping_config.max_num_trials_no_progress", same, "counts trials, not batches of them"
    ),
    "ax_config.early_stop.epsilon": Word((AX,), "", nothing, "any improvement counts"),
    "ax_config.client.random_seed": _SEED,
    "ax_config.client.verbose_logging": Word((AX,), "", nothing, "Hydra's own hydra.verbose does that"),
    "ax_config.is_noisy": Word((AX,), "", nothing, "Vertex tells noise by itself"),
    # Nevergrad.
    "optim.optimizer": Word((NEVERGRAD,), "algorithm", _algorithm),
    "optim.budget": _most(NEVERGRAD),
    "optim.num_workers": _parallel(NEVERGRAD),
    "optim.maximize": Word((NEVERGRAD,), "metrics", _maximizes, _RETURNED),
    "optim.noisy": Word((NEVERGRAD,), "", nothing, "Vertex tells noise by itself"),
    "optim.seed": _SEED._replace(sweepers=(NEVERGRAD,)),
    "optim.max_failure_rate": Word((NEVERGRAD,), "max_failed_trial_count", nothing, _FAILED),
    "parametrization": _PARAMS._replace(sweepers=(NEVERGRAD,)),
    # W&B sweeps.
    "method": Word((WANDB,), "algorithm", _algorithm),
    "metric": Word((WANDB, RAY), "metrics", _metric),
    "goal": Word((WANDB,), "metrics", _goal, _RETURNED),
    "parameters": _PARAMS._replace(sweepers=(WANDB,)),
    "count": _most(WANDB),
    "run_cap": _most(WANDB),
    "num_agents": _parallel(WANDB),
    "name": Word((WANDB, RAY), "display_name", same),
    "description": Word((WANDB,), "labels", nothing),
    "early_terminate": Word((WANDB,), "median_automated_stopping_spec", lambda _: "={}", _STOPPING),
    "program": Word((WANDB,), "trial.command", nothing, "left out, a trial starts as the sweep was started"),
    "command": Word((WANDB,), "trial.command", nothing, "left out, a trial starts as the sweep was started"),
    "entity": Word((WANDB,), "vertex.project", nothing),
    # Others.
    "num_samples": _most(RAY),
    "max_concurrent_trials": _parallel(RAY),
    "mode": Word((RAY,), "metrics", _goal, _RETURNED),
    "search_alg": Word((RAY,), "algorithm", _algorithm),
    "scheduler": Word((RAY,), "median_automated_stopping_spec", lambda _: "={}", _STOPPING),
    "resources_per_trial": Word((RAY,), "trial.machine_type", nothing),
    "time_budget_s": Word((RAY,), "study_stopping_config.maximum_runtime_constraint", same),
    "max_jobs": _most(SAGEMAKER),
    "max_parallel_jobs": _parallel(SAGEMAKER),
    "objective_metric_name": Word((SAGEMAKER,), "metrics", _metric),
    "objective_type": Word((SAGEMAKER,), "metrics", _goal, _RETURNED),
    "hyperparameter_ranges": _PARAMS._replace(sweepers=(SAGEMAKER,)),
    "search_algorithm": Word((API,), "algorithm", _algorithm),
    "studySpec": Word((API,), "params", nothing, "and metrics, conditional, algorithm; the rest is spec_overrides.studySpec"),
    "trialJobSpec": Word((API,), "trial", nothing, "and vertex; the rest is spec_overrides.trialJobSpec"),
    "encryptionSpec": Word((API,), "vertex.kms_key_name", nothing),
}
"""By the path under `hydra.sweeper`."""

_WRAPPERS: Final = ("ax_config", "optim", "wandb_sweep_config", "experiment", "early_stop", "client")
"""Sections of other sweepers."""


OTHER_TARGET: Final = "_other_target_"
"""Where the plugins' configs put a `_target_` that names another plugin."""


def answers(where: str, value: Any, *, spelling: str = "") -> list[str]:
    """A line for a setting that other sweepers have, and for each one in a section of theirs; none for anything else.

    `spelling` is what was meant, where that is another word.
    """
    if spelling:
        return [f"{where}: unknown setting; {spelling} {said_here(WORDS[spelling], value)}"] if spelling in WORDS else []
    path = where.removeprefix("hydra.sweeper.")
    if path == OTHER_TARGET:
        return [f"hydra.sweeper._target_: {value} is another sweeper: leave it out, hydra/sweeper=vertex has its own"]
    found = _word(path)
    if found is not None:
        return [f"{where}: {said_here(found, value)}"]
    if path.rpartition(".")[2] not in _WRAPPERS:
        return []
    if not isinstance(value, Mapping) or not value:
        return [f"{where}: is a section of another sweeper's settings: leave it out (docs/coming-from.md)"]
    lines = []
    for key, item in value.items():
        lines += answers(f"{where}.{key}", item) or [f"{where}.{key}: is another sweeper's, and unknown here: leave it out"]
    return lines


def space_of_others(value: Any) -> str:
    """What to do with a search space where Optuna's sweeper had it, as the end of a line; empty for anything else."""
    if isinstance(value, DictConfig):
        value = OmegaConf.to_container(value)
    return f": what {OPTUNA} has there is hydra.sweeper.params here{_space(value)}" if isinstance(value, Mapping) else ""


class OtherSweepers:
    """What `settings` asks about settings that it does not know."""

    def names(self) -> Collection[str]:
        """The paths in `WORDS`."""
        return WORDS

    def answers(self, where: str, value: Any, *, spelling: str = "") -> list[str]:
        """See `answers` of this module."""
        return answers(where, value, spelling=spelling)


def _word(path: str) -> Word | None:
    """What is known of a path, whatever sections it stands in: `ax_config.max_trials`, and `early_stop.epsilon` alone."""
    parts = path.split(".")
    tails = [".".join(parts[first:]) for first in range(len(parts))]
    found = next((WORDS[tail] for tail in tails if tail in WORDS), None)
    return found or next((WORDS[known] for known in WORDS if "." in known and known.endswith(f".{path}")), None)


def said_here(word: Word, value: Any) -> str:
    """What a setting of others is here, as the rest of a line."""
    who = " and ".join(word.sweepers)
    remark = f" ({word.remark})" if word.remark else ""
    if not word.ours:
        return f"is a setting of {who}, and nothing here takes its place: leave it out{remark}"
    ours = word.ours if word.ours.startswith("hydra.") else f"hydra.sweeper.{word.ours}"
    return f"is a setting of {who}: here it is {ours}{word.say(value)}{remark}"
