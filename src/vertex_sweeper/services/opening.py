"""Opens the service at an address, for a new job or for one that exists: the one place that knows which services there are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from vertex_sweeper.api import Job
from vertex_sweeper.api_names import is_custom, parse_parent
from vertex_sweeper.endpoint import PLAIN
from vertex_sweeper.errors import InvalidSweep, JobNotFound, SweepDirectoryError
from vertex_sweeper.extras import require
from vertex_sweeper.services.address import BUCKETS_FOLDER, RECORDS, Address
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.services.buckets import STORAGE_EMULATOR, Get, Put, read_from, stand_in_folder, write_into
from vertex_sweeper.services.checks import require_extras
from vertex_sweeper.settings import Backend
from vertex_sweeper_runtime.code_archive import BUCKETS

if TYPE_CHECKING:
    from vertex_sweeper.services.local import LocalService


def open_service(
    address: Address,
    directory: Path,
    *,
    seed: int | None = None,
    devices: Sequence[str] = (),
    sweep_directory: Path | None = None,
) -> OpenService:
    """The service at an address, for a new job; what it needs is imported here, at first use. Raises MissingExtra.

    Called before any thread of ours is started: the executor of local trials is made here, and may fork. What only a tuning
    job on this machine needs is another matter, see `checks.require_extras`: a custom job does without.

    Args:
        address: Where the job will run.
        directory: Where trials of this machine have their files.
        seed: What repeats their suggestions.
        devices: Those of each slot, as CUDA_VISIBLE_DEVICES names them; none where all trials see the same.
        sweep_directory: Hydra's sweep directory, where that is not `directory`.
    """
    if address.backend is Backend.VERTEX:
        return _open_vertex(address)
    local = _make_local(directory, seed=seed, devices=devices, sweep_directory=sweep_directory)
    return OpenService(local, _find_nothing, local.wait_for_change, local.close, outlives=False)


def _find_nothing(parent: str, labels: Mapping[str, str | None], *, custom: bool | None = None) -> list[Job]:  # noqa: ARG001
    """A service on this machine that has just begun has no jobs of before."""
    return []


def open_buckets(address: Address, directory: Path, *, project: str | None) -> Put:
    """What writes objects into buckets for jobs at an address: a folder for jobs of this machine, else the storage API.

    Args:
        address: Where the jobs run.
        directory: The sweep's.
        project: The project that pays.

    Raises:
        InvalidSweep: The jobs run on an emulator, and nothing stands for the buckets.
        MissingExtra: Google's client is not installed.
    """
    folder = _bucket_folder(address, directory)
    if folder is not None:
        return partial(write_into, folder)
    if not has_buckets(address):
        rule = "the job runs on an emulator, and nothing there stands for the bucket that trial.code is uploaded to"
        remedy = f"start it with `vertex-sweeper emulator --gcs DIR`, and set {BUCKETS}=DIR here, or {STORAGE_EMULATOR}"
        raise InvalidSweep([f"{rule}: {remedy}"])
    require("google.cloud.storage", extra="vertex", purpose="trial.code")
    from vertex_sweeper.services.vertex.storage import Storage

    return Storage(project=str(project), impersonate=address.impersonate).put


def _bucket_folder(address: Address, directory: Path) -> Path | None:
    """The folder that stands for the buckets of jobs at an address; None where they are Google's, a server's, or nowhere."""
    folder = stand_in_folder()
    if address.backend is Backend.LOCAL:
        return folder or directory / BUCKETS_FOLDER
    return None if os.environ.get(STORAGE_EMULATOR) else folder


def has_buckets(address: Address) -> bool:
    """Whether there are buckets where the jobs of an address run: for an emulator something has to stand for them."""
    plain = (address.endpoint or "").startswith(PLAIN)
    return not plain or stand_in_folder() is not None or bool(os.environ.get(STORAGE_EMULATOR))


def open_reader(address: Address, directory: Path) -> Get:
    """What reads objects that jobs at an address have left in buckets.

    Args:
        address: Where the jobs ran.
        directory: The sweep's.

    Raises:
        MissingExtra: Google's client is not installed.
    """
    folder = _bucket_folder(address, directory)
    if folder is not None:
        return partial(read_from, folder)
    if not has_buckets(address):
        return lambda _: None
    require("google.cloud.storage", extra="vertex", purpose="what jobs return")
    from vertex_sweeper.services.vertex.storage import Storage

    project, _ = parse_parent(address.parent)
    return Storage(project=project, impersonate=address.impersonate).get


def reopen_service(
    address: Address, directory: Path, *, join: bool = False, sweep_directory: Path | None = None
) -> OpenService:
    """The service at an address, for a job that exists.

    Args:
        address: Where the job runs.
        directory: Where a job of this machine has its files.
        join: Whether a job that was abandoned may be run by this process; without, it can be looked at.
        sweep_directory: As `open_service` has it, for a job that goes on here.

    Raises:
        MissingExtra: Something is not installed.
        JobNotFound: On this machine a sweep was ended before it had a job.
    """
    if address.backend is Backend.VERTEX:
        return _open_vertex(address)
    return _reopen_local(directory, join=join, sweep_directory=sweep_directory)


def _reopen_local(directory: Path, *, join: bool, sweep_directory: Path | None) -> OpenService:
    from vertex_sweeper.services.local.records.records import job_ids
    from vertex_sweeper.services.local.records.viewer import Viewer

    records = directory / RECORDS
    viewer = Viewer(records)
    count = len(job_ids(records))
    if not count:
        raise JobNotFound(
            f"nothing is on record in {records}: the sweep was ended before it ran anything, or its directory was copied "
            "without hidden files; for a new sweep take another directory"
        )
    if count > 1:
        raise SweepDirectoryError(f"{records} has {count} jobs, and a sweep has one: take the folders of others away")
    (name,) = viewer.names()
    abandoned = viewer.abandoned(name)
    if not abandoned or not join:
        return OpenService(viewer, viewer.find, viewer.waiting(name), abandoned=abandoned)
    work = viewer.trial_directory(name)
    if not work.is_dir():
        raise SweepDirectoryError(f"the trials of {directory} work in {work}, which is gone: put it back, and try again")
    require_extras(Backend.LOCAL, custom=is_custom(name))
    local = _make_local(directory, sweep_directory=sweep_directory)
    return OpenService(
        local, viewer.find, local.wait_for_change, local.close, outlives=False, abandoned=True, go_on=local.resume
    )


def _make_local(
    directory: Path, *, seed: int | None = None, devices: Sequence[str] = (), sweep_directory: Path | None = None
) -> LocalService:
    from vertex_sweeper.services.local import LocalService
    from vertex_sweeper.services.local.execute.process import ProcessExecutor
    from vertex_sweeper.services.local.failure_reason import explain_exit

    return LocalService(
        lambda _: directory,
        seed=seed,
        devices=devices,
        executor=ProcessExecutor(),  # here no thread of ours has begun: an executor may fork
        records=directory / RECORDS,
        buckets=stand_in_folder() or (sweep_directory or directory) / BUCKETS_FOLDER,
        sweep_directory=sweep_directory,
        describe=explain_exit,
    )


def _open_vertex(address: Address) -> OpenService:
    require("google.cloud.aiplatform_v1", extra="vertex", purpose="backend vertex")
    from vertex_sweeper.services.vertex import VertexService

    try:
        _, location = parse_parent(address.parent)
    except ValueError as error:
        raise JobNotFound(str(error)) from None
    vertex = VertexService(location, endpoint=address.endpoint, impersonate=address.impersonate)
    return OpenService(vertex, vertex.find, be_brief_when=vertex.be_brief_when, renew=vertex.renew)
