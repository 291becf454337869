"""Cloud Storage: uploads, once, as an object that is there already is not sent again; and what jobs have left.

Google's client comes with its SDK and is imported at first use. It heeds STORAGE_EMULATOR_HOST, and sends no credentials there.
"""

from __future__ import annotations

import os
from typing import Any, Final

from vertex_sweeper.errors import ServiceError
from vertex_sweeper.messages import one_line
from vertex_sweeper.services.buckets import STORAGE_EMULATOR, Upload
from vertex_sweeper.services.vertex.errors import describe_auth
from vertex_sweeper.services.vertex.extra import vertex_extra
from vertex_sweeper.services.vertex.login import find_credentials

_PATIENCE: Final = 60.0
"""Seconds for one request; a large file is sent in several."""

_PART: Final = 8 << 20
"""Bytes of one request. A multiple of 256 KiB, as the API wants it."""


class Storage:
    """Cloud Storage, opened at the first upload.

    Args:
        project: The project that pays for requests of a person.
        impersonate: The service account to act as.
    """

    def __init__(self, *, project: str, impersonate: str | None = None) -> None:
        self._project = project
        self._impersonate = impersonate
        self._client: Any = None

    def put(self, upload: Upload) -> bool:
        """Writes an object, unless there is one of that name: its name says what it holds.

        Returns:
            Whether it was written now.

        Raises:
            ServiceError: There is no such bucket, it may not be written, or nothing answers.
        """
        with vertex_extra():
            from google.api_core.exceptions import GoogleAPIError, PreconditionFailed
            from google.auth.exceptions import GoogleAuthError
            from google.cloud.exceptions import GoogleCloudError
            from requests.exceptions import RequestException
        bucket, _, name = upload.uri.removeprefix("gs://").partition("/")
        try:
            if self._client is None:
                self._client = self._open()
            blob = self._client.bucket(bucket).blob(name, chunk_size=_PART)
            # A condition and not a look before: of two at once one writes, and the other hears that it is there.
            blob.upload_from_file(upload.content, size=upload.size, timeout=_PATIENCE, if_generation_match=0)
        except PreconditionFailed:
            return False
        except GoogleAuthError as error:
            raise describe_auth(error, impersonate=self._impersonate) from error
        except (GoogleAPIError, GoogleCloudError, RequestException, OSError) as error:
            raise ServiceError(_why(error, bucket, upload.uri), acted=False) from error
        return True

    def get(self, uri: str) -> bytes | None:
        """An object's content; None where there is none of that name.

        Raises:
            ServiceError: It may not be read, or nothing answers.
        """
        with vertex_extra():
            from google.api_core.exceptions import GoogleAPIError, NotFound
            from google.auth.exceptions import GoogleAuthError
            from google.cloud.exceptions import GoogleCloudError
            from requests.exceptions import RequestException
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        try:
            if self._client is None:
                self._client = self._open()
            content: bytes = self._client.bucket(bucket).blob(name).download_as_bytes(timeout=_PATIENCE)
        except NotFound:
            return None
        except GoogleAuthError as error:
            raise describe_auth(error, impersonate=self._impersonate) from error
        except (GoogleAPIError, GoogleCloudError, RequestException, OSError) as error:
            raise ServiceError(f"{uri} cannot be read: {one_line(error)[:300]}", acted=False) from error
        return content

    def _open(self) -> Any:
        with vertex_extra():
            from google.cloud import storage
        if os.environ.get(STORAGE_EMULATOR):
            from google.auth.credentials import AnonymousCredentials

            return storage.Client(project=self._project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
        return storage.Client(project=self._project, credentials=find_credentials(self._impersonate))


def _why(error: Exception, bucket: str, uri: str) -> str:
    code = getattr(error, "code", None)
    if code == 404:  # noqa: PLR2004 - HTTP's own numbers
        return (
            f"there is no bucket {bucket!r}: name another, or `gcloud storage buckets create gs://{bucket} --location=REGION`"
        )
    if code in (401, 403):
        return f"{uri} may not be written: you need roles/storage.objectUser on gs://{bucket}, or name another vertex.staging"
    host = os.environ.get(STORAGE_EMULATOR)
    where = f"{STORAGE_EMULATOR} ({host})" if host else "Cloud Storage"
    return f"{uri} cannot be uploaded to {where}: {one_line(error)[:300]}"
