"""The application default credentials, and another account's where one is to be impersonated."""

from __future__ import annotations

from typing import Any, Final

from vertex_sweeper.services.vertex.errors import describe_auth
from vertex_sweeper.services.vertex.extra import vertex_extra

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


def find_credentials(impersonate: str | None) -> Any:
    """The credentials of `google.auth`, of the service account `impersonate` where that is given. Raises GoogleAuthError."""
    with vertex_extra():
        import google.auth
        from google.auth import impersonated_credentials

    credentials, _ = google.auth.default(scopes=[SCOPE])
    if impersonate is None:
        return credentials
    return impersonated_credentials.Credentials(  # type: ignore[no-untyped-call]
        source_credentials=credentials, target_principal=impersonate, target_scopes=[SCOPE]
    )


def renew(credentials: Any) -> None:
    """Gets a new token. Raises GoogleAuthError."""
    from google.auth.transport.requests import Request

    credentials.refresh(Request())


def valid_credentials(impersonate: str | None) -> Any:
    """Credentials with a new token. Raises ServiceError where nobody is logged in, with what to do."""
    with vertex_extra():
        from google.auth.exceptions import GoogleAuthError
    try:
        credentials = find_credentials(impersonate)
        renew(credentials)
    except GoogleAuthError as error:
        raise describe_auth(error, impersonate=impersonate) from error
    return credentials
