"""What a service refuses in the job that runs each trial: worker pools, their containers, and how they are scheduled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from vertex_sweeper.api import (
    FLEX_START_GPUS,
    LONGEST_ARGUMENTS,
    LONGEST_FLEX_START,
    MOST_POOLS,
    MOST_VARIABLES,
    TPU,
    VARIABLE_NAME,
)

Mistake = tuple[str, str]
"""A field's path, in the API's snake case, and what is wrong with it."""

_POOLS: Final = "trial_job_spec.worker_pool_specs"
_SCHEDULING: Final = "trial_job_spec.scheduling"
_DURATION: Final = re.compile(r"[0-9]+(\.[0-9]+)?s")


def find_trial_job_mistakes(job: Mapping[str, Any], *, needs_image: bool) -> Iterator[Mistake]:
    """All mistakes of a trial job. `needs_image`: a container without an image is one."""
    pools = job.get("workerPoolSpecs", ())
    if not pools:
        yield _POOLS, "At least one worker pool is required."
    if len(pools) > MOST_POOLS:
        yield _POOLS, f"At most {MOST_POOLS} are allowed, got {len(pools)}."
    for position, pool in enumerate(pools):
        # The API: all pools but the first can be skipped by an empty one.
        if position == 0 or pool:
            yield from _check_pool(pool, field=f"{_POOLS}[{position}]", first=position == 0, needs_image=needs_image)
    yield from _check_scheduling(job.get("scheduling", {}), [pool for pool in pools if pool])


def _check_pool(pool: Mapping[str, Any], *, field: str, first: bool, needs_image: bool) -> Iterator[Mistake]:
    replicas = int(pool.get("replicaCount", 1))  # the field is optional, and the JSON form leaves out what is not set
    if first and replicas != 1:
        yield f"{field}.replica_count", f"The first worker pool is the primary replica and must have 1, got {replicas}."
    elif replicas < 1:
        yield f"{field}.replica_count", f"Must be at least 1, got {replicas}."
    machine = pool.get("machineSpec", {})
    for name, path in (("machineType", "machine_type"), ("acceleratorType", "accelerator_type")):
        if TPU.fullmatch(str(machine.get(name, ""))):
            yield f"{field}.machine_spec.{path}", f"{machine[name]!r} is a TPU, which tuning jobs do not support."
    if not pool.get("containerSpec") and (first or (needs_image and not pool.get("pythonPackageSpec"))):
        yield f"{field}.container_spec", "A container spec is required."
    elif pool.get("containerSpec"):
        yield from _check_container(
            pool["containerSpec"], field=f"{field}.container_spec", first=first, needs_image=needs_image
        )


def _check_container(container: Mapping[str, Any], *, field: str, first: bool, needs_image: bool) -> Iterator[Mistake]:
    if needs_image and not container.get("imageUri", "").strip():
        yield f"{field}.image_uri", "The URI of a container image is required."
    if first and not container.get("command"):
        # The service would run the image's entry point; here is no image.
        yield f"{field}.command", "Required by the local service, which has no image to ask."
    length = sum(map(len, container.get("args", ())))
    if length > LONGEST_ARGUMENTS:
        yield f"{field}.args", f"At most {LONGEST_ARGUMENTS} characters are allowed together, got {length}."
    yield from _check_variables([entry.get("name", "") for entry in container.get("env", ())], field=f"{field}.env")


def _check_variables(names: Sequence[str], *, field: str) -> Iterator[Mistake]:
    if len(names) > MOST_VARIABLES:
        yield field, f"At most {MOST_VARIABLES} variables are allowed, got {len(names)}."
    seen = set()
    for position, name in enumerate(names):
        if not name:
            yield f"{field}[{position}].name", "A name is required."
        elif not VARIABLE_NAME.fullmatch(name):
            yield f"{field}[{position}].name", f"Must be a valid C identifier, got {name!r}."
        elif name in seen:
            yield f"{field}[{position}].name", f"Must be unique, got {name!r} again."
        seen.add(name)


def _check_scheduling(scheduling: Mapping[str, Any], pools: Sequence[Mapping[str, Any]]) -> Iterator[Mistake]:
    timeout, wait = scheduling.get("timeout"), scheduling.get("maxWaitDuration")
    seconds = _seconds(timeout)
    if timeout is not None and not seconds:
        yield f"{_SCHEDULING}.timeout", f"Must be a positive number of seconds like 3600s, got {timeout!r}."
    if wait is not None and _seconds(wait) is None:  # 0 is for ever
        yield f"{_SCHEDULING}.max_wait_duration", f"Must be a number of seconds like 3600s, or 0s, got {wait!r}."
    if scheduling.get("strategy") != "FLEX_START":
        return
    # What is documented of this strategy: which accelerators, how long, and one machine for all pools.
    if seconds is not None and seconds > LONGEST_FLEX_START:
        yield f"{_SCHEDULING}.timeout", f"At most {LONGEST_FLEX_START}s (7 days) with FLEX_START, got {timeout}."
    machines = [_machine(pool) for pool in pools]
    for kind in dict.fromkeys(str(accelerator) for _, accelerator, _ in machines):
        if not FLEX_START_GPUS.fullmatch(kind):
            yield (
                f"{_SCHEDULING}.strategy",
                f"FLEX_START needs an L4, A100, H100, H200 or B200 in every pool, got {kind or 'none'}.",
            )
    if len(set(machines)) > 1:
        yield f"{_SCHEDULING}.strategy", "FLEX_START needs the same machine in all worker pools."


def _machine(pool: Mapping[str, Any]) -> tuple[str, str, int]:
    machine = pool.get("machineSpec", {})
    return machine.get("machineType", ""), machine.get("acceleratorType", ""), int(machine.get("acceleratorCount", 1))


def _seconds(duration: object) -> float | None:
    """The seconds of a duration in JSON form; None if it is none, or negative."""
    return float(duration[:-1]) if isinstance(duration, str) and _DURATION.fullmatch(duration) else None
