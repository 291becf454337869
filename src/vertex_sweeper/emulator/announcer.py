"""What the emulator says of its jobs: a line for each job and trial that begins, ends or fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vertex_sweeper.api import JobState, TrialState, job_state, trial_state
from vertex_sweeper.api_names import is_custom
from vertex_sweeper.errors import JobNotFound
from vertex_sweeper.messages import printable
from vertex_sweeper.services.local import LocalService

_WAIT: Final = 600.0
"""After how many seconds it looks without a change; every change wakes it."""

_TRIAL_ENDS: Final = {TrialState.SUCCEEDED: "succeeded", TrialState.INFEASIBLE: "failed"}


class Announcer:
    """Says what becomes of a service's jobs, from `start` until `join`.

    Jobs that had ended before it began are passed over.

    Args:
        service: Whose jobs.
        log_of: The file of what a trial prints, by the job's id and the trial's.
        say: Takes a line.
    """

    def __init__(self, service: LocalService, *, log_of: Callable[[str, str], Path], say: Callable[[str], None]) -> None:
        self._service = service
        self._log_of = log_of
        self._say = say
        self._known: dict[str, _Known] = {}
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="emulator-announcer", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        for name in self._service.names():
            changes = self._service.changes(name)
            state = job_state(changes.job)
            if state is not None and state.ended:
                self._known[name] = _Known(changes.revision, state)
        self._thread.start()

    def join(self) -> None:
        """Closes the service, and says what is left to say."""
        self._ending = True
        self._service.close()  # which wakes who waits for a change, also when it was closed before
        with suppress(RuntimeError):  # it was never started
            self._thread.join()
            self._look()

    def _run(self) -> None:
        self._service.wait_for_change(0)  # from now on each change counts
        while not self._ending:
            self._look()
            self._service.wait_for_change(_WAIT)

    def _look(self) -> None:
        names = self._service.names()
        self._known = {name: known for name, known in self._known.items() if name in names}  # some were deleted
        for name in names:
            with suppress(JobNotFound):
                for line in self._news(name, self._known.setdefault(name, _Known())):
                    self._say(line)

    def _news(self, name: str, known: _Known) -> Iterator[str]:
        if known.state is not None and known.state.ended:
            return
        changes = self._service.changes(name, known.revision)
        known.revision = changes.revision
        job_id = name.rpartition("/")[2]
        if known.state is None:
            title = printable(str(changes.job.get("displayName", "")))
            most = "" if is_custom(name) else f": at most {changes.job.get('maxTrialCount')} trials"
            yield f"job {job_id} ({title}) begins{most}"
        for trial in changes.trials:
            yield from self._trial_lines(job_id, trial, known)
        state = job_state(changes.job)
        known.state = state or known.state or JobState.PENDING
        if state is not None and state.ended:
            how = state.value.removeprefix("JOB_STATE_").lower()
            error = printable(changes.job.get("error", {}).get("message", ""))
            if is_custom(name) and state is JobState.FAILED:  # a tuning job's trials have said where theirs are
                error = f"{error} Its log: {self._log_of(job_id, '1')}"
            yield f"job {job_id} {how}{f': {error}' if error else ''}"

    def _trial_lines(self, job_id: str, trial: dict[str, Any], known: _Known) -> Iterator[str]:
        id, state = str(trial["id"]), trial_state(trial)
        before = known.trials.get(id)
        known.trials[id] = state
        if before is None and state is not TrialState.REQUESTED:
            yield f"job {job_id}: trial {id} begins"
        elif state is TrialState.REQUESTED:
            del known.trials[id]
        if state is None or not state.ended or before is state:
            return
        final = trial.get("finalMeasurement", {}).get("metrics", ())
        what = ", ".join(f"{metric['metricId']}={metric.get('value', 0):g}" for metric in final)
        if state is TrialState.INFEASIBLE:
            what = f"{printable(trial.get('infeasibleReason', ''))} Its log: {self._log_of(job_id, id)}"
        yield f"job {job_id}: trial {id} {_TRIAL_ENDS[state]}{f': {what}' if what else ''}"


@dataclass(slots=True)
class _Known:
    """What was said of a job."""

    revision: int = 0
    state: JobState | None = None
    trials: dict[str, TrialState | None] = field(default_factory=dict)
