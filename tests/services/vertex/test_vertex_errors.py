"""What each answer of the API becomes, over the real client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")

import grpc
from google.api_core import exceptions
from google.rpc import error_details_pb2 as details

from vertex_sweeper.errors import InvalidJob, JobNotFound, ServiceError
from vertex_sweeper.job import in_our_words
from vertex_sweeper.services.vertex import VertexService
from vertex_sweeper.services.vertex.errors import MEANINGS, Call, Verb, translate

if TYPE_CHECKING:
    from tests.services.vertex.fake_api import FakeApi

PARENT = "projects/my-project/locations/europe-west4"
NAME = f"{PARENT}/hyperparameterTuningJobs/1"
CUSTOM_NAME = f"{PARENT}/customJobs/1"
CREATE, GET, CANCEL = "CreateHyperparameterTuningJob", "GetHyperparameterTuningJob", "CancelHyperparameterTuningJob"

# Code: class, whether a job may exist after it, whether it may pass.
AFTER_CREATE: dict[str, tuple[type[ServiceError], bool | None, bool]] = {
    "CANCELLED": (ServiceError, None, True),
    "UNKNOWN": (ServiceError, None, True),
    "INVALID_ARGUMENT": (InvalidJob, False, False),
    "DEADLINE_EXCEEDED": (ServiceError, None, True),
    "NOT_FOUND": (ServiceError, False, False),
    "ALREADY_EXISTS": (ServiceError, None, False),
    "PERMISSION_DENIED": (ServiceError, False, False),
    "RESOURCE_EXHAUSTED": (ServiceError, False, True),
    "FAILED_PRECONDITION": (ServiceError, False, False),
    "ABORTED": (ServiceError, None, True),
    "OUT_OF_RANGE": (ServiceError, False, False),
    "UNIMPLEMENTED": (ServiceError, False, False),
    "INTERNAL": (ServiceError, None, True),
    "UNAVAILABLE": (ServiceError, None, True),
    "DATA_LOSS": (ServiceError, None, False),
    "UNAUTHENTICATED": (ServiceError, False, False),
}


@pytest.fixture
def service(client: Any, pauses: list[float]) -> VertexService:
    return VertexService("europe-west4", client=client, pause=pauses.append)


def refused(service: VertexService) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        service.create(PARENT, {"displayName": "tune"})
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"cannot create a tuning job in {PARENT}: ")
    return caught.value


def info(reason: str, **metadata: str) -> details.ErrorInfo:
    return details.ErrorInfo(reason=reason, domain="googleapis.com", metadata=metadata)


def test_every_code_of_grpc_has_a_meaning() -> None:
    assert set(MEANINGS) == set(AFTER_CREATE) == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize("code", AFTER_CREATE)
def test_a_failed_create_says_whether_a_job_may_exist(api: FakeApi, service: VertexService, code: str) -> None:
    api.fail(CREATE, grpc.StatusCode[code], message="two\n lines.")
    error = refused(service)
    assert (type(error), error.acted, error.transient) == AFTER_CREATE[code]
    assert error.code == code
    assert f": two lines ({code})" in str(error).replace(". (", " (")


@pytest.mark.parametrize("code", AFTER_CREATE)
def test_an_answer_without_a_text_is_explained_all_the_same(api: FakeApi, service: VertexService, code: str) -> None:
    api.fail(CREATE, grpc.StatusCode[code], message="")
    assert MEANINGS[code].what in str(refused(service))


def test_an_unreachable_service_leaves_open_what_happened(service: VertexService, api: FakeApi) -> None:
    api.__exit__()
    error = refused(service)
    assert (error.code, error.acted, error.transient) == ("UNAVAILABLE", None, True)


@pytest.mark.parametrize(
    ("method", "job"),
    [
        (GET, f"tuning job {NAME}"),
        (CANCEL, f"tuning job {NAME}"),
        ("GetCustomJob", f"custom job {CUSTOM_NAME}"),
        ("CancelCustomJob", f"custom job {CUSTOM_NAME}"),
    ],
)
def test_a_job_that_is_not_there_is_named(api: FakeApi, service: VertexService, method: str, job: str) -> None:
    api.fail(method, grpc.StatusCode.NOT_FOUND)
    with pytest.raises(JobNotFound, match=f"^there is no {job}") as caught:
        (service.get if method.startswith("Get") else service.cancel)(job.rpartition(" ")[2])
    assert caught.value.acted is False


@pytest.mark.parametrize(
    ("verb", "purpose"),
    [
        (Verb.CREATE, f"cannot create a custom job in {PARENT}: no"),
        (Verb.GET, f"cannot read {PARENT}: no"),
        (Verb.LIST, f"cannot list the custom jobs of {PARENT}: no"),
        (Verb.CANCEL, f"cannot cancel {PARENT}: no"),
    ],
)
def test_a_failed_call_for_custom_jobs_says_so(verb: Verb, purpose: str) -> None:
    error = translate(exceptions.from_http_status(403, "no"), Call(verb, PARENT, custom=True))
    assert str(error).startswith(purpose)


def test_a_read_never_acts(api: FakeApi, service: VertexService) -> None:
    api.fail(GET, grpc.StatusCode.DATA_LOSS)
    with pytest.raises(ServiceError) as caught:
        service.get(NAME)
    assert caught.value.acted is False


def test_a_failed_cancel_may_have_acted(api: FakeApi, service: VertexService) -> None:
    api.fail(CANCEL, grpc.StatusCode.DATA_LOSS)
    with pytest.raises(ServiceError) as caught:
        service.cancel(NAME)
    assert caught.value.acted is None


@pytest.mark.parametrize(
    ("code", "detail", "parts"),
    [
        (
            "PERMISSION_DENIED",
            info("SERVICE_DISABLED", service="aiplatform.googleapis.com", consumer="projects/123"),
            [
                "aiplatform.googleapis.com is not enabled for projects/123",
                "`gcloud services enable aiplatform.googleapis.com --project my-project`",
                "`gcloud auth application-default set-quota-project my-project`",
            ],
        ),
        (
            "PERMISSION_DENIED",
            info("BILLING_DISABLED", consumer="projects/123"),
            ["projects/123 has no billing account", "`gcloud billing projects link my-project`"],
        ),
        (
            "PERMISSION_DENIED",
            info("IAM_PERMISSION_DENIED", permission="aiplatform.hyperparameterTuningJobs.create", resource=PARENT),
            [
                f"permission aiplatform.hyperparameterTuningJobs.create is missing on {PARENT}",
                "add-iam-policy-binding my-project --member=user:YOU --role=roles/aiplatform.user`",
            ],
        ),
        (
            "PERMISSION_DENIED",
            info("IAM_PERMISSION_DENIED", permission="iam.serviceAccounts.actAs", resource="sa@p.iam"),
            [
                "permission iam.serviceAccounts.actAs is missing on sa@p.iam",
                "add-iam-policy-binding sa@p.iam --member=user:YOU --role=roles/iam.serviceAccountUser`",
            ],
        ),
        (
            "PERMISSION_DENIED",
            info("USER_PROJECT_DENIED", consumer="projects/other", service="aiplatform.googleapis.com"),
            [
                "your login may not use other",
                "add-iam-policy-binding other --member=user:YOU --role=roles/serviceusage.serviceUsageConsumer`",
            ],
        ),
        (
            "PERMISSION_DENIED",
            info("IAM_PERMISSION_DENIED", permission="storage.objects.get"),
            [f"permission storage.objects.get is missing on {PARENT}", "ask for a role that has it"],
        ),
        ("PERMISSION_DENIED", info("SOMETHING_NEW"), [": what the API said (PERMISSION_DENIED)"]),
        (
            "RESOURCE_EXHAUSTED",
            details.QuotaFailure(violations=[{"subject": "project:p", "description": "T4 GPUs in europe-west4"}]),
            ["quota exhausted: project:p T4 GPUs in europe-west4", "Quotas page of my-project"],
        ),
        (
            "RESOURCE_EXHAUSTED",
            info("RATE_LIMIT_EXCEEDED", quota_metric="aiplatform.googleapis.com/submissions", quota_limit_value="60"),
            ["quota exhausted: aiplatform.googleapis.com/submissions (limit 60)"],
        ),
        ("RESOURCE_EXHAUSTED", info("SOMETHING_NEW"), [": what the API said (RESOURCE_EXHAUSTED)"]),
        ("UNAUTHENTICATED", info("ACCESS_TOKEN_EXPIRED"), ["`gcloud auth application-default login`"]),
    ],
    ids=[
        "API not enabled", "no billing", "no permission", "may not act as", "quota project", "permission elsewhere",
        "unknown reason", "quota failure", "rate limit", "unknown quota", "token",
    ],
)  # fmt: skip
def test_attached_details_become_the_cause_and_the_remedy(
    api: FakeApi, service: VertexService, code: str, detail: Any, parts: list[str]
) -> None:
    api.fail(CREATE, grpc.StatusCode[code], message="what the API said", details=(detail,))
    line = str(refused(service))
    assert [part for part in parts if part not in line] == []


def test_an_account_that_the_caller_may_not_act_as_is_led_back_to_its_setting(api: FakeApi, service: VertexService) -> None:
    text = "You do not have permission to act as service_account: sa@p.iam.gserviceaccount.com. (or it may not exist)."
    api.fail(CREATE, grpc.StatusCode.INVALID_ARGUMENT, message=text)
    error = refused(service)
    assert isinstance(error, InvalidJob)
    assert [field for field, _ in error.fields] == ["trialJobSpec.serviceAccount"]
    assert "add-iam-policy-binding sa@p.iam.gserviceaccount.com --member=user:YOU" in str(error)
    assert "; see hydra.sweeper.vertex.service_account" in str(in_our_words(error))


def test_the_fields_of_an_invalid_custom_job_are_named_as_its_specification_spells_them(
    api: FakeApi, service: VertexService
) -> None:
    texts = {
        "List of found errors:\t1.Field: custom_job.job_spec.tensorboard; Message: x.\t": "jobSpec.tensorboard",
        "You do not have permission to act as service_account: sa@p.iam.gserviceaccount.com.": "jobSpec.serviceAccount",
    }
    for text, field in texts.items():
        api.fail("CreateCustomJob", grpc.StatusCode.INVALID_ARGUMENT, message=text)
        with pytest.raises(InvalidJob, match=r"^cannot create a custom job in ") as caught:
            service.create(PARENT, {"jobSpec": {}})
        assert [found for found, _ in caught.value.fields] == [field]


BAD_REQUEST = details.BadRequest(
    field_violations=[
        {"field": "hyperparameter_tuning_job.study_spec.parameters[0].scale_type", "description": "no scale\nhere"},
        {"field": "maxTrialCount", "description": "too many"},
    ]
)
LISTED = (
    "List of found errors:\t1.Field: hyperparameter_tuning_job.trial_job_spec.worker_pool_specs[0].machine_spec.machine_type; "
    'Message: Machine type "n1-standard-3" is not supported, see 2. there.\t2.Field: max_trial_count; Message: Too many.\t'
)


@pytest.mark.parametrize(
    ("message", "attached", "fields"),
    [
        ("x", (BAD_REQUEST,), (("studySpec.parameters[0].scaleType", "no scale here"), ("maxTrialCount", "too many"))),
        (
            LISTED,
            (),
            (
                (
                    "trialJobSpec.workerPoolSpecs[0].machineSpec.machineType",
                    'Machine type "n1-standard-3" is not supported, see 2. there.',
                ),
                ("maxTrialCount", "Too many."),
            ),
        ),
        ("Service account nobody@p.iam does not exist.", (), ()),
    ],
    ids=["details", "Vertex's list", "plain text"],
)
def test_an_invalid_job_names_the_fields_as_the_specification_spells_them(
    api: FakeApi, service: VertexService, message: str, attached: tuple[Any, ...], fields: tuple[tuple[str, str], ...]
) -> None:
    api.fail(CREATE, grpc.StatusCode.INVALID_ARGUMENT, message=message, details=attached)
    error = refused(service)
    assert isinstance(error, InvalidJob)
    assert error.fields == fields
    shown = [f"{field}: {reason}" for field, reason in fields] or [message]
    assert [part for part in shown if part not in str(error)] == []


HTTP = {
    400: ("INVALID_ARGUMENT", False, False),
    401: ("UNAUTHENTICATED", False, False),
    403: ("PERMISSION_DENIED", False, False),
    404: ("NOT_FOUND", False, False),
    409: ("ABORTED", None, True),
    412: ("FAILED_PRECONDITION", False, False),
    418: (None, None, False),
    429: ("RESOURCE_EXHAUSTED", False, True),
    500: ("INTERNAL", None, True),
    502: ("UNAVAILABLE", None, True),
    503: ("UNAVAILABLE", None, True),
    504: ("DEADLINE_EXCEEDED", None, True),
}


@pytest.mark.parametrize("status", HTTP)
def test_an_answer_over_http_means_the_same(status: int) -> None:
    error = translate(exceptions.from_http_status(status, "no"), Call(Verb.CREATE, PARENT, custom=False))
    assert (error.code, error.acted, error.transient) == HTTP[status]


def test_a_client_that_gave_up_repeating_leaves_open_what_happened() -> None:
    error = translate(
        exceptions.RetryError("too late", cause=exceptions.ServiceUnavailable("x")), Call(Verb.CREATE, PARENT, custom=False)
    )
    assert (error.code, error.acted, error.transient) == ("DEADLINE_EXCEEDED", None, True)
