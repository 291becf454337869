"""What a sweep needs of the cloud, looked up before it costs anything: in a dry run, and for `vertex-sweeper doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from vertex_sweeper.api import Job, is_custom_job
from vertex_sweeper.api_names import parse_parent
from vertex_sweeper.endpoint import TLS, Endpoint
from vertex_sweeper.finding import Finding, Found, unchecked
from vertex_sweeper.job.needs import job_needs
from vertex_sweeper.services.address import Address

DOCTOR: Final = "HYDRA_VERTEX_SWEEPER_DOCTOR"
"""The variable by which `vertex-sweeper doctor` asks a sweep for what its checks find, instead of the job."""


def preflight(
    address: Address, job: Job, *, login: bool, staging: str | None = None, built: str | None = None
) -> Iterator[Finding]:
    """Looks at what a job needs on Vertex, in order.

    Args:
        address: Where the job would be created.
        job: The job, which passed every check that needs no network.
        login: Whether it is a failure that nobody is logged in. A dry run is also asked for where nothing is ever submitted.
        staging: The `gs://` folder that the sweep's code goes to.
        built: The image that is built before the job is created, where it is not there.
    """
    host = Endpoint.parse(address.endpoint) if address.endpoint else None
    if host is not None and host.plain:
        yield unchecked("project", f"jobs run on the emulator at {host}, which has no projects, buckets or quotas")
        return
    from vertex_sweeper.services.vertex.preflight import LOGIN, Project, check_project

    id, location = parse_parent(address.parent)
    where = None if host is None else str(host).removeprefix(TLS)
    project = Project(id, location, where, address.impersonate, staging, built, is_custom_job(job))
    for finding in check_project(project, job_needs(job)):
        excused = not login and finding.subject == LOGIN and finding.found is Found.FAILED
        yield replace(finding, found=Found.UNCHECKED) if excused else finding
