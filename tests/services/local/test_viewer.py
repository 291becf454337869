"""A local service's jobs, seen by another process through its records."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

pytest.importorskip("optuna", reason="the local service needs the extra [local]")

from vertex_sweeper.errors import JobNotFound, ServiceError
from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.records.lock_owner import LockOwner
from vertex_sweeper.services.local.records.records import LOCK, Records
from vertex_sweeper.services.local.records.viewer import Viewer
from vertex_sweeper.testing.gate import PARENT, Gate, trials_of, wait_for_end

LABELS = {"sweep": "a1", "team": "vision"}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture
def service(start: Callable[..., LocalService], records: Path) -> LocalService:
    return start(records=records)


@pytest.fixture
def viewer(records: Path) -> Viewer:
    return Viewer(records)


class Signals(list[int]):
    """The SIGTERMs that this process was sent, and what it does then."""

    then: Callable[[], object] = staticmethod(lambda: None)

    def receive(self, number: int, _: FrameType | None) -> None:
        self.append(number)
        self.then()


@pytest.fixture
def signals() -> Iterator[Signals]:
    signals = Signals()
    previous = signal.signal(signal.SIGTERM, signals.receive)
    yield signals
    signal.signal(signal.SIGTERM, previous)


def test_an_onlooker_sees_what_the_service_says(gate: Gate, service: LocalService, viewer: Viewer) -> None:
    name = service.create(PARENT, gate.job(most=3, parallel=2) | {"labels": LABELS})["name"]
    first, second = gate.next(), gate.next()
    seen, said = viewer.get(name), service.get(name)
    seen["updateTime"] = said["updateTime"]  # which is on record as of the job's own last change
    assert seen == said
    assert not viewer.abandoned(name)
    first.finish(acc=0.1 + 0.2)
    third = gate.next()
    assert viewer.get(name)["trials"] == service.get(name)["trials"]
    second.do("sys.exit(3)")
    third.finish(acc=0.5)
    ended = wait_for_end(service, name)
    assert ended["state"] == "JOB_STATE_SUCCEEDED"
    service.close()  # the record of a job's end is written when the end is already known
    assert viewer.get(name) == ended
    assert not viewer.abandoned(name)


def test_jobs_are_found_by_parent_and_labels(gate: Gate, service: LocalService, viewer: Viewer) -> None:
    assert viewer.names() == []
    name = service.create(PARENT, gate.job() | {"labels": LABELS})["name"]
    gate.next().finish(acc=1)
    assert viewer.names() == [name]
    for labels in ({}, {"sweep": "a1"}, {"team": None}, {"sweep": "a1", "team": "vision"}):
        assert [job["name"] for job in viewer.find(PARENT, labels)] == [name], labels
    for labels in ({"sweep": "a2"}, {"other": None}, {"sweep": "a1", "team": "x"}):
        assert viewer.find(PARENT, labels) == [], labels
    assert viewer.find("projects/other/locations/l", {}) == []


def test_a_change_ends_the_waiting(gate: Gate, service: LocalService, viewer: Viewer) -> None:
    name = service.create(PARENT, gate.job(most=2))["name"]
    wait = viewer.waiting(name)
    first = gate.next()
    first.finish(acc=1)
    wait(600)  # returns, by what the first trial's end or the second one's begin puts on record
    gate.next().finish(acc=1)
    wait_for_end(service, name)
    wait(0.0)


def test_an_abandoned_job_is_told_from_one_that_runs(gate: Gate, service: LocalService, viewer: Viewer) -> None:
    name = service.create(PARENT, gate.job(most=2))["name"]
    gate.next()
    assert not viewer.abandoned(name)
    service.close()
    assert viewer.abandoned(name)
    with pytest.raises(ServiceError, match="is gone"):
        viewer.waiting(name)(600)


def test_an_abandoned_job_is_cancelled_for_good(
    gate: Gate, service: LocalService, viewer: Viewer, start: Callable[..., LocalService], records: Path
) -> None:
    name = service.create(PARENT, gate.job(most=3, parallel=2))["name"]
    gate.next().finish(acc=0.5)
    for _ in range(2):
        gate.next()
    service.close()
    viewer.cancel(name)
    job = viewer.get(name)
    assert job["state"] == "JOB_STATE_CANCELLED"
    assert sorted(trial["state"] for trial in job["trials"]) == ["INFEASIBLE", "INFEASIBLE", "SUCCEEDED"]
    viewer.cancel(name)  # once more changes nothing
    assert viewer.get(name) == job
    later = start(records=records)
    later.resume()
    assert later.get(name) == job


def test_a_running_job_is_cancelled_by_the_process_that_runs_it(
    gate: Gate, service: LocalService, viewer: Viewer, signals: Signals
) -> None:
    name = service.create(PARENT, gate.job())["name"]
    trial = gate.next()
    signals.then = lambda: service.cancel(name)
    viewer.cancel(name)
    assert signals == [signal.SIGTERM]
    viewer.cancel(name)  # a second signal would leave it no time
    assert signals == [signal.SIGTERM]
    assert wait_for_end(service, name)["state"] == "JOB_STATE_CANCELLED"
    service.close()
    viewer.cancel(name)
    assert signals == [signal.SIGTERM]
    assert trials_of(viewer.get(name))[trial.trial]["state"] == "INFEASIBLE"


def test_a_job_that_its_process_lets_go_of_is_cancelled_all_the_same(
    gate: Gate, service: LocalService, viewer: Viewer, signals: Signals
) -> None:
    name = service.create(PARENT, gate.job())["name"]
    gate.next()
    signals.then = service.close
    viewer.cancel(name)
    assert viewer.get(name)["state"] == "JOB_STATE_CANCELLED"


def test_a_process_of_another_machine_is_sent_no_signal(
    gate: Gate, service: LocalService, viewer: Viewer, records: Path, signals: Signals
) -> None:
    name = service.create(PARENT, gate.job())["name"]
    gate.next()
    owner = LockOwner.parse((records / LOCK).read_bytes())
    assert (owner.host, owner.process) == (socket.gethostname(), os.getpid())
    (records / LOCK).write_text(owner._replace(host="elsewhere", process=4711).to_text())
    assert not viewer.abandoned(name)
    with pytest.raises(ServiceError, match="is run by process 4711 of elsewhere: cancel it there"):
        viewer.cancel(name)
    assert not signals


def test_a_job_belongs_to_one_service_at_a_time(
    gate: Gate, service: LocalService, start: Callable[..., LocalService], records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vertex_sweeper.services.local.records.records._PATIENCE", 0.0)
    service.create(PARENT, gate.job())
    gate.next()
    with pytest.raises(ServiceError, match="another process uses the jobs"):
        start(records=records).resume()
    service.close()
    Records(records).close()


def test_trials_go_on_where_they_began(
    gate: Gate, service: LocalService, start: Callable[..., LocalService], records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path.cwd()
    name = service.create(PARENT, gate.job())["name"]
    gate.next()
    service.close()
    monkeypatch.chdir("/")
    later = start(records=records)
    later.resume()
    again = gate.next()
    assert again.ask("os.getcwd()") == str(here)
    again.finish(acc=1)
    assert wait_for_end(later, name)["state"] == "JOB_STATE_SUCCEEDED"


def test_the_time_in_which_nobody_ran_it_is_not_the_studys(
    gate: Gate, start: Callable[..., LocalService], records: Path
) -> None:
    now = [1000.0]
    config = {"maximumRuntimeConstraint": {"maxDuration": "100s"}}
    finish = ("report(at=1e12, acc=0.5)", "sys.exit(0)")
    service = start(records=records, clock=lambda: now[0])
    name = service.create(PARENT, gate.job(most=9, studyStoppingConfig=config))["name"]
    first = gate.next()
    now[0] = 1050.0
    first.do(*finish)
    gate.next()
    service.close()
    now[0] = 50_000.0
    later = start(records=records, clock=lambda: now[0])
    later.resume()
    second = gate.next()
    now[0] = 50_020.0
    second.do(*finish)
    third = gate.next()  # after 70 seconds
    assert (second.trial, third.trial) == ("2", "3")
    now[0] = 50_060.0
    third.do(*finish)
    ended = wait_for_end(later, name)
    assert (ended["state"], len(ended["trials"])) == ("JOB_STATE_SUCCEEDED", 3)
    later.close()
    assert start(records=records).resume() is None


def test_what_is_not_there_or_damaged_is_named(gate: Gate, service: LocalService, viewer: Viewer, records: Path) -> None:
    with pytest.raises(JobNotFound, match="has no job"):
        viewer.get(f"{PARENT}/hyperparameterTuningJobs/1")
    with pytest.raises(ServiceError, match="is not created"):
        viewer.create(PARENT, gate.job())
    name = service.create(PARENT, gate.job())["name"]
    gate.next().finish(acc=1)
    wait_for_end(service, name)
    service.close()
    (records / name.rpartition("/")[2] / "1.json").write_text("{")
    with pytest.raises(ServiceError, match="cannot be read"):
        viewer.get(name)
