"""Coming back to a job: from a sweep directory or a job's name to the job and its contract.

Neither the app nor the process that created the job is needed: the job carries its contract, and that says all that the files
of a sweep are made of.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from vertex_sweeper.api import specification
from vertex_sweeper.api_names import JobName
from vertex_sweeper.errors import JobsTaken, ServiceError
from vertex_sweeper.messages import attach_command
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.results.folders import output_of, trial_folder
from vertex_sweeper.results.outcome import Outcome
from vertex_sweeper.run.follow import follow_to_end
from vertex_sweeper.run.interrupt import Interrupt, ending
from vertex_sweeper.run.interruptible import interruptible
from vertex_sweeper.run.reporter import FollowedJob
from vertex_sweeper.run.target import Target, contract_of, locate, open_target
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.settings import OnInterrupt
from vertex_sweeper.terminal import next_steps

log = logging.getLogger(__name__)


def go_on(
    target: Target, directory: Path | None, *, on_interrupt: OnInterrupt, wait: bool = True, trust: bool = False
) -> Outcome:
    """Follows the target's job to its end, or without `wait` for one look, and writes the files of its sweep.

    A sweep of this machine whose process was killed runs on, in this process.

    Args:
        target: The job.
        directory: Where the files of a job go that was named; by default `multirun/<job id>`.
        on_interrupt: What a signal means.
        wait: Follow it to its end.
        trust: Run also what another user has put on record.

    Raises:
        SweepFailed: The job ended without success, or without a result.
        ServiceError: It is not there, or cannot be watched.
        SweepDirectoryError: The directory is another job's, or another user's.
        MissingExtra: Something is not installed.
        SystemExit: 130, after an interrupt.
    """
    opened = open_target(target, join=wait)
    if opened.runs_here and target.directory is not None and not trust:
        sweep_directory.check_owner(target.directory)
    with Interrupt(opened.kill) as interrupt:
        with ending(interrupt, opened.kill):
            pause = partial(interrupt.pause, opened.wait)
            try:
                followed = prepare(target, interruptible(opened, interrupt), directory, on_interrupt=on_interrupt, pause=pause)
            except JobsTaken:  # by somebody who was faster, and is followed
                followed = prepare(target, open_target(target), directory, on_interrupt=on_interrupt, pause=pause)
        return follow_to_end(followed, interrupt, wait=wait)


def prepare(
    target: Target, opened: OpenService, directory: Path | None, *, on_interrupt: OnInterrupt, pause: Callable[[float], bool]
) -> FollowedJob:
    """The target's job, ready to be followed, running where it had been abandoned.

    Args:
        target: The job.
        opened: Its service.
        directory: As in `go_on`.
        on_interrupt: What a signal means.
        pause: Waits so many seconds; False when it is time to give up.

    Raises:
        ServiceError: It is not there, or the service does not answer; the message says how to come back.
        SweepDirectoryError: The directory is another job's.
    """
    try:
        name = locate(target, opened, pause=pause)
        opened.go_on()
        job = opened.service.get(name)
    except ServiceError as error:
        if not error.transient:
            raise
        again = attach_command(target.directory or str(target.name))
        raise ServiceError(f"{error}; come back later with `{again}`", code=error.code, acted=False, transient=True) from error
    agreed = contract_of(job)
    directory = (target.directory or directory or Path("multirun") / JobName.parse(name).id).absolute()
    output = output_of(target.address, job, directory)
    sweep_directory.adopt(directory, target.address, {**specification(job), "name": name})
    next_steps.announce(target.address, job, directory)
    return FollowedJob(
        opened=opened,
        address=target.address,
        name=name,
        contract=agreed,
        directory=directory,
        folder=partial(trial_folder, output=output, contract=agreed),
        on_interrupt=on_interrupt,
    )
