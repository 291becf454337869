"""`vertex-sweeper emulator`: an emulator in the foreground, until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import queue
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from vertex_sweeper.atomic_files import write_text
from vertex_sweeper.emulator.emulator import HOST, Emulator
from vertex_sweeper.errors import SweepError
from vertex_sweeper.services.vertex.connection import TOKEN
from vertex_sweeper.services.waiting import ending_signals
from vertex_sweeper_runtime.code_archive import BUCKETS

_MOST_PORT: Final = 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.description = (
        "Runs Vertex AI's hyperparameter tuning jobs and custom jobs on this machine, for any client of the API. It runs "
        "whatever command it is sent, in the folder it was started in: never expose it."
    )
    parser.add_argument("--port", type=_port, default=0, metavar="N", help="the gRPC port; 0, the default, takes a free one")
    parser.add_argument("--host", default=HOST, help="a loopback address; the default is 127.0.0.1")
    parser.add_argument("--tls", action="store_true", help="serve with a certificate made on the spot, for clients that insist")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep jobs there, and take up those that are there")
    parser.add_argument("--gcs", type=Path, metavar="DIR", help="the folder that stands for the buckets of /gcs")
    parser.add_argument("--quiet", action="store_true", help="no line for each job and trial that begins, ends or fails")
    parser.add_argument("--ready-file", type=Path, metavar="FILE", help="write addresses there, as JSON, once it listens")


def run(options: argparse.Namespace) -> int:
    """Serves until a signal asks it to end; nothing is left running then."""
    if options.ready_file is not None:
        with suppress(OSError):  # what is wrong with the place is said when it is written
            options.ready_file.unlink()  # an earlier emulator's would be taken for ours
    from vertex_sweeper.emulator.announcer import Announcer

    signals: queue.SimpleQueue[int] = queue.SimpleQueue()  # safe to fill from a handler
    with (
        ending_signals(lambda number, _: signals.put(number)),
        ExitStack() as stack,
        Emulator(host=options.host, port=options.port, tls=options.tls, data=options.data, gcs=options.gcs) as emulator,
    ):
        _announce(emulator, options)
        if not options.quiet:
            announcer = Announcer(emulator.service, log_of=emulator.log_of, say=_say)
            announcer.start()
            stack.callback(announcer.join)  # once the service is closed
        signals.get()
    return 0


def _announce(emulator: Emulator, options: argparse.Namespace) -> None:
    ca_file = str(emulator.ca_file) if emulator.ca_file else None
    ready = {"address": emulator.address, "ca_file": ca_file, "rest_address": emulator.rest_address}
    if emulator.token is not None:
        ready["token"] = emulator.token
    if options.ready_file is not None:
        try:
            write_text(options.ready_file, json.dumps(ready) + "\n", private=True)  # it may hold the token
        except OSError as error:
            raise SweepError(f"--ready-file {options.ready_file} cannot be written: {error}") from error
    kept = f"kept in {options.data}" if options.data else "gone with it: --data DIR keeps them"
    lines = [f"Vertex tuning emulator on {emulator.address} (REST on {emulator.rest_address}), until Ctrl-C; jobs are {kept}"]
    lines.append(f"  trials print into {emulator.folder}/jobs/<job id>/logs/<trial id>.log (custom jobs: 1.log)")
    if ca_file:
        lines.append(f"  export GRPC_DEFAULT_SSL_ROOTS_FILE_PATH={ca_file}")
    else:
        lines.append(f"  export VERTEX_EMULATOR_HOST={emulator.address}")
    if options.gcs is not None:
        lines.append(f"  export {BUCKETS}={options.gcs.absolute()}")
    if emulator.token is not None:
        lines.append(f"  export {TOKEN}={emulator.token}")
    _say("\n".join(lines))


def _say(text: str) -> None:
    with suppress(OSError, ValueError):  # whoever read it may have gone; the jobs go on
        print(text, flush=True)  # noqa: T201 - a command-line entry point


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 <= port <= _MOST_PORT:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to {_MOST_PORT}, got {text!r}")
    return port
