"""What the app's process tells the shim: a small file beside the metric file that says why a metric is not in it.

Hydra swallows whatever a callback raises, and launchers make 1 of every exit code: this file is the way around both.
"""

import json
import os
from contextlib import suppress
from typing import Any, Final, NamedTuple

from vertex_sweeper_runtime.checked_json import Fields, is_text, parse
from vertex_sweeper_runtime.errors import DriftError, SweepInTrialError
from vertex_sweeper_runtime.regular_files import read_regular

_MOST_BYTES: Final = 1 << 20
_CODES: Final = (0, DriftError.exit_code, SweepInTrialError.exit_code)


class ReportStatus(NamedTuple):
    """How a task's return value fared: by metric id, why there is no number, and numbers that cannot be reported.

    `stopped` says why the trial was ended, whatever its command made of that, and `code` is then the shim's exit code. `absent`
    says which module the task failed for want of.
    """

    missing: dict[str, str]
    not_finite: dict[str, str]
    stopped: str = ""
    code: int = 0
    absent: str = ""


def status_path(metric_path: str) -> str:
    """The status file that belongs to a metric file."""
    return f"{metric_path}.outcome"


def begun_path(metric_path: str) -> str:
    """The file that is there as soon as a task has begun."""
    return f"{metric_path}.begun"


def mark_begun(path: str) -> None:
    """Makes that file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - the runtime does without pathlib
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666))


def write_status(path: str, status: ReportStatus) -> None:
    """Writes the file beside its place, and renames it. One that says why the trial was ended stays."""
    with suppress(ValueError):
        before = read_status(path)
        if before is not None and before.stopped:
            return
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - the runtime does without pathlib
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(status._asdict(), file)
    os.replace(beside, path)  # noqa: PTH105


def read_status(path: str) -> ReportStatus | None:
    """What was written; None without a file. Raises ValueError, with one line, when something else is there."""
    try:
        fields = Fields(parse(read_regular(path, most=_MOST_BYTES)))
        status = ReportStatus(
            missing=fields.checked("missing", _is_reasons, "an object of texts"),
            not_finite=fields.checked("not_finite", _is_reasons, "an object of texts"),
            stopped=fields.text("stopped", ""),
            code=fields.checked("code", lambda value: type(value) is int and value in _CODES, "an exit code of the shim", 0),
            absent=fields.text("absent", ""),
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(error.strerror) from error
    if bool(status.stopped) != bool(status.code):
        raise ValueError("a reason to stop and an exit code come together")
    return status


def _is_reasons(value: Any) -> bool:
    return isinstance(value, dict) and all(map(is_text, value.values()))


def remove_status(path: str) -> None:
    """Removes what an earlier attempt in the same container left."""
    with suppress(OSError):
        os.remove(path)  # noqa: PTH107
