"""Files that are written beside and renamed: a reader, or a crash, finds the old text or the new one, never a part of one.

Nothing in here knows of sweeps.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PART: Final = re.compile(r"\..+\.[0-9a-f]{12}\.part")
"""The names of files that are being written."""

_ABANDONED: Final = 60.0
"""Seconds after which such a file belongs to a process that was killed."""


def write_text(path: Path, text: str, *, private: bool = False) -> Path:
    """Writes the file, and the folders above it, in one step: at no time is there a part of the text.

    Args:
        path: the file; what is there is replaced.
        text: what it will hold, as UTF-8. Bytes that came from the command line undecoded are written as they were.
        private: Nobody but its owner may read it, from its first byte on.

    Returns:
        The path.

    Raises:
        OSError: It cannot be written; what was there before is still there.
    """
    with _beside(path, text, mode=0o600 if private else 0o666) as beside:
        beside.replace(path)
    return path


def write_new(path: Path, text: str) -> Path:
    """Like `write_text`, for a file that does not exist: of several processes that write it at once, one succeeds.

    Raises:
        FileExistsError: It exists, and is left as it is.
        OSError: It cannot be written.
    """
    with _beside(path, text) as beside:
        try:
            path.hardlink_to(beside)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links, such as a mounted bucket: still one wins, though not in one step
            with path.open("x", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(text)
    return path


def make_folder(path: Path) -> Path:
    """Makes the folder, and those above it; returns the path.

    Raises:
        OSError: It cannot be made, or is a symbolic link: whoever prepared the folder above it may have put that there.
    """
    path.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, f"{path} is a link: take it away")
    return path


def remove_leftovers(*folders: Path) -> None:
    """Removes from these folders what killed processes had begun to write.

    A process that is alive renames such a file at once, so one that is older than a minute belongs to none.
    """
    for part in [part for folder in folders for part in folder.glob(".*.part")]:
        with suppress(FileNotFoundError):
            if _PART.fullmatch(part.name) and time.time() - part.stat().st_mtime > _ABANDONED:
                part.unlink()


@contextmanager
def _beside(path: Path, text: str, *, mode: int = 0o666) -> Iterator[Path]:
    """The text, safely on disk, in a file beside the path, which is gone in the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:  # noqa: PTH123 - of a mode
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield beside
    finally:
        beside.unlink(missing_ok=True)
