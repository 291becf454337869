"""One running job: a thread that fills free slots and waits for the next thing to happen."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence

from vertex_sweeper.api import CANCELLED, TOO_MANY_FAILURES, Job, TrialState, format_time, parse_time
from vertex_sweeper.messages import printable
from vertex_sweeper.services.local.execute.environment import Workplace
from vertex_sweeper.services.local.execute.running_trial import Bench, Exited, Slot, Stop, launch
from vertex_sweeper.services.local.records.records import JobRecord
from vertex_sweeper.services.local.study.early_stopping import MedianRule
from vertex_sweeper.services.local.study.measurement import Measurement, MetricFile
from vertex_sweeper.services.local.study.study import CANCELLED_CODE, INTERNAL_CODE, News, Study
from vertex_sweeper.services.local.study.trial import Outcome, Trial
from vertex_sweeper.services.local.study.trial_outcome import EARLY, judge
from vertex_sweeper.services.local.suggest.base import Suggester
from vertex_sweeper.services.local.suggest.grid import GridSuggester

log = logging.getLogger(__name__)


class JobRun:
    """Runs one job. What has no underscore may be called from any thread, the rest is the job's own thread's."""

    def __init__(
        self, study: Study, *, workplace: Workplace, suggester: Suggester, bench: Bench, record: JobRecord | None = None
    ) -> None:
        self._study = study
        self._workplace = workplace
        self._suggester = suggester
        self._bench = bench
        self._disk = record
        self._events: queue.SimpleQueue[Exited | Stop] = queue.SimpleQueue()
        self._slots: dict[int, Slot] = {}
        self._median = study.median_rule
        self._looks = self._median is not None or study.interrupts
        self._left = False
        self._thread = threading.Thread(target=self._run, name=f"job-{workplace.job_id}", daemon=True)

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
            self._disk.write_job(self._study, lock=self._bench.changed, or_raise=or_raise)

    def snapshot(self) -> Job:
        """The job as it stands."""
        with self._bench.changed:
            return self._study.to_json()

    def news(self, since: int) -> News:
        """What has changed since that revision."""
        with self._bench.changed:
            return self._study.news(since)

    def cancel(self) -> None:
        """Starts no more trials, and has the running ones end."""
        self._end(at_once=False)

    def close(self) -> None:
        """The service is about to kill all trials: the job is cancelled or, if it is on record, left as it stands."""
        if self._disk is None:
            self._end(at_once=True)
        with self._bench.changed:
            self._left = self._disk is not None

    def join(self, seconds: float) -> None:
        """Waits for the job's thread."""
        if self._thread.ident is not None:
            self._thread.join(seconds)

    def _end(self, *, at_once: bool) -> None:
        with self._bench.changed:
            if self._study.state.ended:
                return
            self._study.end(CANCELLED_CODE, CANCELLED, now=self._now())
            self._bench.notify()
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
            file = MetricFile(path, metrics=tuple(limits.metrics), begun=begun, clock=self._bench.clock)
            self._close_trial(trial, judge(0, file, limits=limits, stopped=EARLY))
        elif self._record(lambda now: self._study.repeat_trial(trial, now=now)):
            self._launch(trial)

    def _work(self) -> None:
        self._fill()
        while self._slots:
            self._handle(self._next_event())
            self._look()
            self._fill()

    def _look(self) -> None:
        """Applies the rules that end running trials early."""
        if self._study.ending or not self._looks:
            return
        if self._study.interrupts:
            self._check_study()
        running = [slot for slot in self._slots.values() if not slot.stopped]
        completed = [trial.outcome.measurements for trial in self._study.completed]
        for slot in running:
            if self._study.stopped and self._study.interrupts:
                self._stop_early(slot, "the study has stopped")
            elif self._median:
                self._compare(slot, completed, rule=self._median)

    def _compare(self, slot: Slot, completed: Sequence[Sequence[Measurement]], *, rule: MedianRule) -> None:
        try:
            why = rule.judge(slot.news(completed), completed)
        except Exception as error:  # one trial's measurements are nobody else's matter
            log.exception("Comparing a trial failed.")
            self._stop(slot, Outcome(reason=f"Comparing the trial with others failed: {error!r}.", failed=True))
            return
        if why:
            self._stop_early(slot, why)

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
            with self._bench.changed:
                if self._study.ending or self._left:  # cancelled or closed while the suggestion was made
                    return
                trial = self._study.open_trial(choices, self._suggester.drawn(number), now=self._now())
                self._bench.notify()
            self.keep(trial)
            self._launch(trial)

    def _launch(self, trial: Trial) -> None:
        number = trial.number
        try:
            self._slots[number] = launch(
                trial,
                workplace=self._workplace,
                bench=self._bench,
                limits=self._study.limits,
                on_exit=lambda code: self._events.put(Exited(number, code)),
            )
        except (OSError, ValueError) as error:
            self._close_trial(trial, Outcome(reason=f"The command could not be started: {error}", failed=True))

    def _next_event(self) -> Exited | Stop | None:
        deadline = min(slot.deadline for slot in self._slots.values())
        wait = min(max(deadline - time.monotonic(), 0), threading.TIMEOUT_MAX)
        if self._looks:
            wait = min(wait, self._bench.look)
        try:
            return self._events.get(timeout=wait)
        except queue.Empty:
            return None

    def _handle(self, event: Exited | Stop | None) -> None:
        if isinstance(event, Exited):
            slot = self._slots.pop(event.trial)
            limits, describe = self._study.limits, slot.describe
            outcome = judge(event.code, slot.metrics, limits=limits, stopped=slot.stopped, describe=describe)
            self._close_trial(slot.trial, outcome)
        elif isinstance(event, Stop):
            self._stop_all(CANCELLED, at_once=event.at_once)
        else:
            self._expire()

    def _expire(self) -> None:
        now = time.monotonic()
        for slot in [slot for slot in self._slots.values() if slot.deadline <= now]:
            if slot.stopped:
                slot.deadline = math.inf
                slot.child.kill()
            else:
                reason = f"The trial took longer than its timeout of {self._study.limits.seconds:g} s."
                self._stop(slot, Outcome(reason=reason, failed=True))

    def _close_trial(self, trial: Trial, outcome: Outcome) -> None:
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
        for slot in self._slots.values():
            if not slot.stopped:
                self._stop(slot, Outcome(reason=reason))
            if at_once:
                slot.child.kill()

    def _stop_early(self, slot: Slot, why: str) -> None:
        log.info("Trial %s is stopped early: %s.", slot.trial.number, printable(why))
        self._stop(slot, EARLY)

    def _stop(self, slot: Slot, outcome: Outcome) -> None:
        slot.stopped = outcome
        slot.deadline = time.monotonic() + self._bench.grace
        self._record(lambda now: self._study.stop_trial(slot.trial, now=now))
        if outcome is EARLY:
            self.keep(slot.trial)  # after a restart it has ended, and does not begin again
        slot.child.terminate()

    def _abandon(self, reason: str) -> None:
        self._stop_all(reason, at_once=True)
        while self._slots:
            event = self._events.get()
            if isinstance(event, Exited):
                self._slots.pop(event.trial, None)

    def _record(self, write: Callable[[str], None]) -> bool:
        """Writes into the job's books; not any more when the job was left: what ends now is to begin again."""
        with self._bench.changed:
            if not self._left:
                write(self._now())
                self._bench.notify()
            return not self._left

    def _now(self) -> str:
        return format_time(self._bench.clock())
