"""Trials and custom jobs that do as the test says: each connects to it, says who it is, and executes the lines it is sent."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from vertex_sweeper.api import Job, job_state
from vertex_sweeper.services.base import Service

PARENT = "projects/p/locations/l"
PATIENCE = 60.0  # for what ought to take milliseconds; only a failing test waits that long

X = {"parameterId": "x", "doubleValueSpec": {"minValue": 1e-5, "maxValue": 0.1}, "scaleType": "UNIT_LOG_SCALE"}
ACC = {"metricId": "acc", "goal": "MAXIMIZE"}

TRIAL = """
import json, os, signal, socket, subprocess, sys

def report(step=0, at=1.0, **metrics):
    with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a") as file:
        for name, value in metrics.items():
            entry = {"timestamp": at, "trial": "1", name: str(value), "global_step": str(step), "checkpoint_path": ""}
            file.write(json.dumps(entry) + "\\n")

def detach():
    # a grandchild that has left the process group, and outlives its parent
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True).pid

connection = socket.create_connection(("127.0.0.1", int(os.environ["GATE"])))
stream = connection.makefile("r")

def say(what):
    # Past any buffer: a signal handler may say something while the program itself is saying something.
    connection.sendall(json.dumps(what).encode() + b"\\n")

say({"trial": os.environ.get("CLOUD_ML_TRIAL_ID", ""), "pid": os.getpid(), "argv": sys.argv[1:], "environ": dict(os.environ)})
for line in stream:
    exec(line)
"""


class Visitor:
    """A trial, or a custom job (whose `trial` is empty), that is running and waits for instructions."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._stream = connection.makefile("rw")
        about = self.hear()
        self.trial: str = about["trial"]
        self.pid: int = about["pid"]
        self.argv: list[str] = about["argv"]
        self.environ: dict[str, str] = about["environ"]

    def do(self, *lines: str) -> None:
        """Has the trial execute these lines of Python."""
        for line in lines:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def ask(self, expression: str) -> Any:
        """The value of a Python expression in the trial."""
        self.do(f"say({expression})")
        return self.hear()

    def hear(self) -> Any:
        """The next thing that the trial says."""
        return json.loads(self._stream.readline())

    def finish(self, **metrics: float) -> None:
        """Has the trial report these metrics and exit with 0."""
        self.do(f"report(**{metrics!r})", "sys.exit(0)")

    def values(self) -> dict[str, str]:
        """The trial's flags, by parameter id."""
        return dict(flag[2:].split("=", 1) for flag in self.argv if flag.startswith("--"))

    def close(self) -> None:
        """Ends the connection, and with it a trial that listens."""
        self._stream.close()
        self._connection.close()


class Gate:
    """Where trials report to. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(PATIENCE)
        self._visitors: list[Visitor] = []
        self.script = folder / "trial.py"
        self.script.write_text(TRIAL)

    def next(self) -> Visitor:
        """The next trial that begins."""
        connection, _ = self._server.accept()
        connection.settimeout(PATIENCE)
        visitor = Visitor(connection)
        self._visitors.append(visitor)
        return visitor

    def env(self) -> list[dict[str, str]]:
        """The container's variables by which a trial finds this gate."""
        return [{"name": "GATE", "value": str(self._server.getsockname()[1])}]

    def job(self, **settings: Any) -> dict[str, Any]:
        """A job whose trials come to this gate."""
        return make_job(command=["python", str(self.script)], env=[*self.env(), *settings.pop("env", [])], **settings)

    def custom_job(self, **settings: Any) -> dict[str, Any]:
        """A custom job that comes to this gate."""
        return make_custom_job(command=["python", str(self.script)], env=[*self.env(), *settings.pop("env", [])], **settings)

    def __enter__(self) -> Gate:  # noqa: PYI034 - `Self` came with Python 3.11
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        for visitor in self._visitors:
            visitor.close()
        self._server.close()


