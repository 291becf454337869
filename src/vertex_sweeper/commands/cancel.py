"""`vertex-sweeper cancel`: asks a job to end."""

from __future__ import annotations

import argparse

from vertex_sweeper.attach import locate
from vertex_sweeper.commands.common import add_target, open_target, pause, target_of, write_lines
from vertex_sweeper.directory import read_record
from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.hints import attach_command
from vertex_sweeper.settings import Backend


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)


def run(options: argparse.Namespace) -> int:
    """Asks the job to end; it does so later."""
    target = target_of(options)
    if target.address.backend is Backend.LOCAL:
        assert target.directory is not None
        state = read_record(target.directory).state
        if state is not None:
            raise SweepDirectoryError(f"{options.target} is of a sweep that has ended: its last state is {state}")
        raise SweepDirectoryError(
            f"{options.target} is of a sweep on this machine: end it with Ctrl-C where it runs, or a SIGTERM to its process"
        )
    opened = open_target(target)
    name = locate(target, opened, pause=pause)
    opened.service.cancel(name)
    write_lines([f"{name} was asked to end; what came of it: `{attach_command(options.target)}`"])
    return 0
