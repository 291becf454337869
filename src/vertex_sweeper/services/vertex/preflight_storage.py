"""Whether a job's buckets are there, may be written, and lie where the job runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from vertex_sweeper.finding import Finding, failed, ok, unchecked
from vertex_sweeper.services.vertex.extra import vertex_extra

_PATIENCE: Final = 20.0
"""Seconds for one answer."""

_EMULATOR: Final = "STORAGE_EMULATOR_HOST"
"""The variable by which Google's client finds a storage API elsewhere."""

_READ: Final[tuple[str, ...]] = ("storage.objects.get", "storage.objects.list")
_WRITE: Final[tuple[str, ...]] = ("storage.objects.create", "storage.objects.get")

_CONTINENTS: Final = {"US": ("us-", "northamerica-"), "EU": ("europe-",), "ASIA": ("asia-",)}
"""By the name of a multi-region: how the regions begin that are in it."""

_PAIRS: Final = {
    "ASIA1": ("asia-northeast1", "asia-northeast2"),
    "EUR4": ("europe-north1", "europe-west4"),
    "EUR5": ("europe-west1", "europe-west2"),
    "EUR7": ("europe-west2", "europe-west3"),
    "EUR8": ("europe-west3", "europe-west6"),
    "NAM4": ("us-central1", "us-east1"),
}
"""The two regions of each dual-region that has a name of its own."""


def check_buckets(
    credentials: Any, *, project: str, location: str, output: str | None, staging: str | None
) -> Iterator[Finding]:
    """Looks at the bucket of the trials' output and at that of what the sweep uploads.

    Args:
        credentials: Those of `google.auth`.
        project: The job's project.
        location: The job's region.
        output: The `gs://` folder that the trials write to; None without.
        staging: The `gs://` folder that the sweep writes to; None without.
    """
    wanted: dict[str, tuple[str, ...]] = {}
    for uri, permissions in ((output, _READ), (staging, _WRITE)):
        if uri:
            name = uri.removeprefix("gs://").partition("/")[0]
            wanted[name] = tuple(dict.fromkeys((*wanted.get(name, ()), *permissions)))
    if not wanted:
        return
    with vertex_extra():
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

    # The client would show its login to an emulator, too, without TLS.
    login = AnonymousCredentials() if os.environ.get(_EMULATOR) else credentials  # type: ignore[no-untyped-call]
    client = storage.Client(project=project, credentials=login)
    for name, permissions in wanted.items():
        yield from _bucket(client, name, permissions, project=project, location=location)


def _bucket(client: Any, name: str, permissions: Sequence[str], *, project: str, location: str) -> Iterator[Finding]:
    bucket = client.bucket(name)
    created = (
        f"gcloud storage buckets create gs://{name} --project={project} --location={location} --uniform-bucket-level-access"
    )
    granted, problem = _ask(lambda: bucket.test_iam_permissions(list(permissions), timeout=_PATIENCE, retry=None))
    if problem == "missing":
        yield failed("bucket", f"there is no gs://{name}", created)
        return
    if granted is None:
        yield unchecked("bucket", f"gs://{name}: {problem}")
        return
    yield _access(name, permissions, [permission for permission in permissions if permission not in granted])
    yield _location(bucket, name, location, created)


def _access(name: str, wanted: Sequence[str], missing: Sequence[str]) -> Finding:
    """What one may do in a bucket. Not to be able to read the trials' output stops no job."""
    command = f"gcloud storage buckets add-iam-policy-binding gs://{name} --member=user:YOU --role=roles/storage."
    written = "storage.objects.create" in wanted
    if written and not set(missing).isdisjoint(_WRITE):
        return failed("bucket", f"you may not write to gs://{name}: {', '.join(missing)} missing", f"{command}objectUser")
    if missing:
        text = f"gs://{name} is there, and what the trials leave in it you may not read: {', '.join(missing)} missing"
        return unchecked("bucket", text, f"{command}objectViewer")
    return ok("bucket", f"gs://{name} is there, and you may {'read and write' if written else 'read'} it")


def _location(bucket: Any, name: str, location: str, created: str) -> Finding:
    subject = "bucket's region"
    _, problem = _ask(lambda: bucket.reload(timeout=_PATIENCE, retry=None) or True)
    if problem:
        return unchecked(subject, f"of gs://{name}: {problem}")
    where, kind = str(bucket.location or "").upper(), bucket.location_type or "region"
    regions = tuple(region.lower() for region in bucket.data_locations or ()) or _PAIRS.get(where, ())
    if kind == "dual-region" and not regions:
        return unchecked(subject, f"which regions {where.lower()} is, where gs://{name} lies")
    if kind == "multi-region":
        inside = location.startswith(_CONTINENTS.get(where, ("",)))
    else:
        inside = location in (regions or (where.lower(),))
    if inside:
        return ok(subject, f"gs://{name} is in {where.lower()}")
    # A bucket cannot be moved.
    remedy = created.replace(f"gs://{name}", f"gs://{name}-{location}")
    return failed(subject, f"gs://{name} is in {where.lower()}, and the job runs in {location}", remedy)


def _ask(question: Callable[[], Any]) -> tuple[Any, str]:
    """The answer, or why there is none: `missing` where there is no such bucket."""
    from google.api_core.exceptions import GoogleAPICallError, NotFound
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        return question(), ""
    except NotFound:
        return None, "missing"
    except GoogleAPICallError as error:
        return None, f"Cloud Storage does not tell ({error.code})"
    except (GoogleAuthError, RequestException) as error:
        return None, f"Cloud Storage does not answer ({type(error).__name__})"
