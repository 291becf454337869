"""The road of one sweep, from Hydra's call to the files it leaves behind.

    plan (check everything) → claim the sweep directory → create the job → watch it → read its outcome → write the results

Everything before `create` costs nothing and starts nothing; everything after it runs to its end, interrupts included.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from vertex_sweeper import best, files, progress
from vertex_sweeper.command import Start
from vertex_sweeper.composition import is_group_in, pinned_groups, trial_folder
from vertex_sweeper.errors import InvalidJob, ServiceError, SweepDirectoryError, SweepFailed
from vertex_sweeper.interrupt import EXIT_CODE, Interrupt
from vertex_sweeper.outcome import Outcome, read_outcome
from vertex_sweeper.plan import Plan, make_plan
from vertex_sweeper.service import Job, JobState
from vertex_sweeper.services import Opened, open_service
from vertex_sweeper.spec import in_our_words
from vertex_sweeper.watch import ended, watch
from vertex_sweeper.whitelist import check_whitelist

log = logging.getLogger(__name__)

JOB_FILE = "job.json"


def run_sweep(arguments: Sequence[str], *, hydra_context: HydraContext, config: DictConfig) -> Outcome:
    """Tunes the app of this Hydra multirun; returns when the job has ended and its results are written.

    The task function is not called here: trials run the command that started the sweep. Raises SweepError for whatever a
    user can mend, and SystemExit(130) after an interrupt.
    """
    check_whitelist(hydra_context)
    plan = make_plan(arguments, config=config, config_loader=hydra_context.config_loader, start=Start.of_this_process())
    for note in plan.notes:
        log.info(note)
    opened = open_service(plan.settings, plan.directory)
    claim(plan.directory)
    OmegaConf.save(config, plan.directory / "multirun.yaml")
    _write_job(plan.directory, plan.job)
    with Interrupt(opened.kill) as interrupt:
        try:
            job = _run(plan, opened, interrupt)
        finally:
            opened.kill()
        outcome = read_outcome(job, plan.contract)
        _leave_results(plan, outcome, hydra_context, config)
    if interrupt.received:
        _end_multirun(hydra_context, config)
        raise SystemExit(EXIT_CODE)
    if outcome.state is not JobState.SUCCEEDED or outcome.best is None:
        _end_multirun(hydra_context, config)
        raise SweepFailed(_failure(outcome))
    return outcome


def claim(directory: Path) -> None:
    """Makes the sweep directory, or says why it cannot be this sweep's."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SweepDirectoryError(
            f"{directory} cannot be written ({error.strerror}): set hydra.sweep.dir to a place that can"
        ) from error
    if (directory / JOB_FILE).exists():
        raise SweepDirectoryError(
            f"{directory} already holds a job, and is left as it is: set hydra.sweep.dir to another place"
        )


def _write_job(directory: Path, job: Job) -> None:
    files.write_text(directory / JOB_FILE, json.dumps(job, indent=2, ensure_ascii=False) + "\n")


def _run(plan: Plan, opened: Opened, interrupt: Interrupt) -> Job:
    """Creates the job and follows it; returns its last snapshot."""
    try:
        created = opened.service.create(plan.place.parent, plan.job)
    except ServiceError as error:
        if error.acted is False:  # nothing exists, so the directory is free for another try
            (plan.directory / JOB_FILE).unlink()
        if isinstance(error, InvalidJob):
            raise in_our_words(error) from error
        raise
    name = created["name"]
    _write_job(plan.directory, {"name": name, **plan.job})
    counts = plan.job["maxTrialCount"], plan.job["parallelTrialCount"]
    log.info("%s: %d trials, %d at a time, in %s", name, *counts, plan.directory)
    reporter = _Reporter(plan)
    job = watch(
        opened.service,
        name,
        wait=opened.wait,
        interrupt=interrupt,
        cancel_on_interrupt=opened.cancels,
        report=reporter.report,
    )
    if not ended(job):
        log.info("%s goes on without this process; cancel it in the console or with gcloud ai hp-tuning-jobs cancel", name)
    return job


class _Reporter:
    """Logs each trial once, when it has ended, with the end of its log if it failed here.

    The table of trials is written each time, so that not even a crash of this process loses what has ended.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._reported: set[int] = set()

    def report(self, job: Job) -> None:
        outcome = read_outcome(job, self._plan.contract)
        ended_now = [
            trial
            for trial in outcome.trials
            if trial.state is not None and trial.state.ended and trial.number not in self._reported
        ]
        if ended_now:
            files.write_text(self._plan.directory / files.TRIALS, files.trials_table(outcome))
        for trial in ended_now:
            self._reported.add(trial.number)
            log.info(progress.trial_line(trial, outcome))
            output = self._plan.directory / "logs" / f"{trial.number}.log"
            if trial.reason and output.exists():
                for line in [f"the end of {output}:", *progress.log_tail(output)]:
                    log.info("    %s", line)


def _leave_results(plan: Plan, outcome: Outcome, hydra_context: HydraContext, config: DictConfig) -> None:
    """Writes the files, and says on screen what came of the sweep and where it is."""
    again, extra, folder = None, [], None
    if outcome.best is not None:
        is_group = is_group_in(hydra_context.config_loader, config)
        pinned = pinned_groups(hydra_context.config_loader, config)
        again = best.best_config(outcome.best.overrides, is_group, pinned=pinned)
        extra = best.left_out(outcome.best.overrides, is_group, pinned=pinned)
        folder = trial_folder(plan.compose, outcome.best, plan.place.output) if plan.place.output else None
    written = files.write_results(plan.directory, outcome, best_config=again, folder=folder)
    summary = progress.summary_lines(outcome, plan.directory, written, command=plan.contract.command, extra=extra)
    for line in summary:
        log.info(line)


def _failure(outcome: Outcome) -> str:
    state = outcome.state.name if outcome.state else "in a state not known here"
    if outcome.state is JobState.SUCCEEDED:
        return "no trial has a result: see trials.csv for the reason of each"
    return f"the job ended {state}" + (f": {outcome.error}" if outcome.error else "")


def _end_multirun(hydra_context: HydraContext, config: DictConfig) -> None:
    """Lets Hydra's callbacks know: 1.3 does not call them when `sweep()` raises, 1.4 always does."""
    if hydra.__version__.startswith("1.3."):
        hydra_context.callbacks.on_multirun_end(config=config, config_name=config.hydra.job.config_name)
