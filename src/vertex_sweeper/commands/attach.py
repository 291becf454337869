"""`vertex-sweeper attach`: follows a job that runs, or has ended, and rebuilds the files of its sweep."""

from __future__ import annotations

import argparse
from pathlib import Path

from vertex_sweeper.attach import attachable_target, prepare
from vertex_sweeper.commands.common import add_target, open_target
from vertex_sweeper.errors import SweepError
from vertex_sweeper.follow import check_success, follow
from vertex_sweeper.interrupt import EXIT_CODE, Interrupt
from vertex_sweeper.settings import OnInterrupt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)
    parser.add_argument("--sweep-dir", type=Path, help="where the files go, for a job's name (default: multirun/<job id>)")
    parser.add_argument("--no-wait", action="store_true", help="write the files as things stand, and do not wait for the end")
    parser.add_argument(
        "--on-interrupt",
        choices=[member.value for member in OnInterrupt],
        default=OnInterrupt.ASK.value,
        help="what Ctrl-C does (default: %(default)s, which detaches where there is no terminal)",
    )


def run(options: argparse.Namespace) -> int:
    """0 when the job succeeded with a result, 130 after an interrupt; raises SweepError otherwise."""
    target = attachable_target(options.target, endpoint=options.endpoint, impersonate=options.impersonate_service_account)
    if target.directory is not None and options.sweep_dir is not None:
        raise SweepError(f"--sweep-dir={options.sweep_dir}: {options.target} is a sweep directory, and its files stay there")
    opened = open_target(target)
    with Interrupt(opened.kill) as interrupt:
        task = prepare(
            target,
            opened,
            options.sweep_dir,
            on_interrupt=OnInterrupt(options.on_interrupt),
            pause=lambda seconds: interrupt.pause(opened.wait, seconds),
        )
        outcome = follow(task, interrupt, wait=not options.no_wait)
    if interrupt.received:
        return EXIT_CODE
    if not options.no_wait:
        check_success(outcome)
    return 0
