"""The Hydra callback: before the task it looks at the config, after it, it reports what came of it."""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vertex_sweeper_runtime import contract, contract_document, return_value, trial_environment
from vertex_sweeper_runtime.config_drift import find_drift
from vertex_sweeper_runtime.errors import ContractError, DriftError
from vertex_sweeper_runtime.metric_lines import LineReader, Position
from vertex_sweeper_runtime.metrics import append_metrics, metric_path
from vertex_sweeper_runtime.report_status import ReportStatus, begun_path, mark_begun, status_path, write_status
from vertex_sweeper_runtime.reported import Reported

log = logging.getLogger(__name__)

_DEFAULT_METRIC = "objective"
_MOST_KEYS = 20


class ReportMetrics(Callback):
    """Reports what the task returned: a number, a dict by metric id, or a sequence in the metrics' order.

    One process of a job reports: the primary replica's, with all of `trial_environment.RANKS` unset or 0. What the app
    reported itself in this attempt stays as it is; what it returned counts at the last step that it has reported.

    A launched job has no metrics: what its task returned or raised is written to a file instead.
    """

    _launched = False
    _return_path: str | None = None

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        """Called by Hydra before the task, in its process: the config is still as it was composed."""
        environment = os.environ
        if contract.VARIABLE not in environment:
            return
        with suppress(OSError):
            mark_begun(begun_path(metric_path(environment)))
        try:
            agreed = contract_document.decode(environment[contract.VARIABLE])
            self._begin_return(agreed, environment)
            drift = find_drift(agreed, config)
        except ContractError as error:
            log.error("Comparing the config with the sweep's failed: %s", error)  # noqa: TRY400 - the line says all
            return
        except Exception:  # Hydra would say it without the reason; a config that cannot be compared is no reason to stop
            log.exception("Comparing the config with the sweep's failed")
            return
        if drift is None:
            return
        first = trial_environment.first_rank(environment)
        if drift.fatal:
            if first and trial_environment.container_of(environment).primary:
                status = ReportStatus({}, {}, stopped=drift.line, code=DriftError.exit_code)
                with suppress(OSError):  # the exit code says it, too
                    write_status(status_path(metric_path(environment)), status)
            log.error(drift.line)
            raise SystemExit(DriftError.exit_code)  # Hydra swallows everything else
        if first:
            log.warning(drift.line)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:  # noqa: ARG002 - Hydra's signature
        """Called by Hydra after the task, in its process."""
        environment = os.environ
        if not (trial_environment.container_of(environment).primary and trial_environment.first_rank(environment)):
            return
        if self._launched:
            self._write_return(job_return)
        path = metric_path(environment)
        if job_return.status is not JobStatus.COMPLETED:
            absent = _absent_module(job_return._return_value)  # noqa: SLF001 - `return_value` raises and prints what failed
            if absent and contract.VARIABLE in environment:
                write_status(status_path(path), ReportStatus({}, {}, absent=absent))
            return
        if self._launched:
            return
        metrics = _metrics(environment)
        try:
            since = Position.from_text(environment.get(trial_environment.EARLIER_METRICS, ""))
            status = _report(path, metrics, job_return.return_value, since=since)
        except Exception as error:  # Hydra would swallow it: the shim has to hear of it
            log.exception("Reporting the metrics failed")
            status = ReportStatus(missing=dict.fromkeys(metrics, f"reporting it failed: {error!r}"), not_finite={})
        if contract.VARIABLE in environment:
            write_status(status_path(path), status)

    def _begin_return(self, agreed: contract.Contract, environment: Mapping[str, str]) -> None:
        self._launched = agreed.number is not None
        if not self._launched:
            return
        # The path is kept, as the task may change the environment and the directory.
        self._return_path = return_value.return_value_path(environment)
        first = trial_environment.first_rank(environment) and trial_environment.container_of(environment).primary
        if first and self._return_path is not None:
            with suppress(OSError):
                os.remove(self._return_path)  # noqa: PTH107 - of an earlier attempt

    def _write_return(self, job_return: JobReturn) -> None:
        if self._return_path is None:
            return
        value = job_return._return_value  # noqa: SLF001 - `return_value` raises what failed
        try:
            if job_return.status is JobStatus.COMPLETED:
                return_value.write_returned(self._return_path, value)
            elif isinstance(value, Exception):  # Hydra 1.4 ends a job with SystemExit, too; 1.3 tells nobody of it
                return_value.write_raised(self._return_path, value)
        except Exception:  # Hydra would say it without the reason
            log.exception("Writing what the task returned failed")


