"""What came of launched jobs: how each ended, what its task returned, and the table of all of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vertex_sweeper.api import Job, JobState, job_state, parse_time
from vertex_sweeper.atomic_files import write_text
from vertex_sweeper.job.containers import contract_text
from vertex_sweeper.results.launch_directory import LaunchedJob, is_number
from vertex_sweeper.results.tables import csv_text
from vertex_sweeper.stored_json import read_file
from vertex_sweeper_runtime import contract_document
from vertex_sweeper_runtime.errors import ContractError
from vertex_sweeper_runtime.return_value import Returned

TABLE: Final = "jobs.csv"

_TITLES: Final = ("number", "state", "seconds", "returned", "overrides", "error")


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a launched job ended.

    Attributes:
        launched: The job's folder and specification.
        job: Its last snapshot; None where the service never showed it.
        error: Why it did not succeed; empty where it did.
        returned: What its task returned or raised, where that came back.
    """

    launched: LaunchedJob
    job: Job | None = None
    error: str = ""
    returned: Returned | None = None

    @property
    def seconds(self) -> float | None:
        """How long it ran; None where that is not known."""
        job = self.job or {}
        try:
            return parse_time(job.get("endTime")) - parse_time(job.get("startTime"))
        except ValueError:
            return None

    @property
    def failure(self) -> str:
        """Why it has not completed, on one line; empty where it has."""
        returned = self.returned
        if returned is None or returned.status == "returned":
            return self.error
        if returned.status == "raised":
            return f"{returned.type}: {returned.message}" if returned.message else returned.type
        return returned.message


def error_of(job: Job) -> str:
    """Why a custom job that has ended did not succeed; empty where it did."""
    state = job_state(job)
    if state is JobState.SUCCEEDED:
        return ""
    what = f"the job ended {state.name}" if state is not None else f"the job ended in the state {job.get('state')}"
    message = str(job.get("error", {}).get("message", ""))
    return f"{what}: {message}" if message else what


def task_overrides(job: Job) -> tuple[str, ...]:
    """The overrides that a launched job's container is given; none where its contract cannot be read."""
    try:
        agreed = contract_document.decode(contract_text(job) or "")
    except ContractError:
        return ()
    return tuple(item for item in agreed.sequence if isinstance(item, str))


def job_rows(ends: Iterable[JobEnd]) -> list[list[str]]:
    """The jobs as a table, a row each below the titles, by number."""
    return [list(_TITLES), *map(job_row, sorted(ends, key=lambda end: end.launched.number))]


def job_row(end: JobEnd) -> list[str]:
    """A job's row. To make it costs the reading of the job's contract."""
    seconds = "" if end.seconds is None else f"{end.seconds:.1f}"
    overrides = " ".join(task_overrides(end.launched.job))
    return [str(end.launched.number), _state(end), seconds, value_text(end.returned), overrides, end.failure]


def write_table(directory: Path, rows_of_jobs: Iterable[Sequence[str]]) -> Path:
    """Writes rows of `job_row` into `jobs.csv`; those of other jobs stay: a sweeper may launch one batch after the other."""
    path = directory / TABLE
    titles, *rows = csv.reader(io.StringIO(csv_text([_TITLES, *rows_of_jobs]), newline=""))
    merged = {row[0]: row for row in [*_rows_in(path, titles), *rows]}
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([titles, *sorted(merged.values(), key=lambda row: int(row[0]))])
    return write_text(path, text.getvalue())


def _rows_in(path: Path, titles: Sequence[str]) -> list[list[str]]:
    """The rows of a table that was written before; none where it is not one of ours."""
    try:
        found = list(csv.reader(io.StringIO(read_file(path).decode(), newline="")))
    except (OSError, ValueError, csv.Error):
        return []
    own = found[1:] if found[:1] == [list(titles)] else []
    return [row for row in own if len(row) == len(titles) and is_number(row[0])]


def value_text(returned: Returned | None) -> str:
    """What a task returned, as JSON; nothing where nothing came back."""
    if returned is None or returned.status != "returned":
        return ""
    return json.dumps(returned.value, ensure_ascii=False)


def _state(end: JobEnd) -> str:
    state = ("" if end.job is None else end.job.get("state")) or end.launched.state
    if end.launched.planned and end.job is None:
        return "FAILED" if end.error else "PLANNED"
    return str(state or "UNKNOWN").removeprefix("JOB_STATE_")
