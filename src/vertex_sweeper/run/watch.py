"""Following a job to its end: polls politely, reports each look, and acts on an interrupt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from vertex_sweeper.api import Job, JobState, job_state
from vertex_sweeper.errors import JobNotFound, ServiceError, Unanswered
from vertex_sweeper.messages import printable
from vertex_sweeper.run.interrupt import Interrupt, Reaction
from vertex_sweeper.services.backoff import Backoff
from vertex_sweeper.services.base import Service

log = logging.getLogger(__name__)

POLL: Final = Backoff(first=2.0, longest=60.0, growth=1.5)
"""Between two looks at a job; the pause grows while nothing changes."""

APPEARANCE: Final = 60.0
"""For how many seconds a job that was just created may be unknown to the service: how soon a read sees it is not documented."""

LOOKS: Final = Backoff(first=5.0, longest=60.0, growth=3.0, times=5)
"""Before each further look at a job that the service does not show any more: three minutes in all.

A watch of days does not end with one such answer: a login may be renewed, a role granted again, or the answer may have been a
fault of the service.
"""

_AT_ONCE: Final = ("INVALID_ARGUMENT", "ALREADY_EXISTS", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED")
"""Codes that end the watch at once as long as the service has never shown the job: it has no such job, or no such call."""

_NOTHING: Final = object()
_NOTABLE: Final = {
    JobState.QUEUED: "the job is queued: it waits for capacity, or for quota that the project does not have",
    JobState.PAUSED: "the job is paused",
    JobState.UPDATING: "the job is being updated",
}


class Watch:
    """One job, followed until it has ended or is let go of.

    Args:
        service: where the job is.
        name: the job's.
        wait: waits for a number of seconds; may return early when it knows of a change.
        interrupt: what tells of signals.
        react: what to do about a signal that has come.
        report: sees every snapshot.
        why_to_cancel: says, of the last snapshot, why the job is to be cancelled; nothing where it is not.
        renew: makes the next look on a new connection, with credentials that are looked for anew.

    Attributes:
        seen: whether the service has shown the job.
        job: its last snapshot, if there was one.
    """

    def __init__(
        self,
        service: Service,
        name: str,
        *,
        wait: Callable[[float], None],
        interrupt: Interrupt,
        react: Callable[[], Reaction],
        report: Callable[[Job], None],
        why_to_cancel: Callable[[], str] = str,
        renew: Callable[[], None] = lambda: None,
    ) -> None:
        self._service = service
        self._name = name
        self._wait = wait
        self._interrupt = interrupt
        self._react = react
        self._report = report
        self._why_to_cancel = why_to_cancel
        self._told_why = self._given_up = False
        self._renew = renew
        self.seen = False
        self.job: Job | None = None
        self._pauses, self._previous = iter(POLL), _NOTHING
        self._unseen_for = 0.0
        self._looks = iter(LOOKS)
        self._in_vain = False
        self._state: object = None

    def run(self) -> Job | None:
        """The job's last snapshot, ended or as it stands when it is let go of; None if there was none by then.

        A service that cannot be reached does not end the watch, since the job goes on. Raises ServiceError for what waiting
        does not mend, and JobNotFound for a job that was deleted.
        """
        pause = 0.0
        while True:
            looks = not self._interrupt.pending
            if looks:
                seconds = self.advance(pause)
                if seconds is None:
                    return self.job
                pause = seconds
            if self._interrupt.received is None:
                self._give_up()
            if self._interrupt.pending:
                reaction = self._react()
                if reaction is Reaction.DETACH:
                    return self.job if looks else self._last_look() or self.job
                if reaction is Reaction.CANCEL:
                    self._cancel()
            self._interrupt.pause(self._wait, pause)

    def advance(self, paused: float = 0.0) -> float | None:
        """Looks once.

        Args:
            paused: How many seconds have gone since the last look.

        Returns:
            In how many seconds to look again; None when the job has ended.

        Raises:
            ServiceError: As `run`.
        """
        again = None
        try:
            self.job = self.look(paused) or self.job
        except ServiceError as error:
            again = self._doubt(error)
        if self.job is not None and ended(self.job):
            return None
        current = _digest(self.job)
        if current != self._previous:
            self._pauses, self._previous = iter(POLL), current
        pause = next(self._pauses)
        return again or pause

    def look(self, paused: float = 0.0) -> Job | None:
        """A new snapshot, reported; None when there is none to be had for the moment. Raises ServiceError."""
        try:
            return self._see()
        except Unanswered:
            return None
        except JobNotFound:
            if self.seen or self._unseen_for >= APPEARANCE:
                raise
            self._unseen_for += paused
            return None
        except ServiceError as error:
            if not error.transient:
                raise
            if not self._in_vain:
                log.warning("%s; the job goes on, and so does the watch", error)
            self._in_vain = True
            return None

    def _see(self) -> Job:
        job = self._service.get(self._name)
        if self._in_vain:
            log.info("the service answers again")
        self.seen, self._in_vain, self._looks = True, False, iter(LOOKS)
        self._tell_state(job)
        self._report(job)
        return job

    def _doubt(self, error: ServiceError) -> float:
        """Seconds to the next look. Raises the error when there have been enough of them, or it leaves no doubt."""
        seconds = next(self._looks, None)
        if seconds is None and self.seen and isinstance(error, JobNotFound):
            raise JobNotFound(f"the job {self._name} was deleted while it was watched", code=error.code) from error
        if seconds is None or (not self.seen and (isinstance(error, JobNotFound) or error.code in _AT_ONCE)):
            raise error
        log.warning("%s; looking again in %.0f s, with fresh credentials", error, seconds)
        self._in_vain = True
        self._renew()
        return seconds

    def _last_look(self) -> Job | None:
        """How the job stands when it is let go of, if that can be had."""
        try:
            return self._see()
        except ServiceError as error:
            log.debug("%s", error)
            return None

    def _tell_state(self, job: Job) -> None:
        spelling, state = job.get("state"), job_state(job)
        if spelling == self._state:
            return
        self._state = spelling
        if state in _NOTABLE:
            log.info(_NOTABLE[state])
        elif state is None and spelling is not None and not ended(job):
            log.info(
                "the job's state %s is not known to this version: it counts as running until it has an end time",
                printable(spelling),
            )

    def _give_up(self) -> None:
        """Cancels a job whose further trials would all fail: once, or again where the call failed for the moment only."""
        why = "" if self._given_up else self._why_to_cancel()
        if not why:
            return
        if not self._told_why:
            log.warning("%s: cancelling the job", why)
        self._told_why = self._given_up = True
        try:
            self._service.cancel(self._name)
        except ServiceError as error:
            log.warning("%s", error)
            self._given_up = not error.transient

    def _cancel(self) -> None:
        assert self._interrupt.received is not None
        self._interrupt.settle()
        log.info("%s: cancelling the job; once more ends this process at once", self._interrupt.received.name)
        self._service.cancel(self._name)


def ended(job: Mapping[str, Any]) -> bool:
    """Whether the job will never change again. A state that this version does not know counts by the job's end time."""
    state = job_state(job)
    return state.ended if state is not None else "endTime" in job


def _digest(job: Job | None) -> Any:
    """What of a job must change for the next look to come soon."""
    if job is None:
        return None
    return job.get("state"), [trial.get("state") for trial in job.get("trials", [])]
