"""What the environment says of the container: which trial it runs, which replica it is, and where output outlives it."""

import json
import os
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

SWEEP_DIRECTORY: Final = "VERTEX_SWEEPER_SWEEP_DIR"
"""Set by the local service only: the absolute `hydra.sweep.dir` of the sweep."""

EARLIER_METRICS: Final = "VERTEX_SWEEPER_EARLIER_METRICS"
"""Set by the shim for its child: how far the metric file reached when this attempt began, as `Position.to_text` writes it."""

METRIC: Final = "VERTEX_TRIAL_METRIC"
"""Set by users without a contract: the id under which the task's return value is reported."""


class Machine(NamedTuple):
    """One container of a job.

    `trial` is the trial's id, None outside a tuning job. `job` is the tuning job's id. `primary` is true for the one replica
    whose metrics count. `sweep_directory` is the folder that holds the folders of all trials, None where nothing but the
    container's own disk is known.
    """

    trial: str | None
    job: str | None
    primary: bool
    sweep_directory: str | None


def describe(environment: Mapping[str, str]) -> Machine:
    """The container that this environment belongs to."""
    task = _task(environment)
    trial = environment.get("CLOUD_ML_TRIAL_ID") or str(task.get("trial") or "") or None
    return Machine(
        trial=trial,
        job=environment.get("CLOUD_ML_JOB_ID") or None,
        primary=task.get("type", "workerpool0") == "workerpool0" and int(task.get("index") or 0) == 0,
        sweep_directory=environment.get(SWEEP_DIRECTORY) or _output_directory(environment, trial=trial),
    )


def first_rank(environment: Mapping[str, str]) -> bool:
    """Whether this process is the first of its node and of its job; launchers such as torchrun start several in a replica."""
    return all(environment.get(name, "") in ("", "0") for name in ("RANK", "LOCAL_RANK"))


def _task(environment: Mapping[str, str]) -> Mapping[str, Any]:
    # Without a readable CLUSTER_SPEC there is one replica. Other parts of it vary by kind of job: `trial` may be missing or
    # empty, `job` may be JSON inside a string.
    try:
        task = json.loads(environment.get("CLUSTER_SPEC", ""))["task"]
    except (ValueError, KeyError, TypeError):
        return {}
    return task if isinstance(task, dict) else {}


def _output_directory(environment: Mapping[str, str], *, trial: str | None) -> str | None:
    # With a base output directory Vertex sets AIP_MODEL_DIR to gs://<base>/<trial id>/model/, and mounts every bucket that the
    # container's account may read under /gcs.
    uri = environment.get("AIP_MODEL_DIR", "").rstrip("/")
    if not uri.startswith("gs://") or not uri.endswith("/model"):
        return None
    base = uri.removeprefix("gs://").removesuffix("/model")
    if trial is not None:
        base = base.removesuffix(f"/{trial}")
    return os.path.join("/gcs", base)  # noqa: PTH118 - pathlib costs a trial's start more than all of this module
