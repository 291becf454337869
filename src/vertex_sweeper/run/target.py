"""The job that a user names, by its full name or by a sweep directory: where it is, its name, and the contract it carries."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertex_sweeper.api_names import LOCAL_PARENT, JobName, format_job, parse_parent
from vertex_sweeper.errors import JobNotFound, ServiceError, SweepDirectoryError
from vertex_sweeper.job.containers import contract_text
from vertex_sweeper.messages import printable
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.run.submit import look_for
from vertex_sweeper.services.address import SWEEP, Address, existing_address, vertex_address
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.services.opening import reopen_service
from vertex_sweeper_runtime import contract, contract_document
from vertex_sweeper_runtime.errors import ContractError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """What a user named: a sweep directory, a job, or (once it is known) both."""

    address: Address
    name: str | None
    directory: Path | None


def read_target(text: str, *, endpoint: str | None = None, impersonate: str | None = None) -> Target:
    """Reads a job's full name, or the path of a sweep directory.

    Args:
        text: What the user wrote.
        endpoint: The host to use instead of the region's own, or of the one that the directory names.
        impersonate: The service account to act as, instead of the one that the directory names.

    Raises:
        SweepDirectoryError: It is neither, or the directory is damaged.
    """
    try:
        name = JobName.parse(text)
    except ValueError:
        return _target_in(Path(text), endpoint=endpoint, impersonate=impersonate)
    if name.parent == LOCAL_PARENT and endpoint is None:  # wherever VERTEX_EMULATOR_HOST says that jobs on Vertex AI are
        raise SweepDirectoryError(f"{text} is a job on this machine: name the directory of its sweep instead")
    address = vertex_address(name.parent, endpoint, impersonate)
    return Target(address, str(name), None)


def open_target(target: Target, *, join: bool = False) -> OpenService:
    """The target's service.

    Args:
        target: The job.
        join: Whether this process may run a job on this machine whose own process has died.

    Raises:
        MissingExtra: Something is not installed.
        JobNotFound: The directory is of a sweep that ended before it had a job.
    """
    return reopen_service(target.address, target.directory or Path(), join=join)


def locate(target: Target, opened: OpenService, *, pause: Callable[[float], bool]) -> str:
    """The name of the target's job. Where the answer to its creation was lost, the job is looked for by its label.

    Args:
        target: The job.
        opened: Its service.
        pause: Waits for a number of seconds; returns False to give up now.

    Raises:
        JobNotFound: No list shows it within a minute, which does not prove that it does not exist.
    """
    if target.name is not None:
        return target.name
    assert target.directory is not None
    spec = sweep_directory.read_job(target.directory)
    log.info("the answer to this job's creation was never received: looking for it by its label")
    job = look_for(opened, target.address.parent, spec, pause=pause)
    if job is None:
        raise JobNotFound(
            f"no job with the label of {target.directory} is to be found in {target.address.parent}: it was never created, or "
            "the service does not show it yet; look in the console, and for a new sweep take another directory"
        )
    sweep_directory.write_job(target.directory, spec, job["name"])
    return str(job["name"])


def contract_of(job: Mapping[str, Any]) -> contract.Contract:
    """The contract that a job carries. Raises ServiceError for a job that has none, or none that is understood here."""
    name = job.get("name", "the job")
    text = contract_text(job)
    if text is None:
        raise ServiceError(f"{name} was not created by this package: it carries no {contract.VARIABLE}")
    try:
        return contract_document.decode(text)
    except ContractError as error:
        raise ServiceError(f"{name}: {error}") from error


def _target_in(directory: Path, *, endpoint: str | None, impersonate: str | None) -> Target:
    if not directory.is_dir():
        raise SweepDirectoryError(
            f"{str(directory)!r} is neither a sweep directory nor a job's name, "
            f"{format_job('projects/<project>/locations/<location>', '<id>')}"
        )
    recorded = sweep_directory.read_record(directory).address
    address = existing_address(recorded, endpoint, impersonate)
    name = sweep_directory.read_job(directory).get("name")
    if name is not None and JobName.parse(name).location != parse_parent(address.parent)[1]:
        raise SweepDirectoryError(
            f"{directory} says that its job is below {address.parent}, and calls it {name}: was it changed?"
        )
    if recorded.impersonate and not impersonate:
        log.info("acting as %s, as %s says", recorded.impersonate, printable(directory / SWEEP))
    return Target(address, name, directory.absolute())
