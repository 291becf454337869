"""From a job that exists to the files of its sweep: watch it, report its trials, write what came of it.

The same for a sweep that has just created its job and for whoever comes back to one later, with the app or without it: all that
is needed is the job and the contract it carries.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from vertex_sweeper.api import Job, JobState
from vertex_sweeper.atomic_files import write_text
from vertex_sweeper.errors import JobNotFound, ServiceError, SweepDirectoryError, SweepFailed
from vertex_sweeper.job import output_prefix
from vertex_sweeper.messages import attach_command, cancel_command, printable
from vertex_sweeper.results import sweep_directory, tables
from vertex_sweeper.results.outcome import Outcome, OutcomeReader, Trial
from vertex_sweeper.results.rerun import Rerun, rerun_of
from vertex_sweeper.run.interrupt import EXIT_CODE, Interrupt, Reaction, react, terminal
from vertex_sweeper.run.permanent_failure import permanent_failure, saved
from vertex_sweeper.run.watch import Watch, ended
from vertex_sweeper.services.opening import Address, Opened
from vertex_sweeper.services.vertex.names import JobName
from vertex_sweeper.settings import Backend, OnInterrupt
from vertex_sweeper.terminal import lines, next_steps
from vertex_sweeper.terminal.live_table import Screen, screen_of_terminal
from vertex_sweeper_runtime.contract import Contract

log = logging.getLogger(__name__)

MOST_TAILS = 20
"""Of so many failed trials at most the end of the log is shown; the logs themselves are all there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A job to be followed.

    `directory` is where its files go, `folder` says where a trial's own output is, if that is known.
    """

    opened: Opened
    address: Address
    name: str
    contract: Contract
    directory: Path
    folder: Callable[[Trial], str | None]
    on_interrupt: OnInterrupt


def follow(task: Task, interrupt: Interrupt, *, wait: bool = True) -> Outcome:
    """Watches the job until it has ended or is let go of, and writes what is known by then; without `wait`, of one look.

    Raises ServiceError when the job cannot be watched any longer; what had been seen of it is written first.
    """
    screen = screen_of_terminal() if wait else None
    reporter = Reporter(task, screen)
    watch = Watch(
        task.opened.service,
        task.name,
        wait=task.opened.wait,
        interrupt=interrupt,
        react=lambda: _react(task, interrupt, screen),
        report=reporter.report,
        why_to_cancel=reporter.why_to_cancel,
        renew=task.opened.renew,
    )
    try:
        try:
            with screen.below_the_log() if screen is not None else nullcontext():
                job = watch.run() if wait else watch.look()
        finally:
            task.opened.kill()
    except ServiceError as error:
        reporter.leave_results()
        raise _lost(error, task, deleted=watch.seen and isinstance(error, JobNotFound)) from error
    if job is None or not ended(job):
        stays = "goes on without this process; come back" if task.opened.goes_on else "waits for somebody who runs it; go on"
        log.info("the job %s with `%s`", stays, attach_command(task.directory))
        log.info("or end it with `%s`", cancel_command(task.directory))
    reporter.leave_results()
    return reporter.outcome


def follow_to_end(task: Task, interrupt: Interrupt, *, wait: bool = True) -> Outcome:
    """Like `follow`; returns only when the job succeeded and a trial has a result, or without `wait`.

    Raises SweepFailed, ServiceError, and SystemExit(130) after an interrupt.
    """
    outcome = follow(task, interrupt, wait=wait)
    if interrupt.received:
        raise SystemExit(EXIT_CODE)
    if wait:
        check_success(outcome)
    return outcome


class Reporter:
    """Says of each trial once, when it has ended, how; and keeps the table of trials up to date.

    The table is written whenever a trial has ended, so that not even a crash of this process loses what has ended.
    """

    def __init__(self, task: Task, screen: Screen | None = None) -> None:
        self._task = task
        self._screen = screen
        self._reader = OutcomeReader(task.contract)
        self._reported: set[int] = set()
        self._best: tuple[Trial, ...] = ()
        self._tails = 0
        self._job: Job | None = None
        self._cancelled_for = ""
        self.outcome = Outcome(None, (), {})
        """The sweep as it was last seen."""

    def report(self, job: Job) -> None:
        """Takes a snapshot."""
        self._job, self.outcome = job, self._reader.read(job)
        if self._cancelled_for and self.outcome.state is JobState.CANCELLED:
            self.outcome = replace(self.outcome, error=self._cancelled_for)
        ended_now = [trial for trial in self.outcome.trials if trial.ended and trial.number not in self._reported]
        if ended_now:
            self._keep_table()
        for trial in ended_now:
            self._reported.add(trial.number)
            so_far = replace(self.outcome, trials=(*self._best, trial))
            self._best = (so_far.best,) if so_far.best is not None else ()
            log.info(lines.trial_line(trial, so_far, ended=len(self._reported)))
            self._show_tail(trial)
        if self._screen is not None and not ended(job):
            self._screen.draw(lines.table_lines(self.outcome, now=datetime.now(timezone.utc)))

    def why_to_cancel(self) -> str:
        """Why the job that was last seen should not go on, and what that saves; nothing as long as it should."""
        why = permanent_failure(self.outcome)
        self._cancelled_for = why or self._cancelled_for
        return f"{why} ({saved(self.outcome)})" if why else ""

    def leave_results(self) -> None:
        """Writes the files, and says on screen what came of the sweep and where it is; nothing if no snapshot was seen.

        Raises SweepDirectoryError when they cannot be written.
        """
        if self._job is None:
            return
        try:
            summary = self._write(self._job)
        except SweepDirectoryError:
            raise
        except OSError as error:
            for line in [*self._failures(), *lines.overview_lines(self.outcome)]:
                log.info(line)
            raise _unwritten(error, self._task) from error
        for line in [*self._failures(), *summary]:
            log.info(line)

    def _keep_table(self) -> None:
        """A disk that is full does not end the watch: it may have room again when all has ended."""
        try:
            write_text(self._task.directory / tables.TRIALS, tables.trials_table(self.outcome))
        except OSError as error:
            log.warning(
                "%s cannot be written (%s); the watch goes on", printable(self._task.directory / tables.TRIALS), error.strerror
            )

    def _write(self, job: Job) -> list[str]:
        """Writes the files; what is to be said about them."""
        task, outcome = self._task, self.outcome
        again = self._rerun(job)
        config, command = ("", "") if again is None else (again.config, again.command)
        folder = None if outcome.best is None else task.folder(outcome.best)
        written = tables.write_results(task.directory, outcome, best_config=config or None, folder=folder)
        sweep_directory.write_state(task.directory, task.address, job, error=outcome.error)
        waits = not ended(job) and not task.opened.goes_on
        return lines.summary_lines(outcome, task.directory, written, again=command, waits=waits)

    def _rerun(self, job: Job) -> Rerun | None:
        """How the best trial is run again, as long as there is one whose overrides can be told."""
        task, trial = self._task, self.outcome.best
        if trial is None or not trial.overrides:
            return None
        output = output_of(task.address, job, task.directory)
        id = JobName.parse(task.name).id
        return rerun_of(trial, task.contract, job=id, directory=str(task.directory), output=output)

    def _show_tail(self, trial: Trial) -> None:
        task = self._task
        output = next_steps.log_file(task.address, task.name, trial, task.directory) if trial.reason else None
        tail = lines.log_tail(output) if output is not None and self._tails < MOST_TAILS else []
        if not tail or self.outcome.state in (JobState.CANCELLING, JobState.CANCELLED):
            return
        self._tails += 1
        for line in [f"the end of {output}:", *tail]:
            log.info("    %s", printable(line))

    def _failures(self) -> list[str]:
        task = self._task
        return lines.failure_lines(
            self.outcome, lambda trial: next_steps.log_command(task.address, task.name, trial, task.directory)
        )


def output_of(address: Address, job: Job, directory: Path) -> str | None:
    """What holds the trials' own folders, if it outlives their containers: the sweep directory, or a `gs://` folder."""
    return str(directory) if address.backend is Backend.LOCAL else output_prefix(job)


