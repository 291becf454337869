"""What a sweep needs of the cloud, looked up before it costs anything: in a dry run, and for `vertex-sweeper doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vertex_sweeper.job.needs import job_needs
from vertex_sweeper.plan.ceiling import ceiling_lines
from vertex_sweeper.plan.plan import Plan
from vertex_sweeper.services.finding import Finding, ok, unchecked
from vertex_sweeper.services.vertex.names import parse_parent

DOCTOR: Final = "HYDRA_VERTEX_SWEEPER_DOCTOR"
"""The variable by which `vertex-sweeper doctor` asks a sweep for what its checks find, instead of the job."""

LOGIN_SUBJECT: Final = "credentials"
"""The check that a dry run passes without: it is asked for on machines that never submit, too."""


def preflight(plan: Plan) -> Iterator[Finding]:
    """Looks at what the planned job needs, in order; for backend local there is nothing to look at.

    Args:
        plan: The sweep, which passed every check that needs no network.
    """
    from vertex_sweeper.services.vertex.endpoint import Endpoint
    from vertex_sweeper.services.vertex.preflight import Project, check_project

    address, needs = plan.place.address, job_needs(plan.job)
    if not plan.place.container:
        return
    host = Endpoint.parse(address.endpoint) if address.endpoint else None
    if host is not None and host.plain:
        yield unchecked("project", f"jobs run on the emulator at {host}, which has no projects, buckets or quotas")
    else:
        id, location = parse_parent(address.parent)
        where = None if host is None else str(host).removeprefix("https://")
        yield from check_project(Project(id, location, where, address.impersonate), needs)
    for line in ceiling_lines(needs, plan.settings.prices):
        yield ok("ceiling", line)
