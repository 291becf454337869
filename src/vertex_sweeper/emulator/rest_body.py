"""The body of a request over HTTP: whole or in chunks, as it is or gzipped, and never more than a bound."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from email.message import Message
from io import BufferedIOBase
from typing import Final

from vertex_sweeper.emulator.api_error import ApiError

LARGEST: Final = 32 << 20
"""How many bytes a body may have, on the wire and unpacked; far beyond what a job may be."""

_PIECE: Final = 1 << 16
_LONGEST_LINE: Final = 4096
_MOST_TRAILERS: Final = 100
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_GZIP: Final = 31
"""zlib's number for a gzip header and trailer."""


def read_body(headers: Message, stream: BufferedIOBase) -> bytes:
    """The body that the headers announce; empty if they announce none.

    Raises:
        ApiError: It cannot be read. What follows in the stream is then nobody knows what: the connection must end.
    """
    coding = (_one(headers, "Content-Encoding") or "").lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise _bad(f"A body may be gzipped or as it is, and not {coding!r}.", http=415)
    body = b"".join(_pieces(headers, stream))
    return _unzip(body) if body and coding.endswith("gzip") else body


def _pieces(headers: Message, stream: BufferedIOBase) -> Iterator[bytes]:
    transfer, length = _one(headers, "Transfer-Encoding"), _one(headers, "Content-Length")
    if transfer is not None and length is not None:
        raise _bad("A request has a Content-Length or a Transfer-Encoding, and not both.")
    if transfer is not None and transfer.lower() != "chunked":
        raise ApiError("UNIMPLEMENTED", f"The only Transfer-Encoding is chunked, got {transfer!r}.")
    if transfer is not None:
        yield from _chunks(stream)
    elif length is not None:
        if not _LENGTH.fullmatch(length):
            raise _bad(f"Content-Length must be a number of bytes, got {length!r}.")
        _check_size(int(length))
        yield _exactly(stream, int(length))


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    total = 0
    while True:
        match = _CHUNK.fullmatch(stream.readline(_LONGEST_LINE))
        if match is None:
            raise _bad("A chunk must begin with its size, a hexadecimal number, on a line of its own.")
        size = int(match[1], 16)
        total += size
        _check_size(total)
        if size == 0:
            break
        yield _exactly(stream, size)
        if stream.readline(3) not in (b"\r\n", b"\n"):
            raise _bad("A chunk must have as many bytes as it says, and a line's end.")
    for _ in range(_MOST_TRAILERS):
        line = stream.readline(_LONGEST_LINE)
        if line in (b"\r\n", b"\n"):
            return
        if not line.endswith(b"\n"):
            break
    raise _bad("The last chunk must be followed by an empty line.")


def _unzip(body: bytes) -> bytes:
    """All members of a gzip file, one behind the other."""
    unpacked: list[bytes] = []
    total = 0
    while body:
        member = zlib.decompressobj(_GZIP)
        try:
            while not member.eof:
                piece = member.decompress(body, _PIECE)
                if not piece and not member.eof:
                    raise _bad("The gzipped body ends too early.")
                total += len(piece)
                _check_size(total)
                unpacked.append(piece)
                body = member.unconsumed_tail
        except zlib.error as error:
            raise _bad(f"The body is not gzipped, or has something behind it: {error}.") from error
        body = member.unused_data
    return b"".join(unpacked)


def _exactly(stream: BufferedIOBase, size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise _bad(f"The body ends too early: {size} bytes were announced, {len(found)} came.")
    return found


def _one(headers: Message, name: str) -> str | None:
    """A header's value, if there is one; several of the same value count as one."""
    values = {value.strip() for value in headers.get_all(name, ())}
    if len(values) > 1:
        raise _bad(f"A request has one {name}, got {sorted(values)}.")
    return next(iter(values), None)


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise _bad(f"A body has at most {LARGEST} bytes.", http=413)


def _bad(message: str, *, http: int = 400) -> ApiError:
    return ApiError("INVALID_ARGUMENT", message, http=http)
