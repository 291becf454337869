"""The metric file: JSON lines in the format of Google's cloudml-hypertune, from which the service takes the measurements."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Final

from vertex_sweeper_runtime.metric_lines import LineReader, Position, to_number

VARIABLE: Final = "CLOUD_ML_HP_METRIC_FILE"
DEFAULT_PATH: Final = "/tmp/hypertune/output.metrics"  # noqa: S108 - cloudml-hypertune's own default

_NO_METRICS: Final = ("timestamp", "trial", "global_step")
"""What else cloudml-hypertune writes into each line."""

_MOST_OTHERS: Final = 5
_LONGEST_NAME: Final = 60


def metric_path(environment: Mapping[str, str]) -> str:
    """Where metrics are reported in this environment, as an absolute path."""
    return os.path.abspath(environment.get(VARIABLE) or DEFAULT_PATH)  # noqa: PTH100 - pathlib costs a trial's start too much


def find_values(path: str, metrics: Sequence[str], *, since: Position) -> dict[str, bool]:
    """The metrics that have a value in the file, each with whether any is finite. Raises OSError where it cannot be read."""
    found: dict[str, bool] = {}
    for line in LineReader(path, since).read():
        for metric in metrics:
            value = to_number(line.get(metric))
            if value is not None:
                found[metric] = found.get(metric, False) or math.isfinite(value)
    return found


def find_other_metrics(path: str, metrics: Sequence[str], *, since: Position) -> list[str]:
    """A few metrics besides these that have a value in the file, as text to show. Raises OSError as `find_values` does."""
    found: dict[str, None] = {}
    for line in LineReader(path, since).read():
        for name, value in line.items():
            if name not in _NO_METRICS and name not in metrics and to_number(value) is not None:
                found[name if name.isprintable() else ascii(name)] = None
        if len(found) >= _MOST_OTHERS:
            break
    return [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in found][:_MOST_OTHERS]


def append_metrics(path: str, values: Mapping[str, float], *, step: float | str = "0") -> None:
    """Adds one line per metric, in one write, and touches nothing that others wrote.

    cloudml-hypertune itself makes the lines, so that their format is always Google's; only the step is put in as it is given.
    It rewrites the file it is given, which is why it is given another.
    """
    # Imported here: only the app's process reports, and the shim shares this module.
    from tempfile import TemporaryDirectory

    from hypertune import HyperTune

    with TemporaryDirectory() as folder:
        tune = HyperTune()
        tune.metric_path = os.path.join(folder, "lines")  # noqa: PTH118
        for metric, number in values.items():
            tune.report_hyperparameter_tuning_metric(hyperparameter_metric_tag=metric, metric_value=number)
        with open(tune.metric_path, "rb") as file:  # noqa: PTH123
            lines = b"".join(_with_step(line, step) for line in file)
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
        os.write(descriptor, b"\n" + lines if torn else lines)
    finally:
        os.close(descriptor)


def _with_step(line: bytes, step: float | str) -> bytes:
    return json.dumps({**json.loads(line), "global_step": step}, sort_keys=True).encode() + b"\n"
