"""A trial never starts a sweep: each trial of that sweep would start one too, without end, and on Vertex each is paid for."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress

from vertex_sweeper_runtime.errors import SweepInTrialError
from vertex_sweeper_runtime.metrics import metric_path
from vertex_sweeper_runtime.report_status import ReportStatus, status_path, write_status
from vertex_sweeper_runtime.trial_environment import trial_variable


def refuse_sweep(environment: Mapping[str, str] = os.environ, *, what: str = "sweep", command: str = "sweeper") -> None:
    """Ends this process where it belongs to a trial or a launched job: a line on stderr, and SweepInTrialError's exit code.

    Args:
        environment: This process's.
        what: What was about to start, a `sweep` or a `launch`.
        command: Under which of Hydra's nodes the command that runs here can be set.

    The shim is told as well: between the two may stand a launcher that makes 1 of any exit code, an app that catches
    SystemExit, or a thread, where it ends the thread alone.
    """
    variable = trial_variable(environment)
    if variable is None:
        return
    line = (
        f"no {what} starts inside a trial or launched job ({variable} is set), as each of its jobs would start another: let "
        f"the command here run the app once, by hydra.{command}.trial.command of what started it"
    )
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - Hydra's logging may be off, and this is why the process ends
    with suppress(OSError):
        write_status(
            status_path(metric_path(environment)), ReportStatus({}, {}, stopped=line, code=SweepInTrialError.exit_code)
        )
    raise SystemExit(SweepInTrialError.exit_code)
