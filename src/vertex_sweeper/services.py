"""Where a sweep runs, and which service runs it: the one module that asks whether it is local."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vertex_sweeper.errors import MissingExtra
from vertex_sweeper.service import Job, Service
from vertex_sweeper.settings import Backend, OnInterrupt, Settings


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sweep's job runs: the API's `parent`, where the trials' folders are, and whether a container must find its files.

    `output` is the sweep directory, a `gs://` prefix, or None: nowhere that outlives a container.
    """

    parent: str
    output: str | None
    container: bool


def place_of(settings: Settings, directory: Path) -> Place:
    """The place for `settings.backend`; `directory` is the sweep's."""
    if settings.backend is Backend.LOCAL:
        return Place("projects/local/locations/local", str(directory), container=False)
    vertex = settings.vertex
    return Place(f"projects/{vertex.project}/locations/{vertex.location}", vertex.base_output_directory, container=True)


@dataclass(frozen=True, slots=True)
class Opened:
    """A service ready for calls, and how to live with it.

    `wait(seconds)` returns after that time, or when the service knows of a change; `kill()` ends at once whatever runs on this
    machine; `cancels` says whether an interrupt cancels the job or only lets go of it.
    """

    service: Service
    wait: Callable[[float], None]
    kill: Callable[[], None]
    cancels: bool


def open_service(settings: Settings, directory: Path) -> Opened:
    """The service for `settings.backend`; what it needs is imported here, at first use. Raises MissingExtra."""
    if settings.backend is Backend.LOCAL:
        _require("optuna", extra="local", purpose="backend local")
        from vertex_sweeper.local import LocalService

        local = LocalService(lambda _: directory, seed=settings.local.seed)
        return Opened(local, local.wait_for_change, local.close, cancels=True)
    _require("google.cloud.aiplatform_v1", extra="vertex", purpose="backend vertex")
    from vertex_sweeper.vertex import VertexService

    assert settings.vertex.location is not None  # checked with the settings
    vertex = VertexService(
        settings.vertex.location,
        endpoint=settings.vertex.endpoint,
        impersonate=settings.vertex.impersonate_service_account,
    )
    return Opened(vertex, time.sleep, lambda: None, cancels=settings.on_interrupt is OnInterrupt.CANCEL)


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


def _require(module: str, *, extra: str, purpose: str) -> None:
    """Says now what is not installed, without importing it: nothing has been written or started yet."""
    if not _installed(module):
        raise MissingExtra(extra, purpose)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing too
        return False
