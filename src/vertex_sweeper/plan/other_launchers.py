"""What other launchers call the settings, and the sweeper's settings that a launcher has not: each with what to write."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, Final

from vertex_sweeper.plan.other_sweepers import OTHER_TARGET, Word, nothing, said_here, same
from vertex_sweeper.settings import SEARCH_SPACE_KEYS, JobSettings, Settings

JOBLIB: Final = "Joblib's launcher"
SUBMITIT: Final = "Submitit's launcher"
RQ: Final = "RQ's launcher"
RAY: Final = "Ray's launcher"


def _count(value: Any) -> str:
    """A count of one or more; Joblib's -1 is all at once, and 0 accelerators are none."""
    return f"={value}" if type(value) is int and value > 0 else ""


def _minutes(value: Any) -> str:
    return f"={value}m" if type(value) is int and value > 0 else ""


def _machine(*launchers: str) -> Word:
    return Word(launchers, "trial.machine_type", nothing)


def _accelerators(*launchers: str) -> Word:
    return Word(launchers, "trial.accelerator_count", _count, "beside trial.accelerator_type")


def _none(*launchers: str) -> Word:
    return Word(launchers, "", nothing)


_IN_IMAGE: Final = "what a job needs beside its code is in the image, or in hydra.sweeper.trial.requirements"
_LEAVES: Final = "wait=false ends this process once the jobs are created"

WORDS: Final[Mapping[str, Word]] = {
    "n_jobs": Word((JOBLIB,), "parallel", _count, "left open, all jobs run at once"),
    "timeout": Word((JOBLIB,), "trial.timeout", nothing, "in seconds, or as in 90m"),
    **dict.fromkeys(("prefer", "require", "verbose", "pre_dispatch", "batch_size"), _none(JOBLIB)),
    **dict.fromkeys(("temp_folder", "max_nbytes", "mmap_mode"), _none(JOBLIB)),
    "submitit_folder": Word((SUBMITIT,), "hydra.sweep.dir", nothing, "each job has a folder in it"),
    "timeout_min": Word((SUBMITIT,), "trial.timeout", _minutes),
    "array_parallelism": Word((SUBMITIT,), "parallel", _count, "left open, all jobs run at once"),
    "cpus_per_task": _machine(SUBMITIT),
    "cpus_per_gpu": _machine(SUBMITIT),
    "mem_gb": _machine(SUBMITIT),
    "mem_per_cpu": _machine(SUBMITIT),
    "mem_per_gpu": _machine(SUBMITIT),
    "partition": _machine(SUBMITIT),
    "constraint": _machine(SUBMITIT),
    "gpus_per_node": _accelerators(SUBMITIT),
    "gpus_per_task": _accelerators(SUBMITIT),
    "gres": Word((SUBMITIT,), "trial.accelerator_type", nothing, "beside trial.accelerator_count"),
    "nodes": Word((SUBMITIT,), "trial.replica_count", _count),
    "name": Word((SUBMITIT,), "display_name", same),
    "comment": Word((SUBMITIT,), "labels", nothing),
    "account": Word((SUBMITIT,), "vertex.project", nothing),
    "qos": Word((SUBMITIT,), "trial.strategy", nothing),
    "additional_parameters": Word((SUBMITIT,), "spec_overrides", nothing, "in the API's JSON form"),
    "setup": Word((SUBMITIT,), "trial.image", nothing, _IN_IMAGE),
    "wait_for_completion": Word((SUBMITIT,), "wait", nothing, _LEAVES),
    **dict.fromkeys(("tasks_per_node", "exclude", "signal_delay_s", "max_num_timeout", "stderr_to_stdout"), _none(SUBMITIT)),
    "enqueue": Word((RQ,), "trial.timeout", nothing, "what job_timeout says there"),
    "stop_after_enqueue": Word((RQ,), "wait", nothing, _LEAVES),
    **dict.fromkeys(("queue", "redis", "wait_polling", "fail_hard"), _none(RQ)),
    "ray": Word((RAY,), "trial.machine_type", nothing, "there is no cluster to be made: each job has machines of its own"),
    "env_setup": Word((RAY,), "trial.image", nothing, _IN_IMAGE),
    "sync_up": Word((RAY,), "trial.code", nothing, "`.` sends the app's folder"),
    "sync_down": Word((RAY,), "vertex.base_output_directory", nothing, "the jobs' output is there"),
    **dict.fromkeys(("stop_cluster", "poll_interval", "logging"), _none(RAY)),
}
"""By the name under `hydra.launcher`."""

_STUDY: Final = {field.name for field in fields(Settings)} - {field.name for field in fields(JobSettings)} | {
    *SEARCH_SPACE_KEYS
}
_PATH: Final = "hydra.sweeper."


class OtherLaunchers:
    """Answers for the settings that users bring along to `hydra.launcher`."""

    def names(self) -> Collection[str]:
        """The names of settings that have an answer."""
        return {*WORDS, *_STUDY}

    def answers(self, where: str, value: Any, *, spelling: str = "") -> list[str]:
        """The line about an unknown setting; none for what no other launcher has, and within sections."""
        name = where.removeprefix(_PATH)
        if name == OTHER_TARGET:
            return [f"{_PATH}_target_: {value} is another launcher: leave it out, hydra/launcher=vertex has its own"]
        known = spelling or name
        meant = f"unknown setting; {spelling} is " if spelling else ""
        if known == "attach":
            return [f"{where}: {meant}a setting of hydra/sweeper=vertex: vertex-sweeper attach comes back to launched jobs"]
        if known in _STUDY:
            return [f"{where}: {meant}a setting of hydra/sweeper=vertex: a launched job is not tuned, so leave it out"]
        if known in WORDS:
            return [f"{where}: {meant.removesuffix('is ')}{said_here(WORDS[known], value)}"]
        return []
