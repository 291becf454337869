"""The lines of a metric file, read once each while others write them: cloudml-hypertune, or the app in its own way.

cloudml-hypertune writes the whole file anew at each report, not atomically, and with its last 100 lines only; others append. So
a file is read on from where the last look ended as long as what was read before still stands there, and from its start where
it does not. Whatever the file holds, reading it is bounded.
"""

import errno
import json
import math
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from vertex_sweeper_runtime.regular_files import open_regular, read_bytes

MOST_BYTES: Final = 256 << 20
"""The largest file that is read: two million lines of cloudml-hypertune's."""

LONGEST_LINE: Final = 64 << 10
"""The longest line that is read, in bytes."""

# JSON of this depth is read within any thread's stack, also where the app has raised the interpreter's own limit.
_MOST_BRACKETS: Final = 1000
_CHUNK: Final = 1 << 20
_BEGINNING: Final = 4096


class Position(NamedTuple):
    """How far a file was read, and what is needed to see later whether that part still stands: all zero before anything was.

    `checksum` is that of all that was read, `changed` when the file had last been written to (compared for being the same,
    never for being earlier: clocks are set back, and apps fake them).
    """

    offset: int = 0
    checksum: int = 0
    inode: int = 0
    changed: int = 0

    def to_text(self) -> str:
        """For an environment variable."""
        return ":".join(map(str, self))

    @classmethod
    def from_text(cls, text: str) -> "Position":
        """What `to_text` gave; the start of the file for anything else."""
        try:
            return cls(*map(int, text.split(":")))
        except (ValueError, TypeError):
            return cls()


class Report(NamedTuple):
    """One value of one metric, as it was written down: `time` is seconds since 1970, or None."""

    step: int
    metric: str
    value: float
    time: float | None = None


class LineReader:
    """Reads a file's lines, each once, however often it is asked.

    `position` is how far it has come. `starts` counts how often it had to start again because what it had read no longer stood
    in the file: after that, lines that were read before come again. `long_lines` is whether a line was passed over for its
    length.
    """

    def __init__(self, path: str, position: Position = Position()) -> None:  # noqa: B008 - a tuple
        self.path = path
        self.position = position
        self.starts = 0
        self.long_lines = False
        self._beginning = b""
        self._inside_long_line = False

    def read(self, *, thorough: bool = True) -> Iterator[dict[str, Any]]:
        """The lines that are new and hold a JSON object; none where there is no file.

        Other lines are passed over. A last line without its end counts when it is whole.

        Args:
            thorough: Compare all that was read before with what the file has now, not its beginning only.

        Raises:
            OSError: It is no regular file, cannot be read, or is larger than MOST_BYTES.
        """
        try:
            descriptor = open_regular(self.path)
        except FileNotFoundError:
            return
        try:
            status = os.fstat(descriptor)
            if status.st_size > MOST_BYTES:
                raise OSError(errno.EFBIG, f"larger than {MOST_BYTES >> 20} MiB", self.path)
            if not self._stands(descriptor, status, thorough=thorough):
                self.position, self._beginning, self._inside_long_line = Position(), b"", False
                self.starts += 1
            self.position = self.position._replace(inode=status.st_ino, changed=status.st_mtime_ns)
            yield from self._new_lines(descriptor, size=status.st_size)
        finally:
            os.close(descriptor)

    def _stands(self, descriptor: int, status: os.stat_result, *, thorough: bool) -> bool:
        """Whether the file still begins with what was read."""
        offset, checksum, inode, changed = self.position
        if offset == 0:
            return True
        if status.st_ino != inode or status.st_size < offset or (status.st_size == offset and status.st_mtime_ns != changed):
            return False
        os.lseek(descriptor, 0, os.SEEK_SET)
        if read_bytes(descriptor, most=len(self._beginning)) != self._beginning:
            return False
        return not thorough or _checksum(descriptor, offset) == checksum

    def _new_lines(self, descriptor: int, *, size: int) -> Iterator[dict[str, Any]]:
        """The objects from the position on, up to this size: what is appended meanwhile is for the next time."""
        os.lseek(descriptor, self.position.offset, os.SEEK_SET)
        unread, pending = size - self.position.offset, b""
        while unread > 0 and (chunk := os.read(descriptor, min(unread, _CHUNK))):
            unread -= len(chunk)
            pending += chunk
            end = pending.rfind(b"\n") + 1
            block, pending = pending[:end], pending[end:]
            self._advance(block)
            if block and self._inside_long_line:
                block = block[block.index(b"\n") + 1 :]
                self._inside_long_line = False
            yield from filter(None, map(self._parse, block.splitlines()))
            if len(pending) > LONGEST_LINE:
                self._advance(pending)
                pending, self._inside_long_line, self.long_lines = b"", True, True
        last = [] if self._inside_long_line else [self._parse(line) for line in pending.splitlines()]
        if last and last[-1]:  # a torn line is no JSON object
            self._advance(pending)
            yield from filter(None, last)

    def _advance(self, content: bytes) -> None:
        if len(self._beginning) == self.position.offset:
            self._beginning += content[: _BEGINNING - len(self._beginning)]
        offset, checksum = self.position.offset + len(content), zlib.crc32(content, self.position.checksum)
        self.position = self.position._replace(offset=offset, checksum=checksum)

    def _parse(self, line: bytes) -> dict[str, Any]:
        if len(line) > LONGEST_LINE:
            self.long_lines = True
            return {}
        if line.count(b"[") + line.count(b"{") > _MOST_BRACKETS:
            return {}
        try:
            entry = json.loads(line.decode("utf-8", errors="replace"))
        except (ValueError, RecursionError):
            return {}
        return entry if isinstance(entry, dict) else {}


