"""What the end of a trial's process amounts to."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from typing import Final

from vertex_sweeper.api import NO_MEASUREMENT
from vertex_sweeper.services.local.study.limits import Limits
from vertex_sweeper.services.local.study.measurement import Reported, select_final, thin_out
from vertex_sweeper.services.local.study.trial import TrialOutcome
from vertex_sweeper_runtime.metric_lines import LONGEST_LINE

log = logging.getLogger(__name__)

EARLY: Final = TrialOutcome()
"""The outcome so far of a trial that is stopped early: it succeeds with what it has measured.

The API calls such a trial STOPPING ("should stop according to the service") until it has ended.
"""


def judge(
    code: int, reported: Reported, *, limits: Limits, stopped: TrialOutcome | None, describe: Callable[[int], str] | None = None
) -> TrialOutcome:
    """What a trial's end amounts to. Whatever goes wrong while it is judged is that trial's failure, and nobody else's.

    Args:
        code: Its exit code; a negative one is a signal's number.
        reported: What it has reported. What it had measured before stays on record, however it ended.
        limits: The job's.
        stopped: Why it had been asked to end; None if it had not been. EARLY is no failure, whatever the exit code.
        describe: What is said of an exit code other than 0; by default `describe_exit`.
    """
    try:
        return _judge(code, reported, limits=limits, stopped=stopped, describe=describe or describe_exit)
    except Exception as error:
        log.exception("Judging a trial failed.")
        return TrialOutcome(reason=f"Judging the trial failed: {error!r}.", failed=True)


def _judge(
    code: int, reported: Reported, *, limits: Limits, stopped: TrialOutcome | None, describe: Callable[[int], str]
) -> TrialOutcome:
    read = reported.read()
    measurements = thin_out(read)
    if stopped is not None and stopped is not EARLY:
        return TrialOutcome(measurements, reason=stopped.reason, failed=stopped.failed)
    if code and stopped is None:
        return TrialOutcome(measurements, reason=describe(code), failed=True)
    if not limits.metrics:  # a custom job: its exit code is all that counts
        return TrialOutcome()
    final = select_final(read, metrics=limits.metrics, selection=limits.selection)
    if reported.problem and (final is None or stopped is None):
        return TrialOutcome(measurements, reason=f"The trial's metric file cannot be read: {reported.problem}.", failed=True)
    if final is None:
        # The API: a trial that is done but has no final measurement is INFEASIBLE. Whether the service also counts it as
        # failed is not known; it did what it was told and found no number (NaN, say), and a search space with such a corner
        # should not end the sweep.
        known = {metric for measurement in read for metric in measurement.values}
        missing = ", ".join(metric for metric in limits.metrics if metric not in known)
        long = f" (lines of more than {LONGEST_LINE >> 10} KiB are not read)" if reported.long_lines else ""
        reason = f"{NO_MEASUREMENT}: no finite value of {missing}{long}."
        return TrialOutcome(measurements, reason=reason)
    return TrialOutcome(measurements, final)


def describe_exit(code: int) -> str:
    """What the service would say of an exit code other than 0; a negative one is a signal's number."""
    number = -code if code < 0 else code - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = ""
    if code < 0:
        return f"The replica workerpool0-0 was ended by signal {name or number}."
    return f"The replica workerpool0-0 exited with a non-zero status of {code}{f' ({name})' if name else ''}."
