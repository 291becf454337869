"""Launches with backend vertex onto an emulator: what comes back through its buckets, and the commands for their directory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.emulated import OUTPUT, VERTEX, emulated
from tests.shipped import write_app
from tests.test_launch import LOCAL, LaunchedApp
from vertex_sweeper.cli.main import main

Until = Callable[[Callable[[], bool]], None]
Command = Callable[..., str]
CODE = ("hydra.launcher.trial.code=.", "hydra.launcher.trial.image=python:3.12", "hydra.launcher.vertex.staging=gs://staging/x")


@pytest.fixture
def app(tmp_path: Path) -> LaunchedApp:
    return LaunchedApp(tmp_path)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `vertex-sweeper` in this process, which has Google's client already."""

    def run(*words: str) -> str:
        capsys.readouterr()
        assert main(list(words)) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def buckets(app: LaunchedApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with emulated(app, monkeypatch) as buckets:
        yield buckets


def name_of(app: LaunchedApp, number: int) -> str:
    """The resource name of a launched job."""
    return str(json.loads((app.directory / "jobs" / str(number) / "job.json").read_text())["name"])


def test_a_single_run_brings_its_value_back_through_the_bucket(app: LaunchedApp, buckets: Path) -> None:
    app.write_body("return {'lr': cfg.lr, 'all': [None, True, 'ü']}")
    app.launch("lr=0.5", OUTPUT, to=VERTEX)
    assert json.loads(app.jobs()[0]["returned"]) == {"lr": 0.5, "all": [None, True, "ü"]}
    assert name_of(app, 0).startswith("projects/p/locations/europe-west4/customJobs/")
    assert len(list((buckets / "bucket" / "train").glob("*/0/return_value.json"))) == 1


def test_three_jobs_are_left_and_gone_on_with(app: LaunchedApp, buckets: Path, until: Until, command: Command) -> None:
    app.write_body(
        """
        print("printed by", cfg.batch)
        while cfg.batch == 2 and not Path("go").exists():
            Path("began").touch()
            time.sleep(0.01)
        return cfg.batch
        """
    )
    process = app.start("-m", *VERTEX, OUTPUT, "batch=1,2,3", "hydra.launcher.parallel=1")
    until((app.folder / "began").exists)
    process.kill()
    process.communicate()
    shown = command("show", "sweep")
    states = ["SUCCEEDED", "RUNNING", "PLANNED"]
    assert re.findall(r"^(\d) +([A-Z]+)", shown, re.MULTILINE) == [(str(number), state) for number, state in enumerate(states)]
    assert "1/3" in command("list", ".")
    listed = command("list", "--project=p", "--location=europe-west4")
    rows = re.findall(r"^([A-Z]+) .* (projects/\S+)", listed, re.MULTILINE)
    assert sorted(rows) == sorted(zip(states, (name_of(app, number) for number in (0, 1)), strict=False))
    (app.folder / "go").touch()
    output = command("attach", "sweep")
    assert [row["returned"] for row in app.jobs().values()] == ["1", "2", "3"], output
    assert "3/3" in command("list", ".")
    assert len(list((buckets / "bucket" / "train").glob("*/?/return_value.json"))) == 3
    assert command("logs", "sweep", "2") == "printed by 3\n"


def test_jobs_that_nobody_waits_for_are_cancelled(app: LaunchedApp, buckets: Path, until: Until, command: Command) -> None:
    app.write_body("Path(f'began-{cfg.batch}').touch()\nwhile True: time.sleep(0.05)")
    app.launch("batch=1,2,3", OUTPUT, "hydra.launcher.wait=false", to=VERTEX)
    until(lambda: len(list(app.folder.glob("began-*"))) == 3)
    command("cancel", "sweep")
    until(lambda: len(re.findall(r"^\d +CANCELLED", command("show", "sweep"), re.MULTILINE)) == 3)
    assert not list(buckets.rglob("return_value.json"))


@pytest.mark.parametrize("backend", ["local", "vertex"])
def test_the_code_that_was_packed_is_what_runs(app: LaunchedApp, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    app.folder = write_app(app.folder.parent / "shipped")
    app.environment["XDG_CACHE_HOME"] = str(app.folder.parent / "cache")
    if backend == "local":
        app.launch("x=2,3", "hydra.launcher.trial.code=.", to=LOCAL)
        archives = app.directory / ".gcs" / "this-machine" / "code"
    else:
        with emulated(app, monkeypatch) as buckets:
            monkeypatch.chdir(app.folder.parent)  # what runs is found in the archive alone
            app.launch("x=2,3", OUTPUT, *CODE, to=VERTEX)
        archives = buckets / "staging" / "x" / "code"
    assert [row["returned"] for row in app.jobs().values()] == ["1", "4"]
    assert len(list(archives.glob("*.tar.gz"))) == 1
    assert not list(app.folder.rglob("*.tree"))
