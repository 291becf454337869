"""A sweep on this machine, killed at any of its steps: `attach` goes on with it, and it ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

for module in ("google.cloud.aiplatform_v1", "optuna"):
    pytest.importorskip(module, reason=f"{module} is not installed: the program that is killed has loaded it")


from tests.faults.faulted_sweep import comparable, settings  # noqa: E402
from tests.faults.programs import Ended, Program  # noqa: E402
from vertex_sweeper.errors import JobNotFound, SweepDirectoryError  # noqa: E402
from vertex_sweeper.run.attach import go_on  # noqa: E402
from vertex_sweeper.run.target import read_target  # noqa: E402
from vertex_sweeper.settings import OnInterrupt  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks into /proc"),
]

TRIAL = """
import os, sys
values = dict(word.split("=", 1) for word in sys.argv[1:])
with open(os.path.join(os.environ["VERTEX_SWEEPER_SWEEP_DIR"], "runs"), "a") as file:
    file.write(os.environ["CLOUD_ML_TRIAL_ID"])
with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a") as file:
    file.write('{"timestamp": 1e12, "trial": "1", "acc": "%r", "global_step": "0"}\\n' % (1 / float(values["batch"]),))
"""
SHARES = 2


class Sweeps:
    """Starts sweeps of one app, each in a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self._numbers = itertools.count(1)
        self._program = Program(folder, config="batch: 8\n", trial=TRIAL)

    def new(self) -> Path:
        """A directory that does not exist yet."""
        return self._program.folder / f"sweep {next(self._numbers)}"

    def run(self, directory: Path, *, kill_at: str | None = None) -> Ended:
        """One sweep, to its end or until it is killed."""
        (ended,) = self._program.run(directory, [*settings(), "hydra.sweeper.backend=local"], kill_at=kill_at)
        return ended

    def close(self) -> None:
        self._program.close()


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweeps]:
    with contextlib.closing(Sweeps(tmp_path_factory.mktemp("killed") / "app")) as sweeps:
        yield sweeps


@pytest.fixture(scope="module")
def undisturbed(sweeps: Sweeps) -> tuple[list[str], dict[str, Any]]:
    directory = sweeps.new()
    ended = sweeps.run(directory)
    assert ended.code == 0, ended.output
    return ended.steps, results(directory)


def test_the_steps_are_those_of_a_whole_sweep(undisturbed: tuple[list[str], dict[str, Any]]) -> None:
    placed = [step.removeprefix("put in place ") for step in undisturbed[0] if step.startswith("put in place")]
    # One thread writes the record, another one the rest.
    record = [name.removeprefix(".records//") for name in placed if name.startswith(".records")]
    assert record == ["job.json", "job.json (2)", "1.json", "1.json (2)", "2.json", "2.json (2)", "job.json (3)"]
    assert {"job.json", "sweep.json", "multirun.yaml", "trials.csv", "best.yaml", "best/best.yaml"} < set(placed)


@pytest.mark.parametrize("which", ["telling", pytest.param("others", marks=pytest.mark.thorough)])
@pytest.mark.parametrize("share", range(SHARES))
def test_a_sweep_killed_at_any_step_goes_on(
    sweeps: Sweeps, undisturbed: tuple[list[str], dict[str, Any]], share: int, which: str
) -> None:
    steps, expected = undisturbed
    # What else it does leaves behind a part of a file at most, and a folder.
    steps = [step for step in steps if not step.startswith(("begin to write", "remove"))]
    told = [step for step in steps if not step.startswith(("half of", "make"))][::3]
    others = [step for step in steps if step not in told]
    for step in (told if which == "telling" else others)[share::SHARES]:
        directory = sweeps.new()
        ended = sweeps.run(directory, kill_at=step)
        assert ended.code == -signal.SIGKILL or step not in ended.steps, ended.output
        try:
            if come_back(directory):
                assert results(directory) == expected
        except BaseException as error:
            raise AssertionError(f"killed at: {step}") from error


def results(directory: Path) -> dict[str, Any]:
    """What the sweep found out, wherever it is."""
    found = comparable(directory)
    found["best.yaml"]["folder"] = os.path.relpath(found["best.yaml"]["folder"], directory)
    return found


def come_back(directory: Path) -> bool:
    """Whether there is something to go on with, and it was gone on with."""
    for path in directory.rglob("*.part"):
        os.utime(path, (1e9, 1e9))  # some minutes pass
    if not list(directory.glob(".records/*/job.json")):
        with pytest.raises((JobNotFound, SweepDirectoryError), match=r"was ended before it|is neither a sweep|has no"):
            go_on(read_target(str(directory)), None, on_interrupt=OnInterrupt.DETACH)
        return False
    records = {path.stem: json.loads(path.read_text()) for path in directory.glob(".records/*/[0-9].json")}
    ended = [number for number, record in records.items() if record["state"] == "SUCCEEDED"]
    go_on(read_target(str(directory)), None, on_interrupt=OnInterrupt.DETACH)
    runs = (directory / "runs").read_text()
    assert [number for number in ended if runs.count(number) > 1] == []
    return True
