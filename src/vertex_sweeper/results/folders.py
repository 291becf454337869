"""Where the output of a sweep's trials is: the sweep's own folder, and below it a folder for each trial."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vertex_sweeper.api import Job
from vertex_sweeper.job import output_prefix
from vertex_sweeper.results.outcome import TrialResult
from vertex_sweeper.services.address import Address
from vertex_sweeper.settings import Backend
from vertex_sweeper_runtime.contract import Contract


def output_of(address: Address, job: Job, directory: Path) -> str | None:
    """What holds the trials' own folders.

    Args:
        address: where the job runs.
        job: the job, or its specification.
        directory: the sweep directory.

    Returns:
        The sweep directory, or a `gs://` folder; None where the output ends with each trial's container.
    """
    return str(directory) if address.backend is Backend.LOCAL else output_prefix(job)


def trial_folder(
    trial: TrialResult,
    *,
    output: str | None,
    contract: Contract,
    compose: Callable[[Sequence[str]], DictConfig] | None = None,
) -> str | None:
    """Where a trial's own output is.

    Args:
        trial: the trial.
        output: what holds the trials' folders (see `output_of`).
        contract: the sweep's; it has `hydra.sweep.subdir` as it was written.
        compose: gives the config for a list of overrides, for a folder that depends on more than the trial's number; None where
            the app is not at hand.

    Returns:
        The folder, below `output`; None where that is None, or where the folder depends on what only the trial knows.
    """
    if output is None:
        return None
    subdir = _numbered(contract.subdir, trial.number) or (None if compose is None else _composed(compose, trial))
    return None if subdir is None else f"{output.rstrip('/')}/{subdir}"


def _numbered(subdir: str | None, number: int) -> str | None:
    """The folder's name where it depends on nothing but the trial's number."""
    if subdir is None:
        return None
    name = re.sub(r"\$\{hydra[.:]job\.num\}", str(number), subdir)
    return None if "$" in name else name


def _composed(compose: Callable[[Sequence[str]], DictConfig], trial: TrialResult) -> str | None:
    try:
        return str(compose([*trial.overrides, f"hydra.job.num={trial.number}"]).hydra.sweep.subdir)
    except (HydraException, OmegaConfBaseException):
        return None
