"""A program that starts sweeps from the command line, each in a process of its own, and kills them where it is told to.

It has loaded what a sweep loads, has planned the first one without starting it, and forks: a sweep then costs a tenth of a
fresh interpreter. What a process does to files in
its sweep directory is seen by an audit hook, what it asks of the service by wrapping Google's client: these are the steps at
which it can be killed, by a SIGKILL that it sends itself. It reads a request a line and answers with a line.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import IO, Any

from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport  # noqa: F401
from google.cloud.aiplatform_v1.types import CustomJob, HyperparameterTuningJob  # noqa: F401
from hydra.core.global_hydra import GlobalHydra

import vertex_sweeper.launch
import vertex_sweeper.sweep  # noqa: F401
from vertex_sweeper.services.vertex.errors import Call, Verb

PATIENCE = 60  # seconds, for what takes less than one: nothing stays behind of a test that fails
RANDOM = re.compile(r"\.[0-9a-f]{12}(?=\.part)|(?<=/)[0-9]{19}")


class Steps:
    """Writes down each step before it is made, and kills this process at one of them."""

    def __init__(self, directory: Path, log: int, kill_at: str | None) -> None:
        self._directory = os.path.realpath(directory)
        self._log = log
        self._kill_at = kill_at
        self._counts: Counter[str] = Counter()

    def step(self, what: str) -> bool:
        """Whether this is the one; a step that comes again has a number."""
        self._counts[what] += 1
        name = what if self._counts[what] == 1 else f"{what} ({self._counts[what]})"
        os.write(self._log, f"{name}\n".encode())
        return name == self._kill_at

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python says what it is about to do."""
        if event == "open" and isinstance(arguments[0], str) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self._file("begin to write", arguments[0])
        elif event == "os.mkdir" and not os.path.lexists(arguments[0]):
            self._file("make", arguments[0])
        elif event == "os.remove" and os.path.lexists(arguments[0]):
            self._file("remove", arguments[0])
        elif event in ("os.rename", "os.link"):
            self._file("put in place", arguments[1])

    def sync(self, descriptor: int) -> None:
        """Takes the place of `os.fsync`: the last moment at which a part of a file may be missing on disk."""
        name = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - pathlib is what is watched
        if self._here(name) and self.step(f"half of {self._short(name)}"):
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            die()

    def wrap(self, verb: Verb) -> None:
        """Makes a call of the client two steps: that it is sent, and that it was answered."""
        for custom in (False, True):
            self._wrap(verb, Call(verb, "", custom=custom).method)

    def _wrap(self, verb: Verb, name: str) -> None:
        method = getattr(JobServiceClient, name)

        def wrapped(*arguments: Any, **more: Any) -> Any:
            if self.step(f"call {verb.name.lower()}"):
                die()
            answer = method(*arguments, **more)
            if self.step(f"answer to {verb.name.lower()}"):
                die()
            return answer

        setattr(JobServiceClient, name, wrapped)

    def _file(self, what: str, path: Any) -> None:
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - as above
        if self._here(name) and self.step(f"{what} {self._short(name)}"):
            die()

    def _here(self, name: str) -> bool:
        return name == self._directory or name.startswith(f"{self._directory}/")

    def _short(self, name: str) -> str:
        return RANDOM.sub("", os.path.relpath(name, self._directory))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sweep(request: dict[str, Any], log: int, output: int) -> None:
    """In the child: the app's command line, as Python itself would run it."""
    signal.alarm(PATIENCE)
    os.dup2(output, 1)
    os.dup2(output, 2)
    steps = Steps(Path(request["directory"]), log, request["kill_at"])
    for verb in Verb:
        steps.wrap(verb)
    os.fsync = steps.sync  # type: ignore[assignment]
    time.sleep = lambda _: None
    sys.addaudithook(steps.audit)
    sys.argv = request["argv"]
    sys.orig_argv = ["python", *request["argv"]]
    code = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def warm_up(argv: list[str]) -> None:
    """Plans the sweep and starts nothing: what Hydra finds and the parsers learn is there for every child."""
    plugin = "launcher" if "hydra/launcher=vertex" in argv else "sweeper"
    sys.argv = [*argv, f"hydra.{plugin}.dry_run=true"]
    sys.orig_argv = ["python", *sys.argv]
    # Of a dry run a launch has nothing to return.
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere), suppress(SystemExit):
        runpy.run_path(sys.argv[0], run_name="__main__")
    GlobalHydra.instance().clear()


def main() -> None:
    warm = False
    for line in sys.stdin:
        request = json.loads(line)
        if not warm:
            warm_up(request["argv"])
            warm = True
        with ExitStack() as stack:
            files = [[stack.enter_context(tempfile.TemporaryFile()) for _ in range(2)] for _ in range(request["times"])]
            children = [start(request, *(file.fileno() for file in pair)) for pair in files]
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            texts = [[read(file) for file in pair] for pair in files]
        answers = [
            {"code": code, "steps": log.splitlines(), "output": output}
            for code, (log, output) in zip(codes, texts, strict=True)
        ]
        sys.stdout.write(json.dumps(answers) + "\n")
        sys.stdout.flush()


def start(request: dict[str, Any], log: int, output: int) -> int:
    child = os.fork()
    if child == 0:
        sweep(request, log, output)
    return child


def read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


if __name__ == "__main__":
    main()
