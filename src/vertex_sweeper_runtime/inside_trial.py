"""A trial never starts a sweep: each trial of that sweep would start one too, without end, and on Vertex each is paid for."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress

from vertex_sweeper_runtime.errors import SweepInTrialError
from vertex_sweeper_runtime.metrics import metric_path
from vertex_sweeper_runtime.report_status import ReportStatus, status_path, write_status
from vertex_sweeper_runtime.trial_environment import trial_variable


def refuse_sweep(environment: Mapping[str, str] = os.environ) -> None:
    """Ends this process where it belongs to a trial: one line on stderr, and the exit code of SweepInTrialError.

    The shim is told as well: between the two may stand a launcher that makes 1 of any exit code, an app that catches
    SystemExit, or a thread, where it ends the thread alone.
    """
    variable = trial_variable(environment)
    if variable is None:
        return
    line = (
        f"no sweep starts inside a trial ({variable} is set), as each of its trials would start another: let the trial's "
        "command run the app once, by hydra.sweeper.trial.command of the sweep that started it"
    )
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - Hydra's logging may be off, and this is why the process ends
    with suppress(OSError):
        write_status(
            status_path(metric_path(environment)), ReportStatus({}, {}, stopped=line, code=SweepInTrialError.exit_code)
        )
    raise SystemExit(SweepInTrialError.exit_code)
