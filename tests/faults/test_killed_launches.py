"""A launch killed at any of its steps: `attach` brings each job to its end, and none is created, or run to its end, twice."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

for module in ("google.cloud.aiplatform_v1", "optuna", "cryptography"):
    pytest.importorskip(module, reason=f"{module} is not installed: the emulator needs it, and Google's client")

import grpc  # noqa: E402

from tests.faults.programs import Ended, Program  # noqa: E402
from vertex_sweeper.emulator import Emulator  # noqa: E402
from vertex_sweeper.errors import SweepFailed  # noqa: E402
from vertex_sweeper.results.launch_directory import read_launch  # noqa: E402
from vertex_sweeper.run import submit  # noqa: E402
from vertex_sweeper.run.launch_target import LaunchTarget  # noqa: E402
from vertex_sweeper.run.launch_to_end import go_on_with_launch  # noqa: E402
from vertex_sweeper.run.launched import cancel_all  # noqa: E402
from vertex_sweeper.settings import OnInterrupt  # noqa: E402
from vertex_sweeper.testing.gate import wait_for_end  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks into /proc"),
]

JOB = """
import os, sys
values = dict(word.split("=", 1) for word in sys.argv[1:])
if values["runs"] != "null":
    with open(values["runs"], "a") as file:
        file.write(values["batch"])
    directory = values["runs"].removesuffix(".runs")
    if os.path.isdir(directory):
        with open(f"{directory}/jobs/{int(values['batch']) - 1}/return_value.json", "w") as file:
            file.write('{"status": "returned", "value": 1}')
"""
BOTH = ["0", "1"]


class Ends(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Lets every job be seen when it has ended, and not before."""

    emulator: Emulator

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = continuation(handler_call_details)
        if not handler_call_details.method.endswith("/GetCustomJob"):
            return handler

        def behave(request: Any, context: grpc.ServicerContext) -> Any:
            wait_for_end(self.emulator.service, request.name)
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(behave, handler.request_deserializer, handler.response_serializer)


class Launches:
    """Starts launches of two jobs, one after the other, each in a directory and a project of its own."""

    def __init__(self, folder: Path, emulator: Emulator | None) -> None:
        self._numbers = itertools.count(1)
        self._program = Program(folder, config="batch: 8\nruns: null\n", trial=JOB, plugin="launcher")
        self._emulator = emulator

    @property
    def local(self) -> bool:
        return self._emulator is None

    def new(self) -> Path:
        """A directory that does not exist yet."""
        return self._program.folder / f"launch{next(self._numbers)}"

    def run(self, directory: Path, *, kill_at: str | None = None) -> Ended:
        values = {"parallel": "1", "trial.image": "image:1", "backend": "local"}
        if self._emulator is not None:
            vertex = {"project": directory.name, "location": "l", "endpoint": f"http://{self._emulator.address}"}
            values |= {"backend": "vertex", **{f"vertex.{key}": value for key, value in vertex.items()}}
        words = ["batch=1,2", f"runs={directory}.runs", *(f"hydra.launcher.{key}={value}" for key, value in values.items())]
        (ended,) = self._program.run(directory, words, kill_at=kill_at)
        return ended

    def created(self, directory: Path) -> Counter[str]:
        """How often each job was created, or ran to its end, by its number."""
        if self._emulator is None:
            runs = Path(f"{directory}.runs")
            return Counter(str(int(batch) - 1) for batch in (runs.read_text() if runs.exists() else ""))
        service = self._emulator.service
        names = [name for name in service.names() if name.startswith(f"projects/{directory.name}/")]
        return Counter(service.get(name)["displayName"].rpartition("-")[2] for name in names)

    def close(self) -> None:
        self._program.close()


@pytest.fixture(scope="module", params=["vertex", "local"])
def launches(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launches]:
    folder = tmp_path_factory.mktemp("killed")
    if request.param == "local":
        with contextlib.closing(Launches(folder / "app", None)) as launches:
            yield launches
        return
    ends = Ends()
    with Emulator(interceptors=[ends], grace=1.0) as emulator:
        ends.emulator = emulator
        with contextlib.closing(Launches(folder / "app", emulator)) as launches:
            yield launches


