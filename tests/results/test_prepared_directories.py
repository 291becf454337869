"""Sweeps of this machine in directories that somebody has prepared or damaged: what is written, run, and told."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", reason="backend local needs the extra [local]")

from vertex_sweeper.api_names import LOCAL_PARENT
from vertex_sweeper.cli.main import main
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.services.address import RECORDS, Address
from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.records.records import LOCK, JobOrigin, Records
from vertex_sweeper.services.local.study.study import Study
from vertex_sweeper.settings import Backend
from vertex_sweeper.stored_json import read_sealed, sealed
from vertex_sweeper.testing.gate import make_job, wait_for_end
from vertex_sweeper_runtime import contract, contract_document
from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, Scale, Slot

NAME = f"{LOCAL_PARENT}/hyperparameterTuningJobs/7"
NOW = "2026-11-24T10:00:00Z"
AGREED = Contract(
    command=("train",),
    sequence=(Slot("x"),),
    parameters=(Parameter("x", "x", Kind.DOUBLE, low=1e-5, high=0.1, scale=Scale.LOG),),
    metrics=("acc",),
)
TRIAL = """
import os, sys
print("ran", flush=True)
for name in os.environ["TAKE_AWAY"].split():
    os.unlink(os.path.join(os.environ["VERTEX_SWEEPER_SWEEP_DIR"], name))
with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a") as file:
    file.write('{"timestamp": 1e12, "trial": "1", "acc": "0.5", "global_step": "0"}\\n')
