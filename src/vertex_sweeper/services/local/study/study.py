"""A job's record: its trials, their states, what counts as failed, and when it is over. No processes, no clock, no locks."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

from vertex_sweeper.api import Job, JobState, TrialState, parse_time
from vertex_sweeper.services.local.parameter_tree import Choice
from vertex_sweeper.services.local.study.early_stopping import MedianRule
from vertex_sweeper.services.local.study.limits import Limits
from vertex_sweeper.services.local.study.study_stopping import CONFIG, Progress, interrupts, why_to_stop
from vertex_sweeper.services.local.study.trial import Trial, TrialOutcome

CANCELLED_CODE: Final = 1
"""The error code of a cancelled job, as the service sends it."""

FAILED_CODE: Final = 9
"""The error code of a job with too many failed trials. Which one the service sends is not documented."""

INTERNAL_CODE: Final = 13
"""The error code of a job that ended because of a mistake of ours."""


@dataclass(frozen=True, slots=True)
class JobChanges:
    """What has changed in a job since a revision, in the API's JSON form; since 0 everything has.

    `job` has its output fields as they stand (since 0: all of it) but not the trials. `revision` is for the next question.
    """

    revision: int
    job: Job
    trials: Sequence[dict[str, Any]]


class Study:
    """The record of one job. Its states only ever move forward. `spec` must not change any more.

    `stopped` is why the study has ended before its last trial: no more begin, and the job will have succeeded.
    """

    what: ClassVar = "trial"
    """What a message calls that which runs."""

    def __init__(self, spec: Mapping[str, Any], *, name: str, now: str) -> None:
        self.name = name
        self.spec = spec
        self.limits = Limits.of(spec)
        self._search: Mapping[str, Any] = spec.get("studySpec", {})
        self.state = JobState.PENDING
        self.trials: list[Trial] = []
        self._open: list[Trial] = []  # those that have not ended: to look for them among thousands would cost each trial more
        self.exhausted = False
        self.stopped = ""
        self.created = self._updated = now
        self._started = self._ended = ""
        self._pauses: list[tuple[float, float]] = []
        self._failed = 0
        self._error: dict[str, Any] | None = None
        self._revision = 1

    @classmethod
    def from_record(cls, record: Mapping[str, Any], trials: Sequence[Trial]) -> Study:
        """The study that gave these records. Raises KeyError, TypeError or ValueError where they are none."""
        study = cls(record["spec"], name=record["name"], now=record["created"])
        study.state = JobState(record["state"])
        study.trials = sorted(trials, key=lambda trial: trial.number)
        study._open = [trial for trial in study.trials if not trial.state.ended]
        study._started, study._ended, study._updated = record["started"], record["ended"], record["updated"]
        study._error = record["error"]
        study.stopped = record["stopped"]
        study._pauses = [(float(begin), float(end)) for begin, end in record["pauses"]]
        study._failed = sum(trial.outcome.failed for trial in trials)
        for time in (study.created, study._updated, study._started or study.created, study._ended or study.created):
            parse_time(time)
        if [trial.number for trial in study.trials] != list(range(1, len(trials) + 1)):
            raise ValueError("trials are missing")
        return study

    def to_record(self) -> dict[str, Any]:
        """All of it but the trials, as plain data."""
        return {
            "name": self.name,
            "state": self.state.value,
            "created": self.created,
            "started": self._started,
            "ended": self._ended,
            "updated": self._updated,
            "error": self._error,
            "stopped": self.stopped,
            "pauses": [list(pause) for pause in self._pauses],
            "spec": self.spec,
        }

    @property
    def running(self) -> int:
        """How many trials have begun and not ended."""
        return len(self._open)

    @property
    def ending(self) -> bool:
        """Whether the job was cancelled or has failed, and only waits for its running trials."""
        return self._error is not None

    @property
    def wants_trial(self) -> bool:
        """Whether fewer trials run than may, and another one is to be started."""
        if self.ending or self.stopped or self.exhausted or self.state.ended:
            return False
        return len(self.trials) < self.limits.most and self.running < self.limits.parallel

    @property
    def interrupts(self) -> bool:
        """Whether running trials end, too, once the study was `stopped`."""
        return interrupts(self._search.get(CONFIG, {}))

    @property
    def median_rule(self) -> MedianRule | None:
        """The rule that stops trials early, if there is one."""
        return MedianRule.of(self._search, self.limits.metrics)

    @property
    def completed(self) -> list[Trial]:
        """The trials that count in rules of stopping: those that succeeded, the earliest to end first."""
        return sorted((one for one in self.trials if one.state is TrialState.SUCCEEDED), key=lambda trial: trial.ended)

    def take_up(self, *, now: str) -> None:
        """The job goes on after its process had gone. The time in between is not the study's: nobody ran it."""
        known = [self._updated, *(time for trial in self.trials for time in (trial.started, trial.ended) if time)]
        self._pauses.append((max(map(parse_time, known)), parse_time(now)))

    def start(self, *, now: str) -> None:
        """The job begins to run."""
        if self.state is JobState.PENDING:
            self.state = JobState.RUNNING
        self._started = self._started or now
        self._touch(now)

    def open_trial(
        self, choices: tuple[Choice, ...], drawn: Mapping[str, Any], *, now: str, devices: Sequence[str] = ()
    ) -> Trial:
        """A new trial, with the next number and the first of these devices that no running trial has."""
        taken = {trial.device for trial in self._open}
        device = next((one for one in devices if one not in taken), "")
        trial = Trial(len(self.trials) + 1, choices, TrialState.ACTIVE, started=now, drawn=drawn, device=device)
        self.trials.append(trial)
        self._open.append(trial)
        self._touch(now, trial)
        return trial

    def repeat_trial(self, trial: Trial, *, now: str) -> None:
        """The trial, which had not ended, begins again."""
        trial.state, trial.started = TrialState.ACTIVE, now
        self._touch(now, trial)

    def stop_trial(self, trial: Trial, *, now: str) -> None:
        """The trial was asked to end."""
        if not trial.state.ended:
            trial.state = TrialState.STOPPING
            self._touch(now, trial)

    def close_trial(self, trial: Trial, outcome: TrialOutcome, *, now: str) -> None:
        """The trial has ended. One failure too many makes the job fail: `ending` is then true."""
        trial.outcome = outcome
        trial.state = TrialState.INFEASIBLE if outcome.reason else TrialState.SUCCEEDED
        self._open = [one for one in self._open if one is not trial]
        trial.ended = now
        self._touch(now, trial)
        if outcome.failed:
            self._failed += 1
            self.check_failures(now=now)

    def check_failures(self, *, now: str) -> None:
        """Ends the job if too many trials have failed."""
        if self._failed and self._too_many():
            failed = [trial for trial in self.trials if trial.outcome.failed]
            code, message = self._failure(max(failed, key=lambda trial: trial.ended).outcome.reason)
            self.end(code, message, now=now)

    def overdue(self) -> TrialOutcome:
        """How a trial ends that takes longer than it may."""
        return TrialOutcome(reason=f"The {self.what} took longer than its timeout of {self.limits.seconds:g} s.", failed=True)

    def why_to_stop(self, *, now: str, more: int = 0) -> str:
        """The condition of its `studyStoppingConfig` that is met, or would be with so many more trials; empty when none is."""
        config = self._search.get(CONFIG)
        if not config:
            return ""
        metric, maximised = next(iter(self.limits.metrics.items()))
        ends = [(self._later(trial.ended), trial.outcome.final) for trial in self.completed]
        values = [(time, final.values[metric] * (1 if maximised else -1)) for time, final in ends if final]
        return why_to_stop(config, Progress(self._later(self.created), parse_time(now), len(self.trials) + more, values))

    def stop(self, why: str, *, now: str) -> None:
        """The study ends before its last trial: for good, even if a running trial does better."""
        self.stopped = why
        self._touch(now)

    def end(self, code: int, message: str, *, now: str) -> None:
        """The job shall not go on. The first reason stands."""
        if self.ending or self.state.ended:
            return
        self._error = {"code": code, "message": message}
        if code == CANCELLED_CODE:
            self.state = JobState.CANCELLING
        self._touch(now)

    def close(self, *, now: str) -> None:
        """The job has ended, and with it (after a mistake of ours, or a restart) trials whose end was not recorded."""
        for trial in self._open:
            trial.state, trial.ended = TrialState.INFEASIBLE, now
            trial.outcome = TrialOutcome(reason=self._error["message"] if self._error else "The job ended.")
            self._touch(now, trial)
        self._open = []
        if self._error is None:
            self.state = JobState.SUCCEEDED
        elif self._error["code"] == CANCELLED_CODE:
            self.state = JobState.CANCELLED
        else:
            self.state = JobState.FAILED
        self._ended = now
        self._touch(now)

    def to_json(self) -> Job:
        """The job as it stands, in the API's JSON form. Nothing in it is shared with this record."""
        changes = self.changes(0)
        trials = {"trials": list(changes.trials)} if changes.trials else {}
        return cast("Job", {**changes.job, **trials})

    def changes(self, since: int) -> JobChanges:
        """What has changed since that revision. Nothing in it is shared with this record."""
        job = self._output() if since else copy.deepcopy(dict(self.spec)) | self._output()
        trials = [trial.to_json() for trial in self._shown if trial.revision > since]
        return JobChanges(self._revision, cast("Job", job), trials)

    @property
    def _shown(self) -> Sequence[Trial]:
        """The trials that the job has for others."""
        return self.trials

    def _failure(self, last: str) -> tuple[int, str]:
        """The error's code and message, given the reason of the trial that failed last."""
        allowed = f"maxFailedTrialCount is {self.limits.failed}" if self.limits.failed else "the first trial failed"
        return FAILED_CODE, f"Too many failed trials: {self._failed} ({allowed}). The last one: {last}"

    def _output(self) -> dict[str, Any]:
        output: dict[str, Any] = {
            "name": self.name,
            "state": self.state.value,
            "createTime": self.created,
            "startTime": self._started,
            "endTime": self._ended,
            "updateTime": self._updated,
            # As the service has it: an error is shown only when the job has ended.
            "error": dict(self._error) if self._error and self.state.ended else None,
        }
        return {name: value for name, value in output.items() if value}

    def _later(self, time: str) -> float:
        """The time as if the pauses since then had not been, in seconds since 1970."""
        moment = parse_time(time)
        return moment + sum(max(end - max(begin, moment), 0.0) for begin, end in self._pauses)

    def _touch(self, now: str, trial: Trial | None = None) -> None:
        self._updated = now
        self._revision += 1
        if trial is not None:
            trial.revision = self._revision

    def _too_many(self) -> bool:
        if self.limits.failed:
            return self._failed >= self.limits.failed
        # Not set: the service documents that a job whose first trial fails ends at once, and leaves later rules open. The
        # first is here the first to end; after a good one nothing ends the job.
        return sum(trial.state.ended for trial in self.trials) == 1