def find_end(path: str) -> Position:
    """The end of a file as it is now; the start where it cannot be read, so that reading it says why."""
    try:
        descriptor = open_regular(path)
    except OSError:
        return Position()
    try:
        status = os.fstat(descriptor)
        size = min(status.st_size, MOST_BYTES + 1)
        return Position(size, _checksum(descriptor, size), status.st_ino, status.st_mtime_ns)
    except OSError:
        return Position()
    finally:
        os.close(descriptor)


def find_reports(entry: Mapping[str, Any], metrics: Sequence[str]) -> Iterator[Report]:
    """What a line reports of these metrics. Values that are not finite are none."""
    for metric in metrics:
        value = to_number(entry.get(metric))
        if value is not None and math.isfinite(value):
            time = to_number(entry.get("timestamp"))
            yield Report(to_step(entry.get("global_step")), metric, value, time if time and math.isfinite(time) else None)


def to_number(written: object) -> float | None:
    """The number that was written, as a number or as text; None if it is none, or beyond floats."""
    # cloudml-hypertune writes numbers as text, and writes NaN and infinity without complaint.
    if isinstance(written, bool) or not isinstance(written, (int, float, str)):
        return None
    try:
        return float(written)
    except (ValueError, OverflowError):
        return None


def to_step(written: object) -> int:
    """The step that was written; 0 where it is none that the API has room for."""
    if isinstance(written, bool) or not isinstance(written, (int, float, str)):
        return 0
    try:
        step = int(written)  # exactly: as floats, large steps become one
    except (ValueError, OverflowError):
        number = to_number(written)
        step = int(number) if number is not None and math.isfinite(number) else 0
    return step if 0 <= step < 2**63 else 0


def _checksum(descriptor: int, size: int) -> int:
    """That of the file's first bytes."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    checksum = 0
    while size > 0 and (chunk := read_bytes(descriptor, most=min(size, _CHUNK))):
        checksum = zlib.crc32(chunk, checksum)
        size -= len(chunk)
    return checksum
