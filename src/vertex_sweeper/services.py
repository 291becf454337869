"""Where a sweep runs, and which service runs it: the one module that asks whether it is local."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vertex_sweeper.errors import MissingExtra
from vertex_sweeper.service import Job, Service
from vertex_sweeper.settings import Backend, Settings
from vertex_sweeper.vertex.connection import EMULATOR, PLAIN


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
    """Where a sweep's job runs, where the trials' folders are, and whether a container must find its files.

    `output` is the sweep directory, a `gs://` prefix, or None: nowhere that outlives a container.
    """

    address: Address
    output: str | None
    container: bool


def place_of(settings: Settings, directory: Path) -> Place:
    """The place for `settings.backend`; `directory` is the sweep's."""
    if settings.backend is Backend.LOCAL:
        return Place(Address(Backend.LOCAL, "projects/local/locations/local"), str(directory), container=False)
    vertex = settings.vertex
    parent = f"projects/{vertex.project}/locations/{vertex.location}"
    address = vertex_address(parent, vertex.endpoint, vertex.impersonate_service_account)
    return Place(address, vertex.base_output_directory, container=True)


def vertex_address(parent: str, endpoint: str | None = None, impersonate: str | None = None) -> Address:
    """An address on Vertex; on the emulator where VERTEX_EMULATOR_HOST names one, for whoever comes back without it."""
    emulator = os.environ.get(EMULATOR)
    return Address(Backend.VERTEX, parent, f"{PLAIN}{emulator.removeprefix(PLAIN)}" if emulator else endpoint, impersonate)


@dataclass(frozen=True, slots=True)
class Opened:
    """A service ready for calls, and how to live with it.

    `wait(seconds)` returns after that time, or when the service knows of a change; `kill()` ends at once whatever runs on this
    machine. `find(parent, labels)` lists jobs; it is None where jobs end with this process, and nothing is ever to be found.
    """

    service: Service
    wait: Callable[[float], None]
    kill: Callable[[], None]
    find: Callable[[str, Mapping[str, str | None]], list[Job]] | None

    @property
    def outlives(self) -> bool:
        """Whether a job goes on without this process."""
        return self.find is not None


def open_service(address: Address, directory: Path, *, seed: int | None = None) -> Opened:
    """The service at an address; what it needs is imported here, at first use. Raises MissingExtra.

    `directory` is where trials of this machine work, and `seed` repeats their suggestions.
    """
    if address.backend is Backend.LOCAL:
        require("optuna", extra="local", purpose="backend local")
        from vertex_sweeper.local import LocalService

        local = LocalService(lambda _: directory, seed=seed)
        return Opened(local, local.wait_for_change, local.close, find=None)
    require("google.cloud.aiplatform_v1", extra="vertex", purpose="backend vertex")
    from vertex_sweeper.vertex import VertexService

    location = address.parent.split("/")[3]
    vertex = VertexService(location, endpoint=address.endpoint, impersonate=address.impersonate)
    return Opened(vertex, time.sleep, lambda: None, find=vertex.find)


def check_job(address: Address, spec: Job) -> None:
    """Whether the service at an address would understand this job, as far as that is known without it. Raises InvalidJob."""
    if address.backend is Backend.LOCAL:
        from vertex_sweeper.local.validation import check_job as check_local

        check_local(spec)
        return
    require("google.cloud.aiplatform_v1", extra="vertex", purpose="backend vertex")
    from vertex_sweeper.vertex.message import parse

    parse(spec)


def find_mistakes(settings: Settings, job: Job) -> tuple[tuple[str, str], ...] | None:
    """The fields of a job that the API does not have, or has otherwise, each with what is wrong; None when nobody can tell.

    Google's client knows, and is asked where it is needed anyway, or where a user wrote fields that nobody else knows.
    """
    if settings.backend is Backend.LOCAL and not settings.spec_overrides:
        return ()
    if not _installed("google.cloud.aiplatform_v1"):
        return None
    from vertex_sweeper.vertex import find_mistakes as find

    return find(job)


def require(module: str, *, extra: str, purpose: str) -> None:
    """Says now what is not installed, without importing it: nothing has been written or started yet."""
    if not _installed(module):
        raise MissingExtra(extra, purpose)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing too
        return False
