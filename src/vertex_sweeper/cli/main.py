"""`vertex-sweeper`: what can be asked of jobs from the shell.

A command is a module with `add_arguments` and `run`; both are imported only when their command is the one that was asked for,
so that `vertex-sweeper --help` loads nothing.
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final

from vertex_sweeper.errors import SweepError
from vertex_sweeper_runtime.signals import INTERRUPTED

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "list": ("vertex_sweeper.cli.list", "list the sweeps below a folder, or the jobs of a project"),
    "show": ("vertex_sweeper.cli.show", "show a job, its trials, and why some of them failed"),
    "attach": ("vertex_sweeper.cli.attach", "follow a job to its end and write the files of its sweep"),
    "logs": ("vertex_sweeper.cli.logs", "print what a trial or a launched job printed, or the command that shows it"),
    "cancel": ("vertex_sweeper.cli.cancel", "ask a job to end"),
    "export": ("vertex_sweeper.cli.export", "write a job as a file for gcloud, and print the command that creates it"),
    "build": ("vertex_sweeper.cli.build", "build an app's image and push it, unless it is there"),
    "doctor": ("vertex_sweeper.cli.doctor", "check what a sweep needs before it costs, and run one trial of it here"),
    "emulator": ("vertex_sweeper.cli.emulator", "run Vertex AI's tuning and custom jobs on this machine, for any client"),
}
"""By name: the module, and one line about it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code: 0, 1 when it could not do what it was asked for, 2 for wrong arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="vertex-sweeper", description="Tuning jobs of hydra-vertex-sweeper, from the shell.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('hydra-vertex-sweeper')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        if arguments[:1] == [name]:
            importlib.import_module(module).add_arguments(command)
    options = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does: a name may have bytes that are no text
    _show_log()
    try:
        code: int = importlib.import_module(COMMANDS[options.command][0]).run(options)
    except SweepError as error:
        print(f"vertex-sweeper: {error}", file=sys.stderr)  # noqa: T201 - a command-line entry point
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _show_log() -> None:
    """Our own lines go to standard error as they are; what a command prints is for standard output."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("vertex_sweeper").setLevel(logging.INFO)
