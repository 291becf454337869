"""What is said of launched jobs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vertex_sweeper.log_tail import log_tail
from vertex_sweeper.messages import printable
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.results.launch_results import JobEnd, value_text
from vertex_sweeper.terminal import next_steps

_LONGEST_VALUE = 80


def begin_line(jobs: Sequence[LaunchedJob], directory: Path, *, parallel: int | None) -> str:
    """What is about to be launched, or come back to."""
    planned = sum(job.planned for job in jobs)
    at_once = "all at once" if parallel is None or parallel >= len(jobs) else f"{parallel} at a time"
    count = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs, {at_once}"
    known = f", {len(jobs) - planned} of them launched before" if planned < len(jobs) else ""
    return f"{count}{known}, in {printable(directory)}"


def end_line(end: JobEnd, *, ended: int, count: int) -> str:
    """How a job ended: `[3/10] #7 succeeded after 12.0 s and returned 0.93`."""
    after = "" if end.seconds is None else f" after {end.seconds:.1f} s"
    if end.failure:
        what = f"failed{after}: {end.failure}"
    else:
        value = value_text(end.returned)
        shown = value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 1]}…"
        what = f"succeeded{after}" + (f" and returned {shown}" if value else "")
    return printable(f"[{ended}/{count}] #{end.launched.number} {what}")


def log_lines(end: JobEnd) -> list[str]:
    """The end of what a job printed, under a title, where that is on this machine; else how to see it."""
    launched, name = end.launched, (end.job or {}).get("name")
    if end.job is None or name is None:
        return []
    trial = next_steps.as_trial(end.job)
    log = next_steps.log_file(launched.address, name, trial, launched.folder)
    tail = log_tail(log) if log is not None else []
    if tail:
        return [printable(line) for line in [f"the end of {log}:", *tail]]
    command = next_steps.log_command(launched.address, name, trial, launched.folder)
    return [f"its log: {printable(command)}"] if command else []
