"""`vertex-trial`: stands before the command of a trial or launched job, makes overrides of its flags, and sees it through."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Final

from vertex_sweeper_runtime import contract, contract_document, process
from vertex_sweeper_runtime.contract import Contract
from vertex_sweeper_runtime.errors import CannotRunError, MetricError, TrialError
from vertex_sweeper_runtime.hydra_overrides import hydra_overrides
from vertex_sweeper_runtime.metric_lines import Position, find_end
from vertex_sweeper_runtime.metrics import VARIABLE as METRIC_FILE
from vertex_sweeper_runtime.metrics import find_other_metrics, find_values, metric_path
from vertex_sweeper_runtime.report_status import ReportStatus, begun_path, read_status, remove_status, status_path
from vertex_sweeper_runtime.trial_environment import EARLIER_METRICS, TrialContainer, container_of

_USAGE: Final = """\
usage: vertex-trial COMMAND... [--parameter=value | --parameter value | override=value]...

Runs a Hydra app's training command as a trial of a Vertex AI hyperparameter tuning job: the trial's flags become Hydra
overrides, and the task's return value is reported as its metric. Runs jobs of hydra/launcher=vertex, too.
"""
_MISUSED: Final = 64
_NOT_FOUND: Final = 127
_NOT_STARTED: Final = 126
_LONGEST_SCRIPT: Final = 1 << 20
_GENERAL: Final = (1, 2)
"""What a Python program ends with that nobody gave an exit code: after an exception, and on a wrong command line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one trial or launched job; returns its exit code.

    That is the command's own (128 + n when signal n ended it), 127 or 126 when it could not be started, 64 when the arguments
    do not fit the contract, 65 when it ended well without every metric, 66 when its config is not the sweep's and must be, 67
    when it started a sweep, 68 when CLUSTER_SPEC cannot be understood, 69 when it failed for want of a module or before its
    task began.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments in ([], ["--help"], ["-h"]):
        (sys.stdout if arguments else sys.stderr).write(_USAGE)
        return 0 if arguments else _MISUSED
    try:
        agreed = contract_document.decode(os.environ[contract.VARIABLE]) if contract.VARIABLE in os.environ else None
        container = container_of(os.environ, number=agreed.number if agreed is not None else None)
        command = [*_command(agreed, arguments), *hydra_overrides(container)]
    except TrialError as error:
        _say(str(error))
        return error.exit_code
    with process.held_signals() as mask:
        return _see_through(command, agreed, container, mask=mask)


def _command(agreed: Contract | None, arguments: Sequence[str]) -> list[str]:
    # Either side's module is imported only where it is needed: this start is part of every trial.
    if agreed is not None:
        from vertex_sweeper_runtime.flags import trial_overrides

        return [*agreed.command, *trial_overrides(agreed, arguments)]
    from vertex_sweeper_runtime.without_contract import trial_command

    return trial_command(arguments)


def _see_through(command: Sequence[str], agreed: Contract | None, container: TrialContainer, *, mask: Sequence[int]) -> int:
    path = _metric_path(container)
    awaited = agreed.metrics if agreed is not None and container.primary else ()
    remove_status(status_path(path))
    if agreed is not None and container.primary:
        remove_status(begun_path(path))
    earlier = find_end(path)  # the container may be run again, and what was reported then does not count now
    code, stopped = _run(command, {**os.environ, EARLIER_METRICS: earlier.to_text(), **_absolute(path, container)}, mask=mask)
    status = _read_status(path, awaited)
    if status is not None and status.stopped:
        _say(status.stopped)
        code = status.code  # whatever a launcher in between made of it
    elif code == 0 and awaited:
        code = _check_metrics(awaited, path, status, since=earlier)
    elif code in _GENERAL and agreed is not None and container.primary and not stopped:
        code = _check_begun(code, agreed.command, path, status)
    if code != 0 and not stopped and agreed is not None and agreed.keep_alive > 0:
        _say(f"exit code {code}; the container stays for {agreed.keep_alive} s for a look inside (SIGTERM ends it)")
        process.linger(agreed.keep_alive)
    if path != metric_path(os.environ):
        _clear_own_folder(path)
    return code


def _run(command: Sequence[str], environment: Mapping[str, str], *, mask: Sequence[int]) -> process.Ending:
    try:
        return process.run(command, environment, mask=mask)
    except (OSError, ValueError) as error:  # ValueError: a word has a NUL, or characters that this system cannot encode
        _say(f"{command[0]}: cannot be started: {error.strerror if isinstance(error, OSError) else error}")
        return process.Ending(_NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_STARTED, stopped=False)