"""


def job(take_away: str = "") -> dict[str, Any]:
    env = [{"name": contract.VARIABLE, "value": contract_document.encode(AGREED)}, {"name": "TAKE_AWAY", "value": take_away}]
    return make_job(command=[sys.executable, "-c", TRIAL], env=env) | {"displayName": "tune"}


def abandoned(folder: Path, spec: dict[str, Any]) -> Path:
    """A sweep directory whose sweep was killed before its first trial began; its record."""
    sweep_directory.claim(folder, Address(Backend.LOCAL, LOCAL_PARENT), job(), config="")
    sweep_directory.write_job(folder, job(), NAME)
    records = Records(folder / RECORDS)
    study = Study(spec, name=NAME, now=NOW)
    records.of("7", JobOrigin(str(folder.parent), 1)).write_job(study, lock=nullcontext())
    records.close()
    return folder / RECORDS / "7" / "job.json"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    abandoned(tmp_path / "sweep", job())
    return tmp_path / "sweep"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A folder that is somebody's, with a file in it."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "file").write_text("kept")
    (folder / "best.yaml").write_text("kept")
    return folder


def forge(record: Path, **changes: Any) -> None:
    """What a hand writes that knows the checksum."""
    record.write_text(sealed({**read_sealed(record), **changes}))


def forge_spec(**changes: Any) -> Callable[[Path], object]:
    return lambda record: forge(record, spec={**read_sealed(record)["spec"], **changes})


def swap(record: Path, make: Callable[[Path], object]) -> None:
    record.unlink()
    make(record)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "trialJobSpec null": forge_spec(trialJobSpec=None),
    "trialJobSpec text": forge_spec(trialJobSpec="x"),
    "pools that are none": forge_spec(trialJobSpec={"workerPoolSpecs": [None]}),
    "studySpec a list": forge_spec(studySpec=[]),
    "parameters null": forge_spec(studySpec={"parameters": None}),
    "a parameter that is none": forge_spec(studySpec={"metrics": [], "parameters": [{"parameterId": "x"}]}),
    "labels a list": forge_spec(labels=[]),
    "a label that is a number": forge_spec(labels={"a": 1}),
    "spec null": lambda record: forge(record, spec=None),
    "spec empty": lambda record: forge(record, spec={}),
    "directory a number": lambda record: forge(record, directory=1),
    "seed text": lambda record: forge(record, seed="1"),
    "devices text": lambda record: forge(record, devices="0,1"),
    "state unknown": lambda record: forge(record, state="JOB_STATE_HAPPY"),
    "created at no time": lambda record: forge(record, created="yesterday"),
    "error text": lambda record: forge(record, error="x"),
    "error of wrong types": lambda record: forge(record, error={"code": "1", "message": []}),
    "pauses text": lambda record: forge(record, pauses=["x"]),
    "pauses of three": lambda record: forge(record, pauses=[[1.0, 2.0, 3.0]]),
    "name of another job": lambda record: forge(record, name=NAME[:-1] + "8"),
    "name of no job": lambda record: forge(record, name="x/../7"),
    "too deep": lambda record: record.write_text("[" * 10**5),
    "deep and sealed": lambda record: forge(record, more=json.loads("[" * 200 + "]" * 200)),
    "empty": lambda record: record.write_text(""),
    "no checksum": lambda record: record.write_text(json.dumps(read_sealed(record))),
    "formatted": lambda record: record.write_text(json.dumps(json.loads(record.read_text()), indent=1)),
    "a folder": lambda record: swap(record, lambda path: path.mkdir()),
    "a pipe": lambda record: swap(record, os.mkfifo),
    "a device": lambda record: swap(record, lambda path: path.symlink_to("/dev/zero")),
    "a trial that is none": lambda record: record.with_name("1.json").write_text(sealed({"number": 1})),
    "a trial that is a pipe": lambda record: os.mkfifo(record.with_name("1.json")),
    "a trial that is a folder": lambda record: record.with_name("1.json").mkdir(),
    "a linked record": lambda record: (
        record.parent.rename(record.parents[2] / "r") and record.parent.symlink_to(record.parents[2] / "r")
    ),
}
TRIAL_RECORD = {
    "number": 1,
    "values": {"x": 0.05},
    "drawn": {},
    "state": "SUCCEEDED",
    "started": NOW,
    "ended": NOW,
    "measurements": [{"metrics": [{"metricId": "acc", "value": 0.5}]}],
    "final": {"stepCount": "3", "metrics": [{"metricId": "acc", "value": 0.5}]},
    "reason": "",
    "failed": False,
    "device": "",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_one_damaged_record_is_one_line_and_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], object]
) -> None:
    for name in "abc":
        record = abandoned(tmp_path / name, job())
        if name == "b":
            damage(record)
    assert main(["list", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert [line.split()[0] for line in shown.out.splitlines()] == ["last", "waiting", "damaged", "waiting"]
    for command in ("show", "attach", "cancel"):
        assert main([command, str(tmp_path / "b")]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1, command
    assert not (tmp_path / "b" / "logs").exists()


@pytest.mark.parametrize("key", TRIAL_RECORD)
def test_no_value_in_a_trials_record_is_a_traceback(sweep: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    trial = sweep / RECORDS / "7" / "1.json"
    trial.write_text(sealed(TRIAL_RECORD))
    assert main(["show", str(sweep)]) == 0
    assert "0.05" in capsys.readouterr().out
    for value in (None, True, 7, 1.5, "x", [], [1], {}, {"x": "a"}, {"metrics": [{"metricId": 1}]}):
        trial.write_text(sealed({**TRIAL_RECORD, key: value}))
        code = main(["show", str(sweep)])
        assert len(capsys.readouterr().err.splitlines()) == code, value


def test_a_digit_that_was_flipped_is_told(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (sweep / RECORDS / "7" / "1.json").write_text(sealed(TRIAL_RECORD))
    for file in ("1.json", "job.json"):
        record = sweep / RECORDS / "7" / file
        text = record.read_text()
        digits = [match.start() for match in re.finditer(r"\d", text)]
        for position in digits[:: len(digits) // 5]:
            record.write_text(f"{text[:position]}{(int(text[position]) + 1) % 10}{text[position + 1 :]}")
            assert main(["show", str(sweep)]) == 1
            assert "it was changed" in capsys.readouterr().err
        record.write_text(text)
    assert main(["show", str(sweep)]) == 0


def test_a_lock_of_garbage_is_one_line(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = Records(sweep / RECORDS)
    os.pwrite(records.lock, b"[" * 300, 0)
    try:
        assert main(["list", str(sweep)]) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        assert shown.out.splitlines()[1].startswith("damaged ")
        for command in ("show", "attach", "cancel"):
            assert main([command, str(sweep)]) == 1
            assert "is locked, and does not say by whom" in capsys.readouterr().err
    finally:
        records.close()


def test_a_service_takes_up_all_jobs_but_the_damaged_ones(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "data" / RECORDS
    good = abandoned(tmp_path / "data", job())
    for number, damage in enumerate(DAMAGE.values(), 10):
        shutil.copytree(good.parent, folder / str(number))
        record = folder / str(number) / "job.json"
        forge(record, name=f"{NAME[:-1]}{number}")
        damage(record)
    with LocalService(lambda job_id: tmp_path / "jobs" / job_id, records=folder) as service:
        service.resume()
        assert service.names() == [NAME]
        assert wait_for_end(service, NAME)["state"] == "JOB_STATE_SUCCEEDED"
    left_out = [record.getMessage() for record in caplog.records if record.levelname != "INFO"]
    assert len(left_out) == len(DAMAGE)
    assert all("its job is left out" in line and line.isprintable() for line in left_out)


def test_the_emulator_lists_the_jobs_beside_one_with_fields_that_the_api_has_not(tmp_path: Path) -> None:
    aiplatform = pytest.importorskip("google.cloud.aiplatform_v1.types", reason="google-cloud-aiplatform is not installed")
    from vertex_sweeper.emulator.api import JobApi
    from vertex_sweeper.emulator.job_kind import TUNING_JOB
    from vertex_sweeper.emulator.operations import Operations

    folder = tmp_path / "data" / RECORDS
    forge_spec(more=1)(abandoned(tmp_path / "data", job()))
    shutil.copytree(folder / "7", folder / "9")
    forge(folder / "9" / "job.json", name=f"{NAME[:-1]}9", spec=job())
    with LocalService(lambda job_id: tmp_path / "jobs" / job_id, records=folder) as service:
        service.resume()
        api = JobApi(
            service,
            kind=TUNING_JOB,
            operations=Operations(),
            log_of=lambda job_id, trial: tmp_path / "jobs" / job_id / "logs" / f"{trial}.log",
            discard=lambda _: None,
        )
        page = api.list_page(aiplatform.ListHyperparameterTuningJobsRequest.pb()(parent=LOCAL_PARENT))
        assert [job.name for job in page.hyperparameter_tuning_jobs] == [f"{NAME[:-1]}9"]
        for name in service.names():
            wait_for_end(service, name)


LINKS = {
    "a log": ("logs/1.log", "file", 0),
    "a metric file": ("logs/1.metrics", "file", 0),
    "the table": ("trials.csv", "file", 0),
    "the best trial": ("best.yaml", "file", 0),
    "the best config": ("best/best.yaml", "file", 0),
    "the folder of the best config": ("best", "", 1),
    "the folder of logs": ("logs", "", 1),
    "the record's lock": (f"{RECORDS}/{LOCK}", "file", 1),
}


@pytest.mark.parametrize("link", LINKS)
def test_no_link_is_followed_when_something_is_written(
    sweep: Path, precious: Path, capsys: pytest.CaptureFixture[str], link: str
) -> None:
    place, target, code = LINKS[link]
    before = {path.name: path.read_text() for path in precious.iterdir()}
    (sweep / place).parent.mkdir(exist_ok=True)
    (sweep / place).unlink(missing_ok=True)
    (sweep / place).symlink_to(precious / target)
    assert main(["attach", str(sweep)]) == code
    assert {path.name: path.read_text() for path in precious.iterdir()} == before
    assert len(capsys.readouterr().err.splitlines()) == code


@pytest.mark.parametrize("place", ["logs/1.log", "logs/1.metrics"])
def test_no_pipe_in_the_place_of_a_file_is_waited_for(sweep: Path, place: str) -> None:
    (sweep / "logs").mkdir()
    os.mkfifo(sweep / place)
    assert main(["attach", str(sweep)]) == 0
    assert (sweep / "logs" / "1.log").read_text() == "ran\n"


def test_a_linked_record_is_not_written_to(sweep: Path, precious: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move(sweep / RECORDS, precious / "records")
    (sweep / RECORDS).symlink_to(precious / "records")
    before = sorted(path.stat().st_mtime_ns for path in precious.rglob("*"))
    for command in ("attach", "cancel"):
        assert main([command, str(sweep)]) == 1
        assert "is a link: take it away" in capsys.readouterr().err
    assert sorted(path.stat().st_mtime_ns for path in precious.rglob("*")) == before


def test_a_sweep_directory_may_itself_be_a_link(sweep: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(sweep)
    assert main(["attach", str(tmp_path / "latest")]) == 0
    assert (sweep / "best" / "best.yaml").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to give files away")
@pytest.mark.parametrize("place", ["", RECORDS, f"{RECORDS}/7", f"{RECORDS}/7/job.json"])
def test_nothing_runs_in_the_directory_of_another_user_unless_told_to(
    sweep: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    os.chown(sweep / place, 12345, -1)
    assert main(["attach", str(sweep)]) == 1
    line = capsys.readouterr().err
    assert f"{sweep / place} belongs to another user (12345)" in line
    assert f"`vertex-sweeper attach {sweep} --trust`" in line
    assert not (sweep / "logs").exists()
    assert main(["show", str(sweep)]) == main(["attach", str(sweep), "--no-wait"]) == 0
    assert not (sweep / "logs").exists()
    assert main(["attach", str(sweep), "--trust"]) == 0
    assert (sweep / "logs" / "1.log").read_text() == "ran\n"


@pytest.mark.parametrize("names", ["sweep.json", "job.json", "sweep.json job.json", "multirun.yaml"])
def test_a_file_that_is_deleted_in_the_middle_costs_no_summary(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], names: str
) -> None:
    abandoned(tmp_path / "sweep", job(take_away=names))
    assert main(["attach", str(tmp_path / "sweep")]) == 0
    assert "1 trial: 1 succeeded" in caplog.text
    assert (tmp_path / "sweep" / "best.yaml").exists()
    assert main(["show", str(tmp_path / "sweep")]) == 0
    assert "SUCCEEDED" in capsys.readouterr().out


def test_a_job_of_an_emulators_odd_project_comes_back(tmp_path: Path) -> None:
    name = "projects/My_Project/locations/EU/hyperparameterTuningJobs/7"
    forge(abandoned(tmp_path / "data", job()), name=name)
    with LocalService(lambda job_id: tmp_path / "jobs" / job_id, records=tmp_path / "data" / RECORDS) as service:
        service.resume()
        assert wait_for_end(service, name)["state"] == "JOB_STATE_SUCCEEDED"
