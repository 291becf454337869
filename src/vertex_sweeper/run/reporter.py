"""What is said about a job that is followed, and the files that are kept up to date meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from vertex_sweeper.api import Job, JobState
from vertex_sweeper.api_names import JobName
from vertex_sweeper.atomic_files import write_text
from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.log_tail import log_tail
from vertex_sweeper.messages import attach_command, printable
from vertex_sweeper.results import sweep_directory, tables
from vertex_sweeper.results.folders import output_of
from vertex_sweeper.results.outcome import Outcome, OutcomeReader, TrialResult
from vertex_sweeper.results.rerun import Rerun, rerun_of
from vertex_sweeper.run.permanent_failure import permanent_failure, saved
from vertex_sweeper.run.watch import ended
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.settings import OnInterrupt
from vertex_sweeper.terminal import lines, next_steps
from vertex_sweeper.terminal.live_table import LiveTable
from vertex_sweeper_runtime.contract import Contract

log = logging.getLogger(__name__)

MOST_TAILS = 20
"""Of so many failed trials at most the end of the log is shown; the logs themselves are all there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedJob:
    """A job that is followed.

    Attributes:
        opened: The service that has it.
        address: Where that service is.
        name: The job's full name.
        contract: What the job carries for its trials.
        directory: The sweep directory, where the files go.
        folder: Where a trial's own output is; None where that is not known.
        on_interrupt: What a signal does to the job.
    """

    opened: OpenService
    address: Address
    name: str
    contract: Contract
    directory: Path
    folder: Callable[[TrialResult], str | None]
    on_interrupt: OnInterrupt


class Reporter:
    """Says how each trial ended, once, and keeps `trials.csv` up to date.

    That file is written whenever a trial has ended, so that a crash of this process loses no trial.

    Args:
        followed: the job.
        table: the live table, where there is one.
    """

    def __init__(self, followed: FollowedJob, table: LiveTable | None = None) -> None:
        self._followed = followed
        self._table = table
        self._reader = OutcomeReader(followed.contract)
        self._reported: set[int] = set()
        self._best: tuple[TrialResult, ...] = ()
        self._tails = 0
        self._told: dict[int, int] = {}
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
            said = lines.with_reason_once(trial, self._told)
            log.info(lines.trial_line(said, so_far, ended=len(self._reported)))
            if said is trial:
                self._show_tail(trial)
        if self._table is not None and not ended(job):
            self._table.draw(lines.table_lines(self.outcome, now=datetime.now(timezone.utc)))

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
            raise _unwritten(error, self._followed) from error
        for line in [*self._failures(), *summary]:
            log.info(line)

    def _keep_table(self) -> None:
        """A disk that is full does not end the watch: it may have room again when all has ended."""
        try:
            write_text(self._followed.directory / tables.TRIALS, tables.trials_table(self.outcome))
        except OSError as error:
            log.warning(
                "%s cannot be written (%s); the watch goes on",
                printable(self._followed.directory / tables.TRIALS),
                error.strerror,
            )

    def _write(self, job: Job) -> list[str]:
        """Writes the files; what is to be said about them."""
        followed, outcome = self._followed, self.outcome
        again = self._rerun(job)
        config, command = ("", "") if again is None else (again.config, again.command)
        folder = None if outcome.best is None else followed.folder(outcome.best)
        written = tables.write_results(followed.directory, outcome, best_config=config or None, folder=folder)
        sweep_directory.write_state(followed.directory, followed.address, job, error=outcome.error)
        waits = not ended(job) and not followed.opened.goes_on
        return lines.summary_lines(outcome, followed.directory, written, again=command, waits=waits)

    def _rerun(self, job: Job) -> Rerun | None:
        """How the best trial is run again, as long as there is one whose overrides can be told."""
        followed, trial = self._followed, self.outcome.best
        if trial is None or not trial.overrides:
            return None
        output = output_of(followed.address, job, followed.directory)
        id = JobName.parse(followed.name).id
        return rerun_of(trial, followed.contract, job=id, directory=str(followed.directory), output=output)

    def _show_tail(self, trial: TrialResult) -> None:
        followed = self._followed
        output = next_steps.log_file(followed.address, followed.name, trial, followed.directory) if trial.reason else None
        tail = log_tail(output) if output is not None and self._tails < MOST_TAILS else []
        if not tail or self.outcome.state in (JobState.CANCELLING, JobState.CANCELLED):
            return
        self._tails += 1
        for line in [f"the end of {output}:", *tail]:
            log.info("    %s", printable(line))

    def _failures(self) -> list[str]:
        followed = self._followed
        return lines.failure_lines(
            self.outcome, lambda trial: next_steps.log_command(followed.address, followed.name, trial, followed.directory)
        )


def _unwritten(error: OSError, followed: FollowedJob) -> SweepDirectoryError:
    return SweepDirectoryError(
        f"the results cannot be written into {followed.directory} ({error.strerror}): make room, and have them written with "
        f"`{attach_command(followed.directory)}`"
    )
