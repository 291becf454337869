"""Endpoints: which host is called, how, and whether it is one of Google's own, which alone get a user's credentials unasked."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from vertex_sweeper.api_names import LOCATION
from vertex_sweeper.errors import InvalidSweep, ServiceError

PLAIN: Final = "http://"
TLS: Final = "https://"

_SHAPE: Final = re.compile(r"(?:([Hh][Tt][Tt][Pp][Ss]?)://)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?/?")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_GOOGLE: Final = re.compile(rf"(?:{_LABEL}\.)+googleapis\.com")
_MOST_PORT: Final = 65535
_LONGEST: Final = 253


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and how it is spoken to: `plain` is without TLS, and never with credentials."""

    host: str
    port: int | None
    plain: bool

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Reads `host`, `host:port`, and either with `https://` or `http://` in front. Raises InvalidSweep for anything else.

        gRPC takes many more notations (`dns:///`, `unix:`, `ipv4:`), and a URL has room for a second host (`a@b`): what is
        called is put together from the parts that were checked here, never from the text.
        """
        match = _SHAPE.fullmatch(text)
        scheme, host, port = match.groups(default="") if match else ("", "", "")
        number = int(port) if port else None
        if not _is_host(host.lower()) or (number is not None and not 1 <= number <= _MOST_PORT):
            raise InvalidSweep(
                [f"endpoint: {text[:_LONGEST]!r} must be HOST or HOST:PORT, with http:// in front for an emulator"]
            )
        return cls(host.lower(), number, plain=scheme.lower() == "http")

    @property
    def google(self) -> bool:
        """Whether it is one of Google's API hosts, spoken to with TLS.

        The regions' own (`europe-west4-aiplatform.googleapis.com`), and the names by which they are reached from private
        networks (`restricted.googleapis.com`, `….p.googleapis.com`).
        """
        return not self.plain and _GOOGLE.fullmatch(self.host) is not None

    @property
    def loopback(self) -> bool:
        """Whether it can only be this machine."""
        return self.host == "localhost" or is_loopback_ip(self.host.strip("[]"))

    @property
    def target(self) -> str:
        """What gRPC connects to, in the notation that leaves nothing to be guessed."""
        return f"dns:///{self.host}:{self.port or (80 if self.plain else 443)}"

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"{PLAIN if self.plain else TLS}{self.host}{port}"


def api_host(location: str) -> str:
    """The regional endpoint; the client's own default is the global one, which does not know regional jobs.

    Raises ServiceError for what is no location: an address must not be made of just any text.
    """
    if not re.fullmatch(LOCATION, location):
        raise ServiceError(f"{location[:200]!r} must be a region, such as europe-west4", acted=False)
    return f"{location}-aiplatform.googleapis.com"


def is_loopback_ip(address: str) -> bool:
    """Whether an IP address is this machine's own; False for a name."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    try:
        if host.startswith("["):
            return ipaddress.ip_address(host[1:-1]).version == 6  # noqa: PLR2004 - IPv6
        if re.fullmatch(r"[0-9.]+", host):
            return bool(ipaddress.ip_address(host))
    except ValueError:
        return False
    return len(host) <= _LONGEST and _NAME.fullmatch(host) is not None
