"""A sweep killed at any of its steps, however small: one job at most, no file in pieces, and `attach` brings all of it."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

for module in ("google.cloud.aiplatform_v1", "optuna", "cryptography"):
    pytest.importorskip(module, reason=f"{module} is not installed: the emulator needs it, and Google's client")

import grpc  # noqa: E402

from tests.faults.faulted_sweep import GATED, attach_to, comparable, settings  # noqa: E402
from tests.faults.programs import Ended, Program  # noqa: E402
from vertex_sweeper.emulator import Emulator  # noqa: E402
from vertex_sweeper.errors import JobNotFound, SweepDirectoryError  # noqa: E402
from vertex_sweeper.results.sweep_directory import claim, read_record  # noqa: E402
from vertex_sweeper.testing.gate import wait_for, wait_for_end  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks into /proc"),
]

SHARES = 2
"""The steps are tried in so many tests, so that several processes can share them."""


class Progress(grpc.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Lets every job be seen twice: when its first trial has ended and the second runs, and when it has ended."""

    def __init__(self, gate: Path) -> None:
        self._gate = os.open(gate, os.O_RDWR)  # with a writer, no reader is turned away
        self.emulator: Emulator
        self._looks: Counter[str] = Counter()

    def close(self) -> None:
        os.close(self._gate)

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = continuation(handler_call_details)
        if not handler_call_details.method.endswith("/GetHyperparameterTuningJob"):
            return handler

        def behave(request: Any, context: grpc.ServicerContext) -> Any:
            self._let_pass(request.name)
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(behave, handler.request_deserializer, handler.response_serializer)

    def _let_pass(self, name: str) -> None:
        self._looks[name] += 1
        service = self.emulator.service
        if self._looks[name] == 1:
            wait_for(service, name, lambda job: [trial["state"] for trial in job.get("trials", [])] == ["SUCCEEDED", "ACTIVE"])
        elif self._looks[name] == 2:
            os.write(self._gate, b"x")
            wait_for_end(service, name)


class Sweeps:
    """Starts sweeps of one app, each in a directory and a project of its own."""

    def __init__(self, folder: Path, emulator: Emulator, gate: Path) -> None:
        self._numbers = itertools.count(1)
        self._program = Program(folder, config="batch: 8\ngate: null\n", trial=GATED)
        self._emulator = emulator
        self._gate = gate

    def new(self) -> tuple[Path, str]:
        """A directory that does not exist yet, and a project."""
        number = next(self._numbers)
        return self._program.folder / f"sweep {number}", f"p{number}"

    def run(self, directory: Path, project: str, *, kill_at: str | None = None) -> Ended:
        """One sweep, to its end or until it is killed."""
        (ended,) = self.run_together(directory, project, times=1, kill_at=kill_at)
        return ended

    def run_together(self, directory: Path, project: str, *, times: int, kill_at: str | None = None) -> list[Ended]:
        """The same sweep in several processes at the same time."""
        words = [*settings(project=project, endpoint=f"http://{self._emulator.address}"), f"gate='{self._gate}'"]
        return self._program.run(directory, words, times=times, kill_at=kill_at)

    def jobs(self, project: str) -> list[str]:
        return [name for name in self._emulator.service.names() if name.startswith(f"projects/{project}/")]

    def close(self) -> None:
        self._program.close()


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweeps]:
    folder = tmp_path_factory.mktemp("killed")
    os.mkfifo(folder / "gate")
    progress = Progress(folder / "gate")
    with Emulator(interceptors=[progress], grace=1.0) as emulator:
        progress.emulator = emulator
        with contextlib.closing(progress), contextlib.closing(Sweeps(folder / "app", emulator, folder / "gate")) as sweeps:
            yield sweeps


@dataclass(frozen=True)
class Undisturbed:
    """What a sweep does and finds out to whom nothing happens."""

    steps: list[str]
    results: dict[str, Any]


@pytest.fixture(scope="module")
def undisturbed(sweeps: Sweeps) -> Undisturbed:
    directory, project = sweeps.new()
    ended = sweeps.run(directory, project)
    assert ended.code == 0, ended.output
    return Undisturbed(ended.steps, comparable(directory))


