"""Who holds the lock on a folder of records, and how to send that process a signal: it, or nobody.

A lock's text is only a file's, and the number of a process means another one in another container, and later. So a process is
taken for the owner when it began when the owner did and, as the kernel tells, holds the lock itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from vertex_sweeper.errors import ServiceError
from vertex_sweeper.services.local.execute import reaper
from vertex_sweeper.stored_json import DamagedDocument, check_complete, parse_json

_PROC: Final = Path("/proc")
_ENDED: Final = "ended"
_MOST_PROCESSES: Final = 2**22
"""Linux numbers processes up to this, and 0 and less mean whole groups. In a container a sweep may be number 1."""

_LONGEST: Final = 300
_FLOCK: Final = re.compile(r"^lock:\s.*\bFLOCK\b.*\bWRITE\b", re.MULTILINE)


class LockOwner(NamedTuple):
    """A process that has a folder of records.

    `place` tells apart what shares a host's name: the machine since it was last started, and the namespace of its process
    numbers (a container has its own). `started` is when the process began, as the system says it; empty where nobody can tell.
    """

    host: str
    place: str
    process: int
    started: str

    @classmethod
    def of_this_process(cls) -> LockOwner:
        """What this process writes into its locks."""
        return cls(socket.gethostname(), _place(), os.getpid(), _started(os.getpid()))

    @classmethod
    def parse(cls, content: bytes) -> LockOwner:
        """Reads a lock's text. Raises DamagedDocument for what is none."""
        said = parse_json(content)
        check_complete(said, {"host": str, "place": str, "process": int, "started": str})
        owner = cls(*(said[field] for field in cls._fields))
        if not 1 <= owner.process <= _MOST_PROCESSES:
            raise DamagedDocument(f"{owner.process} is no number of a process")
        if not all(text.isprintable() and len(text) <= _LONGEST for text in (owner.host, owner.place, owner.started)):
            raise DamagedDocument("it names no host")
        return owner

    def to_text(self) -> str:
        """What `parse` reads."""
        return json.dumps(self._asdict())

    @property
    def elsewhere(self) -> str:
        """Where else its number means the process that it is; empty if it does so here."""
        if self.host != socket.gethostname():
            return self.host
        return f"another container or machine that is called {self.host}, too" if self.place != _place() else ""

    @property
    def alive(self) -> bool:
        """Whether it runs, as far as can be told: of another machine's the lock alone tells."""
        if self.elsewhere:
            return True
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return False  # killed a moment ago: its reaper is still busy
        except PermissionError:
            return True
        return _started(self.process) in ("", self.started)

    def terminate(self, lock: Path) -> None:
        """Sends it SIGTERM.

        Raises:
            ServiceError: That process is not the one that holds the lock, or nobody can tell.
            ProcessLookupError: It is gone.
            PermissionError: It is another user's.
        """
        opened = reaper.open_process(self.process)  # first: what is looked at below is what gets the signal
        try:
            if not self.started or _started(self.process) != self.started or not _holds(self.process, lock):
                raise ServiceError(
                    f"{lock} names process {self.process}, and that is not seen to hold it: it is sent no signal; "
                    "cancel the job where it runs"
                )
            reaper.send(self.process, signal.SIGTERM, opened)
        finally:
            if opened is not None:
                os.close(opened)


def _place() -> str:
    parts = []
    with suppress(OSError):
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str((_PROC / "self/ns/pid").readlink()))
    return " ".join(parts)


def _started(process: int) -> str:
    """When the process began, in the system's own words; empty where that is not known."""
    if sys.platform == "darwin":
        return _started_by_ps(process)
    try:
        if (_PROC / "self").readlink().name != str(os.getpid()):
            return ""  # the numbers of /proc are another namespace's
        state, *fields = (_PROC / str(process) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return _ENDED if state in "ZX" else fields[18]  # the 22nd of all: `comm`, the second, may have spaces in it


def _started_by_ps(process: int) -> str:
    command = ["ps", "-o", "lstart=", "-p", str(process)]
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC0"}
    try:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    except OSError:
        return ""


def _holds(process: int, lock: Path) -> bool:
    """Whether the lock is held through a file that the process has open; True on macOS, which does not tell."""
    if sys.platform == "darwin":
        return True
    try:
        wanted = lock.stat()
    except OSError:
        return False
    for file in (_PROC / str(process) / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if file.readlink().name != lock.name:
                continue
            found = file.stat()
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                shown = (_PROC / str(process) / "fdinfo" / file.name).read_text()
                if _FLOCK.search(shown):
                    return True
    return False
