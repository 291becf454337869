"""A trial or launched job starts neither: each of its trials or jobs would start more, without end, and each is paid for."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from vertex_sweeper_runtime.errors import SweepInTrialError
from vertex_sweeper_runtime.metrics import metric_path
from vertex_sweeper_runtime.report_status import ReportStatus, status_path, write_status
from vertex_sweeper_runtime.trial_environment import OWN_PREFIX, trial_variable

_STARTED: Final = {"sweep": "trials", "launch": "jobs"}
"""What may be started, and what it consists of."""


def refuse_sweep(environment: Mapping[str, str] = os.environ, *, what: str = "sweep") -> None:
    """Ends this process where it belongs to a trial or launched job: one line on stderr, and SweepInTrialError's exit code.

    The shim is told as well: between the two may stand a launcher that makes 1 of any exit code, an app that catches
    SystemExit, or a thread, where it ends the thread alone.

    Args:
        environment: The environment variables of the process.
        what: What is being started: `sweep` or `launch`.

    Raises:
        SystemExit: The process belongs to a trial or launched job.
    """
    variable = trial_variable(environment)
    if variable is None:
        return
    if variable.startswith(OWN_PREFIX):  # which trials and launched jobs both have
        inside, its, command = "a trial or launched job", "its", "trial.command of the sweep or launch"
    else:
        inside, its, command = "a trial", "the trial's", "hydra.sweeper.trial.command of the sweep"
    line = (
        f"no {what} starts inside {inside} ({variable} is set), as each of its {_STARTED[what]} would start another: "
        f"let {its} command run the app once, by {command} that started it"
    )
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - Hydra's logging may be off, and this is why the process ends
    with suppress(OSError):
        write_status(
            status_path(metric_path(environment)), ReportStatus({}, {}, stopped=line, code=SweepInTrialError.exit_code)
        )
    raise SystemExit(SweepInTrialError.exit_code)
