"""Whether a service would understand a job, told before anything is started, as far as it is known here."""

from __future__ import annotations

from vertex_sweeper.api import Job
from vertex_sweeper.extras import installed, require
from vertex_sweeper.job.field_types import find_not_json, find_wrong_types
from vertex_sweeper.services.address import Address
from vertex_sweeper.settings import Backend, Settings


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
    if not installed("google.cloud.aiplatform_v1"):
        return wrong or None
    from vertex_sweeper.services.vertex import find_mistakes as find

    return find(job) or wrong
