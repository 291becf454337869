"""What the containers of a trial are given: the contract, and the machines, image and command of each worker pool."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from vertex_sweeper.api import LONGEST_ARGUMENTS, WorkerPoolSpec, container_job
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.fields import MACHINE, POOL_PLACES, put
from vertex_sweeper.job.shipped_code import ShippedCode
from vertex_sweeper.settings import Settings, TrialSettings, WorkerPoolSettings
from vertex_sweeper.space.search_space import SearchSpace
from vertex_sweeper_runtime import contract, contract_document
from vertex_sweeper_runtime.contract import SHIM, Contract, Kind

LONGEST_CONTRACT = 96 * 1024
"""Linux gives one environment variable 128 KiB; the rest is left to other people's expansions."""

_LONGEST_NUMBER = 24
"""What `repr` makes of a double at most."""


def build_contract(
    settings: Settings,
    space: SearchSpace,
    *,
    command: Sequence[str],
    groups: Sequence[str] = (),
    pinned: Sequence[str] = (),
    subdir: str | None = None,
    code: ShippedCode | None = None,
) -> Contract:
    """What the containers of a sweep must know, and whoever writes the results (see `Contract`).

    Raises InvalidSweep when it, or the trial's arguments, would be too long.
    """
    agreed = Contract(
        command=tuple(command),
        sequence=space.sequence,
        parameters=space.parameters,
        metrics=tuple(settings.metrics),
        keep_alive=settings.trial.keep_alive or 0,
        groups=tuple(groups),
        pinned=tuple(pinned),
        subdir=subdir,
    )
    check_lengths(agreed, code)
    return agreed


def check_lengths(agreed: Contract, code: ShippedCode | None = None) -> None:
    """Raises InvalidSweep when the contract, or the arguments of a container, would be too long."""
    size = len(contract_document.encode(agreed))
    if size > LONGEST_CONTRACT:
        what, most = max(_parts(agreed).items(), key=lambda part: part[1])
        rule = f"the contract with the container has {size} characters and must have at most {LONGEST_CONTRACT}"
        raise InvalidSweep([f"{rule}: its largest part is {what}, {most} characters uncompressed: make that smaller"])
    fixed = sum(len(item) for item in agreed.sequence if isinstance(item, str))
    flags = sum(_longest_flag(parameter) for parameter in agreed.parameters if parameter.when is None)
    start = sum(map(len, code.words)) if code is not None else 0
    if start + fixed + flags > LONGEST_ARGUMENTS:
        rule = f"a trial's arguments may have {start + fixed + flags} characters, {fixed} of them in fixed overrides"
        raise InvalidSweep([f"{rule}, and Vertex takes {LONGEST_ARGUMENTS}: put the longest into the app's config"])


def build_pools(trial: TrialSettings, agreed: Contract, code: ShippedCode | None = None) -> list[WorkerPoolSpec]:
    """The worker pool specs, in Vertex's order: the primary replica, workers, parameter or reduction servers, evaluators.

    `code` is what containers take from a bucket whose image does not have the app.
    """
    first = WorkerPoolSettings(
        **{name: getattr(trial, name) for name in WorkerPoolSettings.__dataclass_fields__ if name != "command"}
    )
    further = trial.worker_pools or ()
    if trial.replica_count > 1:
        # Vertex: the first pool is the primary replica alone, the others like it are the second pool.
        first, further = replace(first, replica_count=1), [replace(first, replica_count=trial.replica_count - 1)]
    pools = [first, *(None if pool is None else _completed(pool, first) for pool in further)]
    return [WorkerPoolSpec() if pool is None else _pool(pool, agreed, code) for pool in pools]


def contract_text(job: Mapping[str, Any]) -> str | None:
    """The contract that a job carries, as `contract_document` reads it; None where it carries none."""
    for pool in container_job(job).get("workerPoolSpecs", []):
        for variable in pool.get("containerSpec", {}).get("env", []):
            if variable.get("name") == contract.VARIABLE:
                return str(variable.get("value", ""))
    return None


def _completed(pool: WorkerPoolSettings, first: WorkerPoolSettings) -> WorkerPoolSettings:
    """A further pool with what it leaves open as in the first one; a machine and its accelerators belong together."""
    machine = {} if pool.machine_type else {name: getattr(first, name) for name in MACHINE}
    open_ = {
        name: getattr(first, name) for name in ("disk_type", "disk_size_gb", "image", "env") if getattr(pool, name) is None
    }
    return replace(pool, **machine, **open_)


def _pool(pool: WorkerPoolSettings, agreed: Contract, code: ShippedCode | None) -> WorkerPoolSpec:
    spec: dict[str, Any] = {"machineSpec": {}}
    if pool.accelerator_type is not None and pool.accelerator_count is None:
        pool = replace(pool, accelerator_count=1)
    for place in POOL_PLACES:
        value = getattr(pool, place.setting)
        put(spec, place.field, None if value is None else place.write(value))
    spec.setdefault("containerSpec", {}).update(_container(pool, agreed, code))
    return cast("WorkerPoolSpec", spec)


def _container(pool: WorkerPoolSettings, agreed: Contract, code: ShippedCode | None) -> dict[str, Any]:
    environment = dict(pool.env or {})
    container: dict[str, Any] = {}
    if pool.command != ():
        # The contract repeats the command's words: each pool gets the one that names its own.
        own = agreed._replace(command=tuple(pool.command)) if pool.command else agreed
        environment[contract.VARIABLE] = contract_document.encode(own)
        start = code.words if code is not None else []
        environment |= code.variable if code is not None else {}
        container = {"command": [*start, SHIM, *own.command], "args": [item for item in own.sequence if isinstance(item, str)]}
    container["env"] = [{"name": name, "value": value} for name, value in environment.items()]
    return {name: value for name, value in container.items() if value}  # the API's JSON form leaves empty lists out


def _longest_flag(parameter: contract.Parameter) -> int:
    if parameter.kind is Kind.CATEGORICAL:
        return len(f"--{parameter.id}=") + max(len(str(value)) for value in parameter.values)
    return len(f"--{parameter.id}=") + _LONGEST_NUMBER


def _parts(agreed: Contract) -> Mapping[str, int]:
    """The contract's parts as messages name them, with their sizes before compression."""
    parts = {"the fixed overrides": sum(len(item) for item in agreed.sequence if isinstance(item, str))}
    parts["the command"] = sum(map(len, agreed.command))
    for parameter in agreed.parameters:
        parts[parameter.key] = len(json.dumps([parameter.values, parameter.literals]))
    return parts
