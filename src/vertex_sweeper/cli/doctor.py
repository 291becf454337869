"""`vertex-sweeper doctor`: checks what a sweep needs before it costs, and runs one short trial of it here."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from vertex_sweeper.cli.common import write_lines
from vertex_sweeper.errors import SweepError
from vertex_sweeper.finding import Finding, Found, failed, ok, unchecked
from vertex_sweeper.messages import shell_line
from vertex_sweeper.run.preflight import DOCTOR
from vertex_sweeper.terminal.findings import finding_lines

_GRACE: Final = 60.0
"""Seconds in which a sweep that was interrupted must have ended its trial."""

CHECK: Final = ("hydra.mode=MULTIRUN", "hydra.sweeper.dry_run=true")
"""What makes a check of a sweep. With another sweeper than ours Hydra refuses the second word, and nothing runs."""

ONE_TRIAL: Final = (
    "hydra.mode=MULTIRUN",
    "hydra.sweeper.dry_run=false",
    "hydra.sweeper.backend=local",
    "hydra.sweeper.max_trial_count=1",
    "hydra.sweeper.parallel_trial_count=1",
    "hydra.sweeper.max_failed_trial_count=1",
    "hydra.sweeper.wait=true",
    "hydra.sweeper.on_interrupt=cancel",
)
"""What makes one trial on this machine of a sweep: the planned job, run by the local service, to its first trial's end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = (
        "Checks what a sweep needs on Vertex AI, in order, each with what to do about it, and runs one trial of it here. "
        "Nothing is created and nothing is paid for."
    )
    parser.add_argument("--no-trial", action="store_true", help="run no trial here")
    parser.add_argument(
        "--trial-timeout",
        type=int,
        default=300,
        metavar="SECONDS",
        help="how long the trial may take (default: %(default)s); overrides that make it shorter go behind the sweep's own",
    )
    parser.add_argument(
        "sweep", nargs=argparse.REMAINDER, metavar="COMMAND", help="the sweep as it is started: python train.py -m lr=…"
    )


def run(options: argparse.Namespace) -> int:
    """0 when no check failed, 1 otherwise."""
    sweep = options.sweep[1:] if options.sweep[:1] == ["--"] else options.sweep
    if not sweep:
        raise SweepError("doctor: name the sweep as it is started: vertex-sweeper doctor python train.py -m lr=…")
    checked = _call([*sweep, *CHECK], {DOCTOR: "1"}) == 0
    trial = unchecked("trial", "left out, --no-trial") if options.no_trial else _trial(sweep, options.trial_timeout)
    write_lines(finding_lines([trial]))
    return 0 if checked and trial.found is not Found.FAILED else 1


def _trial(sweep: Sequence[str], timeout: float) -> Finding:
    """Runs one trial of the sweep on this machine, in a folder that is gone afterwards."""
    if importlib.util.find_spec("optuna") is None:
        return unchecked("trial", "none is run here without the extra", "pip install 'hydra-vertex-sweeper[local]'")
    write_lines(["one trial on this machine:"])
    with tempfile.TemporaryDirectory(prefix="vertex-sweeper-doctor-") as folder:
        command = [*sweep, *ONE_TRIAL, f"hydra.sweep.dir={Path(folder).resolve().as_posix()}/sweep"]
        code = _call(command, {}, timeout=timeout)
    if code is None:
        shorter = f"behind `{shell_line(sweep)}`, an override that makes a trial short, or a longer --trial-timeout"
        return unchecked("trial", f"it did not end in {timeout:g} seconds", shorter)
    if code == 0:
        return ok("trial", "it ran here, and its metric is there")
    return failed("trial", f"it failed here (exit code {code}), and would fail on Vertex", "see its lines above")


def _call(command: Sequence[str], environment: Mapping[str, str], *, timeout: float | None = None) -> int | None:
    """The exit code of a command of the user's; None where it was ended because its time was over. Raises SweepError."""
    sys.stdout.flush()  # what the command prints comes after it
    try:
        process = subprocess.Popen(command, env={**os.environ, **environment})  # noqa: S603 - what the user asked for
    except OSError as error:
        raise SweepError(f"{shell_line(command[:1])} cannot be started: {error}") from error
    with process:
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            return None
        except BaseException:
            _end(process)
            raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a sweep as Ctrl-C does, and surely."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
