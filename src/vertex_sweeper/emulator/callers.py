"""Who may call: a job is a command to run as the emulator's user, so only processes of that user can send one.

Linux tells whose process is at the other end of a connection on this machine. Elsewhere callers show a token.
"""

from __future__ import annotations

import errno
import hmac
import ipaddress
import os
import re
import secrets
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from vertex_sweeper.emulator.api_error import ApiError

Address = tuple[str, int]
"""An IP address and a port."""

_PEER: Final = re.compile(r"ipv[46]:\[?([^\]]+)\]?:([0-9]+)")
_ROOT: Final = 0
_CONTROL: Final = "/proc/net"

# The kernel's question about one socket, and the fields of its answer that are looked at: linux/inet_diag.h.
_SOCK_DIAG: Final = 4
_BY_FAMILY: Final = 20
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBBxI")
_ERROR: Final = 2
_ANSWER: Final = struct.Struct("=4x4s44x12xII")  # the two ports; then, behind addresses and queues, owner and inode
_NO_COOKIE: Final = b"\xff" * 8
_PATIENCE: Final = 5.0


class Callers:
    """Decides who may call.

    Args:
        token: What callers must show, whoever they are; None where the kernel tells whose they are.
    """

    def __init__(self, token: str | None = None) -> None:
        self.token = token

    def check(self, peer: Address | None, server: Address, shown: str | None) -> None:
        """Raises ApiError unless the caller may call.

        Args:
            peer: Its end of the connection; None if that is no address.
            server: Our end.
            shown: The value of its `authorization` header, if there is one.
        """
        if self.token is not None:
            if not hmac.compare_digest((shown or "").encode(), f"Bearer {self.token}".encode()):
                raise ApiError(
                    "UNAUTHENTICATED", "This emulator answers who sends `authorization: Bearer TOKEN`, its own token."
                )
            return
        user = owner(peer, server) if peer is not None else None
        if user is None or user not in (os.geteuid(), _ROOT):  # root may do everything anyway
            whose = "a process of nobody known" if user is None else f"user {user}"
            raise ApiError("PERMISSION_DENIED", f"The emulator answers processes of user {os.geteuid()} only, and not {whose}.")


def make_callers(token: str | None = None) -> Callers:
    """Callers with this token; without one, with a new token where the kernel does not tell whose a connection is."""
    return Callers(token or (None if sys.platform == "linux" else secrets.token_urlsafe(24)))


def parse_peer(peer: str) -> Address | None:
    """An address as gRPC writes it, `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`; None for anything else."""
    match = _PEER.fullmatch(unquote(peer))
    return (match[1], int(match[2])) if match else None


def owner(client: Address, server: Address) -> int | None:
    """Whose process has the client's end of a connection on this machine; None if there is no such end, or it was closed.

    A socket that its process has closed has no owner any more, and is shown as root's.
    """
    try:
        return _ask_kernel(client, server)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
    return _read_tables(client, server)  # a kernel, or a sandbox, that answers no such questions


def _ask_kernel(client: Address, server: Address) -> int | None:
    source, target = _plain(client[0]), _plain(server[0])
    if source.version != target.version:
        return None
    family = socket.AF_INET if source.version == 4 else socket.AF_INET6  # noqa: PLR2004 - IP's versions
    ports = struct.pack("!HH", client[1], server[1])
    addresses = source.packed.ljust(16, b"\0") + target.packed.ljust(16, b"\0")
    states = 0xFFFFFFFF
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, states) + ports + addresses + bytes(4) + _NO_COOKIE
    message = _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, 1, 0, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        kernel.settimeout(_PATIENCE)
        kernel.sendto(message, (0, 0))
        answer = kernel.recv(8192)
    if _HEADER.unpack_from(answer)[1] == _ERROR:
        code = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        raise OSError(code, os.strerror(code))
    found, user, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    # Where there is no such connection the kernel answers with whoever listens at the client's end: at the other is no port.
    return int(user) if inode and found == ports else None


def _read_tables(client: Address, server: Address) -> int | None:
    """The same from the tables that all systems with `/proc` have."""
    wanted = (_plain(client[0]), client[1]), (_plain(server[0]), server[1])
    for row in _rows():
        if (_parse_end(row[1]), _parse_end(row[2])) == wanted:
            return int(row[7]) if int(row[9]) else None
    return None


def _rows() -> Iterator[list[str]]:
    for name in ("tcp", "tcp6"):
        try:
            lines = Path(_CONTROL, name).read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        yield from (line.split() for line in lines[1:])


def _parse_end(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """`0100007F:1F90`: words of 32 bits in the machine's own order, and a port."""
    address, port = text.split(":")
    words = [int(address[place : place + 8], 16) for place in range(0, len(address), 8)]
    return _plain(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))), int(port, 16)


def _plain(address: str | ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address; of an IPv4 one that is written as IPv6, the IPv4 one."""
    parsed = ipaddress.ip_address(address)
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed
