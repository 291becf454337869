"""Where a sweep runs, and which service runs it there: of a new job, or of one that exists."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vertex_sweeper.api import Job
from vertex_sweeper.api_names import LOCAL_PARENT, format_parent, parse_parent
from vertex_sweeper.endpoint import PLAIN, Endpoint
from vertex_sweeper.errors import InvalidSweep, JobNotFound, MissingExtra, SweepDirectoryError
from vertex_sweeper.job.field_types import find_not_json, find_wrong_types
from vertex_sweeper.services.base import Service
from vertex_sweeper.services.buckets import STORAGE_EMULATOR, Put, stand_in_folder, write_into
from vertex_sweeper.services.vertex.connection import EMULATOR
from vertex_sweeper.services.waiting import sleep
from vertex_sweeper.settings import Backend, Settings

if TYPE_CHECKING:
    from vertex_sweeper.services.local import LocalService
from vertex_sweeper_runtime.code_archive import BUCKETS

log = logging.getLogger(__name__)

SWEEP: Final = "sweep.json"
"""What says in a sweep's directory where its job is."""

BUCKETS_FOLDER: Final = ".gcs"
"""What stands in its directory for the buckets of a sweep of this machine."""

RECORDS: Final = ".records"
"""Where in its directory a sweep of this machine keeps what another process needs to go on with it."""


@dataclass(frozen=True, slots=True)
class Address:
    """What finds a sweep's service again, from any process: the API's `parent`, and how to get there.

    `endpoint` is another host than the region's own, `impersonate` a service account to act as.
    """

    backend: Backend
    parent: str
    endpoint: str | None = None
    impersonate: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sweep's job runs, and whether a container must find its files."""

    address: Address
    container: bool


def place_of(settings: Settings) -> Place:
    """The place for `settings.backend`."""
    if settings.backend is Backend.LOCAL:
        return Place(Address(Backend.LOCAL, LOCAL_PARENT), container=False)
    vertex = settings.vertex
    parent = format_parent(str(vertex.project), str(vertex.location))
    address = vertex_address(parent, vertex.endpoint, vertex.impersonate_service_account)
    return Place(address, container=True)


def vertex_address(parent: str, endpoint: str | None = None, impersonate: str | None = None) -> Address:
    """An address on Vertex, or on the emulator: who sets VERTEX_EMULATOR_HOST does not want to pay."""
    emulator = _named_emulator()
    if emulator:
        log.info("%s is set: jobs run on the emulator at %s, not on Vertex AI", EMULATOR, emulator.removeprefix(PLAIN))
    return Address(Backend.VERTEX, parent, emulator or _named(endpoint), impersonate)


def existing_address(recorded: Address, endpoint: str | None = None, impersonate: str | None = None) -> Address:
    """The address of a job that exists, from its sweep directory, with what a user says of it now.

    A job on Vertex is there whatever VERTEX_EMULATOR_HOST says; an emulator may have been started again on another port.
    A sweep directory may be of another hand, and credentials go where it points to: so a host that it names is Google's own,
    or this machine, where no credentials are sent. Any other a user names now.

    Raises SweepDirectoryError for another host.
    """
    emulator = _named_emulator() if (recorded.endpoint or "").lower().startswith(PLAIN) else None
    host = _named(endpoint) or emulator or _harmless(recorded.endpoint)
    return replace(recorded, endpoint=host, impersonate=impersonate or recorded.impersonate)


def _named(endpoint: str | None) -> str | None:
    """The endpoint that the user names. Raises InvalidSweep where it is none."""
    return str(Endpoint.parse(endpoint)) if endpoint else None


def _harmless(recorded: str | None) -> str | None:
    """The endpoint that a sweep directory names. Raises SweepDirectoryError where credentials must not go."""
    if recorded is None:
        return None
    with suppress(InvalidSweep):
        host = Endpoint.parse(recorded)
        if host.loopback:
            return str(replace(host, plain=True))
        if host.google:
            return str(host)
    raise SweepDirectoryError(
        f"{SWEEP} names the endpoint {recorded[:100]!r}, which is neither Google's nor on this machine, and for a file's word "
        "your credentials are not sent there: if you trust that host, name it: --endpoint, or hydra.sweeper.vertex.endpoint"
    )


def _named_emulator() -> str | None:
    """The endpoint that VERTEX_EMULATOR_HOST names. Raises InvalidSweep where it names none."""
    emulator = os.environ.get(EMULATOR)
    try:
        return _named(f"{PLAIN}{emulator.removeprefix(PLAIN)}" if emulator else None)
    except InvalidSweep:
        raise InvalidSweep([f"{EMULATOR}: {emulator!r} must be an emulator's HOST:PORT"]) from None


@dataclass(frozen=True, slots=True)
class Opened:
    """A service ready for calls, and how to live with it.

    Attributes:
        service: The service.
        find: Lists the jobs below a parent with these labels; None for any value.
        wait: Returns after so many seconds, or when the service knows of a change.
        kill: Ends at once whatever this process runs.
        outlives: Whether a job goes on without this process.
        abandoned: Whether the job was left by a process that was killed, and waits for somebody to go on with it.
        go_on: Does that, in this process.
        be_brief_when: Takes what says whether somebody waits for this process to end: then no call is made again. None where
            there is no network on the way.
        renew: Makes the next call on a new connection, with credentials that are looked for anew.
    """

    service: Service
    find: Callable[[str, Mapping[str, str | None]], list[Job]]
    wait: Callable[[float], None] = sleep
    kill: Callable[[], None] = lambda: None
    outlives: bool = True
    abandoned: bool = False
    go_on: Callable[[], None] = lambda: None
    be_brief_when: Callable[[Callable[[], bool]], None] | None = None
    renew: Callable[[], None] = lambda: None

    @property
    def runs_here(self) -> bool:
        """Whether `go_on` runs in this process what another one had begun."""
        return self.abandoned and not self.outlives

    @property
    def goes_on(self) -> bool:
        """Whether somebody runs the job when this process has ended."""
        return self.outlives and not self.abandoned


