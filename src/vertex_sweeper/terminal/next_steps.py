"""What a user can do next, as commands to copy: where a job is shown, how to come back to it, how to see a trial's log."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from vertex_sweeper.api import PRIMARY_REPLICA, is_custom_job
from vertex_sweeper.api_names import JobName, is_custom
from vertex_sweeper.endpoint import PLAIN
from vertex_sweeper.messages import printable, shell_line
from vertex_sweeper.results.outcome import TrialResult
from vertex_sweeper.services.address import Address
from vertex_sweeper.settings import Backend

log = logging.getLogger(__name__)


def announce(address: Address, job: Mapping[str, Any], directory: Path) -> None:
    """Says which job is followed, where it can be seen, and where its files go."""
    console = console_address(address, job["name"])
    if console:
        log.info("%s", console)
    name = "the job" if address.backend is Backend.LOCAL else job["name"]
    if is_custom_job(job):
        log.info("%s, in %s", name, printable(directory))
        return
    counts = job.get("maxTrialCount"), job.get("parallelTrialCount")
    log.info("%s: %s trials, %s at a time, in %s", name, *map(printable, (*counts, directory)))


def console_address(address: Address, name: str) -> str | None:
    """The page that shows the job, if there is one."""
    return JobName.parse(name).console if _on_vertex(address) else None


def log_command(address: Address, name: str, trial: TrialResult, directory: Path) -> str | None:
    """Shows what a trial printed, or says where an emulator has it; None when it is nowhere to be had.

    Args:
        address: Where the job is.
        name: The job's name.
        trial: The trial; of a custom job, number 1 with the job's own log.
        directory: The sweep directory.

    Returns:
        A command for a shell, or a sentence.
    """
    log = log_file(address, name, trial, directory)
    if log is not None or address.backend is Backend.LOCAL:
        return shell_line(["cat", str(log)]) if log is not None and log.exists() else None
    job = JobName.parse(name)
    if not _on_vertex(address):
        return f"jobs/{job.id}/logs/{trial.number}.log in the emulator's folder"
    place = [f"--project={job.project}", f"--region={job.location}"]
    if trial.job:  # each trial runs as a custom job of its own, with a log of its own
        return shell_line(["gcloud", "ai", "custom-jobs", "stream-logs", trial.job.rpartition("/")[2], *place])
    return shell_line(["gcloud", "ai", "custom-jobs" if is_custom(name) else "hp-tuning-jobs", "stream-logs", job.id, *place])


def as_trial(job: Mapping[str, Any]) -> TrialResult:
    """A custom job as the one trial whose log is its own."""
    log = (job.get("webAccessUris") or {}).get(PRIMARY_REPLICA) or ""
    return TrialResult(number=1, state=None, literals={}, overrides=(), metrics={}, log=str(log))


def log_file(address: Address, name: str, trial: TrialResult, directory: Path) -> Path | None:
    """The file on this machine of what a trial printed; None where it is not known.

    An emulator says where its own are. It is believed for a regular file of this user by the name that such a log has, because
    it may run on another machine, or be none.
    """
    if address.backend is Backend.LOCAL:
        return directory / "logs" / f"{trial.number}.log"
    if _on_vertex(address) or not trial.log.startswith("file:///"):
        return None
    path = Path(unquote(trial.log.removeprefix("file://")))
    if path.parts[-4:] != ("jobs", JobName.parse(name).id, "logs", f"{trial.number}.log"):
        return None
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return None
    return path if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() else None


def _on_vertex(address: Address) -> bool:
    """Whether the console and gcloud know the address's jobs: an emulator's they do not."""
    return address.backend is Backend.VERTEX and not (address.endpoint or "").startswith(PLAIN)
