"""A trial's metric file: what the trial reports, read while it runs."""

from __future__ import annotations

import errno
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from vertex_sweeper.services.local.study.measurement import Measurement, Series
from vertex_sweeper_runtime.metric_lines import LineReader, Report, find_reports

MOST_REPORTS: Final = 2_000_000
"""How many values of one trial are read."""


class MetricFile:
    """What a trial reports, from a file that is read while it is still being written.

    What was read once stays reported, also when the file is cut short or the line is gone later: cloudml-hypertune keeps
    the last 100 lines only. `problem` is why the file could not be read to its end; empty when it could, or when there is none.

    Args:
        path: The file; it need not exist.
        metrics: The metrics that count.
        begun: When the trial began to run, in seconds since 1970.
        clock: What time it is now.
        most: How many reports are kept; more are a problem.
    """

    def __init__(
        self,
        path: Path,
        *,
        metrics: Sequence[str],
        begun: float,
        clock: Callable[[], float],
        most: int = MOST_REPORTS,
    ) -> None:
        self.problem = ""
        self._most = most
        self._path = path
        self._metrics = metrics
        self._begun = begun
        self._clock = clock
        self._reader = LineReader(str(path))
        self._starts = 0
        self._hashes = array("q")
        self._known: Counter[int] = Counter()
        self._series = Series()
        self._last_read: tuple[Sequence[Measurement], tuple[int, ...] | None] = ([], None)

    @property
    def long_lines(self) -> bool:
        """Whether lines were passed over because they are too long."""
        return self._reader.long_lines

    def read(self) -> Sequence[Measurement]:
        """All that has been reported so far, in that order; [] without a file.

        Lines that are torn, that others wrote, or whose value is not finite are passed over: one bad line is no reason to
        lose a trial that took a day.
        """
        self._read(thorough=True)
        return list(self._series.measurements)

    def read_new(self) -> Sequence[Measurement]:
        """The same, for whoever asks often: what is new is read, when the file seems to have changed."""
        try:
            status = self._path.stat()
        except OSError:
            return self._last_read[0]
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        if version != self._last_read[1]:
            self._read(thorough=False)
            self._last_read = (list(self._series.measurements), version)
        return self._last_read[0]

    def _read(self, *, thorough: bool) -> None:
        now = self._clock()
        if len(self._hashes) > self._most:
            return
        try:
            for entry in self._reader.read(thorough=thorough):
                for report in find_reports(entry, self._metrics):
                    if self._is_new(report):
                        self._add(report, now)
        except OSError as error:
            self.problem = f"{error.strerror or error}"
        else:
            self.problem = ""

    def _add(self, report: Report, now: float) -> None:
        if len(self._hashes) > self._most:
            raise OSError(errno.EFBIG, f"it reports more than {self._most:,} values")
        # Trials write what they like: a time from before the trial's start, or from the future, is another clock's (or another
        # unit's), and tells nothing.
        known = report.time is not None and self._begun <= report.time <= now
        self._series.add(report, report.time - self._begun if report.time is not None and known else None)

    def _is_new(self, report: Report) -> bool:
        """Whether the report was not read before. Where the file is read from its start again, what is known comes again."""
        if self._starts != self._reader.starts:
            self._starts = self._reader.starts
            self._known = Counter(self._hashes)
        key = hash(report)
        if self._known[key] > 0:
            self._known[key] -= 1
            return False
        self._hashes.append(key)
        return True
