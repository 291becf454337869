"""What a job needs of a project, looked up before it is created. In order, each with its remedy; nothing is changed.

No check needs a permission that creating and following a job does not: one that is refused for that reason says so, and is no
failure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from vertex_sweeper.api_names import CUSTOM_JOBS, TUNING_JOBS
from vertex_sweeper.endpoint import api_host
from vertex_sweeper.errors import ServiceError
from vertex_sweeper.finding import Finding, failed, ok, unchecked
from vertex_sweeper.job.needs import JobNeeds
from vertex_sweeper.services.images.registry import check_image
from vertex_sweeper.services.vertex import preflight_machines, preflight_storage
from vertex_sweeper.services.vertex.cloud_api import CloudApi, CloudError, unasked
from vertex_sweeper.services.vertex.login import valid_credentials

LOGIN: Final = "credentials"
"""What is looked at first, and without which nothing can be."""

_API: Final = "aiplatform.googleapis.com"
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class Project:
    """Where a job is to run, and as whom it is created.

    Attributes:
        id: The project's id or number.
        location: The region.
        host: The host of the job service, where it is not the region's own.
        impersonate: The service account that creates the job.
        staging: The `gs://` folder that the sweep itself writes to.
        built: The image that the sweep builds where it is not there.
        custom: Whether it is for custom jobs, and not for tuning jobs.
    """

    id: str
    location: str
    host: str | None = None
    impersonate: str | None = None
    staging: str | None = None
    built: str | None = None
    custom: bool = False

    @property
    def collection(self) -> str:
        """What the API calls such jobs in names, addresses and permissions."""
        return CUSTOM_JOBS if self.custom else TUNING_JOBS


def job_permissions(project: Project) -> tuple[str, ...]:
    """What the API is asked for."""
    return tuple(f"aiplatform.{project.collection}.{verb}" for verb in ("create", "get", "list", "cancel"))


def check_project(project: Project, needs: JobNeeds) -> Iterator[Finding]:
    """Looks at all that can be looked at from here, in order.

    Args:
        project: Where the job is to run.
        needs: What it needs.
    """
    try:
        credentials = valid_credentials(project.impersonate)
    except ServiceError as error:
        yield failed(LOGIN, str(error))
        yield unchecked("project", "nothing can be asked of Google without credentials")
        return
    yield ok(LOGIN, _whose(credentials, project))
    api = CloudApi(credentials)
    yield _project(api, project)
    yield _job_service(api, project)
    yield from preflight_storage.check_buckets(
        credentials, project=project.id, location=project.location, output=needs.output, staging=project.staging
    )
    if needs.output:
        account = needs.service_account or "Vertex's own agent"
        yield unchecked("output", f"whether {account}, as whom the trials run, may write to {needs.output}: only it could ask")
    yield _permissions(api, project)
    if needs.service_account:
        yield _acting_as(api, needs.service_account)
    for image in needs.images:
        yield check_image(image, token=credentials.token, built=image == project.built)
    yield from preflight_machines.check_machines(api, project.id, project.location, needs)


def _whose(credentials: Any, project: Project) -> str:
    account = project.impersonate or getattr(credentials, "service_account_email", None)
    if account and account != "default":  # what a metadata server has before it was asked
        return f"valid, of {account}"
    return "valid, those of `gcloud auth application-default login`"


def _project(api: CloudApi, project: Project) -> Finding:
    try:
        found = api.get("cloudresourcemanager", f"v3/projects/{project.id}")
    except CloudError as error:
        return unasked("project", f"whether {project.id} exists", error)
    state = found.get("state", "ACTIVE")
    if state != "ACTIVE":
        return failed("project", f"{project.id} is {state}", f"gcloud projects undelete {project.id}")
    return ok("project", project.id)


def _job_service(api: CloudApi, project: Project) -> Finding:
    """Whether the region's job service answers for the project: by listing jobs, which following one needs, too."""
    subject = "API and region"
    path = f"v1/projects/{project.id}/locations/{project.location}/{project.collection}"
    try:
        api.get("aiplatform", path, host=project.host or api_host(project.location), query={"pageSize": "1"})
    except CloudError as error:
        if error.reason in _REASONS:
            text, command = _REASONS[error.reason]
            return failed(subject, text.format(id=project.id), command.format(id=project.id))
        if error.status in (None, _NOT_FOUND):
            return failed(subject, f"no job service for {project.location}: {error}", "gcloud compute regions list")
        return unasked(subject, f"whether {project.location} has the job service", error)
    return ok(subject, f"{_API} answers in {project.location}")


_ENABLE: Final = (f"{_API} is not enabled in {{id}}", f"gcloud services enable {_API} --project={{id}}")
_REASONS: Final = {
    "SERVICE_DISABLED": _ENABLE,
    "API_DISABLED": _ENABLE,
    "BILLING_DISABLED": ("{id} has no billing account", "gcloud billing projects link {id} --billing-account=ACCOUNT"),
    "CONSUMER_INVALID": ("there is no project {id}", "gcloud projects list"),
    "USER_PROJECT_DENIED": (
        "your login's calls count for a project that it may not use",
        "gcloud auth application-default set-quota-project {id}",
    ),
}
"""By Google's word: what it means, and the command that mends it."""


def _permissions(api: CloudApi, project: Project) -> Finding:
    wanted = job_permissions(project)
    question = {"permissions": list(wanted)}
    try:
        answer = api.ask("cloudresourcemanager", f"v3/projects/{project.id}:testIamPermissions", question)
    except CloudError as error:
        return unasked("permissions", f"what you may do in {project.id}", error)
    missing = [name for name in wanted if name not in (answer.get("permissions") or ())]
    if not missing:
        kind = "custom jobs" if project.custom else "tuning jobs"
        return ok("permissions", f"to create, read, list and cancel {kind} in {project.id}")
    command = f"gcloud projects add-iam-policy-binding {project.id} --member=user:YOU --role=roles/aiplatform.user"
    return failed("permissions", f"missing in {project.id}: {', '.join(missing)}", command)


def _acting_as(api: CloudApi, account: str) -> Finding:
    subject, wanted = "service account", "iam.serviceAccounts.actAs"
    try:
        answer = api.ask("iam", f"v1/projects/-/serviceAccounts/{account}:testIamPermissions", {"permissions": [wanted]})
    except CloudError as error:
        if error.status == _NOT_FOUND:
            name, home = account.split("@", 1)
            command = f"gcloud iam service-accounts create {name} --project={home.split('.')[0]}"
            return failed(subject, f"there is no service account {account}", command)
        return unasked(subject, f"whether jobs may run as {account}", error)
    if wanted in (answer.get("permissions") or ()):
        return ok(subject, f"jobs may run as {account}")
    command = (
        f"gcloud iam service-accounts add-iam-policy-binding {account} --member=user:YOU --role=roles/iam.serviceAccountUser"
    )
    return failed(subject, f"you lack {wanted} on {account}", command)
