"""Google's errors in our own words: translated once, here, by code and structured detail.

Two things are decided for every code of the API: whether the service may have acted although it answered with an error, and
whether the same call may succeed later. What was wrong comes from the details that the API attaches (the permission, the quota,
the fields); its text is shown as it is, and read only for the list of fields, for which there is nothing else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from vertex_sweeper.api_names import project_of
from vertex_sweeper.errors import InvalidJob, JobNotFound, ServiceError
from vertex_sweeper.messages import one_line

LOGIN: Final = "`gcloud auth application-default login`"


class Verb(Enum):
    """What was asked for, as the names of the client's methods begin."""

    CREATE = "create"
    GET = "get"
    LIST = "list"
    CANCEL = "cancel"


_PURPOSES: Final = {
    Verb.CREATE: "cannot create a {kind} in {target}",
    Verb.GET: "cannot read {target}",
    Verb.LIST: "cannot list the {kind}s of {target}",
    Verb.CANCEL: "cannot cancel {target}",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call, the job or parent it was about, and whether it is for custom jobs or for tuning jobs."""

    verb: Verb
    target: str
    custom: bool

    @property
    def method(self) -> str:
        """The name of the client's method."""
        job = "custom_job" if self.custom else "hyperparameter_tuning_job"
        return f"{self.verb.value}_{job}{'s' if self.verb is Verb.LIST else ''}"

    @property
    def kind(self) -> str:
        """What such a job is called in messages."""
        return "custom job" if self.custom else "tuning job"

    @property
    def purpose(self) -> str:
        """The beginning of the message when it fails."""
        return _PURPOSES[self.verb].format(kind=self.kind, target=self.target)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a status code says about the call.

    `acted` is what it says of a call that changes something: False, it certainly did not happen; None, it may have.
    """

    acted: bool | None
    transient: bool
    what: str
    remedy: str = ""


MEANINGS: Final = {
    "CANCELLED": Meaning(acted=None, transient=True, what="the call was cancelled"),
    "UNKNOWN": Meaning(acted=None, transient=True, what="the service failed without saying why"),
    "INVALID_ARGUMENT": Meaning(acted=False, transient=False, what="the service refuses the request"),
    "DEADLINE_EXCEEDED": Meaning(acted=None, transient=True, what="no answer in time"),
    "NOT_FOUND": Meaning(acted=False, transient=False, what="not found", remedy="check project, location and name"),
    "ALREADY_EXISTS": Meaning(acted=None, transient=False, what="it exists already"),
    "PERMISSION_DENIED": Meaning(
        acted=False,
        transient=False,
        what="permission denied",
        remedy="check the project, and ask for roles/aiplatform.user there",
    ),
    "RESOURCE_EXHAUSTED": Meaning(
        acted=False, transient=True, what="a quota is exhausted", remedy="wait, or ask for more on the project's Quotas page"
    ),
    "FAILED_PRECONDITION": Meaning(acted=False, transient=False, what="not possible in the present state"),
    "ABORTED": Meaning(acted=None, transient=True, what="the service gave up in favour of another call"),
    "OUT_OF_RANGE": Meaning(acted=False, transient=False, what="a value is out of range"),
    "UNIMPLEMENTED": Meaning(
        acted=False, transient=False, what="this endpoint does not offer such jobs", remedy="check location and endpoint"
    ),
    "INTERNAL": Meaning(acted=None, transient=True, what="the service failed"),
    "UNAVAILABLE": Meaning(
        acted=None, transient=True, what="the service cannot be reached", remedy="check location, endpoint and network"
    ),
    "DATA_LOSS": Meaning(acted=None, transient=False, what="the service lost data"),
    "UNAUTHENTICATED": Meaning(
        acted=False, transient=False, what="the service does not accept the credentials", remedy=f"log in again: {LOGIN}"
    ),
}
"""Every status code of gRPC but OK."""

_HTTP: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_NO_CODE: Final = Meaning(acted=None, transient=False, what="the call failed")


def translate(error: Any, call: Call) -> ServiceError:
    """Our error for a `google.api_core` one, which the caller chains to it."""
    code = _code_of(error)
    text = one_line(getattr(error, "message", error))
    meaning = _meaning(code, text)
    if code == "INVALID_ARGUMENT" and call.verb is Verb.CREATE:
        return _invalid_job(error, text, call)
    if code == "NOT_FOUND" and call.verb in (Verb.GET, Verb.CANCEL):
        return JobNotFound(f"there is no {call.kind} {call.target} ({code}); {meaning.remedy}", code=code)
    what, remedy = _explain(error, code, call) or (text or meaning.what, meaning.remedy)
    acted = meaning.acted if call.verb in (Verb.CREATE, Verb.CANCEL) else False
    line = f"{call.purpose}: {what.rstrip('.')} ({code or type(error).__name__})"
    return ServiceError(f"{line}; {remedy}" if remedy else line, code=code, acted=acted, transient=meaning.transient)


def _meaning(code: str | None, text: str) -> Meaning:
    """What the code says, unless gRPC made it up here from what happened to the connection.

    Of a stream that was reset (RST_STREAM with ENHANCE_YOUR_CALM or INADEQUATE_SECURITY), and of an answer in plain HTTP from
    something on the way, it says what a service says that has refused a call, and the service may have acted. Nothing but the
    text tells the two apart.
    """
    meaning, broken = MEANINGS.get(code or "", _NO_CODE), MEANINGS["UNAVAILABLE"]
    if "RST_STREAM" in text:
        return broken
    return replace(meaning, acted=None, remedy=broken.remedy) if _ON_THE_WAY.search(text) else meaning


_ON_THE_WAY: Final = re.compile(r"http2 header with status|metadata size exceeds")


def _code_of(error: Any) -> str | None:
    """The status code, as gRPC spells it, also of what speaks HTTP: a REST transport, a proxy on the way."""
    from google.api_core.exceptions import RetryError

    if isinstance(error, RetryError):
        return "DEADLINE_EXCEEDED"  # the client itself gave up repeating a call
    status = getattr(error, "grpc_status_code", None)
    if status is not None:
        return str(status.name)
    return _HTTP.get(int(getattr(error, "code", None) or 0))


def describe_auth(error: Any, *, impersonate: str | None = None) -> ServiceError:
    """Our error for a `google.auth` one, which comes before any call: nothing was done.

    Its own text may hold parts of an answer of the token server and is not repeated.
    """
    from google.auth import exceptions

    if isinstance(error, exceptions.DefaultCredentialsError):
        file = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        what = (
            f"no usable Google credentials in GOOGLE_APPLICATION_CREDENTIALS={file}" if file else "no Google credentials found"
        )
        line = f"{what}; log in with {LOGIN}, or point GOOGLE_APPLICATION_CREDENTIALS at a credentials file"
    elif isinstance(error, exceptions.TransportError):
        return ServiceError("Google's login server cannot be reached; check the network", acted=False, transient=True)
    elif isinstance(error, exceptions.RefreshError) and impersonate:
        line = (
            f"cannot act as {impersonate}: either your login has expired (log in again with {LOGIN}), or you lack "
            f"roles/iam.serviceAccountTokenCreator on it: `gcloud iam service-accounts add-iam-policy-binding {impersonate} "
            "--member=user:YOU --role=roles/iam.serviceAccountTokenCreator`"
        )
    elif isinstance(error, exceptions.RefreshError):
        line = f"the Google credentials have expired or were revoked; log in again with {LOGIN}"
    else:
        line = f"the Google credentials cannot be used ({type(error).__name__}); log in again with {LOGIN}"
    return ServiceError(line, acted=False, transient=bool(error.retryable))


def _explain(error: Any, code: str | None, call: Call) -> tuple[str, str] | None:
    """What the attached details say, and the remedy; None when they say nothing that is known here."""
    facts = dict(getattr(error, "metadata", None) or {})
    reason = getattr(error, "reason", None)
    project = project_of(call.target)
    if reason == "SERVICE_DISABLED":
        service = facts.get("service", "aiplatform.googleapis.com")
        remedy = (
            f"run `gcloud services enable {service} --project {project}`; if it is enabled already, your own login counts for "
            f"another project: `gcloud auth application-default set-quota-project {project}`"
        )
        return f"{service} is not enabled for {facts.get('consumer', project)}", remedy
    if reason == "BILLING_DISABLED":
        return f"{facts.get('consumer', project)} has no billing account", f"link one: `gcloud billing projects link {project}`"
    if reason == "USER_PROJECT_DENIED":
        consumer = facts.get("consumer", project).removeprefix("projects/")
        return f"your login may not use {consumer}, which its calls count for", _grant(consumer, _CONSUMER)
    if code == "PERMISSION_DENIED" and facts.get("permission"):
        return _explain_permission(facts["permission"], facts.get("resource", call.target), project)
    if code == "RESOURCE_EXHAUSTED" and (quotas := "; ".join(_quotas(error, facts))):
        return f"quota exhausted: {quotas}", f"wait, or ask for more on the Quotas page of {project}"
    return None


_CONSUMER: Final = "roles/serviceusage.serviceUsageConsumer"
_ROLES: Final = {"aiplatform.": "roles/aiplatform.user", "serviceusage.services.use": _CONSUMER}
"""By the beginning of a permission: the role of the project that has it."""

_ACT_AS: Final = re.compile(r"permission to act as service_account: (\S+@[\w.-]*\w)")


def _explain_permission(permission: str, resource: str, project: str) -> tuple[str, str]:
    what = f"permission {permission} is missing on {resource}"
    if permission == "iam.serviceAccounts.actAs":
        return what, _grant_acting_as(resource.rpartition("/")[2])
    for beginning, role in _ROLES.items():
        if permission.startswith(beginning):
            return what, _grant(project, role)
    return what, "ask for a role that has it"


def _grant(project: str, role: str) -> str:
    return f"ask for {role}: `gcloud projects add-iam-policy-binding {project} --member=user:YOU --role={role}`"


def _grant_acting_as(account: str) -> str:
    role = "roles/iam.serviceAccountUser"
    command = f"gcloud iam service-accounts add-iam-policy-binding {account} --member=user:YOU --role={role}"
    return f"ask for {role} on that account: `{command}`"


def _quotas(error: Any, facts: dict[str, str]) -> Iterator[str]:
    for detail in _details(error, "google.rpc.QuotaFailure"):
        for violation in detail.violations:
            yield one_line(f"{violation.subject} {violation.description}")
    if facts.get("quota_metric"):
        limit = f" (limit {facts['quota_limit_value']})" if facts.get("quota_limit_value") else ""
        yield f"{facts['quota_metric']}{limit}"


def _invalid_job(error: Any, text: str, call: Call) -> InvalidJob:
    found = [
        (_spec_path(violation.field), one_line(violation.description))
        for detail in _details(error, "google.rpc.BadRequest")
        for violation in detail.field_violations
    ]
    # Vertex's own validation has no structured form: `List of found errors: 1.Field: a.b; Message: … 2.Field: …`.
    found = found or [(_spec_path(field), reason.strip()) for field, reason in _FOUND.findall(text)]
    if not found and (account := _ACT_AS.search(text)):
        # What looks like a missing permission comes as an invalid argument, without a field and without details.
        job_spec = "jobSpec" if call.custom else "trialJobSpec"
        found = [(f"{job_spec}.serviceAccount", f"{text.rstrip('.')}; {_grant_acting_as(account[1])}")]
    mistakes = "; ".join(f"{field}: {reason}" for field, reason in found) or text or MEANINGS["INVALID_ARGUMENT"].what
    return InvalidJob(f"{call.purpose}: {mistakes} (INVALID_ARGUMENT)", code="INVALID_ARGUMENT", fields=found)


_FOUND = re.compile(r"\d+\.\s*Field:\s*(\S+?);\s*Message:\s*(.*?)(?=\s*\d+\.\s*Field:|\s*$)")


def _spec_path(field: str) -> str:
    """A field's path as it stands in our specification: camelCase, and from the job on."""
    path = re.sub(r"_([a-z0-9])", lambda match: match.group(1).upper(), field)
    return path.removeprefix("hyperparameterTuningJob.").removeprefix("customJob.")


def _details(error: Any, kind: str) -> Iterator[Any]:
    for detail in getattr(error, "details", ()):
        if getattr(getattr(detail, "DESCRIPTOR", None), "full_name", None) == kind:
            yield detail
