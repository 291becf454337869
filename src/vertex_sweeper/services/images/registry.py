"""What a registry has under an image's name, asked over its own HTTP API. Nothing is pulled."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from vertex_sweeper.errors import InvalidSweep, ServiceError
from vertex_sweeper.finding import Finding, failed, ok, unchecked
from vertex_sweeper.job.shipped_code import OLDEST_PYTHON
from vertex_sweeper.messages import one_line
from vertex_sweeper.settings.image_name import ImageName

_PATIENCE: Final = 20.0
"""Seconds for one answer."""

_DOCKER: Final = "application/vnd.docker.distribution.manifest"
_OCI: Final = "application/vnd.oci.image"
_MANIFESTS: Final = f"{_DOCKER}.v2+json, {_DOCKER}.list.v2+json, {_OCI}.manifest.v1+json, {_OCI}.index.v1+json"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_UNAUTHORIZED: Final = (401, 403)
_NOT_FOUND: Final = 404
_MOST_BYTES: Final = 1 << 20
"""How much of an answer is read. A token's is some kilobytes."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Another host would be sent the login."""

    def redirect_request(self, *_: Any) -> None:
        return None


class RegistryError(ServiceError):
    """A registry refused, or could not be reached.

    Attributes:
        denied: Whether it wants another login, or a permission.
    """

    def __init__(self, message: str, *, denied: bool = False) -> None:
        super().__init__(message, acted=False)
        self.denied = denied


def find_digest(image: ImageName, *, token: str | None = None) -> str | None:
    """The digest of an image; None where the registry has none of that name.

    Args:
        image: The image, by tag or digest.
        token: An access token of Google's. It is shown to Google's registries only; others are asked without a login.

    Raises:
        RegistryError: The registry refused, or could not be reached.
    """
    scheme = "http" if image.loopback else "https"
    host = "registry-1.docker.io" if image.registry == "docker.io" else image.registry
    url = f"{scheme}://{host}/v2/{image.repository}/manifests/{image.reference}"
    headers = {"Accept": _MANIFESTS}
    if token and image.google:
        headers["Authorization"] = f"Bearer {token}"
    opener = urllib.request.build_opener(_NoRedirect, *([urllib.request.ProxyHandler({})] if image.loopback else []))
    status, found = _head(opener, url, headers)
    if status == _UNAUTHORIZED[0] and "Authorization" not in headers:
        anonymous = _anonymous_token(opener, found.get("WWW-Authenticate") or "", scheme)
        if anonymous:
            status, found = _head(opener, url, {**headers, "Authorization": f"Bearer {anonymous}"})
    if status == _NOT_FOUND:
        return None
    if status != 200:  # noqa: PLR2004 - OK
        raise RegistryError(f"{image.registry} answers {status} for {image.repository}", denied=status in _UNAUTHORIZED)
    digest = found.get("Docker-Content-Digest") or image.digest
    if not _DIGEST.fullmatch(digest):
        raise RegistryError(f"{image.registry} names no digest of {image}")
    return digest


def check_image(name: str, *, token: str | None = None, built: bool = False) -> Finding:
    """Whether an image is where a job will look for it.

    Args:
        name: The image.
        token: An access token of Google's, for Google's registries.
        built: Whether the sweep builds it where it is not there.
    """
    try:
        image = ImageName.parse(name)
    except InvalidSweep as error:
        return failed("image", str(error))
    if image.python and tuple(map(int, image.python.split("."))) < OLDEST_PYTHON:
        return failed("image", f"{name} has Python {image.python}, and 3.10 or newer is needed", "take a newer image")
    try:
        digest = find_digest(image, token=token)
    except RegistryError as error:
        return unchecked("image", f"whether {name} is there: {error}", login_command(image) if error.denied else "")
    if digest:
        return ok("image", f"{name} is there, {digest[:19]}{': nothing is built' if built else ''}")
    if built:
        return ok("image", f"{name} is not there yet, and is built before the job is created")
    remedy = (
        f"gcloud artifacts docker tags list {image.registry}/{image.repository}" if image.google else "push it, or name another"
    )
    return failed("image", f"there is no {name}", remedy)


def login_command(image: ImageName) -> str:
    """The command after which builders may push to the image's registry."""
    return f"gcloud auth configure-docker {image.registry}" if image.google else f"docker login {image.registry}"


def _head(opener: urllib.request.OpenerDirector, url: str, headers: Mapping[str, str]) -> tuple[int, Message]:
    request = urllib.request.Request(url, method="HEAD", headers=dict(headers))  # noqa: S310 - the scheme is ours
    try:
        with opener.open(request, timeout=_PATIENCE) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise RegistryError(f"{urlsplit(url).netloc} cannot be reached: {one_line(reason)}") from error


def _anonymous_token(opener: urllib.request.OpenerDirector, challenge: str, scheme: str) -> str | None:
    """The token that a registry gives to everybody, where its answer says who has it."""
    facts = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = facts.pop("realm", "")
    if not challenge.startswith("Bearer ") or urlsplit(realm).scheme not in ("https", scheme):
        return None
    url = f"{realm}?{urlencode({name: facts[name] for name in ('service', 'scope') if name in facts})}"
    try:
        with opener.open(url, timeout=_PATIENCE) as answer:
            document = json.loads(answer.read(_MOST_BYTES))
    except (OSError, http.client.HTTPException, ValueError):
        return None
    token = document.get("token") or document.get("access_token") if isinstance(document, dict) else None
    return token if isinstance(token, str) else None