def open_service(address: Address, directory: Path, *, seed: int | None = None) -> Opened:
    """The service at an address, for a new job; what it needs is imported here, at first use. Raises MissingExtra.

    Called before any thread of ours is started: the executor of local trials is made here, and may fork.
    `directory` is where trials of this machine work, and `seed` repeats their suggestions.
    """
    if address.backend is Backend.VERTEX:
        return _open_vertex(address)
    local = _make_local(directory, seed=seed)
    return Opened(local, lambda *_: [], local.wait_for_change, local.close, outlives=False)


def open_buckets(address: Address, directory: Path, *, project: str | None) -> Put:
    """What writes objects into buckets for jobs at an address: a folder for jobs of this machine, else the storage API.

    Raises:
        InvalidSweep: The jobs run on an emulator, and nothing stands for the buckets.
        MissingExtra: Google's client is not installed.
    """
    folder, server = stand_in_folder(), os.environ.get(STORAGE_EMULATOR)
    if address.backend is Backend.LOCAL:
        return partial(write_into, folder or directory / BUCKETS_FOLDER)
    if folder is not None and not server:
        return partial(write_into, folder)
    if (address.endpoint or "").startswith(PLAIN) and not server:
        rule = "the job runs on an emulator, and nothing there stands for the bucket that trial.code is uploaded to"
        remedy = f"start it with `vertex-sweeper emulator --gcs DIR`, and set {BUCKETS}=DIR here, or {STORAGE_EMULATOR}"
        raise InvalidSweep([f"{rule}: {remedy}"])
    require("google.cloud.storage", extra="vertex", purpose="trial.code")
    from vertex_sweeper.services.vertex.storage import Storage

    return Storage(project=str(project), impersonate=address.impersonate).put


def reopen_service(address: Address, directory: Path, *, join: bool = False) -> Opened:
    """The service at an address, for a job that exists; of a sweep on this machine, `directory` is its own.

    Without `join`, a job that was abandoned stays so: it can be looked at. Raises MissingExtra, or JobNotFound where a sweep on
    this machine was ended before it had a job.
    """
    return _open_vertex(address) if address.backend is Backend.VERTEX else _reopen_local(directory, join=join)


def _reopen_local(directory: Path, *, join: bool) -> Opened:
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
        return Opened(viewer, viewer.find, viewer.waiting(name), abandoned=abandoned)
    work = viewer.trial_directory(name)
    if not work.is_dir():
        raise SweepDirectoryError(f"the trials of {directory} work in {work}, which is gone: put it back, and try again")
    local = _make_local(directory)
    return Opened(local, viewer.find, local.wait_for_change, local.close, outlives=False, abandoned=True, go_on=local.resume)


def _make_local(directory: Path, *, seed: int | None = None) -> LocalService:
    require("optuna", extra="local", purpose="backend local")
    from vertex_sweeper.services.local import LocalService
    from vertex_sweeper.services.local.execute.process import ProcessExecutor
    from vertex_sweeper.services.local.failure_reason import explain_exit

    return LocalService(
        lambda _: directory,
        seed=seed,
        executor=ProcessExecutor(),  # here no thread of ours has begun: an executor may fork
        records=directory / RECORDS,
        buckets=stand_in_folder() or directory / BUCKETS_FOLDER,
        describe=explain_exit,
    )


def _open_vertex(address: Address) -> Opened:
    require("google.cloud.aiplatform_v1", extra="vertex", purpose="backend vertex")
    from vertex_sweeper.services.vertex import VertexService

    try:
        _, location = parse_parent(address.parent)
    except ValueError as error:
        raise JobNotFound(str(error)) from None
    vertex = VertexService(location, endpoint=address.endpoint, impersonate=address.impersonate)
    return Opened(vertex, vertex.find, be_brief_when=vertex.be_brief_when, renew=vertex.renew)


def check_job(address: Address, spec: Job) -> None:
    """Whether the service at an address would understand this job, as far as that is known without it. Raises InvalidJob."""
    if address.backend is Backend.LOCAL:
        from vertex_sweeper.services.local.validation import check_job as check_local

        check_local(spec)
        return
    require("google.cloud.aiplatform_v1", extra="vertex", purpose="backend vertex")
    from vertex_sweeper.services.vertex.message import parse

    parse(spec)


def find_mistakes(settings: Settings, job: Job) -> tuple[tuple[str, str], ...] | None:
    """The fields of a job that the API does not have, or has otherwise, each with what is wrong; None when nobody can tell.

    Google's client knows, and is asked where it is needed anyway, or where a user wrote fields that nobody else knows. Without
    it the types of those fields are known that matter here.
    """
    if settings.backend is Backend.LOCAL and not settings.spec_overrides:
        return ()
    wrong = (*find_wrong_types(job), *find_not_json(job)) if settings.backend is Backend.LOCAL else ()
    if not _installed("google.cloud.aiplatform_v1"):
        return wrong or None
    from vertex_sweeper.services.vertex import find_mistakes as find

    return find(job) or wrong


def require(module: str, *, extra: str, purpose: str) -> None:
    """Says now what is not installed, without importing it: nothing has been written or started yet."""
    if not _installed(module):
        raise MissingExtra(extra, purpose)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing too
        return False
