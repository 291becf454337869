"""What the environment says of the container: which trial it runs, which replica it is, and where output outlives it."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from vertex_sweeper_runtime.checked_json import Fields, is_text, parse
from vertex_sweeper_runtime.errors import ClusterError

OWN_PREFIX: Final = "VERTEX_SWEEPER_"
"""How all variables begin that this package sets for trials; none that users set does."""

SWEEP_DIRECTORY: Final = "VERTEX_SWEEPER_SWEEP_DIR"
"""Set by the local service only: the absolute `hydra.sweep.dir` of the sweep."""

RETURN_VALUE: Final = "VERTEX_SWEEPER_RETURN_VALUE"
"""Set by the local service only: the absolute path of the file that brings a launched job's return value back."""

EARLIER_METRICS: Final = "VERTEX_SWEEPER_EARLIER_METRICS"
"""Set by the shim for its child: how far the metric file reached when this attempt began, as `Position.to_text` writes it."""

METRIC: Final = "VERTEX_TRIAL_METRIC"
"""Set by users without a contract: the id under which the task's return value is reported."""

RANKS: Final = (
    "RANK",  # torchrun, accelerate, DeepSpeed; Vertex itself for jobs of several replicas
    "LOCAL_RANK",  # Lightning sets this one alone
    "OMPI_COMM_WORLD_RANK",  # Open MPI
    "PMIX_RANK",  # whoever starts by PMIx: Open MPI 5, srun --mpi=pmix
    "PMI_RANK",  # MPICH, Intel MPI, Cray, srun --mpi=pmi2
    "MV2_COMM_WORLD_RANK",  # MVAPICH2
    "SLURM_PROCID",  # srun; 0 in a batch script, where there is but one process
    "FLUX_TASK_RANK",  # flux run
    "PALS_RANKID",  # Cray PALS
    "ALPS_APP_PE",  # Cray ALPS
    "JSM_NAMESPACE_RANK",  # LSF's jsrun
    "HOROVOD_RANK",  # horovodrun
)
"""Where launchers of several processes put each one's number, from 0. Where they are nested, the first is 0 by each of them."""

SIZES: Final = (
    "WORLD_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "MV2_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",  # of srun alone: SLURM_NTASKS is what a batch script may still start
    "JSM_NAMESPACE_SIZE",
    "HOROVOD_SIZE",
)
"""Where they put how many processes there are."""

_TRIAL: Final = "CLOUD_ML_TRIAL_ID"
_CLUSTER: Final = "CLUSTER_SPEC"
_PRIMARY_POOL: Final = "workerpool0"


class TrialContainer(NamedTuple):
    """One container of a job.

    `trial` is the trial's id, None outside a tuning job. `number` is a launched job's `hydra.job.num`, None in trials. `job` is
    the tuning job's id. `primary` is true for the one replica whose metrics or return value count. `sweep_directory` is the
    folder that holds the folders of all trials or launched jobs, None where nothing but the container's own disk is known; any
    replica but the primary has `own_folder` inside the trial's or job's (`workerpool1-0`).
    """

    trial: str | None
    job: str | None
    primary: bool
    sweep_directory: str | None
    own_folder: str = ""
    number: int | None = None


def container_of(environment: Mapping[str, str], *, number: int | None = None) -> TrialContainer:
    """The container that this environment belongs to; the contract of a launched job says its number.

    Raises ClusterError when CLUSTER_SPEC says in no known way which replica it is.
    """
    try:
        named, pool, index = _task(environment)
    except ValueError as error:
        raise ClusterError(f"{_CLUSTER} does not say which replica this is: {error}") from error
    trial = environment.get(_TRIAL) or named or None
    primary = pool == _PRIMARY_POOL and index == 0
    sweep_directory = environment.get(SWEEP_DIRECTORY) or _output_directory(
        environment, trial if number is None else str(number)
    )
    return TrialContainer(
        trial=trial,
        job=environment.get("CLOUD_ML_JOB_ID") or None,
        primary=primary,
        sweep_directory=sweep_directory,
        own_folder=f"{pool}-{index}" if sweep_directory and not primary else "",
        number=number,
    )


def first_rank(environment: Mapping[str, str]) -> bool:
    """Whether this process is the first of its node and of its job: each rank that is set is 0."""
    return all(environment.get(name, "") in ("", "0") for name in RANKS)


def trial_variable(environment: Mapping[str, str]) -> str | None:
    """The variable by which a process knows that it belongs to a trial, ours or any of Vertex, or to a job of ours; or None."""
    if environment.get(_TRIAL):
        return _TRIAL
    own = next((name for name in environment if name.startswith(OWN_PREFIX)), None)
    try:
        return own or (_CLUSTER if _task(environment)[0] else None)
    except ValueError:
        return None


def _task(environment: Mapping[str, str]) -> tuple[str, str, int]:
    """The trial's id, or nothing, the pool and the index in it, from CLUSTER_SPEC.

    Without it, or where it is no JSON or not Vertex's, there is one replica. Of Vertex's, `trial` may be missing or empty
    outside of tuning jobs, and other parts vary by kind of job. Raises ValueError for a task that cannot be understood:
    whoever took it for the primary replica would report what another one has to.
    """
    try:
        task = parse(environment.get(_CLUSTER, ""))["task"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return "", _PRIMARY_POOL, 0
    if not isinstance(task, dict):
        return "", _PRIMARY_POOL, 0
    fields = Fields(task, "task")
    trial = fields.checked("trial", lambda value: value is None or is_text(value) or type(value) is int, "a text", "")
    pool = fields.checked("type", _is_pool, "the name of a worker pool", _PRIMARY_POOL)
    index = fields.checked("index", _is_index, "a whole number", 0)
    return str(trial or ""), pool, int(index)


def _is_pool(value: Any) -> bool:
    return is_text(value) and re.fullmatch(r"[\w-]+", value, re.ASCII) is not None


def _is_index(value: Any) -> bool:
    return re.fullmatch("[0-9]{1,9}", str(value)) is not None


def output_folder(environment: Mapping[str, str]) -> str | None:
    """The folder under /gcs that outlives the container and belongs to this trial or job alone; None where there is none."""
    # With a base output directory Vertex sets AIP_MODEL_DIR to gs://<base>/<trial id>/model/ (a job's own: gs://<base>/model/),
    # and mounts every bucket that the container's account may read under /gcs.
    uri = environment.get("AIP_MODEL_DIR", "").rstrip("/")
    if not uri.startswith("gs://") or not uri.endswith("/model"):
        return None
    base = uri.removeprefix("gs://").removesuffix("/model")
    return os.path.join("/gcs", base)  # noqa: PTH118 - pathlib costs a trial's start more than all of this module


def _output_directory(environment: Mapping[str, str], name: str | None) -> str | None:
    """The parent of that folder, where it is called so."""
    folder = output_folder(environment)
    return folder if folder is None or name is None else folder.removesuffix(f"/{name}")
