"""What makes a job one sweep's own: a label, by which it is found again, and a folder below the base output directory."""

from __future__ import annotations

import re
from typing import Final

from vertex_sweeper.api import Job
from vertex_sweeper.settings import SWEEP_LABEL

_LONGEST_NAME: Final = 40


def identify(job: Job, sweep_id: str, *, base_output_directory: str | None) -> None:
    """Writes the label and the folder into a job that has its display name.

    Vertex puts a trial's output into `<prefix>/<trial id>/`, and every sweep counts its trials from 1: two sweeps with one
    prefix would overwrite each other's files. The folder stands in the job, so that everybody finds it who has the job.
    """
    job["labels"] = {**job.get("labels", {}), SWEEP_LABEL: sweep_id}
    if base_output_directory is not None:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", job["displayName"])[:_LONGEST_NAME].strip("-.")
        folder = f"{name}-{sweep_id}" if name else sweep_id
        _set_prefix(job, f"{base_output_directory.rstrip('/')}/{folder}")


def identify_anew(job: Job, sweep_id: str) -> None:
    """Makes the job another sweep's: the label and the folder are replaced."""
    before = job.get("labels", {}).get(SWEEP_LABEL)
    job["labels"] = {**job.get("labels", {}), SWEEP_LABEL: sweep_id}
    prefix = output_prefix(job)
    if prefix is not None:
        same = prefix.removesuffix(before) if before else prefix
        _set_prefix(job, f"{same}{sweep_id}" if same != prefix else f"{prefix.rstrip('/')}/{sweep_id}")


def output_prefix(job: Job) -> str | None:
    """The `gs://` folder that holds the folders of the job's trials; None where it has none."""
    prefix = job.get("trialJobSpec", {}).get("baseOutputDirectory", {}).get("outputUriPrefix")
    return str(prefix) if prefix else None


def _set_prefix(job: Job, prefix: str) -> None:
    job.setdefault("trialJobSpec", {})["baseOutputDirectory"] = {"outputUriPrefix": prefix}