def double(low: float, high: float, **more: Any) -> dict[str, Any]:
    """A DOUBLE parameter `x`."""
    return {"parameterId": "x", "doubleValueSpec": {"minValue": low, "maxValue": high}, **more}


def make_job(
    *,
    command: Sequence[str],
    parameters: Sequence[Mapping[str, Any]] = (X,),
    metrics: Sequence[Mapping[str, Any]] = (ACC,),
    most: int = 1,
    parallel: int = 1,
    failed: int | None = None,
    timeout: str | None = None,
    env: Sequence[Mapping[str, str]] = (),
    args: Sequence[str] = (),
    **study: Any,
) -> dict[str, Any]:
    """A HyperparameterTuningJob in the API's JSON form."""
    container = {"imageUri": "image", "command": list(command), "args": list(args), "env": list(env)}
    job: dict[str, Any] = {
        "displayName": "test",
        "maxTrialCount": most,
        "parallelTrialCount": parallel,
        "studySpec": {"metrics": list(metrics), "parameters": list(parameters), **study},
        "trialJobSpec": {"workerPoolSpecs": [{"replicaCount": "1", "containerSpec": container}]},
    }
    if failed is not None:
        job["maxFailedTrialCount"] = failed
    if timeout is not None:
        job["trialJobSpec"]["scheduling"] = {"timeout": timeout}
    return job


def make_custom_job(
    *,
    command: Sequence[str],
    timeout: str | None = None,
    env: Sequence[Mapping[str, str]] = (),
    args: Sequence[str] = (),
    output: str | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A CustomJob in the API's JSON form; `output` is its base output directory, `fields` are further ones of the job."""
    container = {"imageUri": "image", "command": list(command), "args": list(args), "env": list(env)}
    spec: dict[str, Any] = {"workerPoolSpecs": [{"replicaCount": "1", "containerSpec": container}]}
    if timeout is not None:
        spec["scheduling"] = {"timeout": timeout}
    if output is not None:
        spec["baseOutputDirectory"] = {"outputUriPrefix": output}
    return {"displayName": "test", "jobSpec": spec, **fields}


class WatchedService(Service, Protocol):
    """A service that also tells of changes, so that tests wait for events."""

    def names(self) -> list[str]:
        """The names of all jobs."""

    def wait_for_change(self, seconds: float) -> None:
        """Returns when a job or trial has changed since this thread's last `get` or wait, or after so many seconds."""


Start = Callable[..., WatchedService]
"""Makes a service with these settings."""


def wait_for(service: WatchedService, name: str, condition: Callable[[Job], bool]) -> Job:
    """The job as soon as it fulfils the condition."""
    deadline = time.monotonic() + PATIENCE
    while not condition(job := service.get(name)):
        assert time.monotonic() < deadline, f"still not: {job}"
        service.wait_for_change(deadline - time.monotonic())
    return job


def wait_for_end(service: WatchedService, name: str) -> Job:
    """The job when it has ended."""
    return wait_for(service, name, lambda job: (state := job_state(job)) is not None and state.ended)


def run_gated(service: WatchedService, gate: Gate, job: Mapping[str, Any], *endings: str) -> Job:
    """Runs a job whose trials run one by one and end as told; returns the ended job."""
    name = service.create(PARENT, job)["name"]
    for ending in endings:
        gate.next().do(*ending.split("; "))
    return wait_for_end(service, name)


def trials_of(job: Mapping[str, Any]) -> dict[str, Any]:
    """The job's trials by id."""
    return {trial["id"]: trial for trial in job.get("trials", [])}


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.parent.parent.joinpath("self").exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for_death(*pids: int) -> None:
    """Returns when none of the processes is alive; nobody tells us, so it has to look again and again."""
    deadline = time.monotonic() + PATIENCE
    while alive := [pid for pid in pids if is_alive(pid)]:
        assert time.monotonic() < deadline, f"still alive: {alive}"
        time.sleep(0.01)
