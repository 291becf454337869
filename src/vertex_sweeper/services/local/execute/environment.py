"""What a trial's process gets to see: its environment variables, and which program its command starts."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vertex_sweeper.atomic_files import make_folder, write_text
from vertex_sweeper.services.local.execute.threads import thread_limits
from vertex_sweeper_runtime.code_archive import BUCKETS
from vertex_sweeper_runtime.code_start import TREES
from vertex_sweeper_runtime.code_start import VARIABLE as CODE
from vertex_sweeper_runtime.contract import SHIM
from vertex_sweeper_runtime.trial_environment import OWN_PREFIX, RANKS, RETURN_VALUE, SIZES, SWEEP_DIRECTORY

MARK_PREFIX: Final = f"{OWN_PREFIX}MARK_"
"""How the variables begin by which the processes of a trial are found again."""

"""The console script of the shim."""

CUDA_VISIBLE_DEVICES: Final = "CUDA_VISIBLE_DEVICES"
"""The variable by which a process sees some of the machine's devices only."""

_PROJECT_NUMBER: Final = "100000000000"
"""What stands for the project: on Vertex it is a number, and that of Google's project, which tells nothing of the user's."""

_OWN_NAMES: Final = {*RANKS, *SIZES, "SLURM_LOCALID", "SLURM_NTASKS", "SLURM_NPROCS", "CLUSTER_SPEC", "TF_CONFIG"}
# A process that has kept only some of what MPI's launchers set waits for the others, or fails.
_MPI_PREFIXES: Final = ("OMPI_COMM_WORLD_", "PMIX_", "PMI_", "MV2_COMM_WORLD_", "PALS_", "JSM_NAMESPACE_")
_OWN_PREFIXES: Final = ("MASTER_", "CLOUD_ML_", "AIP_", OWN_PREFIX, *_MPI_PREFIXES)
_REFERENCE: Final = re.compile(r"\$?\$\(([^()]*)\)")


@dataclass(frozen=True, slots=True)
class JobSetup:
    """What belongs to a job as a whole.

    `folder` has its logs, and `directory` is where its trials work; `pool` is its first worker pool, `programs` what its PATH
    begins with, `base_output` the job's base output directory, `buckets` the folder that stands for `/gcs`. `sweep` is Hydra's
    sweep directory, where that is not `folder`, and `custom` whether it is a custom job: its only trial has no id.
    `devices` has those of each slot, if they are shared out, and `threads` is how many a trial has beside others.
    """

    job_id: str
    folder: Path
    directory: str
    pool: Mapping[str, Any]
    programs: tuple[Path, ...]
    base_output: str = ""
    buckets: Path | None = None
    sweep: Path | None = None
    custom: bool = False
    devices: tuple[str, ...] = ()
    threads: int | None = None

    def log(self, trial: int) -> Path:
        """The file of what a trial prints."""
        return self.folder / "logs" / f"{trial}.log"

    def metrics(self, trial: int) -> Path:
        """The file into which a trial reports its metrics."""
        return self.folder / "logs" / f"{trial}.metrics"

    @property
    def return_value(self) -> Path:
        """The file of a custom job's return value: in its base output directory, as far as that is a folder here."""
        if self.buckets is None or not self.base_output:
            return self.folder / "return_value.json"
        return self.buckets.absolute() / self.base_output.removeprefix("gs://").strip("/") / "return_value.json"

    def tree(self, trial: int) -> Path:
        """The folder into which a trial unpacks the code that its job brings."""
        return self.folder / "logs" / f"{trial}.tree"


def build_environment(inherited: Mapping[str, str], *, setup: JobSetup, trial: int, device: str = "") -> dict[str, str]:
    """The environment of a trial.

    What the caller has, less everything by which a training program could take itself for a part of another run; what the
    container spec sets; what Vertex sets; and, at the front of PATH, the interpreter that runs us.

    Args:
        inherited: The environment to start from. Marks in it stay: a job inside a trial, as an emulator runs it there, is a
            part of that trial.
        setup: The job's.
        trial: The trial's number.
        device: The devices that it sees, as CUDA_VISIBLE_DEVICES names them; empty where it sees what the caller does.
    """
    environment = {name: value for name, value in inherited.items() if not _is_ours(name)}
    service = _service_variables(setup, trial)
    variables = setup.pool["containerSpec"].get("env", ())
    environment |= expand_variables(variables, known=service)
    if setup.threads is not None:
        environment = thread_limits(environment, setup.threads) | environment
    environment |= service
    if device:
        environment[CUDA_VISIBLE_DEVICES] = device
    environment[SWEEP_DIRECTORY] = str(setup.folder if setup.sweep is None else setup.sweep.absolute())
    if setup.custom:
        environment[RETURN_VALUE] = str(setup.return_value)
    if CODE in environment:
        environment[TREES] = str(setup.tree(trial))
    if setup.buckets is not None and (setup.custom or CODE in environment):
        environment[BUCKETS] = str(setup.buckets.absolute())
    environment["PATH"] = os.pathsep.join([*map(str, setup.programs), environment.get("PATH", os.defpath)])
    return environment