def test_the_steps_are_those_of_a_whole_sweep(undisturbed: Undisturbed) -> None:
    written = ["job.json", "sweep.json", "multirun.yaml", "job.json (2)", "trials.csv", "trials.csv (2)", "trials.csv (3)"]
    written += ["optimization_results.yaml", "best.yaml", "best/best.yaml", "sweep.json (2)"]
    steps = [step.removeprefix("put in place ") for step in undisturbed.steps if step.startswith(("put in place", "call "))]
    assert steps == [*written[:3], "call create", written[3], "call get", written[4], "call get (2)", *written[5:]]
    assert sum(step.startswith("half of ") for step in undisturbed.steps) == len(written)


@pytest.mark.parametrize("which", ["telling", pytest.param("others", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("share", range(SHARES))
def test_a_sweep_killed_at_any_step_is_come_back_to(sweeps: Sweeps, undisturbed: Undisturbed, share: int, which: str) -> None:
    told = telling(undisturbed.steps)
    steps = told if which == "telling" else [step for step in undisturbed.steps if step not in told]
    for step in steps[share::SHARES]:
        directory, project = sweeps.new()
        ended = sweeps.run(directory, project, kill_at=step)
        assert (ended.code, ended.steps[-1]) == (-signal.SIGKILL, step), ended.output
        try:
            check_what_remains(sweeps, directory, project, ended, undisturbed)
        except BaseException as error:
            raise AssertionError(f"killed at: {step}") from error


def telling(steps: Sequence[str]) -> list[str]:
    """The calls and their answers, a file put in place before, between and after them, and the first of each other kind."""
    first = {step.split()[0]: step for step in reversed(steps)}
    files = {f"put in place {name}" for name in ("multirun.yaml", "job.json (2)", "trials.csv", "best.yaml")}
    return [step for step in steps if step in files or step.startswith(("call", "answer")) or step in first.values()]


def check_what_remains(sweeps: Sweeps, directory: Path, project: str, ended: Ended, undisturbed: Undisturbed) -> None:
    check_that_files_are_whole(directory)
    grow_old(directory)
    created = "answer to create" in ended.steps
    assert len(sweeps.jobs(project)) == created
    if not (directory / "job.json").exists():
        again = sweeps.run(directory, project)
        assert again.code == 0, again.output
    else:
        with pytest.raises(SweepDirectoryError, match=r"set hydra\.sweep\.dir to another place"):
            claim(directory, read_record(directory).address if created else None, {}, config="")  # type: ignore[arg-type]
        if not created:
            with pytest.raises((JobNotFound, SweepDirectoryError), match=r"never created|ended before it created its job"):
                attach_to(directory)
            assert not sweeps.jobs(project)
            return
        attach_to(directory)
    assert len(sweeps.jobs(project)) == 1
    assert comparable(directory) == undisturbed.results
    assert yaml.safe_load((directory / "multirun.yaml").read_text())["hydra"]["sweep"]["dir"] == str(directory)


def check_that_files_are_whole(directory: Path) -> None:
    """Nothing that has a name of its own is in pieces, right after the kill."""
    for path in directory.rglob("*") if directory.exists() else ():
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".yaml":
            assert yaml.safe_load(path.read_text())
        elif path.suffix == ".csv":
            rows = list(csv.reader(path.read_text().splitlines()))
            assert len({len(row) for row in rows}) == 1
        else:
            assert path.is_dir() or path.suffix == ".part"


def grow_old(directory: Path) -> None:
    """Some minutes pass."""
    for path in directory.rglob("*.part"):
        os.utime(path, (1e9, 1e9))


def test_of_two_sweeps_that_begin_in_one_directory_at_the_same_time_one_creates_a_job(
    sweeps: Sweeps, undisturbed: Undisturbed
) -> None:
    directory, project = sweeps.new()
    lost, won = sorted(sweeps.run_together(directory, project, times=2), key=lambda ended: ended.code, reverse=True)
    assert (won.code, lost.code) == (0, 1), won.output + lost.output
    assert "set hydra.sweep.dir to another place" in lost.output.replace("\n", " ")
    assert "Traceback" not in lost.output
    assert "call create" not in lost.steps
    assert len(sweeps.jobs(project)) == 1
    assert comparable(directory) == undisturbed.results
