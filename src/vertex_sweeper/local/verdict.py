"""What the end of a trial's process amounts to."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Final

from vertex_sweeper.local.measurement import Measurement, select_final
from vertex_sweeper.local.study import Limits
from vertex_sweeper.local.trial import Outcome

EARLY: Final = Outcome()
"""The outcome so far of a trial that is stopped early: it succeeds with what it has measured.

The API calls such a trial STOPPING ("should stop according to the service") until it has ended.
"""


def judge(code: int, measurements: Sequence[Measurement], *, limits: Limits, stopped: Outcome | None) -> Outcome:
    """What a trial's end amounts to. What it had measured before stays on record, however it ended.

    Args:
        code: Its exit code; a negative one is a signal's number.
        measurements: What it had measured.
        limits: The job's.
        stopped: Why it had been asked to end; None if it had not been. EARLY is no failure, whatever the exit code.
    """
    if stopped is not None and stopped is not EARLY:
        return Outcome(measurements, reason=stopped.reason, failed=stopped.failed)
    if code and stopped is None:
        return Outcome(measurements, reason=describe_exit(code), failed=True)
    final = select_final(measurements, metrics=limits.metrics, selection=limits.selection)
    if final is None:
        # The API: a trial that is done but has no final measurement is INFEASIBLE. Whether the service also counts it as
        # failed is not known; it did what it was told and found no number (NaN, say), and a search space with such a corner
        # should not end the sweep.
        reported = {metric for measurement in measurements for metric in measurement.values}
        missing = ", ".join(metric for metric in limits.metrics if metric not in reported)
        return Outcome(measurements, reason=f"The trial ended without a final measurement: no finite value of {missing}.")
    return Outcome(measurements, final)


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
