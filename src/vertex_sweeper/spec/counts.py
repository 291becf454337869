"""How many trials a job has, how many run at a time, how many may fail: as set, and what follows where that was left open."""

from __future__ import annotations

from dataclasses import dataclass

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.settings import DEFAULT_PARALLEL, DEFAULT_TRIALS, Algorithm, Settings
from vertex_sweeper.space import SearchSpace
from vertex_sweeper.spec.study import continuous_keys, grid_size

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
    grid, given = settings.algorithm is Algorithm.GRID, _given(settings)
    continuous = continuous_keys(space)
    if grid and continuous:  # the API allows no DOUBLE in a grid
        raise InvalidSweep(
            [f"{key}: a grid cannot go through an interval: use choice() or range(), or algorithm=random" for key in continuous]
        )
    points = None if continuous else grid_size(space)  # counted, never listed: there may be more than anything could hold
    if given is not None:
        return _checked(settings, given, _surplus(given, points, grid=grid))
    if points is None or (points >= DEFAULT_TRIALS and not grid):
        return _checked(settings, DEFAULT_TRIALS, [])
    if points > MOST_UNASKED:
        rule = f"hydra.sweeper.max_trial_count: must be set for a grid of more than {MOST_UNASKED:,} points"
        remedy = "say how many trials are to be paid for, or use algorithm=random"
        raise InvalidSweep([f"{rule}, and this one has {points:,}: {remedy}"])
    return _followed(settings, points, grid=grid)


def _given(settings: Settings) -> int | None:
    """The user's own number of trials, wherever it stands."""
    merged = settings.spec_overrides.get("maxTrialCount")
    try:
        return settings.max_trial_count if merged is None else int(merged)
    except (TypeError, ValueError):  # refused elsewhere
        return settings.max_trial_count


def _surplus(given: int, points: int | None, *, grid: bool) -> list[str]:
    """A line where more trials are asked for than there are different ones."""
    if points is None or given <= points:
        return []
    line = f"the search space has {_named(points)}, and max_trial_count is {given}"
    if grid:
        return [f"{line}: no more trials than points are to be expected"]
    return [f"{line}: some are tried more than once; hydra.sweeper.algorithm=grid tries each once"]


def _checked(settings: Settings, most: int, notes: list[str]) -> Counts:
    parallel, failed = _others(settings, most)
    mistakes = [
        f"hydra.sweeper.{key}: {count} must not be more than max_trial_count, {most}"
        for key, count in {"parallel_trial_count": parallel, "max_failed_trial_count": failed}.items()
        if count > most
    ]
    if mistakes:
        raise InvalidSweep(mistakes)
    return Counts(most, parallel, failed, tuple(notes))


def _followed(settings: Settings, points: int, *, grid: bool) -> Counts:
    """As many trials as points: nobody said so, so the other counts do not argue with it."""
    left_out, trials = "hydra.sweeper.max_trial_count is left out", _named(points, "trial")
    if grid:
        notes = [f"{left_out}: {trials}, one for each point of the grid"]
    else:
        why = f"{left_out}, and the search space has {_named(points)}"
        notes = [f"{why}: {trials} and not {DEFAULT_TRIALS}; hydra.sweeper.algorithm=grid tries each once"]
    parallel, failed = _others(settings, points)
    for key, count in {"parallel_trial_count": parallel, "max_failed_trial_count": failed}.items():
        if count > points:
            notes.append(f"hydra.sweeper.{key} is {points} and not {count}: there are no more trials")
    return Counts(points, min(parallel, points), min(failed, points), tuple(notes))


def _others(settings: Settings, most: int) -> tuple[int, int]:
    parallel = settings.parallel_trial_count or min(DEFAULT_PARALLEL, most)
    # Left at zero, Vertex ends a job whose first trial fails, and what follows is unspecified: a number is always sent. One
    # batch and a few more may fail before the rest of the budget is kept.
    return parallel, settings.max_failed_trial_count or min(most, parallel + 3)


def _named(count: int, noun: str = "point") -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
