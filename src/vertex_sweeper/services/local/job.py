"""One running job: a thread that starts trials while fewer run than may, and waits for the next thing to happen."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence

from vertex_sweeper.api import CANCELLED, TOO_MANY_FAILURES, Job, TrialState, format_time, parse_time
from vertex_sweeper.messages import printable
from vertex_sweeper.services.local.execute.environment import JobSetup
from vertex_sweeper.services.local.execute.metric_file import MetricFile
from vertex_sweeper.services.local.execute.running_trial import Exited, RunnerContext, RunningTrial, Stop, launch
from vertex_sweeper.services.local.records.records import JobRecord
from vertex_sweeper.services.local.study.early_stopping import MedianRule
from vertex_sweeper.services.local.study.measurement import Measurement
from vertex_sweeper.services.local.study.study import CANCELLED_CODE, INTERNAL_CODE, JobChanges, Study
from vertex_sweeper.services.local.study.trial import Trial, TrialOutcome
from vertex_sweeper.services.local.study.trial_outcome import EARLY, judge
from vertex_sweeper.services.local.suggest.base import Suggester
from vertex_sweeper.services.local.suggest.grid import GridSuggester

log = logging.getLogger(__name__)


class JobRun:
    """Runs one job. What has no underscore may be called from any thread, the rest is the job's own thread's."""

    def __init__(
        self, study: Study, *, setup: JobSetup, suggester: Suggester, context: RunnerContext, record: JobRecord | None = None
    ) -> None:
        self._study = study
        self._workplace = setup
        self._suggester = suggester
        self._context = context
        self._disk = record
        self._events: queue.SimpleQueue[Exited | Stop] = queue.SimpleQueue()
        self._running: dict[int, RunningTrial] = {}
        self._median = study.median_rule
        self._compares = self._median is not None or study.interrupts
        self._left = False
        self._thread = threading.Thread(target=self._run, name=f"job-{setup.job_id}", daemon=True)

    @property
    def name(self) -> str:
        """The job's full name."""
        return self._study.name

    @property
    def job_id(self) -> str:
        """The last part of its name."""
        return self._workplace.job_id

    @property
    def ended(self) -> bool:
        """Whether the job will never change again."""
        return self._study.state.ended

    def start(self) -> None:
        """Starts the job's thread."""
        self._thread.start()

    def keep(self, trial: Trial | None = None, *, or_raise: bool = False) -> None:
        """Puts the trial, or else the job as a whole, on record; nothing where there are no records.

        Raises OSError where that cannot be written, with `or_raise`; else the log says so.
        """
        if self._disk is not None and trial is not None:
            self._disk.write_trial(trial)
        elif self._disk is not None:
            self._disk.write_job(self._study, lock=self._context.changed, or_raise=or_raise)

    def snapshot(self) -> Job:
        """The job as it stands."""
        with self._context.changed:
            return self._study.to_json()

    def changes(self, since: int) -> JobChanges:
        """What has changed since that revision."""
        with self._context.changed:
            return self._study.changes(since)

    def cancel(self) -> None:
        """Starts no more trials, and has the running ones end."""
        self._end(at_once=False)

    def close(self) -> None:
        """The service is about to kill all trials: the job is cancelled or, if it is on record, left as it stands."""
        if self._disk is None:
            self._end(at_once=True)
        with self._context.changed:
            self._left = self._disk is not None

    def join(self, seconds: float) -> None:
        """Waits for the job's thread."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _end(self, *, at_once: bool) -> None:
        with self._context.changed:
            if self._study.state.ended:
                return
            self._study.end(CANCELLED_CODE, CANCELLED, now=self._now())
            self._context.notify()
        self.keep()
        self._events.put(Stop(at_once))

    def _run(self) -> None:
        try:
            self._record(lambda now: self._study.start(now=now))
            self.keep()
            self._take_up()
            self._work()
        except Exception as error:  # a mistake of ours must not leave a sweep waiting for ever
            log.exception("The local service failed.")
            message = f"internal error: {error!r}"
            self._record(lambda now: self._study.end(INTERNAL_CODE, message, now=now))
            self._abandon(message)
        finally:
            unfinished = [trial for trial in self._study.trials if not trial.state.ended]
            if self._record(lambda now: self._study.close(now=now)):
                for trial in unfinished:
                    self.keep(trial)
                self.keep()
            self._suggester = GridSuggester(())  # lets go of all that was learnt

    def _take_up(self) -> None:
        """Goes on where an earlier process left: what was running begins again, with the same values."""
        for trial in self._study.trials:
            self._suggester.recall(trial.number, trial.drawn)
            if trial.state.ended:
                self._tell(trial)
        self._record(lambda now: self._study.check_failures(now=now))  # the last failure may be all that was written
        for trial in [trial for trial in self._study.trials if not trial.state.ended]:
            if not self._study.ending:
                self._go_on(trial)

    def _go_on(self, trial: Trial) -> None:
        if trial.state is TrialState.STOPPING:  # early: nothing else is on record with this state
            path, limits, begun = self._workplace.metrics(trial.number), self._study.limits, parse_time(trial.started)
            file = MetricFile(path, metrics=tuple(limits.metrics), begun=begun, clock=self._context.clock)
            self._close_trial(trial, judge(0, file, limits=limits, stopped=EARLY))
        elif self._record(lambda now: self._study.repeat_trial(trial, now=now)):
            self._launch(trial)

    def _work(self) -> None:
        self._fill()
        while self._running:
            self._handle(self._next_event())
            self._apply_stopping_rules()
            self._fill()

    def _apply_stopping_rules(self) -> None:
        """Applies the rules that end running trials early."""
        if self._study.ending or not self._compares:
            return
        if self._study.interrupts:
            self._check_study()
        trials = [running for running in self._running.values() if not running.stopped]
        completed = [trial.outcome.measurements for trial in self._study.completed]
        for running in trials:
            if self._study.stopped and self._study.interrupts:
                self._stop_early(running, "the study has stopped")
            elif self._median:
                self._compare(running, completed, rule=self._median)

    def _compare(self, running: RunningTrial, completed: Sequence[Sequence[Measurement]], *, rule: MedianRule) -> None:
        try:
            why = rule.judge(running.new_measurements(completed), completed)
        except Exception as error:  # one trial's measurements are nobody else's matter
            log.exception("Comparing a trial failed.")
            self._stop(running, TrialOutcome(reason=f"Comparing the trial with others failed: {error!r}.", failed=True))
            return
        if why:
            self._stop_early(running, why)

    def _check_study(self) -> None:
        why = "" if self._study.stopped else self._study.why_to_stop(now=self._now())
        if why and self._record(lambda now: self._study.stop(why, now=now)):
            log.info("The study is stopped: %s.", printable(why))
            self.keep()

    def _may_suggest(self) -> bool:
        self._check_study()
        return not self._study.stopped and not self._study.why_to_stop(now=self._now(), more=1)

    def _fill(self) -> None:
        # The API: the conditions that stop a study are looked at before a suggestion is made.
        while self._study.wants_trial and self._may_suggest():
            number = len(self._study.trials) + 1
            choices = self._suggester.suggest(number)
            if choices is None:
                self._study.exhausted = True
                return
            with self._context.changed:
                if self._study.ending or self._left:  # cancelled or closed while the suggestion was made
                    return
                drawn, devices = self._suggester.drawn(number), self._workplace.devices
                trial = self._study.open_trial(choices, drawn, now=self._now(), devices=devices)
                self._context.notify()
            self.keep(trial)
            self._launch(trial)

    def _launch(self, trial: Trial) -> None:
        number = trial.number
        try:
            self._running[number] = launch(
                trial,
                setup=self._workplace,
                context=self._context,
                limits=self._study.limits,
                on_exit=lambda code: self._events.put(Exited(number, code)),
            )
        except (OSError, ValueError) as error:
            self._close_trial(trial, TrialOutcome(reason=f"The command could not be started: {error}", failed=True))

    def _next_event(self) -> Exited | Stop | None:
        deadline = min(running.deadline for running in self._running.values())
        wait = min(max(deadline - time.monotonic(), 0), threading.TIMEOUT_MAX)
        if self._compares:
            wait = min(wait, self._context.metric_interval)
        try:
            return self._events.get(timeout=wait)
        except queue.Empty:
            return None

    def _handle(self, event: Exited | Stop | None) -> None:
        if isinstance(event, Exited):
            running = self._running.pop(event.trial)
            limits, describe = self._study.limits, running.describe
            outcome = judge(event.code, running.metrics, limits=limits, stopped=running.stopped, describe=describe)
            self._close_trial(running.trial, outcome)
        elif isinstance(event, Stop):
            self._stop_all(CANCELLED, at_once=event.at_once)
        else:
            self._expire()

    def _expire(self) -> None:
        now = time.monotonic()
        for running in [running for running in self._running.values() if running.deadline <= now]:
            if running.stopped:
                running.deadline = math.inf
                running.command.kill()
            else:
                self._stop(running, self._study.overdue())

    def _close_trial(self, trial: Trial, outcome: TrialOutcome) -> None:
        was_ending = self._study.ending
        if not self._record(lambda now: self._study.close_trial(trial, outcome, now=now)):
            return
        self.keep(trial)
        self._tell(trial)
        if self._study.ending and not was_ending:
            self.keep()
            self._stop_all(TOO_MANY_FAILURES)

    def _tell(self, trial: Trial) -> None:
        final = trial.outcome.final if not trial.outcome.reason else None
        self._suggester.tell(trial.number, final.values if final else None)

    def _stop_all(self, reason: str, *, at_once: bool = False) -> None:
        for running in self._running.values():
            if not running.stopped:
                self._stop(running, TrialOutcome(reason=reason))
            if at_once:
                running.command.kill()

    def _stop_early(self, running: RunningTrial, why: str) -> None:
        log.info("Trial %s is stopped early: %s.", running.trial.number, printable(why))
        self._stop(running, EARLY)

    def _stop(self, running: RunningTrial, outcome: TrialOutcome) -> None:
        running.stopped = outcome
        running.deadline = time.monotonic() + self._context.grace
        self._record(lambda now: self._study.stop_trial(running.trial, now=now))
        if outcome is EARLY:
            self.keep(running.trial)  # after a restart it has ended, and does not begin again
        running.command.terminate()

    def _abandon(self, reason: str) -> None:
        self._stop_all(reason, at_once=True)
        while self._running:
            event = self._events.get()
            if isinstance(event, Exited):
                self._running.pop(event.trial, None)

    def _record(self, write: Callable[[str], None]) -> bool:
        """Changes the job's record; not after the job was left: a trial that ends now begins again."""
        with self._context.changed:
            if not self._left:
                write(self._now())
                self._context.notify()
            return not self._left

    def _now(self) -> str:
        return format_time(self._context.clock())
