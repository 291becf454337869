"""What a service refuses in what runs a custom job or each trial: worker pools, their containers, how they are scheduled."""

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

_DURATION: Final = re.compile(r"[0-9]+(\.[0-9]+)?s")


def find_container_job_mistakes(job: Mapping[str, Any], *, custom: bool, needs_image: bool) -> Iterator[Mistake]:
    """All mistakes of what runs a job's containers.

    Args:
        job: The `jobSpec` of a custom job, or the `trialJobSpec` of a tuning job.
        custom: Whether it is a custom job's.
        needs_image: Whether a container without an image is a mistake.
    """
    pools, field = job.get("workerPoolSpecs", ()), "job_spec" if custom else "trial_job_spec"
    if not pools:
        yield f"{field}.worker_pool_specs", "At least one worker pool is required."
    if len(pools) > MOST_POOLS:
        yield f"{field}.worker_pool_specs", f"At most {MOST_POOLS} are allowed, got {len(pools)}."
    for position, pool in enumerate(pools):
        place, first = f"{field}.worker_pool_specs[{position}]", position == 0
        # The API: all pools but the first can be skipped by an empty one.
        if first or pool:
            yield from _check_pool(pool, field=place, first=first, needs_image=needs_image)
            yield from () if custom else _check_machine(pool.get("machineSpec", {}), field=f"{place}.machine_spec")
    scheduling = job.get("scheduling", {})
    yield from _check_scheduling(scheduling, [pool for pool in pools if pool], field=f"{field}.scheduling")


def _check_machine(machine: Mapping[str, Any], *, field: str) -> Iterator[Mistake]:
    for name, path in (("machineType", "machine_type"), ("acceleratorType", "accelerator_type")):
        if TPU.fullmatch(str(machine.get(name, ""))):
            yield f"{field}.{path}", f"{machine[name]!r} is a TPU, which tuning jobs do not support."


def _check_pool(pool: Mapping[str, Any], *, field: str, first: bool, needs_image: bool) -> Iterator[Mistake]:
    replicas = int(pool.get("replicaCount", 1))  # the field is optional, and the JSON form leaves out what is not set
    if first and replicas != 1:
        yield f"{field}.replica_count", f"The first worker pool is the primary replica and must have 1, got {replicas}."
    elif replicas < 1:
        yield f"{field}.replica_count", f"Must be at least 1, got {replicas}."
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


def _check_scheduling(scheduling: Mapping[str, Any], pools: Sequence[Mapping[str, Any]], *, field: str) -> Iterator[Mistake]:
    timeout, wait = scheduling.get("timeout"), scheduling.get("maxWaitDuration")
    seconds = _seconds(timeout)
    if timeout is not None and not seconds:
        yield f"{field}.timeout", f"Must be a positive number of seconds like 3600s, got {timeout!r}."
    if wait is not None and _seconds(wait) is None:  # 0 is for ever
        yield f"{field}.max_wait_duration", f"Must be a number of seconds like 3600s, or 0s, got {wait!r}."
    if scheduling.get("strategy") != "FLEX_START":
        return
    # What is documented of this strategy: which accelerators, how long, and one machine for all pools.
    if seconds is not None and seconds > LONGEST_FLEX_START:
        yield f"{field}.timeout", f"At most {LONGEST_FLEX_START}s (7 days) with FLEX_START, got {timeout}."
    machines = [_machine(pool) for pool in pools]
    for kind in dict.fromkeys(str(accelerator) for _, accelerator, _ in machines):
        if not FLEX_START_GPUS.fullmatch(kind):
            yield (
                f"{field}.strategy",
                f"FLEX_START needs an L4, A100, H100, H200 or B200 in every pool, got {kind or 'none'}.",
            )
    if len(set(machines)) > 1:
        yield f"{field}.strategy", "FLEX_START needs the same machine in all worker pools."


def _machine(pool: Mapping[str, Any]) -> tuple[str, str, int]:
    machine = pool.get("machineSpec", {})
    return machine.get("machineType", ""), machine.get("acceleratorType", ""), int(machine.get("acceleratorCount", 1))


def _seconds(duration: object) -> float | None:
    """The seconds of a duration in JSON form; None if it is none, or negative."""
    return float(duration[:-1]) if isinstance(duration, str) and _DURATION.fullmatch(duration) else None