def expand_variables(variables: Sequence[Mapping[str, str]], *, known: Mapping[str, str]) -> dict[str, str]:
    """The variables of a container spec, with `$(NAME)` replaced and `$$(NAME)` unescaped, as the service documents it.

    A reference sees `known` and the variables before its own; one that names nothing known stays as it is.
    """
    seen = dict(known)
    expanded: dict[str, str] = {}
    for entry in variables:

        def replace(match: re.Match[str]) -> str:
            reference = match.group()
            return reference[1:] if reference.startswith("$$") else seen.get(match.group(1), reference)

        value = _REFERENCE.sub(replace, entry.get("value", ""))
        seen[entry["name"]] = expanded[entry["name"]] = value
    return expanded


def resolve_command(command: Sequence[str], *, path: str) -> list[str]:
    """The tokens that start the command with this PATH: the shim as a module where its console script is not installed.

    No other token is touched: the shim compares them with the contract's.
    """
    if command[0] == SHIM and shutil.which(SHIM, path=path) is None:
        return [sys.executable, "-m", "vertex_sweeper_runtime", *command[1:]]
    return list(command)


def provide_interpreter(folder: Path) -> tuple[Path, ...]:
    """What stands at the front of a trial's PATH, so that `python` and `python3` are the interpreter that runs us.

    That is our interpreter's own folder; where it has the interpreter under another name only (`python3.11`), or something
    else under these, a folder with two small programs that start it stands before it, in `folder`.
    """
    own = _own_folder()
    names = [name for name in ("python", "python3") if not _is_own_interpreter(name)]
    if not names:
        return (own,)
    programs = make_folder(folder / "bin")
    for name in names:
        # No symbolic link: by its own place an interpreter finds its virtual environment.
        write_text(programs / name, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        (programs / name).chmod(0o755)
    return (programs, own)


def _is_own_interpreter(name: str) -> bool:
    found = shutil.which(name, path=str(_own_folder()))
    return found is not None and os.path.realpath(found) == os.path.realpath(sys.executable)


def _own_folder() -> Path:
    return Path(sys.executable).absolute().parent  # not resolved: a link's own folder is what makes a virtual environment


def _is_ours(name: str) -> bool:
    if name.startswith(MARK_PREFIX):
        return False
    return name in _OWN_NAMES or name.startswith(_OWN_PREFIXES)


def _service_variables(setup: JobSetup, trial: int) -> dict[str, str]:
    variables = {
        "CLOUD_ML_PROJECT_ID": _PROJECT_NUMBER,
        "CLOUD_ML_JOB_ID": setup.job_id,
        "CLUSTER_SPEC": json.dumps(_cluster(setup.pool, None if setup.custom else trial), separators=(",", ":")),
    }
    if not setup.custom:
        variables["CLOUD_ML_TRIAL_ID"] = str(trial)
        variables["CLOUD_ML_HP_METRIC_FILE"] = str(setup.metrics(trial))
    if setup.base_output:
        base = setup.base_output.rstrip("/") + ("" if setup.custom else f"/{trial}")
        variables["AIP_MODEL_DIR"] = f"{base}/model/"
        variables["AIP_CHECKPOINT_DIR"] = f"{base}/checkpoints/"
        variables["AIP_TENSORBOARD_LOG_DIR"] = f"{base}/logs/"
    return variables


def _cluster(pool: Mapping[str, Any], trial: int | None) -> dict[str, Any]:
    # `job` is text that holds JSON. The container's own variables stay out of it: the kernel limits a variable's length.
    described = {"worker_pool_specs": [{"machine_spec": pool.get("machineSpec", {}), "replica_count": 1}]}
    return {
        "cluster": {"workerpool0": ["127.0.0.1:2222"]},
        "environment": "cloud",
        "task": {"type": "workerpool0", "index": 0} | ({} if trial is None else {"trial": str(trial)}),
        "job": json.dumps(described, separators=(",", ":")),
    }