def measurements(value: Any, metrics: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """The numbers in a task's return value by metric id, and for the other metrics why there is none.

    A number is whatever has `__float__`, except a bool: tensors and arrays without dimensions are, too.
    """
    if isinstance(value, Mapping):
        given = {metric: value[metric] for metric in metrics if metric in value}
        keys = ", ".join(f"{key!s:.60}" for key in islice(value, _MOST_KEYS)) or "none"
        keys += f" and {len(value) - _MOST_KEYS} more" if len(value) > _MOST_KEYS else ""
        missing = dict.fromkeys(metrics, f"the task returned a dict without it (its keys: {keys})")
        returned = "the task returned for it "
    elif _is_sequence(value):
        items = list(value)
        given = dict(zip(metrics, items, strict=True)) if len(items) == len(metrics) else {}
        missing = dict.fromkeys(metrics, f"the task returned {len(items)} values for {len(metrics)} metrics")
        returned = "the task returned for it "
    else:
        given = {metrics[0]: value} if len(metrics) == 1 else {}
        missing = dict.fromkeys(
            metrics, f"the task returned {_named(value)} for {len(metrics)} metrics: return a dict by metric id"
        )
        returned = "the task returned "
    numbers: dict[str, float] = {}
    for metric, item in given.items():
        try:
            numbers[metric] = _number(item)
        except ValueError as error:
            missing[metric] = returned + str(error)
    return numbers, {metric: why for metric, why in missing.items() if metric not in numbers}


def _report(path: str, metrics: Sequence[str], value: Any, *, since: Position) -> ReportStatus:
    reported = Reported(metrics)
    for line in LineReader(path, since).read():
        reported.add(line)
    open_metrics = [metric for metric in metrics if metric not in reported.metrics]
    numbers, missing = measurements(value, metrics)
    step, values = reported.complete({metric: number for metric, number in numbers.items() if math.isfinite(number)})
    not_finite = {metric: repr(numbers[metric]) for metric in open_metrics if metric in numbers and metric not in values}
    if values:
        append_metrics(path, values, step=step)
        where = f" at step {step!s:.40}" if str(step) != "0" else ""
        log.info("Reported %s%s", ", ".join(f"{metric}={number!r}" for metric, number in values.items()), where)
    for metric, number in not_finite.items():
        log.warning("%s is %s and is not reported: the trial will be infeasible", metric, number)
    return ReportStatus(
        missing={metric: missing[metric] for metric in open_metrics if metric in missing}, not_finite=not_finite
    )


def _metrics(environment: Mapping[str, str]) -> tuple[str, ...]:
    text = environment.get(contract.VARIABLE)
    if text is not None:
        return contract_document.decode(text).metrics
    return (environment.get(trial_environment.METRIC) or _DEFAULT_METRIC,)


def _absent_module(error: object) -> str:
    """What Python said of the module for want of which the task failed; empty where it failed otherwise."""
    seen: list[object] = []
    while isinstance(error, BaseException) and error not in seen:
        if isinstance(error, ModuleNotFoundError):
            return str(error)
        seen.append(error)
        error = error.__cause__  # Hydra's instantiate() has its own error on top
    return ""


def _is_sequence(value: Any) -> bool:
    if isinstance(value, (str, bytes, bytearray)) or not hasattr(value, "__getitem__"):
        return False
    try:
        len(value)
    except TypeError:  # an array or tensor without dimensions
        return False
    return True


def _number(value: Any) -> float:
    # numpy's bool has __float__ as well, and is called `bool_` or `bool` by version; a string subclass may have one, too.
    if isinstance(value, str) or type(value).__name__ in ("bool", "bool_") or not hasattr(value, "__float__"):
        raise ValueError(f"{_named(value)}, not a number")
    try:
        return float(value)
    except Exception as error:  # whatever the app's own type raises
        raise ValueError(f"{_named(value)} that is no single number ({error!s:.200})") from error


def _named(value: Any) -> str:
    return repr(value) if value is None or isinstance(value, bool) else f"a {type(value).__name__}"
