"""What is looked at before a job is created, and what is said of each thing that is not as it must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vertex_sweeper.finding import Finding, Found
from vertex_sweeper.job.needs import JobNeeds, Machines

pytest.importorskip("google.cloud.storage", reason="google-cloud-storage is not installed")
pytest.importorskip("cryptography", reason="cryptography is not installed")

from tests.services.vertex.fake_google import BUCKET, PROJECT, REGION, FakeGoogle, error, quota
from vertex_sweeper.services.vertex.preflight import Project, check_project, job_permissions

T4 = Machines("n1-standard-8", 1, "NVIDIA_TESLA_T4", 2)
HERE = Project(PROJECT, REGION)


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGoogle]:
    with FakeGoogle() as google:
        for name, value in google.environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        yield google


@pytest.fixture
def needs(google: FakeGoogle) -> JobNeeds:
    return JobNeeds(
        trials=20,
        parallel=3,
        timeout=3600,
        timeout_set=True,
        machines=(T4,),
        images=(google.image,),
        output=f"gs://{BUCKET}/sweeps",
        service_account="trainer@my-project.iam.gserviceaccount.com",
    )


def check(needs: JobNeeds, project: Project = HERE) -> list[Finding]:
    return list(check_project(project, needs))


def bad(findings: list[Finding]) -> list[Finding]:
    """What is not as it must be; that nobody can tell whether the trials may write is so every time."""
    return [finding for finding in findings if finding.found is not Found.OK and finding.subject != "output"]


def test_a_project_that_has_it_all_passes_every_check_in_order(needs: JobNeeds) -> None:
    findings = check(replace(needs), replace(HERE, staging=f"gs://{BUCKET}/code"))
    assert bad(findings) == []
    assert [finding.subject for finding in findings] == [
        "credentials",
        "project",
        "API and region",
        "bucket",
        "bucket's region",
        "output",
        "permissions",
        "service account",
        "image",
        "machine",
        "accelerator",
        "quota",
        "quota",
    ]


def test_nothing_is_changed_and_no_login_goes_where_there_is_no_tls(google: FakeGoogle, needs: JobNeeds) -> None:
    check(needs)
    changing = [
        path for method, path in google.asked if method == "POST" and not path.endswith((":testIamPermissions", "/token"))
    ]
    assert changing == []
    assert not any("secret-token" in header for header in google.authorized)


REFUSED = error(403, "Permission denied", reason="IAM_PERMISSION_DENIED")

FAILURES = {
    "no credentials": ("/token", (400, {"error": "invalid_grant"}), "credentials", "gcloud auth application-default login"),
    "a project that is being deleted": (
        f"/v3/projects/{PROJECT}",
        (200, {"state": "DELETE_REQUESTED"}),
        "project",
        f"gcloud projects undelete {PROJECT}",
    ),
    "the API is not enabled": (
        ".*/hyperparameterTuningJobs",
        error(403, "disabled", reason="SERVICE_DISABLED", service="aiplatform.googleapis.com"),
        "API and region",
        f"gcloud services enable aiplatform.googleapis.com --project={PROJECT}",
    ),
    "no billing account": (
        ".*/hyperparameterTuningJobs",
        error(403, "billing", reason="BILLING_DISABLED"),
        "API and region",
        f"gcloud billing projects link {PROJECT}",
    ),
    "no such region": (".*/hyperparameterTuningJobs", (404, "<html>"), "API and region", "gcloud compute regions list"),
    "no such bucket": (
        "/storage/v1/b/.*/iam/testPermissions",
        error(404, "no bucket"),
        "bucket",
        f"gcloud storage buckets create gs://{BUCKET} --project={PROJECT} --location={REGION}",
    ),
    "a bucket in another region": (
        f"/storage/v1/b/{BUCKET}",
        (200, {"name": BUCKET, "location": "US-CENTRAL1", "locationType": "region"}),
        "bucket's region",
        f"gcloud storage buckets create gs://{BUCKET}-{REGION}",
    ),
    "a bucket on another continent": (
        f"/storage/v1/b/{BUCKET}",
        (200, {"name": BUCKET, "location": "US", "locationType": "multi-region"}),
        "bucket's region",
        "gcloud storage buckets create",
    ),
    "no such service account": (
        "/v1/projects/-/serviceAccounts/.*",
        error(404, "Unknown service account"),
        "service account",
        "gcloud iam service-accounts create trainer --project=my-project",
    ),
    "no such image": ("/v2/.*", (404, {}), "image", "push it"),
    "no such accelerator in the region": (
        ".*/acceleratorTypes",
        (200, {"items": {"zones/us-west1-b": {"acceleratorTypes": [{"name": "x"}]}}}),
        "accelerator",
        "gcloud compute accelerator-types list --filter=name=nvidia-tesla-t4",
    ),
    "too little quota": (".*nvidia_t4_gpus", quota(100, region=5), "quota", "parallel_trial_count"),
}


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES)
def test_what_is_missing_fails_its_check_and_has_a_remedy(
    google: FakeGoogle, needs: JobNeeds, case: tuple[str, tuple[int, object], str, str]
) -> None:
    path, answer, subject, remedy = case
    google.answers[path] = answer
    failures = [finding for finding in check(needs) if finding.found is Found.FAILED]
    assert [finding.subject for finding in failures] == [subject]
    assert remedy in f"{failures[0].text} {failures[0].remedy}"


UNTOLD = {
    "project": f"/v3/projects/{PROJECT}",
    "API and region": ".*/hyperparameterTuningJobs",
    "bucket": "/storage/v1/b/.*/iam/testPermissions",
    "bucket's region": f"/storage/v1/b/{BUCKET}",
    "permissions": f"/v3/projects/{PROJECT}:testIamPermissions",
    "service account": "/v1/projects/-/serviceAccounts/.*",
    "image": "/v2/.*",
    "accelerator": ".*/acceleratorTypes",
    "quota": ".*nvidia_t4_gpus",
}


@pytest.mark.parametrize("subject", UNTOLD)
def test_what_you_may_not_look_at_is_not_checked_and_no_failure(google: FakeGoogle, needs: JobNeeds, subject: str) -> None:
    google.answers[UNTOLD[subject]] = REFUSED
    found = [(finding.subject, finding.found) for finding in bad(check(needs))]
    assert found == [(subject, Found.UNCHECKED)]


MISSING = {
    "aiplatform.hyperparameterTuningJobs.create": ("permissions", Found.FAILED, "--role=roles/aiplatform.user"),
    "iam.serviceAccounts.actAs": ("service account", Found.FAILED, "--role=roles/iam.serviceAccountUser"),
    "storage.objects.create": ("bucket", Found.FAILED, "--role=roles/storage.objectUser"),
    "storage.objects.list": ("bucket", Found.UNCHECKED, "--role=roles/storage.objectViewer"),
}


@pytest.mark.parametrize("permission", MISSING)
def test_a_missing_permission_is_named_with_the_command_that_grants_it(
    google: FakeGoogle, needs: JobNeeds, permission: str
) -> None:
    google.granted = {*job_permissions(HERE), "storage.objects.get", *MISSING} - {permission}
    (finding,) = bad(check(needs, replace(HERE, staging=f"gs://{BUCKET}/code")))
    subject, found, remedy = MISSING[permission]
    assert (finding.subject, finding.found) == (subject, found)
    assert permission in finding.text
    assert finding.remedy.endswith(remedy)


def test_for_custom_jobs_their_own_list_and_permissions_are_asked_for(google: FakeGoogle, needs: JobNeeds) -> None:
    project = replace(HERE, custom=True)
    google.answers[".*/hyperparameterTuningJobs"] = error(403, "not these")
    google.answers[".*/customJobs"] = (200, {})
    google.granted = {*job_permissions(HERE), "storage.objects.get", *MISSING}
    (finding,) = bad(check(needs, project))
    assert finding.subject == "permissions"
    assert [f"aiplatform.customJobs.{verb}" in finding.text for verb in ("create", "get", "list", "cancel")] == [True] * 4
    google.granted |= set(job_permissions(project))
    assert "to create, read, list and cancel custom jobs in my-project" in [one.text for one in check(needs, project)]


FIELDS_OF_SETTINGS = {
    "its multi-region": ({"location": "EU", "locationType": "multi-region"}, Found.OK),
    "its pair": ({"location": "EUR4", "locationType": "dual-region"}, Found.OK),
    "another pair": ({"location": "NAM4", "locationType": "dual-region"}, Found.FAILED),
    "a pair that was chosen": (
        {"location": "EU", "locationType": "dual-region", "customPlacementConfig": {"dataLocations": ["EUROPE-WEST4", "A"]}},
        Found.OK,
    ),
    "a pair of tomorrow": ({"location": "EUR9", "locationType": "dual-region"}, Found.UNCHECKED),
}


@pytest.mark.parametrize("case", FIELDS_OF_SETTINGS.values(), ids=FIELDS_OF_SETTINGS)
def test_a_bucket_of_several_regions_fits_where_the_job_is_in_them(
    google: FakeGoogle, needs: JobNeeds, case: tuple[dict[str, object], Found]
) -> None:
    document, expected = case
    google.answers[f"/storage/v1/b/{BUCKET}"] = 200, {"name": BUCKET, **document}
    found = {finding.subject: finding.found for finding in check(needs)}
    assert found["bucket's region"] is expected


MACHINES = {
    "an accelerator of another family": (Machines("n1-standard-8", 1, "NVIDIA_L4", 1), Found.FAILED, "g2-standard-"),
    "a machine without accelerators": (Machines("e2-standard-4", 1, "NVIDIA_TESLA_T4", 1), Found.FAILED, "n1-"),
    "an accelerator that is left out": (Machines("a2-highgpu-1g"), Found.FAILED, "accelerator_type=NVIDIA_TESLA_A100"),
    "another number of them": (Machines("a2-highgpu-2g", 1, "NVIDIA_TESLA_A100", 1), Found.FAILED, "accelerator_count=2"),
    "a family of tomorrow": (Machines("z9-standard-8"), Found.UNCHECKED, "machine-types list"),
    "all accelerators of the machine": (Machines("a2-highgpu-2g", 1, "NVIDIA_TESLA_A100", 2), Found.OK, ""),
}


@pytest.mark.parametrize("case", MACHINES.values(), ids=MACHINES)
def test_machines_and_accelerators_go_together(needs: JobNeeds, case: tuple[Machines, Found, str]) -> None:
    machines, expected, remedy = case
    found = next(finding for finding in check(replace(needs, machines=(machines,))) if finding.subject == "machine")
    assert found.found is expected
    assert remedy in found.remedy


def test_quota_counts_all_that_runs_at_once_and_spot_machines_have_their_own(google: FakeGoogle, needs: JobNeeds) -> None:
    workers = Machines("n1-standard-4", 2)
    google.answers[".*/consumerQuotaMetrics/.*"] = quota(-1)
    texts = [each.text for each in check(replace(needs, machines=(T4, workers), spot=True)) if each.subject == "quota"]
    assert texts == [
        "custom_model_training_preemptible_cpus in europe-west4: 48 at a time, of any number",
        "custom_model_training_preemptible_nvidia_t4_gpus in europe-west4: 6 at a time, of any number",
    ]


def test_an_api_that_cannot_be_reached_is_not_checked(needs: JobNeeds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://127.0.0.1:1/")
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM", "no address")
    found = {finding.subject: finding for finding in bad(check(needs))}
    assert {subject: finding.found for subject, finding in found.items()} == {
        "accelerator": Found.UNCHECKED,
        "service account": Found.UNCHECKED,
    }
    assert "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM" in found["service account"].text
