"""Files that others wrote, opened with care: regular files only, and of one no more than is asked for.

A named pipe blocks whoever opens it, a device may have no end. A link counts as what it leads to.
"""

import errno
import os
import stat
from typing import Final

# Some of these are POSIX's or Windows' only. Without blocking, because between the look and the opening it may become a pipe.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
_CHUNK: Final = 1 << 20
_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: str) -> int:
    """Opens a regular file for reading; returns its descriptor. Raises OSError, also for whatever else is there."""
    _require_regular(os.stat(path), path)  # noqa: PTH116 - the runtime does without pathlib; before it is opened: that may be felt
    descriptor = os.open(path, _FLAGS)
    try:
        _require_regular(os.fstat(descriptor), path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_bytes(descriptor: int, *, most: int) -> bytes:
    """What follows in an open file, up to so many bytes. Raises OSError."""
    chunks = []
    while most > 0 and (chunk := os.read(descriptor, min(most, _CHUNK))):
        chunks.append(chunk)
        most -= len(chunk)
    return b"".join(chunks)


def read_regular(path: str, *, most: int) -> bytes:
    """All of a regular file. Raises OSError, also for a file of more bytes than `most`."""
    descriptor = open_regular(path)
    try:
        content = read_bytes(descriptor, most=most + 1)
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes", path)
    return content


def _require_regular(status: os.stat_result, path: str) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, f"not a regular file but {_KINDS.get(kind, 'something else')}", path)
