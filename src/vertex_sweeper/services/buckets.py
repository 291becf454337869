"""Where the objects of a bucket are written: Google's storage, a server that stands for it, or a folder of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from uuid import uuid4

from vertex_sweeper.errors import ServiceError
from vertex_sweeper_runtime.code_archive import BUCKETS
from vertex_sweeper_runtime.regular_files import read_regular

MOST_READ: Final = 64 << 20
"""Bytes of an object that is read: what jobs return is less."""

STORAGE_EMULATOR: Final = "STORAGE_EMULATOR_HOST"
"""The variable by which Google's client finds a server that stands for its storage."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An object to be: its `gs://` address, and what it holds."""

    uri: str
    content: IO[bytes]

    @property
    def size(self) -> int:
        """How many bytes it holds; the content is at its beginning then."""
        size = self.content.seek(0, os.SEEK_END)
        self.content.seek(0)
        return size


Put = Callable[[Upload], bool]
"""Writes an object unless it is there. Whether it was written now. Raises ServiceError."""

Get = Callable[[str], bytes | None]
"""Reads an object by its `gs://` address; None where there is none. Raises ServiceError."""


def stand_in_folder() -> Path | None:
    """The folder that stands for the buckets on this machine, if the user has named one."""
    folder = os.environ.get(BUCKETS)
    return Path(folder).absolute() if folder else None


def write_into(folder: Path, upload: Upload) -> bool:
    """Writes an object into a folder that stands for the buckets, unless it is there. Two at once do no harm.

    Returns:
        Whether it was written now.

    Raises:
        ServiceError: It cannot be written.
    """
    target = folder / upload.uri.removeprefix("gs://")
    beside = target.with_name(f".{target.name}.{uuid4().hex}.part")
    try:
        if target.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("xb") as file:
                while chunk := upload.content.read(1 << 20):
                    file.write(chunk)
            with suppress(FileExistsError):
                os.link(beside, target)
                return True
            return False
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ServiceError(f"{upload.uri} cannot be written into {folder}: {error.strerror}", acted=False) from error


def read_from(folder: Path, uri: str) -> bytes | None:
    """Reads an object of a folder that stands for the buckets; None where there is none. Raises ServiceError."""
    try:
        return read_regular(str(folder / uri.removeprefix("gs://")), most=MOST_READ)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ServiceError(f"{uri} cannot be read from {folder}: {error.strerror}", acted=False) from error
