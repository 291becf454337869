"""Whether a service would understand a job, told before anything is started, as far as it is known here."""

from __future__ import annotations

from vertex_sweeper.api import Job
from vertex_sweeper.extras import installed, require
from vertex_sweeper.job.field_types import find_not_json, find_wrong_types
from vertex_sweeper.settings import Backend


def check_acceptable(backend: Backend, spec: Job) -> None:
    """Sees that a service would take this job, as far as that is known without it.

    Raises:
        InvalidJob: It would not; with every mistake.
        MissingExtra: What knows it is not installed.
    """
    if backend is Backend.LOCAL:
        from vertex_sweeper.services.local.validation import check_job as check_local

        check_local(spec)
        return
    require("google.cloud.aiplatform_v1", extra="vertex", purpose="backend vertex")
    from vertex_sweeper.services.vertex.message import parse

    parse(spec)


def require_extras(backend: Backend, *, custom: bool) -> None:
    """Sees that what a service needs for a job is installed, as far as `open_service` does not: before anything is written.

    Args:
        backend: Who will run the job.
        custom: Whether it is a custom job, for which nothing is suggested.

    Raises:
        MissingExtra: The suggestion library is not installed.
    """
    if backend is Backend.LOCAL and not custom:
        require("optuna", extra="local", purpose="backend local")


def wrong_fields(backend: Backend, job: Job, *, overridden: bool) -> tuple[tuple[str, str], ...] | None:
    """The fields of a job that the API does not have, or has otherwise, each with what is wrong; None when nobody can tell.

    Google's client knows, and is asked where it is needed anyway, or where a user wrote fields that nobody else knows. Without
    it the types of those fields are known that matter here.

    Args:
        backend: Who will run the job.
        job: The job.
        overridden: Whether a user has merged fields of their own into it.
    """
    if backend is Backend.LOCAL and not overridden:
        return ()
    wrong = (*find_wrong_types(job), *find_not_json(job)) if backend is Backend.LOCAL else ()
    if not installed("google.cloud.aiplatform_v1"):
        return wrong or None
    from vertex_sweeper.services.vertex import find_mistakes as find

    return find(job) or wrong
