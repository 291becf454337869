"""How many trials a job has, how many run at a time, how many may fail: as set, and what follows where that was left open."""

from __future__ import annotations

from dataclasses import dataclass

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.study import continuous_keys, grid_size
from vertex_sweeper.settings import DEFAULT_PARALLEL, DEFAULT_TRIALS, Backend, DeviceSharing, SearchAlgorithm, Settings
from vertex_sweeper.space.search_space import SearchSpace

MOST_UNASKED = 1000
"""A grid of more points is not started unless the user says how many trials there are to be."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The three numbers of trials that a job is sent, and lines about those that a user would not expect."""

    most: int
    parallel: int
    failed: int
    notes: tuple[str, ...]


def count_trials(settings: Settings, space: SearchSpace) -> Counts:
    """The counts of a sweep. Raises InvalidSweep where they and the search space do not fit together."""
    grid, given = settings.algorithm is SearchAlgorithm.GRID, _given(settings)
    continuous = continuous_keys(space)
    if grid and continuous:  # the API allows no DOUBLE in a grid
        raise InvalidSweep(
            [f"{key}: a grid cannot go through an interval: use choice() or range(), or algorithm=random" for key in continuous]
        )
    points = None if continuous else grid_size(space)  # counted, never listed: there may be more than anything could hold
    if given is None and grid and points is not None and points > MOST_UNASKED:
        rule = f"hydra.sweeper.max_trial_count: must be set for a grid of more than {MOST_UNASKED:,} points"
        remedy = "say how many trials are to be paid for, or use algorithm=random"
        raise InvalidSweep([f"{rule}, and this one has {points:,}: {remedy}"])
    if given is None:
        most, notes = _unasked(points, grid=grid, local=settings.backend is Backend.LOCAL)
    else:
        most, notes = given, _surplus(given, points, grid=grid)
    parallel = min(settings.parallel_trial_count or _slots(settings) or DEFAULT_PARALLEL, most)
    # Left at zero, Vertex ends a job whose first trial fails, and what follows is unspecified: a number is always sent. One
    # batch and a few more may fail before the rest of the budget is kept.
    failed = min(settings.max_failed_trial_count or parallel + 3, most)
    return Counts(most, parallel, failed, (*notes, *_lowered(settings, most)))


def _slots(settings: Settings) -> int | None:
    """How many trials at a time have devices of their own; None where nobody has named devices."""
    devices = settings.local.devices
    return None if settings.backend is not Backend.LOCAL or isinstance(devices, DeviceSharing) else len(devices)


def _given(settings: Settings) -> int | None:
    """The user's own number of trials, wherever it stands."""
    merged = settings.spec_overrides.get("maxTrialCount")
    try:
        return settings.max_trial_count if merged is None else int(merged)
    except (TypeError, ValueError):  # refused elsewhere
        return settings.max_trial_count


def _unasked(points: int | None, *, grid: bool, local: bool) -> tuple[int, list[str]]:
    """The number of trials where nobody said one, and a line where it is not the usual one."""
    if points is None or (points >= DEFAULT_TRIALS and not grid):
        return DEFAULT_TRIALS, []
    left_out, trials = "hydra.sweeper.max_trial_count is left out", _named(points, "trial")
    if grid:
        return points, [f"{left_out}: {trials}, one for each point of the grid"]
    why = f"{left_out}, and the search space has {_named(points, 'point')}"
    once = "" if local else "; hydra.sweeper.algorithm=grid tries each once"  # here every algorithm does
    return points, [f"{why}: {trials} and not {DEFAULT_TRIALS}{once}"]


def _surplus(given: int, points: int | None, *, grid: bool) -> list[str]:
    """A line where more trials are asked for than there are different ones."""
    if points is None or given <= points:
        return []
    line = f"the search space has {_named(points, 'point')}, and max_trial_count is {given}"
    if grid:
        return [f"{line}: no more trials than points are to be expected"]
    return [f"{line}: some are tried more than once; hydra.sweeper.algorithm=grid tries each once"]


def _lowered(settings: Settings, most: int) -> list[str]:
    """A line where a count is set to more than there are trials: the API takes no more of it, and nor is there any use."""
    counts = {name: getattr(settings, name) for name in ("parallel_trial_count", "max_failed_trial_count")}
    lowered = [f"{name}={count}" for name, count in counts.items() if count is not None and count > most]
    verb = "is" if len(lowered) == 1 else "are"
    return [f"{' and '.join(lowered)} {verb} lowered to {most}: so many trials there are"] if lowered else []


def _named(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
