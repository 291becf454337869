"""What other launchers call the settings, and the sweeper's settings that a launcher has not: each with what to write."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any, Final

from vertex_sweeper.settings import SEARCH_SPACE_KEYS, JobSettings, Settings

_OURS: Final = {
    "n_jobs": "parallel",
    "array_parallelism": "parallel",
    "max_num_timeout": "on_interrupt",
    "timeout_min": "trial.timeout, as in 90m",
    "gpus_per_node": "trial.accelerator_count, beside trial.accelerator_type",
    "gres": "trial.accelerator_count, beside trial.accelerator_type",
    "cpus_per_task": "trial.machine_type",
    "mem_gb": "trial.machine_type",
    "nodes": "trial.replica_count",
    "partition": "trial.machine_type",
    "submitit_folder": "hydra.sweep.dir",
    "env_set": "trial.env",
}
"""By the setting of joblib's or submitit's launcher: what does the same here."""

_COMMON: Final = {field.name for field in fields(JobSettings)}
_STUDY: Final = {field.name for field in fields(Settings)} - _COMMON | {*SEARCH_SPACE_KEYS}


class OtherLaunchers:
    """Answers for the settings that users bring along to `hydra.launcher`."""

    def names(self) -> Collection[str]:
        """The names of settings that have an answer."""
        return _OURS

    def answers(self, where: str, value: Any, *, spelling: str = "") -> list[str]:  # noqa: ARG002 - see ForeignSettings
        """The lines about an unknown setting."""
        name = spelling or where.rpartition(".")[2]
        if where.count(".") != 2:  # noqa: PLR2004 - hydra.launcher.<name>
            return []
        if name in _STUDY:
            return [f"{where}: a setting of hydra/sweeper=vertex: a launched job is not tuned, so leave it out"]
        if name in _OURS:
            ours = _OURS[name]
            path = ours if ours.startswith("hydra.") else f"hydra.sweeper.{ours}"
            return [f"{where}: another launcher's setting: here it is {path}"]
        return []