def _metric_path(container: TrialContainer) -> str:
    """The metric file. A launched job has none of the service's, and several of one machine may run beside one another."""
    path = metric_path(os.environ)
    if container.number is None or os.environ.get(METRIC_FILE):
        return path
    folder, name = os.path.split(path)
    return os.path.join(folder, f"job-{os.getpid()}", name)  # noqa: PTH118 - the runtime does without pathlib


def _clear_own_folder(path: str) -> None:
    """Removes what shim and callback told each other in the folder of a launched job; what the app has put there stays."""
    for file in (status_path(path), begun_path(path)):
        remove_status(file)
    with suppress(OSError):
        os.rmdir(os.path.dirname(path))  # noqa: PTH106, PTH120 - the runtime does without pathlib


def _absolute(path: str, container: TrialContainer) -> dict[str, str]:
    # The app may change its directory, and cloudml-hypertune crashes on a path without one.
    return {METRIC_FILE: path} if os.environ.get(METRIC_FILE) or container.number is not None else {}


def _read_status(path: str, awaited: Sequence[str]) -> ReportStatus | None:
    try:
        return read_status(status_path(path))
    except ValueError as error:
        return ReportStatus(missing=dict.fromkeys(awaited, f"{status_path(path)} cannot be read ({error})"), not_finite={})


def _check_metrics(metrics: Sequence[str], path: str, status: ReportStatus | None, *, since: Position) -> int:
    """The exit code of a command that exited with 0: whether every metric is in the file, and if not, why."""
    try:
        found = find_values(path, metrics, since=since)
    except OSError as error:
        _say(f"{path} cannot be read: {error.strerror}")
        found = {}
    mistakes = []
    for metric in metrics:
        if found.get(metric):
            continue
        if metric in found:
            _say(f"{metric} was reported without a finite value, so that the service takes the trial for infeasible")
            continue
        if status is None:
            why = "no task returned under Hydra (did the app leave by sys.exit(), or is it no Hydra app?)"
        elif metric in status.not_finite:
            _say(f"{metric} is {status.not_finite[metric]}: not reported, so that the service takes the trial for infeasible")
            continue
        else:
            why = status.missing.get(metric, "it was reported, and something rewrote the metric file since")
        mistakes.append(f"{metric} was not reported: {why}")
    if not mistakes:
        return 0
    with suppress(OSError):  # which was said above
        if others := find_other_metrics(path, metrics, since=since):
            mistakes.append(f"the app reported {', '.join(others)}: hydra.sweeper.metrics must name what it reports")
    _say("\n".join(mistakes))
    return MetricError.exit_code


def _check_begun(code: int, command: Sequence[str], path: str, status: ReportStatus | None) -> int:
    """The exit code of a command that failed with a code that says nothing: whether it could run at all.

    Any other code is the command's own word, and stays.
    """
    if status is not None and status.absent:
        _say(f"the task failed for want of a module: {status.absent}")
        return CannotRunError.exit_code
    if os.path.exists(begun_path(path)) or not _is_hydra_app(command):  # noqa: PTH110 - the runtime does without pathlib
        return code
    _say(f"the command ended with {code} before its task began: a requirement is missing, or the app or its config is wrong")
    return CannotRunError.exit_code


def _is_hydra_app(command: Sequence[str]) -> bool:
    """Whether the command's script speaks of Hydra, or is not there. Of other programs nothing shows whether a task began."""
    scripts = [word for word in command if word.endswith(".py")]
    folders = ("", "src", *os.environ.get("PYTHONPATH", "").split(os.pathsep))
    modules = [module.replace(".", "/") for flag, module in pairwise(command) if flag == "-m"]
    files = [f"{module}{ending}" for module in modules for ending in (".py", "/__main__.py")]
    for path in [*scripts, *(os.path.join(folder, file) for folder in folders for file in files)]:  # noqa: PTH118
        try:
            with open(path, "rb") as file:  # noqa: PTH123
                if b"hydra" in file.read(_LONGEST_SCRIPT):
                    return True
        except FileNotFoundError:
            if path in scripts:
                return True
        except OSError:
            pass
    return False


def _say(text: str) -> None:
    for line in text.split("\n"):
        print(f"{contract.SHIM}: {line}", file=sys.stderr, flush=True)  # noqa: T201 - a command-line entry point
