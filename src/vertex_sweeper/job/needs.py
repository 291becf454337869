"""What a job needs of a cloud, read from the job as it will be sent: machines, accelerators, images, buckets, hours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vertex_sweeper.api import container_job

DEFAULT_TIMEOUT: Final = 7 * 24 * 60 * 60
"""Seconds. How long a trial may run where the job does not say it."""

_SECONDS: Final = re.compile(r"([0-9]+)(?:\.[0-9]+)?s")


@dataclass(frozen=True, slots=True)
class Machines:
    """The machines of one worker pool of one trial.

    Attributes:
        machine_type: As Compute Engine calls it.
        replicas: How many the pool has.
        accelerator_type: As Vertex calls it; None without.
        accelerators: How many each machine has.
    """

    machine_type: str
    replicas: int = 1
    accelerator_type: str | None = None
    accelerators: int = 0


@dataclass(frozen=True, slots=True)
class JobNeeds:
    """What a job needs to run.

    Attributes:
        trials: How many there are at most.
        parallel: How many run at a time.
        timeout: Seconds that a trial may run.
        timeout_set: Whether the job says so; else it is Vertex's default.
        machines: Those of one trial, a pool each.
        images: The training images, each once.
        output: The `gs://` folder for the trials' output.
        service_account: Whom the trials run as.
        spot: Whether spot machines are asked for.
        persistent: Whether the machines are there already.
    """

    trials: int
    parallel: int
    timeout: int
    timeout_set: bool
    machines: tuple[Machines, ...]
    images: tuple[str, ...] = ()
    output: str | None = None
    service_account: str | None = None
    spot: bool = False
    persistent: bool = False


def job_needs(job: Mapping[str, Any]) -> JobNeeds:
    """Reads a job that passed every check of its fields."""
    trial: Mapping[str, Any] = container_job(job)
    scheduling = trial.get("scheduling", {})
    pools = [pool for pool in trial.get("workerPoolSpecs", ()) if pool]
    seconds = _SECONDS.fullmatch(str(scheduling.get("timeout", "")))
    images = [pool.get("containerSpec", {}).get("imageUri") for pool in pools]
    trials = int(job.get("maxTrialCount", 1))
    return JobNeeds(
        trials=trials,
        parallel=min(int(job.get("parallelTrialCount", 1)), trials),
        timeout=int(seconds[1]) if seconds else DEFAULT_TIMEOUT,
        timeout_set=seconds is not None,
        machines=tuple(_machines(pools)),
        images=tuple(dict.fromkeys(filter(None, images))),
        output=trial.get("baseOutputDirectory", {}).get("outputUriPrefix"),
        service_account=trial.get("serviceAccount"),
        spot=scheduling.get("strategy") == "SPOT",
        persistent=bool(trial.get("persistentResourceId")),
    )


def _machines(pools: Iterable[Mapping[str, Any]]) -> Iterator[Machines]:
    for pool in pools:
        machine = pool.get("machineSpec", {})
        if machine.get("machineType"):
            kind = machine.get("acceleratorType")
            count = int(machine.get("acceleratorCount", 1)) if kind else 0
            yield Machines(machine["machineType"], int(pool.get("replicaCount", 1)), kind, count)
