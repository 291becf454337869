"""Google's other APIs, over REST with the login that also creates jobs: read only, one try each, within seconds.

No client libraries are installed for them. Where they are is said as to gcloud, by its own environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from vertex_sweeper.endpoint import Endpoint
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.finding import Finding, unchecked
from vertex_sweeper.messages import one_line
from vertex_sweeper.services.vertex.extra import vertex_extra

OVERRIDE: Final = "CLOUDSDK_API_ENDPOINT_OVERRIDES_"
"""How gcloud's variables begin that name another host for an API: `CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE`."""

_PATIENCE: Final = 20.0
"""Seconds for one answer."""


class CloudError(Exception):
    """An API did not answer as hoped.

    Attributes:
        status: The HTTP status; None where nothing answered.
        reason: Google's word for it, `SERVICE_DISABLED`; empty where there was none.
        facts: What the answer says about the reason.
    """

    def __init__(
        self, message: str, *, status: int | None = None, reason: str = "", facts: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.facts = dict(facts or {})


class CloudApi:
    """Calls Google's APIs as whoever `credentials` are.

    Args:
        credentials: Those of `google.auth`. They are sent to TLS hosts only.
    """

    def __init__(self, credentials: Any) -> None:
        with vertex_extra():
            import requests
            from google.auth.transport.requests import AuthorizedSession

        self._with_login = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
        self._plain = requests.Session()
        self._plain.trust_env = False

    def get(self, api: str, path: str, *, host: str | None = None, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Reads something.

        Args:
            api: The first part of the API's host, `compute`.
            path: What stands behind the host, from the version on: `v1/projects/p`.
            host: The host, where it is not `<api>.googleapis.com`.
            query: The parameters behind `?`.

        Raises:
            CloudError: Nothing answered, or with an error.
        """
        return self._call("GET", api, path, host=host, params=dict(query or {}))

    def ask(self, api: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Asks a question that has a body; it changes nothing. Raises CloudError."""
        return self._call("POST", api, path, json=dict(body))

    def _call(self, method: str, api: str, path: str, *, host: str | None = None, **more: Any) -> dict[str, Any]:
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        endpoint = endpoint_of(api, host)
        session = self._plain if endpoint.plain else self._with_login
        try:
            # What another host would be redirected to gets no login.
            answer = session.request(method, f"{endpoint}/{path}", timeout=_PATIENCE, allow_redirects=False, **more)
            document = answer.json() if answer.content else {}
        except (RequestException, GoogleAuthError, ValueError) as error:
            raise CloudError(f"{endpoint.host} does not answer ({type(error).__name__})") from error
        if answer.status_code == 200 and isinstance(document, dict):  # noqa: PLR2004 - OK
            return document
        raise _error(document, answer.status_code)


def endpoint_of(api: str, host: str | None = None) -> Endpoint:
    """Where an API is: the user's own override, or Google's host. Raises CloudError for an override that is no address."""
    name = f"{OVERRIDE}{api.upper()}"
    given = os.environ.get(name)
    if not given:
        return Endpoint.parse(host or f"{api}.googleapis.com")
    parts = urlsplit(given)
    try:
        return Endpoint.parse(f"{parts.scheme}://{parts.netloc}")
    except InvalidSweep:
        raise CloudError(f"{name} is {given[:100]!r}, and must be an address such as https://HOST/") from None


def _error(document: Any, status: int) -> CloudError:
    error = document.get("error", {}) if isinstance(document, dict) else {}
    error = error if isinstance(error, dict) else {}
    details = [detail for detail in error.get("details") or () if isinstance(detail, dict) and detail.get("reason")]
    reason = str(details[0]["reason"]) if details else str(error.get("status") or "")
    facts = details[0].get("metadata") or {} if details else {}
    return CloudError(one_line(error.get("message") or f"HTTP {status}"), status=status, reason=reason, facts=facts)


def unasked(subject: str, what: str, error: CloudError) -> Finding:
    """The finding where an API did not tell: no failure, because to create a job nobody asks that API."""
    return unchecked(subject, f"{what}: {error}")
