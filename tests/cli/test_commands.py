"""`vertex-sweeper` and what it needs no service for: local sweeps, folders of sweeps, wrong words."""

from __future__ import annotations

import copy
import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import app_in
from vertex_sweeper.api_names import LOCAL_PARENT
from vertex_sweeper.cli.main import main
from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.plan.plan import Plan
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.run.attach import go_on
from vertex_sweeper.run.submit import submit
from vertex_sweeper.run.target import read_target
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.opening import open_service, reopen_service
from vertex_sweeper.settings import Backend, OnInterrupt
from vertex_sweeper.testing.gate import wait_for, wait_for_end

pytest.importorskip("optuna", reason="backend local needs the extra [local]")

# Of three trials the second fails; of a sweep that is to be killed it hangs at its first attempt.
TRIAL = """
import os, signal, sys
values = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
metrics = os.environ["CLOUD_ML_HP_METRIC_FILE"]
if values["hangs"] == "yes" and float(values["batch"]) > 8 and not os.path.exists(metrics + ".begun"):
    gate = os.path.join(os.path.dirname(metrics), "gate")  # by which the third trial knows that the second one hangs
    open(metrics + ".begun", "x").close()
    if float(values["batch"]) == 16:
        open(gate, "w").close()
        signal.pause()
    open(gate).close()
if float(values["batch"]) == 16:
    sys.exit("boom")
with open(metrics, "a") as file:
    file.write('{"timestamp": 1e12, "trial": "1", "objective": "%r", "global_step": "0"}\\n' % (1 / float(values["batch"]),))
"""
WORDS = (
    "batch=8,16,32",
    "hydra.sweeper.algorithm=grid",
    "hydra.sweeper.max_failed_trial_count=2",
    "hydra.sweeper.display_name=digits",
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    """A sweep."""
    with app_in(tmp_path_factory.mktemp("app"), {"config": "batch: 8\n"}) as app:
        yield app.plan(*WORDS, "hydra.sweeper.trial.image='a/b:1'")


@pytest.fixture
def local(tmp_path: Path, plan: Plan) -> Path:
    """The directory of a local sweep that has ended."""
    folder = tmp_path / "my sweep"
    run(folder, spec_of(plan, hangs="no"), wait_for_end)
    return folder


@pytest.fixture
def killed(tmp_path: Path, plan: Plan) -> Path:
    """The directory of a local sweep that was killed when its first and its third trial had ended."""
    folder = tmp_path / "killed"
    (folder / "logs").mkdir(parents=True)
    os.mkfifo(folder / "logs" / "gate")
    states = ["SUCCEEDED", "ACTIVE", "SUCCEEDED"]

    def wait(service: LocalService, name: str) -> None:
        wait_for(service, name, lambda job: [trial["state"] for trial in job.get("trials", [])] == states)

    run(folder, spec_of(plan, hangs="yes"), wait)
    return folder


def spec_of(plan: Plan, *, hangs: str) -> dict[str, Any]:
    """The sweep's job, with trials that take no time."""
    job: dict[str, Any] = copy.deepcopy(dict(plan.job))
    container = job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    container["command"] = ["python", "-I", "-S", "-c", TRIAL, f"hangs={hangs}"]
    return job


def run(folder: Path, spec: dict[str, Any], wait: Callable[[LocalService, str], object]) -> None:
    """What a sweep does until the end of its watch, which is here that of its process."""
    address = Address(Backend.LOCAL, LOCAL_PARENT)
    sweep_directory.claim(folder, address, spec, config="")
    opened = open_service(address, folder)
    assert isinstance(opened.service, LocalService)
    try:
        name = submit(opened, LOCAL_PARENT, spec, directory=folder, pause=lambda _: True)["name"]
        wait(opened.service, name)
    finally:
        opened.kill()


def test_show_tells_of_a_local_sweep(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(local)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{local}  digits  SUCCEEDED"
    assert lines[1:4] == ["3 trials: 2 succeeded, 1 failed", "best: trial 3  objective 0.03125", "  batch=32"]
    assert [line.split()[:4] for line in lines[4:8]] == [
        ["number", "state", "batch", "objective"],
        ["1", "succeeded", "8", "0.125"],
        ["2", "failed", "16", lines[6].split()[3]],
        ["3", "succeeded", "32", "0.03125"],
    ]
    assert lines[8].startswith("trial 2 failed: ")
    assert lines[8].endswith(f"  (its log: cat '{local}/logs/2.log')")


def test_nothing_of_an_emulator_is_said_of_a_sweep_on_this_machine(
    local: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VERTEX_EMULATOR_HOST", "127.0.0.1:1")
    name = str(json.loads((local / "job.json").read_text(encoding="utf-8"))["name"])
    assert [main([command, str(local)]) for command in ("attach", "show", "list")] == [0, 0, 0]
    assert main(["show", name]) == 1
    assert "is a job on this machine: name the directory of its sweep instead" in capsys.readouterr().err
    assert "VERTEX_EMULATOR_HOST" not in caplog.text


def test_show_and_list_tell_that_a_sweep_was_killed(killed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(killed)]) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == [
        f"its process is gone: go on with `vertex-sweeper attach {killed}`",
        "3 trials: 2 succeeded, 1 unfinished",
    ]
    assert main(["list", str(killed)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["waiting", "local", "3/3"]


def test_list_finds_sweeps_below_a_folder(local: Path, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    other, early = local.parent / "a" / "b", local.parent / "early"
    other.mkdir(parents=True)
    sweep_directory.claim(other, Address(Backend.VERTEX, "projects/p/locations/l"), plan.job, config="")
    sweep_directory.claim(early, Address(Backend.LOCAL, LOCAL_PARENT), plan.job, config="")
    assert main(["list", str(local.parent)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows[0] == ["not", "created", "vertex", "3", str(other), "digits"]
    assert rows[1] == ["not", "created", "local", "3", str(early), "digits"]
    assert rows[2][:3] == ["SUCCEEDED", "local", "3/3"]


def test_attach_goes_on_with_a_sweep_that_was_killed(
    killed: Path, local: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_of(killed)
    assert before["1"]["state"] == before["3"]["state"] == "SUCCEEDED"
    monkeypatch.chdir(killed.parent)
    assert main(["attach", "killed"]) == 0
    assert "trial 1 (1 of 3 ended)  objective 0.125  best 0.125 (#1)" in caplog.text  # the best so far, not what came later
    assert re.search(r"trial 2 \([23] of 3 ended\)  failed: exited with code 1  ", caplog.text)
    after = rows_of(killed)
    assert [after[number] for number in "13"] == [before[number] for number in "13"]
    assert main(["attach", str(local)]) == 0
    for name in ("optimization_results.yaml", "best/best.yaml"):
        killed_text, local_text = ((folder / name).read_text() for folder in (killed, local))
        assert re.sub(r'id: "\d+_', 'id: "', killed_text) == re.sub(r'id: "\d+_', 'id: "', local_text)  # each job has its own
    best = yaml.safe_load((killed / "best.yaml").read_text())
    assert best == {"number": 3, "folder": f"{killed}/3", "metrics": {"objective": 0.03125}, "overrides": ["batch=32"]}
    assert yaml.safe_load((killed / "sweep.json").read_text())["state"] == "JOB_STATE_SUCCEEDED"


def test_without_waiting_the_files_are_written_as_things_stand_and_nothing_runs(
    killed: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attach", str(killed), "--no-wait"]) == 0
    assert f"waits for somebody who runs it; go on with `vertex-sweeper attach {killed}`" in caplog.text
    assert yaml.safe_load((killed / "best.yaml").read_text())["number"] == 3
    assert rows_of(killed)["2"]["state"] == "ACTIVE"
    assert main(["show", str(killed)]) == 0
    assert "job: nobody runs it" in capsys.readouterr().out


def test_a_sweep_that_was_killed_can_be_cancelled(
    killed: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cancel", str(killed)]) == 0
    assert "was asked to end, and is CANCELLED\n" in capsys.readouterr().out
    assert main(["attach", str(killed)]) == 1
    assert "3 trials: 2 succeeded, 1 cancelled" in caplog.text
    assert "the job ended CANCELLED" in capsys.readouterr().err
    assert yaml.safe_load((killed / "best.yaml").read_text())["number"] == 3


def test_what_has_ended_is_not_cancelled(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cancel", str(local)]) == 0
    assert "has ended already: SUCCEEDED\n" in capsys.readouterr().out


def test_a_killed_sweep_whose_working_directory_is_gone_is_left_as_it_is(
    tmp_path: Path, plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    run(tmp_path / "a sweep", spec_of(plan, hangs="yes"), lambda *_: None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").rmdir()
    assert main(["attach", "a sweep"]) == 1
    assert f"work in {tmp_path}/gone, which is gone: put it back" in capsys.readouterr().err
    assert main(["list", "a sweep"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("waiting")


def rows_of(directory: Path) -> dict[str, dict[str, str]]:
    """The table of trials that `attach` writes of the sweep as it stands, by number."""
    assert main(["attach", str(directory), "--no-wait"]) == 0
    with (directory / "trials.csv").open(newline="", encoding="utf-8") as lines:
        return {row["number"]: row for row in csv.DictReader(lines)}


def test_export_takes_a_local_sweep_to_vertex(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(local), "--project", "p", "--location", "l"]) == 0
    assert "--project=p --region=l --display-name=digits --max-trial-count=3" in capsys.readouterr().out
    job = json.loads((local / "job.json").read_text())
    assert yaml.safe_load((local / "gcloud.yaml").read_text())["trialJobSpec"] == job["trialJobSpec"]


MISTAKES = {
    "a job of this machine by its name": (
        ["attach", f"{LOCAL_PARENT}/hyperparameterTuningJobs/1"],
        "is a job on this machine: name the directory of its sweep instead",
    ),
    "another place for the files": (["attach", "DIR", "--sweep-dir=x"], "is a sweep directory, and its files stay there"),
    "another image than the sweep's": (
        ["export", "DIR", "--project=p", "--location=l", "--image=x"],
        "has named its image: leave it out",
    ),
    "export a local sweep to nowhere": (["export", "DIR"], "--project and --location"),
    "neither directory nor name": (["show", "nowhere"], "'nowhere' is neither a sweep directory nor a job's name"),
    "a directory of something else": (["show", "."], "is no sweep directory: it has no sweep.json"),
    "half a region": (["list", "--project", "p"], "--project and --location go together"),
    "a folder and a region": (["list", ".", "--project=p", "--location=l"], "name the one or the other"),
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


@pytest.mark.parametrize("command", ["show", "attach", "cancel"])
def test_a_sweep_that_was_ended_before_its_job_began_is_told_from_others(
    tmp_path: Path, plan: Plan, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    sweep_directory.claim(tmp_path / "early", Address(Backend.LOCAL, LOCAL_PARENT), plan.job, config="")
    assert main([command, str(tmp_path / "early")]) == 1
    (shown,) = capsys.readouterr().err.splitlines()
    assert "was ended before it ran anything, or its directory was copied" in shown


def test_the_directory_of_a_local_sweep_is_taken(local: Path, plan: Plan) -> None:
    again = Address(Backend.LOCAL, LOCAL_PARENT)
    with pytest.raises(SweepDirectoryError, match=r"to go on with it, `vertex-sweeper attach '.*my sweep'`"):
        sweep_directory.claim(local, again, plan.job, config="")
    (local / "job.json").unlink()
    with pytest.raises(SweepDirectoryError, match=r"has the trials of an earlier sweep: set hydra\.sweep\.dir"):
        sweep_directory.claim(local, again, plan.job, config="")
    assert not (local / "job.json").exists()


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"vertex-sweeper {version('hydra-vertex-sweeper')}\n"


def test_a_job_without_an_image_is_exported_with_one(local: Path, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(local), "--project", "p", "--location", "l"]
    pools = [{"containerSpec": {"command": ["python"]}}, {}, {"containerSpec": {"imageUri": "reducer"}}]
    sweep_directory.write_job(
        local, {**plan.job, "trialJobSpec": {"workerPoolSpecs": pools}}, f"{LOCAL_PARENT}/hyperparameterTuningJobs/1"
    )
    assert main(command) == 1
    assert "its job has no image: name the training image, --image=" in capsys.readouterr().err
    assert not (local / "gcloud.yaml").exists()
    assert main([*command, "--image", "a/c:2"]) == 0
    exported = yaml.safe_load((local / "gcloud.yaml").read_text())["trialJobSpec"]["workerPoolSpecs"]
    assert exported == [{"containerSpec": {"command": ["python"], "imageUri": "a/c:2"}}, *pools[1:]]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"backend": "moon"}', '{"backend": "local"}'])
def test_a_record_that_was_changed_is_refused(local: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (local / "sweep.json").write_text(text)
    assert main(["show", str(local)]) == 1
    assert "sweep.json" in capsys.readouterr().err


def test_a_damaged_record_is_named_and_hides_no_other_sweep(
    local: Path, killed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (record,) = killed.glob(".records/*/2.json")
    record.write_text('{"number"')
    for command in ("show", "attach", "cancel"):
        assert main([command, str(killed)]) == 1
        (shown,) = capsys.readouterr().err.splitlines()
        assert "cannot be read (2.json: " in shown
        assert "put it back, or where it is the last trial's remove it" in shown
    assert main(["list", str(local.parent)]) == 0
    states = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]
    assert states == ["damaged", "SUCCEEDED"]


def test_records_of_two_jobs_are_refused(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (record,) = local.glob(".records/*/")
    shutil.copytree(record, record.with_name("123"))
    assert main(["show", str(local)]) == 1
    assert "has 2 jobs, and a sweep has one" in capsys.readouterr().err


def test_a_copy_without_the_record_is_told_so(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(local / ".records")
    assert main(["show", str(local)]) == 1
    assert "or its directory was copied without hidden files" in capsys.readouterr().err


def test_who_comes_second_follows_the_first(killed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commands find the sweep abandoned; one goes on with it, and the other one sees it end."""
    monkeypatch.setattr("vertex_sweeper.services.local.records.records._PATIENCE", 0.2)
    target = read_target(str(killed))
    late = reopen_service(target.address, killed, join=True)
    first = LocalService(lambda _: killed, records=killed / ".records")
    first.resume()
    (name,) = first.names()
    monkeypatch.setattr(
        "vertex_sweeper.run.target.reopen_service", lambda *_, join: late if join else reopen_service(target.address, killed)
    )
    outcome = go_on(target, None, on_interrupt=OnInterrupt.DETACH)
    assert [trial.state.name for trial in outcome.trials if trial.state] == ["SUCCEEDED", "INFEASIBLE", "SUCCEEDED"]
    assert wait_for_end(first, name)["state"] == "JOB_STATE_SUCCEEDED"
    first.close()


HOSTILE = "=x\x1b]0;owned\x07\r\x08\x85y\u2028\u2029\u202e\x9b1m\f\v\x7fz"


def test_what_others_have_named_is_shown_and_not_obeyed(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with app_in(tmp_path_factory.mktemp("app"), {"config": "batch: 8\ntag: a\n"}) as app:
        words = (f"tag='{HOSTILE}',b", "hydra.sweeper.max_failed_trial_count=6", "hydra.sweeper.trial.image='a/b:1'")
        plan = app.plan(*WORDS, *words)
    folder = tmp_path / f"a{HOSTILE}b"
    run(folder, {**spec_of(plan, hangs="no"), "displayName": HOSTILE}, wait_for_end)

    for command in (["show"], ["list"], ["attach"], ["export", "--project=p", "--location=europe-west4"]):
        assert main([*command, str(folder)]) == 0
    out, err = capsys.readouterr()
    lines = [*out.split("\n"), *err.split("\n"), *(line for record in caplog.messages for line in record.split("\n"))]
    assert [line for line in lines if not line.isprintable()] == []
    shown = next(line for line in lines if line.startswith("1 ") and " succeeded " in line)
    assert "=x\\x1b]0;owned\\x07\\r\\x08\\x85y\\u2028" in shown
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        assert {row["tag"] for row in csv.DictReader(file)} == {f"'{HOSTILE}'", "b"}  # in the file it is what it is
