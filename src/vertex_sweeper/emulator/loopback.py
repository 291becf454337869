"""Which addresses are this machine's own: the only ones that an emulator listens on."""

from __future__ import annotations

import ipaddress

from vertex_sweeper.endpoint import is_loopback_ip
from vertex_sweeper.errors import ServiceError


def is_loopback(host: str) -> bool:
    """Whether the name or address can only mean this machine."""
    return host == "localhost" or host.endswith(".localhost") or is_loopback_ip(host)


def loopback_address(host: str) -> str:
    """The address to listen on for a name or address of this machine. Raises ServiceError for any other."""
    if not is_loopback(host):
        raise ServiceError(
            f"the emulator runs whatever command it is sent, so it listens on this machine only: {host!r} is not a loopback "
            "address such as 127.0.0.1"
        )
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return "127.0.0.1"
