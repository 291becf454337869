"""Following a job to its end: polls politely, reports each trial once, and passes an interrupt on to the service."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from vertex_sweeper.interrupt import Interrupt
from vertex_sweeper.service import Job, Service, job_state

log = logging.getLogger(__name__)

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0
"""Seconds between two looks at a job; the pause grows while nothing changes."""


def watch(
    service: Service,
    name: str,
    *,
    wait: Callable[[float], None],
    interrupt: Interrupt,
    cancel_on_interrupt: bool,
    report: Callable[[Job], None],
) -> Job:
    """The job's last snapshot: ended, or as it stands where an interrupt only lets go of it.

    `report` sees every snapshot. `wait(seconds)` may return early when it knows of a change.
    """
    pause = FIRST_PAUSE
    previous: Any = None
    cancelled = False
    while True:
        job = service.get(name)
        report(job)
        if ended(job):
            return job
        if interrupt.received and not cancelled:
            if not cancel_on_interrupt:
                return job
            log.info("%s: cancelling the job; once more ends everything at once", interrupt.received.name)
            service.cancel(name)
            cancelled = True
        current = (job.get("state"), [trial.get("state") for trial in job.get("trials", [])])
        pause = FIRST_PAUSE if current != previous else min(pause * 1.5, LONGEST_PAUSE)
        previous = current
        interrupt.pause(wait, pause)


def ended(job: Mapping[str, Any]) -> bool:
    """Whether the job will never change again. A state that this version does not know counts by the job's end time."""
    state = job_state(job)
    return state.ended if state is not None else "endTime" in job
