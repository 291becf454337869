"""What the callback tells the shim: a small file beside the metric file that says why a metric is not in it.

Hydra swallows whatever a callback raises, and the shim sees only the app's exit code: this file is the way between the two.
"""

import json
import os
from contextlib import suppress
from typing import Final, NamedTuple

from vertex_sweeper_runtime.regular_files import read_regular

_MOST_BYTES: Final = 1 << 20


class Outcome(NamedTuple):
    """How a task's return value fared: by metric id, why there is no number, and numbers that cannot be reported.

    `stopped` says why the callback did not let the task begin, `absent` which module the task failed for want of.
    """

    missing: dict[str, str]
    not_finite: dict[str, str]
    stopped: str = ""
    absent: str = ""


def outcome_path(metric_path: str) -> str:
    """The outcome file that belongs to a metric file."""
    return f"{metric_path}.outcome"


def begun_path(metric_path: str) -> str:
    """The file that is there as soon as a task has begun."""
    return f"{metric_path}.begun"


def mark_begun(path: str) -> None:
    """Makes that file."""
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - the runtime does without pathlib
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666))


def write_outcome(path: str, outcome: Outcome) -> None:
    """Writes the file beside its place, and renames it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - the runtime does without pathlib
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(outcome._asdict(), file)
    os.replace(beside, path)  # noqa: PTH105


def read_outcome(path: str) -> Outcome | None:
    """What the callback wrote; None when it did not run."""
    try:
        return Outcome(**json.loads(read_regular(path, most=_MOST_BYTES)))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def remove_outcome(path: str) -> None:
    """Removes what an earlier attempt in the same container left."""
    with suppress(OSError):
        os.remove(path)  # noqa: PTH107