def folder_in(output: str | None, contract: Contract, trial: Trial) -> str | None:
    """Where under `output` a trial's own output is, as far as the contract alone tells."""
    if output is None or contract.subdir is None:
        return None
    subdir = re.sub(r"\$\{hydra[.:]job\.num\}", str(trial.number), contract.subdir)
    return None if "$" in subdir else f"{output.rstrip('/')}/{subdir}"


def check_success(outcome: Outcome) -> None:
    """Raises SweepFailed unless the job succeeded and a trial has a result."""
    if outcome.state is JobState.SUCCEEDED:
        if outcome.best is None:
            raise SweepFailed("no trial has a result: see trials.csv for the reason of each")
        return
    state = outcome.state.name if outcome.state else "in a state not known here"
    raise SweepFailed(f"the job ended {state}" + (f": {outcome.error}" if outcome.error else ""))


def _react(task: Task, interrupt: Interrupt, screen: Screen | None) -> Reaction:
    if screen is not None:
        screen.clear()
    setting = task.on_interrupt
    if not task.opened.outlives and setting is OnInterrupt.ASK:
        setting = OnInterrupt.CANCEL  # without this process the job stands still: there is nothing to wait for
    reaction = react(interrupt, setting, answer=terminal())
    if reaction is Reaction.WAIT:
        log.info("the watch goes on")
    elif reaction is Reaction.DETACH:
        interrupt.acknowledge("letting go of the job")
    return reaction


def _unwritten(error: OSError, task: Task) -> SweepDirectoryError:
    return SweepDirectoryError(
        f"the results cannot be written into {task.directory} ({error.strerror}): make room, and have them written with "
        f"`{attach_command(task.directory)}`"
    )


def _lost(error: ServiceError, task: Task, *, deleted: bool) -> ServiceError:
    if deleted:
        return JobNotFound(f"{error}; what was seen of it is in {task.directory}", code=error.code)
    line = f"{error}; {_back(task)} with `{attach_command(task.directory)}`, or end it with `{cancel_command(task.directory)}`"
    return ServiceError(line, code=error.code, acted=error.acted, transient=error.transient)


def _back(task: Task) -> str:
    return "go on" if task.address.backend is Backend.LOCAL else f"the job {task.name} may go on: come back"
