"""From a job that exists to the files of its sweep: watch it, report its trials, write what came of it.

The same for a sweep that has just created its job and for whoever comes back to one later, with the app or without it: all that
is needed is the job and the contract it carries.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext

from vertex_sweeper.api import JobState
from vertex_sweeper.errors import JobNotFound, ServiceError, SweepFailed
from vertex_sweeper.messages import attach_command, cancel_command
from vertex_sweeper.results.outcome import Outcome
from vertex_sweeper.run.interrupt import Interrupt, Reaction, react, terminal
from vertex_sweeper.run.reporter import FollowedJob, Reporter
from vertex_sweeper.run.watch import Watch, ended
from vertex_sweeper.settings import Backend, OnInterrupt
from vertex_sweeper.terminal.live_table import LiveTable, table_of_terminal
from vertex_sweeper_runtime.signals import INTERRUPTED

log = logging.getLogger(__name__)


def follow(followed: FollowedJob, interrupt: Interrupt, *, wait: bool = True) -> Outcome:
    """Watches the job until it has ended, or until a signal ends the watch, and writes the files of its sweep.

    Args:
        followed: The job.
        interrupt: Tells of signals.
        wait: False looks at the job once.

    Returns:
        The sweep as it was last seen.

    Raises:
        ServiceError: The job cannot be watched any longer; the files have what was seen of it.
        SweepDirectoryError: The files cannot be written.
    """
    table = table_of_terminal() if wait else None
    reporter = Reporter(followed, table)
    watch = Watch(
        followed.opened.service,
        followed.name,
        wait=followed.opened.wait,
        interrupt=interrupt,
        react=lambda: _react(followed, interrupt, table),
        report=reporter.report,
        why_to_cancel=reporter.why_to_cancel,
        renew=followed.opened.renew,
    )
    try:
        try:
            with table.below_the_log() if table is not None else nullcontext():
                job = watch.run() if wait else watch.look()
        finally:
            followed.opened.kill()
    except ServiceError as error:
        reporter.leave_results()
        raise _lost(error, followed, deleted=watch.seen and isinstance(error, JobNotFound)) from error
    if job is None or not ended(job):
        _say_how_to_come_back(followed)
    reporter.leave_results()
    return reporter.outcome


def follow_to_end(followed: FollowedJob, interrupt: Interrupt, *, wait: bool = True) -> Outcome:
    """Like `follow`, for callers that want a sweep with a result.

    Raises:
        SweepFailed: The job did not succeed, or no trial has a result; with `wait` only.
        ServiceError: As `follow`.
        SystemExit: 130, after a signal.
    """
    outcome = follow(followed, interrupt, wait=wait)
    if interrupt.received:
        raise SystemExit(INTERRUPTED)
    if wait:
        check_success(outcome)
    return outcome


def check_success(outcome: Outcome) -> None:
    """Raises SweepFailed unless the job succeeded and a trial has a result."""
    if outcome.state is JobState.SUCCEEDED:
        if outcome.best is None:
            raise SweepFailed("no trial has a result: see trials.csv for the reason of each")
        return
    state = outcome.state.name if outcome.state else "in a state not known here"
    raise SweepFailed(f"the job ended {state}" + (f": {outcome.error}" if outcome.error else ""))


def _react(followed: FollowedJob, interrupt: Interrupt, table: LiveTable | None) -> Reaction:
    if table is not None:
        table.clear()
    setting = followed.on_interrupt
    if not followed.opened.outlives and setting is OnInterrupt.ASK:
        setting = OnInterrupt.CANCEL  # without this process the job stands still: there is nothing to wait for
    reaction = react(interrupt, setting, answer=terminal())
    if reaction is Reaction.WAIT:
        log.info("the watch goes on")
    elif reaction is Reaction.DETACH:
        interrupt.acknowledge("letting go of the job")
    return reaction


def _say_how_to_come_back(followed: FollowedJob) -> None:
    stays = "goes on without this process; come back" if followed.opened.goes_on else "waits for somebody who runs it; go on"
    log.info("the job %s with `%s`", stays, attach_command(followed.directory))
    log.info("or end it with `%s`", cancel_command(followed.directory))


def _lost(error: ServiceError, followed: FollowedJob, *, deleted: bool) -> ServiceError:
    if deleted:
        return JobNotFound(f"{error}; what was seen of it is in {followed.directory}", code=error.code)
    end = cancel_command(followed.directory)
    line = f"{error}; {_back(followed)} with `{attach_command(followed.directory)}`, or end it with `{end}`"
    return ServiceError(line, code=error.code, acted=error.acted, transient=error.transient)


def _back(followed: FollowedJob) -> str:
    return "go on" if followed.address.backend is Backend.LOCAL else f"the job {followed.name} may go on: come back"
