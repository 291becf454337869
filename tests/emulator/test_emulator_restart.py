"""Jobs that outlive the emulator: what has ended is there again, what has not goes on."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.commands import start_emulator
from vertex_sweeper.api import parse_datetime
from vertex_sweeper.errors import ServiceError
from vertex_sweeper.stored_json import read_sealed, sealed
from vertex_sweeper.testing.gate import ACC, PARENT, PATIENCE, Gate, X, is_alive, trials_of, wait_for_death, wait_for_end

pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")

from vertex_sweeper.emulator import Emulator
from vertex_sweeper.services.vertex import VertexService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REVERSE = {
    "parameterId": "r",
    "doubleValueSpec": {"minValue": 1e-3, "maxValue": 3.3},
    "scaleType": "UNIT_REVERSE_LOG_SCALE",
}
BIG = {"parameterId": "big", "integerValueSpec": {"minValue": str(2**53), "maxValue": str(2**53 + 9)}}
BATCH = {"parameterId": "batch", "discreteValueSpec": {"values": [0.1, 0.2, 16]}}
MODEL = {
    "parameterId": "model",
    "categoricalValueSpec": {"values": ["a", "b"]},
    "conditionalParameterSpecs": [
        {"parentCategoricalValues": {"values": [name]}, "parameterSpec": {**BATCH, "parameterId": "child"}} for name in "ab"
    ],
}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path) as gate:
        yield gate


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "the data of a test"


def test_a_job_that_has_ended_is_there_again_as_it_was(gate: Gate, data: Path) -> None:
    with Emulator(data=data) as emulator:
        job = {**gate.job(most=2, metrics=[ACC, {"metricId": "loss"}]), "labels": {"a": "b"}}
        name = emulator.service.create(PARENT, job)["name"]
        gate.next().do("report(1, acc=0.1)", "report(2, acc=0, loss=1e-300)", "sys.exit(0)")
        gate.next().do("report(acc=0.1)", "sys.exit(3)")
        before = wait_for_end(emulator.service, name)
    with Emulator(data=data) as emulator:
        assert emulator.service.get(name) == before
        assert VertexService("l", endpoint=f"http://{emulator.address}").get(name)["state"] == before["state"]
        emulator.service.cancel(name)  # too late
        assert emulator.service.get(name) == before


@pytest.mark.parametrize("algorithm", ["GRID_SEARCH", "RANDOM_SEARCH", "ALGORITHM_UNSPECIFIED"])
def test_a_job_that_was_running_goes_on_with_the_same_trials_and_the_rest_of_its_budget(
    gate: Gate, data: Path, algorithm: str
) -> None:
    parameters = [BATCH, MODEL] if algorithm == "GRID_SEARCH" else [X, REVERSE, BIG, BATCH, MODEL]
    job = gate.job(most=5, parallel=2, parameters=parameters, algorithm=algorithm, failed=2)
    with Emulator(data=data) as emulator:
        name = emulator.service.create(PARENT, job)["name"]
        first, second = sorted((gate.next(), gate.next()), key=lambda visitor: visitor.trial)
        first.do("report(acc=0.1 + 0.2)", "sys.exit(1)")
        third = gate.next()
        before = trials_of(emulator.service.get(name))
    wait_for_death(second.pid, third.pid)
    with Emulator(data=data) as emulator:
        again = sorted((gate.next(), gate.next()), key=lambda visitor: visitor.trial)
        assert [visitor.trial for visitor in again] == ["2", "3"]
        assert [visitor.argv for visitor in again] == [second.argv, third.argv]
        now = trials_of(emulator.service.get(name))
        assert now["1"] == before["1"]
        assert all(
            parse_datetime(now[id]["startTime"]) > parse_datetime(before[id]["startTime"]) for id in "23"
        )  # these begin anew, and nothing else changes
        assert [{**now[id], "startTime": ""} for id in "23"] == [{**before[id], "startTime": ""} for id in "23"]
        for visitor in again:
            visitor.finish(acc=0.5)
        for _ in range(2):
            gate.next().finish(acc=0.5)
        ended = wait_for_end(emulator.service, name)
    assert ended["state"] == "JOB_STATE_SUCCEEDED"
    trials = trials_of(ended)
    assert trials["1"] == before["1"]
    assert [trials[id]["state"] for id in "12345"] == ["INFEASIBLE", *["SUCCEEDED"] * 4]
    if algorithm == "GRID_SEARCH":
        points = [tuple(entry["value"] for entry in trial["parameters"]) for trial in ended["trials"]]
        assert points == [(0.1, "a", 0.1), (0.1, "a", 0.2), (0.1, "a", 16.0), (0.1, "b", 0.1), (0.1, "b", 0.2)]


def test_a_failure_before_the_restart_counts_after_it(gate: Gate, data: Path) -> None:
    with Emulator(data=data) as emulator:
        name = emulator.service.create(PARENT, gate.job(most=5, failed=2))["name"]
        gate.next().do("sys.exit(1)")
        gate.next()
    with Emulator(data=data) as emulator:
        gate.next().do("sys.exit(1)")
        ended = wait_for_end(emulator.service, name)
    assert (ended["state"], len(ended["trials"])) == ("JOB_STATE_FAILED", 2)
    assert "maxFailedTrialCount is 2" in ended["error"]["message"]


def test_a_job_that_was_being_cancelled_is_cancelled_after_the_restart(gate: Gate, data: Path) -> None:
    with Emulator(data=data) as emulator:
        name = emulator.service.create(PARENT, gate.job(most=5))["name"]
        gate.next().ask("signal.signal(signal.SIGTERM, lambda *_: say('asked to end')) and None")
        emulator.service.cancel(name)
        assert emulator.service.get(name)["state"] == "JOB_STATE_CANCELLING"
    with Emulator(data=data) as emulator:
        ended = wait_for_end(emulator.service, name)
    assert ended["state"] == "JOB_STATE_CANCELLED"
    assert [trial["state"] for trial in ended["trials"]] == ["INFEASIBLE"]
    with Emulator(data=data) as emulator:
        assert emulator.service.get(name) == ended


def test_a_trial_that_was_being_stopped_early_has_ended_after_the_restart_with_what_it_had_measured(
    gate: Gate, data: Path
) -> None:
    with Emulator(data=data, metric_interval=0.02) as emulator:
        name = emulator.service.create(PARENT, gate.job(most=3, failed=1, medianAutomatedStoppingSpec={}))["name"]
        gate.next().finish(acc=0.5)
        second = gate.next()
        second.ask("signal.signal(signal.SIGTERM, lambda *_: say('asked to end')) and None")
        second.do("report(acc=0.25)")
        assert second.hear() == "asked to end"
    wait_for_death(second.pid)
    with Emulator(data=data, metric_interval=0.02) as emulator:
        third = gate.next()
        assert third.trial == "3"
        third.finish(acc=0.75)
        ended = wait_for_end(emulator.service, name)
    assert [trial["state"] for trial in ended["trials"]] == ["SUCCEEDED"] * 3
    assert trials_of(ended)["2"]["finalMeasurement"]["metrics"] == [{"metricId": "acc", "value": 0.25}]
    assert ended["state"] == "JOB_STATE_SUCCEEDED"


def test_a_study_that_had_been_stopped_begins_no_new_trial_after_the_restart(gate: Gate, data: Path) -> None:
    config = {"maxNumTrialsNoProgress": 1}
    with Emulator(data=data) as emulator:
        name = emulator.service.create(PARENT, gate.job(most=9, parallel=2, studyStoppingConfig=config))["name"]
        first, second = sorted((gate.next(), gate.next()), key=lambda visitor: visitor.trial)
        first.finish(acc=0.5)
        third = gate.next()
        second.finish(acc=0.25)
        wait_for_record(data, "maxNumTrialsNoProgress)")
    wait_for_death(third.pid)
    with Emulator(data=data) as emulator:
        gate.next().finish(acc=0.75)  # a better one, too late
        ended = wait_for_end(emulator.service, name)
    assert (ended["state"], [trial["id"] for trial in ended["trials"]]) == ("JOB_STATE_SUCCEEDED", ["1", "2", "3"])


def wait_for_record(data: Path, text: str) -> None:
    """Returns when some record holds this text; nobody tells us, so it has to look again and again."""
    deadline = time.monotonic() + PATIENCE
    while not any(text in path.read_text() for path in (data / "records").glob("*/*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_deleted_job_does_not_come_back(gate: Gate, data: Path) -> None:
    with Emulator(data=data) as emulator:
        name = emulator.service.create(PARENT, gate.job())["name"]
        gate.next().finish(acc=0.5)
        wait_for_end(emulator.service, name)
        assert emulator.service.delete(name)
    with Emulator(data=data) as emulator:
        assert emulator.service.names() == []


def test_jobs_come_back_in_the_order_of_their_creation(gate: Gate, data: Path) -> None:
    with Emulator(data=data) as emulator:
        names = [emulator.service.create(PARENT, gate.job())["name"] for _ in range(4)]
        for _ in names:
            gate.next().finish(acc=0.5)
        for name in names:
            wait_for_end(emulator.service, name)
    with Emulator(data=data) as emulator:
        assert emulator.service.names() == names


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"spec": 1}'], ids=["empty", "torn", "a list", "something else"])
def test_a_damaged_record_is_left_out_and_the_others_come_back(
    gate: Gate, data: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Emulator(data=data) as emulator:
        names = [emulator.service.create(PARENT, gate.job())["name"] for _ in range(2)]
        for _ in names:
            gate.next().finish(acc=0.5)
        for name in names:
            wait_for_end(emulator.service, name)
    record = data / "records" / names[0].rpartition("/")[2] / "job.json"
    record.write_text(damage)
    with Emulator(data=data) as emulator:
        assert emulator.service.names() == names[1:]
    assert str(record.parent) in caplog.text


def test_two_emulators_do_not_share_their_data(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vertex_sweeper.services.local.records.records._PATIENCE", 0)
    with Emulator(data=data), pytest.raises(ServiceError, match="another process uses the jobs"):
        Emulator(data=data).__enter__()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_a_job_goes_on_after_the_emulators_process_has_ended_however_it_did(
    gate: Gate, data: Path, number: signal.Signals, until: Callable[[Callable[[], bool]], None]
) -> None:
    def service(ready: dict[str, Any]) -> VertexService:
        return VertexService("l", endpoint=f"http://{ready['address']}")

    with start_emulator("--data", str(data)) as (process, ready):
        name = service(ready).create(PARENT, gate.job(most=2))["name"]
        visitor = gate.next()
        process.send_signal(number)
        assert process.wait() == (-number if number is signal.SIGKILL else 0)
    with start_emulator("--data", str(data)) as (_, ready):
        again = gate.next()
        assert not is_alive(visitor.pid)  # the data is free when nothing is left of what ran on it
        assert (again.trial, again.argv) == (visitor.trial, visitor.argv)
        again.finish(acc=0.5)
        gate.next().finish(acc=0.5)
        remote = service(ready)
        until(lambda: "endTime" in remote.get(name))
        job = remote.get(name)
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    assert [trial["id"] for trial in job["trials"]] == ["1", "2"]


def test_a_failure_that_was_written_without_its_consequence_still_ends_the_job(gate: Gate, data: Path) -> None:
    with Emulator(data=data) as emulator:
        name = emulator.service.create(PARENT, gate.job(most=5, failed=1))["name"]
        gate.next().do("sys.exit(7)")
        ended = wait_for_end(emulator.service, name)
    # As a process leaves it that is killed after the trial's end was written, and before the job's.
    record = data / "records" / name.rpartition("/")[2] / "job.json"
    record.write_text(sealed({**read_sealed(record), "state": "JOB_STATE_RUNNING", "error": None, "ended": ""}))
    with Emulator(data=data) as emulator:
        again = wait_for_end(emulator.service, name)
    assert again["error"] == ended["error"]
    assert again["trials"] == ended["trials"]