@pytest.fixture(scope="module")
def steps(launches: Launches) -> list[str]:
    """What a launch does to whom nothing happens."""
    directory = launches.new()
    ended = launches.run(directory)
    assert ended.code == 0, ended.output
    assert [row["state"] for row in rows(directory)] == ["SUCCEEDED", "SUCCEEDED"]
    return ended.steps


@pytest.fixture(autouse=True)
def _soon_tired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "LOOKS", replace(submit.LOOKS, first=0.0, longest=0.0, times=1))


def rows(directory: Path) -> list[dict[str, str]]:
    with (directory / "jobs.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_steps_are_those_of_a_whole_launch(launches: Launches, steps: list[str]) -> None:
    placed = [step.removeprefix("put in place ") for step in steps if step.startswith(("put in place", "call "))]
    placed = [step for step in placed if ".records" not in step]
    down = ["jobs/launch.json", *(f"jobs/{number}/{name}.json" for number in BOTH for name in ("sweep", "planned"))]
    assert placed[:6] == [*down, "jobs/launch.json (2)"]
    assert placed[6] == "jobs/0/job.json"
    if not launches.local:
        one = ["job.json", "call create", "job.json (2)", "call get", "sweep.json (2)"]
        assert [step.removeprefix("jobs/0/") for step in placed[6:11]] == one
        assert placed[11:13] == ["jobs.csv", "jobs/1/job.json"]
        assert len(placed) == 6 + 2 * 6


@pytest.mark.parametrize("which", ["telling", pytest.param("others", marks=pytest.mark.thorough)])
def test_a_launch_killed_at_any_step_is_gone_on_with(launches: Launches, steps: list[str], which: str) -> None:
    told = telling(steps)
    for step in told if which == "telling" else [step for step in steps if step not in told]:
        directory = launches.new()
        ended = launches.run(directory, kill_at=step)
        assert ended.code == -signal.SIGKILL or step not in ended.steps, ended.output
        try:
            check_what_remains(launches, directory)
        except BaseException as error:
            raise AssertionError(f"killed at: {step}") from error


def telling(steps: list[str]) -> list[str]:
    """One between each two states of the launch and of its first job; of the second they are the same."""
    files = ("jobs/1/planned.json", "jobs/0/job.json", "jobs/0/job.json (2)")
    names = {f"put in place {name}" for name in files}
    return [step for step in steps if step in names or step == "answer to create"]


def check_what_remains(launches: Launches, directory: Path) -> None:
    for path in directory.rglob("*.part"):
        os.utime(path, (1e9, 1e9))  # some minutes pass
    for path in directory.rglob("*.json"):
        json.loads(path.read_text())
    before = launches.created(directory)
    jobs = read_launch(directory)[0]
    ready = [job.number for job in jobs if job.ready]
    if not ready:
        assert not before
        if jobs:
            go_on_with_launch(LaunchTarget(directory), on_interrupt=OnInterrupt.DETACH)
            assert not launches.created(directory)
        list(cancel_all(LaunchTarget(directory)))
        again = launches.run(directory)
        assert again.code == 0, again.output
    else:
        assert ready == [0, 1]
        lost = [str(job.number) for job in jobs if not (job.planned or launches.local) and not before[str(job.number)]]
        with pytest.raises(SweepFailed) if lost else contextlib.nullcontext():
            go_on_with_launch(LaunchTarget(directory), on_interrupt=OnInterrupt.DETACH)
        if lost:  # killed between the intent and the call: nobody can tell that from a job that no list shows yet
            (row,) = [row for row in rows(directory) if row["number"] in lost]
            assert (row["state"], "no job with the label" in row["error"]) == ("UNKNOWN", True)
            assert launches.created(directory) == Counter(number for number in BOTH if number not in lost)
            return
    assert [(row["number"], row["state"]) for row in rows(directory)] == [("0", "SUCCEEDED"), ("1", "SUCCEEDED")]
    created = launches.created(directory)
    # On this machine a job that was killed before its end was on record runs once more, and no other does.
    assert created == Counter(BOTH) or (launches.local and set(created) == set(BOTH) and sum((created - before).values()) <= 2)
