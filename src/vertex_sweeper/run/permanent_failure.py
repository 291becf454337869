"""A mistake that hits every trial: seen by how all that have ended failed, so that the others are not paid for.

The shim ends with exit codes of its own where a trial could not succeed however often it was tried. As long as one trial has
another end (a result, an error of the app, NaN), nothing is concluded; nor where the service does not name exit codes.
"""

from __future__ import annotations

from vertex_sweeper.api import JobState, TrialState
from vertex_sweeper.results.outcome import Outcome
from vertex_sweeper_runtime.errors import PERMANENT

LEAST_TRIALS = 2
"""From so many failures on, and not before a whole batch has failed, a mistake is taken for one that hits every trial."""


def permanent_failure(outcome: Outcome) -> str:
    """Why no further trial of a job that runs can succeed, as far as can be told; empty where one may."""
    ended = [trial for trial in outcome.trials if trial.ended]
    codes = {trial.exit_code if trial.state is TrialState.INFEASIBLE else None for trial in ended}
    if outcome.state is None or outcome.state.ended or outcome.state is JobState.CANCELLING:
        return ""
    if len(ended) < max(LEAST_TRIALS, outcome.parallel or 0) or len(codes) != 1 or _left(outcome) == 0:
        return ""
    code = codes.pop()
    if code is None or code not in PERMANENT:
        return ""
    failed = f"each of the {len(ended)} trials that have ended failed with exit code {code}"
    return f"{failed} ({PERMANENT[code]}), and so would every other"


def saved(outcome: Outcome) -> str:
    """What is saved when the job is cancelled as it stands."""
    left = (outcome.planned or 0) - len(outcome.trials)
    return f"{left} of {outcome.planned} trials do not begin" if left > 0 else "what runs is ended"


def _left(outcome: Outcome) -> int | None:
    """How many trials have not ended; None where that cannot be told."""
    if outcome.planned is None:
        return None
    return outcome.planned - sum(trial.ended for trial in outcome.trials)
