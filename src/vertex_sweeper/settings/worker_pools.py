"""Rules on the machines and containers of a trial: what Vertex documents of worker pools, accelerators and scheduling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vertex_sweeper.api import FLEX_START_GPUS, LONGEST_FLEX_START, MOST_POOLS, MOST_VARIABLES, TPU, VARIABLE_NAME
from vertex_sweeper.credentials import credentials_among, credentials_in
from vertex_sweeper.settings.durations import as_written
from vertex_sweeper.settings.model import Strategy, TrialSettings, WorkerPoolSettings
from vertex_sweeper.settings.unread import Unread
from vertex_sweeper_runtime.code_start import VARIABLE as CODE
from vertex_sweeper_runtime.contract import VARIABLE

OWN_VARIABLES: Final = MOST_VARIABLES - 1
"""How many variables a user may set: one is the contract, and with `trial.code` another is the code."""

_PATH: Final = "hydra.sweeper.trial"
_MACHINE: Final = ("machine_type", "accelerator_type", "accelerator_count")


def broken_machines(trial: TrialSettings, unread: Unread) -> list[str]:
    """The mistakes in a trial's machines, pools, containers and scheduling."""
    allow_secrets = trial.allow_secrets or f"{_PATH}.allow_secrets" in unread
    most = OWN_VARIABLES - (trial.code is not None)
    further = [
        (f"{_PATH}.worker_pools[{place}]", pool) for place, pool in enumerate(trial.worker_pools or ()) if pool is not None
    ]
    mistakes = [*_broken_pool(trial, _PATH, unread), *_broken_container(trial, _PATH, most, allow_secrets=allow_secrets)]
    if trial.command == ():
        mistakes.append(f"{_PATH}.command: must name a program, as in [python, train.py]")
    for path, pool in further:
        mistakes += _broken_pool(pool, path, unread)
        if pool.machine_type is None and f"{path}.machine_type" not in unread and pool.accelerator_type is not None:
            mistakes.append(f"{path}.accelerator_type: must come with the pool's own machine_type")
        mistakes += _broken_container(pool, path, most, allow_secrets=allow_secrets)
    pools = 1 + len(trial.worker_pools or ())
    if pools > MOST_POOLS:
        mistakes.append(f"{_PATH}.worker_pools: {pools - 1} pools, and Vertex has {MOST_POOLS} with the first one")
    if trial.worker_pools and trial.replica_count > 1:
        # The first pool is the primary replica alone.
        mistakes.append(
            f"{_PATH}.replica_count: {trial.replica_count} must be 1 beside worker_pools, because the first pool is the "
            "primary replica: write the others as the first of worker_pools"
        )
    return [*mistakes, *_broken_scheduling(trial, [pool for _, pool in further], unread)]


def _broken_pool(pool: TrialSettings | WorkerPoolSettings, path: str, unread: Unread) -> Iterator[str]:
    for key in ("replica_count", "accelerator_count", "disk_size_gb"):
        count = getattr(pool, key)
        if count is not None and count < 1:
            yield f"{path}.{key}: {count} must be 1 or more"
    if pool.accelerator_count is not None and pool.accelerator_type is None and f"{path}.accelerator_type" not in unread:
        yield f"{path}.accelerator_count: needs accelerator_type, as in NVIDIA_TESLA_T4"
    for key in ("machine_type", "accelerator_type"):
        kind = getattr(pool, key)
        if kind is not None and TPU.fullmatch(kind):
            yield f"{path}.{key}: {kind!r} is a TPU, and tuning jobs take none: choose a GPU, or a machine without"


def _broken_container(pool: TrialSettings | WorkerPoolSettings, where: str, most: int, *, allow_secrets: bool) -> list[str]:
    env, path = pool.env or {}, f"{where}.env"
    mistakes = []
    if not allow_secrets:
        mistakes += credentials_in(env, where=path)
        mistakes += credentials_among((f"{where}.command", word) for word in pool.command or ())
    if len(env) > most:
        mistakes.append(f"{path}: {len(env)} variables, and at most {most} are possible")
    rule = "letters, digits and '_', and no digit first"
    mistakes += [f"{path}: {name!r} is no name of a variable: {rule}" for name in env if not VARIABLE_NAME.fullmatch(str(name))]
    mistakes += [f"{path}.{name}: is written by the sweep itself: leave it out" for name in (VARIABLE, CODE) if name in env]
    return mistakes


def _broken_scheduling(trial: TrialSettings, further: list[WorkerPoolSettings], unread: Unread) -> Iterator[str]:
    wait = trial.max_wait_duration
    if wait is not None and wait < 0:
        yield f"{_PATH}.max_wait_duration: {as_written(wait)} must be 0 or more"
    if f"{_PATH}.strategy" in unread:
        return
    if trial.strategy is not Strategy.FLEX_START:
        if wait is not None:
            yield f"{_PATH}.max_wait_duration: works with strategy=flex_start only, and it is {trial.strategy.value}"
        return
    # What Vertex documents of jobs that queue for GPUs: which ones, how long, and one kind of machine for all pools.
    kind = trial.accelerator_type
    if f"{_PATH}.accelerator_type" not in unread and (kind is None or not FLEX_START_GPUS.fullmatch(kind)):
        yield f"{_PATH}.strategy: flex_start needs an L4, A100, H100, H200 or B200, and accelerator_type is {kind}"
    timeout = trial.timeout
    if timeout is not None and timeout > LONGEST_FLEX_START:
        yield f"{_PATH}.timeout: {as_written(timeout)} must be at most 7 days, {LONGEST_FLEX_START}, with strategy=flex_start"
    if any(unread.touches(f"{_PATH}.{key}") for key in (*_MACHINE, "worker_pools")):
        return
    machine = (trial.machine_type, trial.accelerator_type, trial.accelerator_count or 1)
    others = [(pool.machine_type, pool.accelerator_type, pool.accelerator_count or 1) for pool in further if pool.machine_type]
    if any(other != machine for other in others):
        yield f"{_PATH}.strategy: flex_start needs the same machine in every pool: leave worker_pools' machine_type out"
