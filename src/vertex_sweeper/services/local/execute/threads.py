"""How many threads a trial's libraries start where several trials share the machine's cores.

Each library takes all cores by itself, and trials of that kind stand in each other's way.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

OPENMP: Final = "OMP_NUM_THREADS"
LIMITS: Final = (OPENMP, "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""The variables by which OpenMP, the BLAS libraries and numexpr are told how many threads to start."""

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
"""A container's own limit: microseconds of all cores, and in how many microseconds."""


def threads_of_trial(slots: int) -> int | None:
    """How many threads each of so many trials at a time is to have; None for one, which has the machine to itself."""
    return None if slots <= 1 else max(1, count_cores() // slots)


def thread_limits(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """The variables that say so, without those that the user has set: what OpenMP has, the others take over by themselves."""
    if OPENMP in environment:
        return {}
    return {name: str(threads) for name in LIMITS if name not in environment}


def count_cores(*, quota: Path = _QUOTA) -> int:
    """How many cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = map(int, quota.read_text(encoding="ascii").split())
    except (OSError, ValueError):  # no container, or `max`
        return cores
    return max(1, min(cores, math.ceil(limit / period)))
