"""Where a sweep's job runs: an address, of a new job or of one that exists."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from vertex_sweeper.api_names import LOCAL_PARENT, format_parent
from vertex_sweeper.endpoint import PLAIN, Endpoint
from vertex_sweeper.errors import InvalidSweep, SweepDirectoryError
from vertex_sweeper.services.vertex.connection import EMULATOR
from vertex_sweeper.settings import Backend, JobSettings

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


def address_of(settings: JobSettings) -> Address:
    """Where the settings have a sweep run. Raises InvalidSweep for an endpoint that is none."""
    if settings.backend is Backend.LOCAL:
        return Address(Backend.LOCAL, LOCAL_PARENT)
    vertex = settings.vertex
    parent = format_parent(str(vertex.project), str(vertex.location))
    return vertex_address(parent, vertex.endpoint, vertex.impersonate_service_account)


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
