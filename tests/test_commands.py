"""`vertex-sweeper` and what it needs no service for: local sweeps, folders of sweeps, wrong words."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from vertex_sweeper import directory as sweep_directory
from vertex_sweeper.cli import main
from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.services import Address
from vertex_sweeper.settings import Backend

SPEC: dict[str, Any] = {
    "displayName": "digits",
    "labels": {"hydra-vertex-sweeper": "a1b2"},
    "maxTrialCount": 4,
    "parallelTrialCount": 2,
    "trialJobSpec": {"workerPoolSpecs": [{"containerSpec": {"imageUri": "a/b:1", "command": ["python"]}}]},
}
TABLE = "number,state,lr,objective,started,seconds,reason\n1,SUCCEEDED,0.1,0.5,,1.000,\n2,INFEASIBLE,0.2,,,1.000,exit code 1\n"


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """The directory of a local sweep that has ended."""
    folder = tmp_path / "my sweep"
    folder.mkdir()
    sweep_directory.claim(folder, Address(Backend.LOCAL, "projects/local/locations/local"), SPEC, config="")
    sweep_directory.write_job(folder, SPEC, "projects/local/locations/local/hyperparameterTuningJobs/1")
    sweep_directory.write_state(folder, state="JOB_STATE_FAILED", error="too many trials had failed")
    (folder / "trials.csv").write_text(TABLE)
    (folder / "logs").mkdir()
    (folder / "logs" / "2.log").write_text("boom\n")
    return folder


def test_show_reads_a_local_sweeps_files(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(local)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{local}  digits  FAILED: too many trials had failed",
        "number  state       lr   objective  seconds",
        "1       SUCCEEDED   0.1  0.5        1.000",
        "2       INFEASIBLE  0.2             1.000",
        f"trial 2 is INFEASIBLE: exit code 1  (its log: cat '{local}/logs/2.log')",
    ]


def test_show_of_a_sweep_whose_process_is_gone_shows_what_had_ended(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep_directory.write_state(local, state=None, error="")
    (local / "trials.csv").unlink()
    assert main(["show", str(local)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{local}  digits  running, or its process was killed",
        "no trials yet",
    ]


def test_list_finds_sweeps_below_a_folder(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = local.parent / "a" / "b"
    other.mkdir(parents=True)
    sweep_directory.claim(other, Address(Backend.VERTEX, "projects/p/locations/l"), SPEC, config="")
    assert main(["list", str(local.parent)]) == 0
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.split() == ["not", "created", "vertex", "4", str(other), "digits"]
    assert second.split()[:3] == ["FAILED", "local", "4"]


def test_export_takes_a_local_sweep_to_vertex(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(local), "--project", "p", "--location", "l"]) == 0
    assert "--project=p --region=l --display-name=digits --max-trial-count=4" in capsys.readouterr().out
    assert yaml.safe_load((local / "gcloud.yaml").read_text())["trialJobSpec"] == SPEC["trialJobSpec"]


MISTAKES = {
    "attach to a local sweep": (
        ["attach", "DIR"],
        "has ended with its process: look at it with `vertex-sweeper show",
    ),
    "cancel a local sweep that has ended": (["cancel", "DIR"], "of a sweep that has ended: its last state is JOB_STATE_FAILED"),
    "export a local sweep to nowhere": (["export", "DIR"], "--project and --location"),
    "neither directory nor name": (["show", "nowhere"], "'nowhere' is neither a sweep directory nor a job's name"),
    "a directory of something else": (["show", "."], "is no sweep directory: it has no sweep.json"),
    "half a region": (["list", "--project", "p"], "--project and --location go together"),
    "no folder": (["list", "nowhere"], "nowhere is not a folder"),
}


@pytest.mark.parametrize(("words", "line"), MISTAKES.values(), ids=MISTAKES)
def test_what_cannot_be_done_is_one_line(
    local: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], line: str
) -> None:
    monkeypatch.chdir(local.parent)
    assert main([str(local) if word == "DIR" else word for word in words]) == 1
    (shown,) = capsys.readouterr().err.splitlines()
    assert shown.startswith("vertex-sweeper: ")
    assert line in shown


def test_cancel_of_a_local_sweep_that_runs_says_how_to_end_it(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep_directory.write_state(local, state=None, error="")
    assert main(["cancel", str(local)]) == 1
    assert "end it with Ctrl-C where it runs" in capsys.readouterr().err


def test_the_directory_of_a_local_sweep_is_taken_and_can_be_looked_at(local: Path) -> None:
    with pytest.raises(SweepDirectoryError, match=r"to look at it, `vertex-sweeper show '.*my sweep'`"):
        sweep_directory.claim(local, Address(Backend.LOCAL, "projects/local/locations/local"), SPEC, config="")


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"vertex-sweeper {version('hydra-vertex-sweeper')}\n"


def test_a_job_without_an_image_is_not_exported(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = {**SPEC, "trialJobSpec": {"workerPoolSpecs": [{"containerSpec": {"command": ["python"]}}]}}
    sweep_directory.write_job(local, bare, "x")
    assert main(["export", str(local), "--project", "p", "--location", "l"]) == 1
    assert "hydra.sweeper.trial.image" in capsys.readouterr().err
    assert not (local / "gcloud.yaml").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"backend": "moon"}', '{"backend": "local"}'])
def test_a_record_that_was_changed_is_refused(local: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (local / "sweep.json").write_text(text)
    assert main(["show", str(local)]) == 1
    assert "sweep.json" in capsys.readouterr().err
