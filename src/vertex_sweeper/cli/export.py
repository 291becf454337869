"""`vertex-sweeper export`: a job as a file for gcloud, and the command that creates it from that."""

from __future__ import annotations

import argparse
import json
import secrets
from pathlib import Path

from vertex_sweeper.api import Job, specification
from vertex_sweeper.api_names import parse_parent
from vertex_sweeper.atomic_files import write_text
from vertex_sweeper.cli.common import add_target, pause, target_of, write_lines
from vertex_sweeper.errors import SweepError
from vertex_sweeper.job import identify_anew
from vertex_sweeper.job.shipped_code import LOCAL_STAGING
from vertex_sweeper.messages import shell_line
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.results.yaml_text import yaml_text
from vertex_sweeper.run.target import Target, locate, open_target
from vertex_sweeper.services.address import BUCKETS_FOLDER
from vertex_sweeper.settings import Backend
from vertex_sweeper_runtime.code_start import VARIABLE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)
    parser.add_argument("--output", type=Path, help="the file (default: gcloud.yaml in the sweep directory, or here)")
    parser.add_argument("--project", help="the project of the command line (default: the sweep's)")
    parser.add_argument("--location", help="its region (default: the sweep's)")
    parser.add_argument("--image", help="the training image, of a sweep that has named none")


def run(options: argparse.Namespace) -> int:
    """Writes the file and prints the command line."""
    target = target_of(options)
    project, location = _place(target, options)
    job = _job(target)
    uploads = _uploads(target, job)
    _settle_image(job, options)
    # The same label would make two jobs of one sweep, and neither could be found by it; and both would write into one folder.
    identify_anew(job, secrets.token_hex(8))
    path = write_text(options.output or (target.directory or Path()) / "gcloud.yaml", yaml_text(job))
    # The flags repeat what the file says: older releases of gcloud did not read the counts there.
    flags = {
        "project": project,
        "region": location,
        "display-name": job.get("displayName"),
        "max-trial-count": job.get("maxTrialCount"),
        "parallel-trial-count": job.get("parallelTrialCount"),
        "config": path,
    }
    words = [f"--{name}={value}" for name, value in flags.items() if value is not None]
    write_lines([*uploads, shell_line(["gcloud", "ai", "hp-tuning-jobs", "create", *words])])
    return 0


def _job(target: Target) -> Job:
    if target.directory is not None:
        return specification(sweep_directory.read_job(target.directory))
    opened = open_target(target)
    return specification(opened.service.get(locate(target, opened, pause=pause)))


def _uploads(target: Target, job: Job) -> list[str]:
    """The commands that put the code of a sweep on this machine where the job will look for it.

    Raises SweepError where it names no bucket.
    """
    pools = job.get("trialJobSpec", {}).get("workerPoolSpecs", [])
    entries = [entry for pool in pools for entry in pool.get("containerSpec", {}).get("env", ())]
    code = next((str(entry.get("value")) for entry in entries if entry.get("name") == VARIABLE), None)
    if code is None or target.directory is None or target.address.backend is not Backend.LOCAL:
        return []
    try:
        said = json.loads(code)
        addresses = [str(said["wheel"]), str(said["archive"])]
    except (ValueError, KeyError, TypeError) as error:
        raise SweepError(f"{target.directory}: its job does not say where its code is ({error})") from error
    if any(address.startswith(f"{LOCAL_STAGING}/") for address in addresses):
        rule = f"the code of {target.directory} is in that folder alone, and in no bucket"
        raise SweepError(f"{rule}: sweep with hydra.sweeper.vertex.staging=gs://… set, here or on Vertex")
    folder = target.directory / BUCKETS_FOLDER
    paths = [str(folder / address.removeprefix("gs://")) for address in addresses]
    return [shell_line(["gcloud", "storage", "cp", "--no-clobber", *pair]) for pair in zip(paths, addresses, strict=True)]


def _place(target: Target, options: argparse.Namespace) -> tuple[str, str]:
    if options.project and options.location:
        return options.project, options.location
    if target.address.backend is Backend.LOCAL:
        raise SweepError(
            f"{options.target} is of a sweep on this machine: say where the job shall run, --project and --location"
        )
    project, location = parse_parent(target.address.parent)
    return options.project or project, options.location or location


def _settle_image(job: Job, options: argparse.Namespace) -> None:
    pools = job.get("trialJobSpec", {}).get("workerPoolSpecs", [])
    containers = [pool["containerSpec"] for pool in pools if "containerSpec" in pool]
    without = [container for container in containers if not container.get("imageUri")]
    if options.image and not without:
        raise SweepError(f"--image={options.image}: {options.target} has named its image: leave it out, or edit the file")
    if without and not options.image:
        raise SweepError(f"{options.target}: its job has no image: name the training image, --image=…")
    for container in without:
        container["imageUri"] = options.image
