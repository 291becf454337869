"""`vertex-sweeper cancel`: asks a job to end, or all jobs of a launch."""

from __future__ import annotations

import argparse
from contextlib import suppress

from vertex_sweeper.cli.common import add_target, pause, state_text, target_of, write_lines
from vertex_sweeper.errors import ServiceError
from vertex_sweeper.messages import attach_command
from vertex_sweeper.run.launch_target import read_launch_target
from vertex_sweeper.run.launched import cancel_all
from vertex_sweeper.run.target import locate, open_target
from vertex_sweeper.run.watch import ended


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)


def run(options: argparse.Namespace) -> int:
    """Asks the job to end; it does so later. Says how it stands then, if that is to be had."""
    launch = read_launch_target(options.target)
    if launch is not None:
        for line in cancel_all(launch):
            write_lines([line])  # as it is done: each is a call
        return 0
    target = target_of(options)
    opened = open_target(target)
    name = locate(target, opened, pause=pause)
    with suppress(ServiceError):  # to cancel is more urgent than to know
        job = opened.service.get(name)
        if ended(job):
            write_lines([f"{name} has ended already: {state_text(job)}"])
            return 0
    opened.service.cancel(name)
    with suppress(ServiceError):  # what was asked for is done
        write_lines([f"{name} was asked to end, and is {state_text(opened.service.get(name))}"])
    write_lines([f"what came of it: `{attach_command(options.target)}`"])
    return 0
