"""`vertex-sweeper attach`: follows a job that runs, or has ended, and rebuilds the files of its sweep."""

from __future__ import annotations

import argparse
from pathlib import Path

from vertex_sweeper.api_names import is_custom, split_job
from vertex_sweeper.cli.common import add_target, target_of
from vertex_sweeper.errors import SweepError
from vertex_sweeper.run.attach import go_on
from vertex_sweeper.run.launch_target import LaunchTarget, adopt_job, read_launch_target
from vertex_sweeper.run.launch_to_end import go_on_with_launch
from vertex_sweeper.settings import OnInterrupt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)
    parser.add_argument("--sweep-dir", type=Path, help="where the files go, for a job's name (default: multirun/<job id>)")
    parser.add_argument("--no-wait", action="store_true", help="write the files as things stand, and do not wait for the end")
    parser.add_argument(
        "--trust",
        action="store_true",
        help="go on with a sweep on this machine although its directory is another user's: its command runs as you",
    )
    parser.add_argument(
        "--on-interrupt",
        choices=[member.value for member in OnInterrupt],
        default=OnInterrupt.ASK.value,
        help="what Ctrl-C does (default: %(default)s, which detaches where there is no terminal)",
    )


def run(options: argparse.Namespace) -> int:
    """0 when the job succeeded with a result, or all jobs of a launch completed.

    Raises:
        SweepError: It did not, or cannot be followed.
        SystemExit: 130, after an interrupt.
    """
    on_interrupt = OnInterrupt(options.on_interrupt)
    launch = _launch_of(options)
    if launch is not None:
        go_on_with_launch(launch, on_interrupt=on_interrupt, wait=not options.no_wait, trust=options.trust)
        return 0
    target = target_of(options)
    if target.directory is not None and options.sweep_dir is not None:
        raise SweepError(f"--sweep-dir={options.sweep_dir}: {options.target} is a sweep directory, and its files stay there")
    go_on(target, options.sweep_dir, on_interrupt=on_interrupt, wait=not options.no_wait, trust=options.trust)
    return 0


def _launch_of(options: argparse.Namespace) -> LaunchTarget | None:
    """The launched jobs that were named; None where it is a sweep."""
    launch = read_launch_target(options.target)
    if launch is not None or split_job(options.target) is None or not is_custom(options.target):
        return launch
    return adopt_job(target_of(options), options.sweep_dir)
