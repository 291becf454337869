"""The metric file: JSON lines in the format of Google's cloudml-hypertune, from which the service takes the measurements."""

import json
import os
from collections.abc import Mapping
from typing import Any, Final

VARIABLE: Final = "CLOUD_ML_HP_METRIC_FILE"
DEFAULT_PATH: Final = "/tmp/hypertune/output.metrics"  # noqa: S108 - cloudml-hypertune's own default


def metric_path(environment: Mapping[str, str]) -> str:
    """Where metrics are reported in this environment, as an absolute path."""
    return os.path.abspath(environment.get(VARIABLE) or DEFAULT_PATH)  # noqa: PTH100 - pathlib costs a trial's start too much


def read_metrics(path: str, *, since: float = 0.0) -> list[dict[str, Any]]:
    """The file's lines, oldest first, without those of earlier attempts in the same container.

    A line that is no JSON object is skipped: the file is not written atomically by everyone. A line without a time counts, as
    nothing shows it to be old. No file, no lines.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
            lines = [_parsed(line) for line in file]
    except FileNotFoundError:
        return []
    return [line for line in lines if line and _time(line) >= since]


def append_metrics(path: str, values: Mapping[str, float]) -> None:
    """Adds one line per metric, in one write, and touches nothing that others wrote.

    cloudml-hypertune itself makes the lines, so that their format is always Google's. It rewrites the file it is given, which
    is why it is given another.
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
            lines = file.read()
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        end = os.lseek(descriptor, 0, os.SEEK_END)
        torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
        os.write(descriptor, b"\n" + lines if torn else lines)
    finally:
        os.close(descriptor)


def _parsed(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _time(line: Mapping[str, Any]) -> float:
    try:
        return float(line["timestamp"])
    except (KeyError, TypeError, ValueError):
        return float("inf")
