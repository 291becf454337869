"""One job for one sweep, whatever the service answers to its creation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from vertex_sweeper.api import Job
from vertex_sweeper.errors import ServiceError, SweepDirectoryError
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.run import submit as submission
from vertex_sweeper.run.submit import submit
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.settings import Backend

PARENT = "projects/p/locations/l"
NAME = f"{PARENT}/hyperparameterTuningJobs/1"
ADDRESS = Address(Backend.VERTEX, PARENT, "http://127.0.0.1:1", "robot@p.iam")
SPEC: Job = {"displayName": "tune", "labels": {"hydra-vertex-sweeper": "a1b2"}}

LOST = ServiceError("no answer in time", code="DEADLINE_EXCEEDED", acted=None, transient=True)
BUSY = ServiceError("a quota is exhausted", code="RESOURCE_EXHAUSTED", acted=False, transient=True)
WRONG = ServiceError("permission denied", code="PERMISSION_DENIED", acted=False)
CREATED = "created"


class Scripted:
    """Answers calls of `create` and lists as told, and writes down what it finds on disk at each creation."""

    def __init__(self, directory: Path, creations: list[ServiceError | str], lists: list[ServiceError | int]) -> None:
        self.directory = directory
        self.creations = creations
        self.lists = lists
        self.created = 0
        self.intents: list[Job] = []
        self.pauses: list[float] = []

    def create(self, parent: str, spec: Mapping[str, Any]) -> Job:
        assert parent == PARENT
        self.intents.append(json.loads((self.directory / "job.json").read_text()))
        self.created += 1
        answer = self.creations.pop(0)
        if isinstance(answer, ServiceError):
            raise answer
        return cast("Job", {**spec, "name": NAME, "state": "JOB_STATE_PENDING"})

    def get(self, name: str) -> Job:
        raise AssertionError(name)

    def cancel(self, name: str) -> None:
        raise AssertionError(name)

    def find(self, parent: str, labels: Mapping[str, str | None], *, custom: bool | None = None) -> list[Job]:
        assert (parent, labels, custom) == (PARENT, SPEC["labels"], False)
        answer = self.lists.pop(0) if self.lists else 0
        if isinstance(answer, ServiceError):
            raise answer
        return [{**SPEC, "name": f"{NAME}{number or ''}"} for number in range(answer)]

    def pause(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return True

    def submit(self) -> Job:
        opened = OpenService(self, self.find, self.pauses.append)
        claim(self.directory)
        return submit(opened, PARENT, SPEC, directory=self.directory, pause=self.pause)


def claim(directory: Path) -> None:
    sweep_directory.claim(directory, ADDRESS, SPEC, config="")


LOOKS, REPEATS = (replace(backoff, jitter=0.0) for backoff in (submission.LOOKS, submission.REPEATS))


@pytest.fixture(autouse=True)
def _without_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "LOOKS", LOOKS)
    monkeypatch.setattr(submission, "REPEATS", REPEATS)


CASES: dict[str, tuple[list[ServiceError | str], list[ServiceError | int], int, list[float]]] = {
    "an answer": ([CREATED], [], 1, []),
    "a lost answer, listed at once": ([LOST], [1], 1, []),
    "a lost answer, listed after a while": ([LOST], [0, 0, 1], 1, [1.0, 2.0]),
    "a lost answer, and a list that fails for a while": ([LOST], [LOST, BUSY, 1], 1, [1.0, 2.0]),
    "a lost answer, listed at the very end": ([LOST], [*(0 for _ in LOOKS), 1], 1, list(LOOKS)),
    "busy, then an answer": ([BUSY, CREATED], [], 2, [5.0]),
    "busy, then a lost answer": ([BUSY, LOST], [0, 1], 2, [5.0]),
    "busy, and created all the same": ([BUSY], [1], 1, [5.0]),
    "busy, and the list too": ([BUSY, CREATED], [BUSY], 2, [5.0]),
}


@pytest.mark.parametrize(("creations", "lists", "calls", "pauses"), CASES.values(), ids=CASES)
def test_there_is_one_job_and_its_name_is_on_disk(
    tmp_path: Path,
    creations: list[ServiceError | str],
    lists: list[ServiceError | int],
    calls: int,
    pauses: list[float],
) -> None:
    service = Scripted(tmp_path, list(creations), list(lists))
    assert service.submit()["name"] == NAME
    assert (service.created, service.pauses) == (calls, pauses)
    assert service.intents == [SPEC] * calls
    assert json.loads((tmp_path / "job.json").read_text()) == {"name": NAME, **SPEC}
    assert json.loads((tmp_path / "sweep.json").read_text()) == {
        "backend": "vertex",
        "parent": PARENT,
        "endpoint": "http://127.0.0.1:1",
        "impersonate": "robot@p.iam",
        "state": None,
        "error": "",
    }


FREED = {"refused": [WRONG], "busy for too long": [BUSY] * (len(list(REPEATS)) + 1), "busy, then refused": [BUSY, WRONG]}


@pytest.mark.parametrize("creations", FREED.values(), ids=FREED)
def test_where_the_service_did_not_act_the_directory_is_free_again(tmp_path: Path, creations: list[ServiceError]) -> None:
    service = Scripted(tmp_path, list(creations), [])
    with pytest.raises(ServiceError) as caught:
        service.submit()
    assert caught.value is creations[-1]
    assert list(tmp_path.iterdir()) == []
    claim(tmp_path)


UNCLEAR: dict[str, tuple[list[ServiceError | int], str]] = {
    "no list shows it": ([], "whether the job was created is not known"),
    "jobs cannot be listed": ([WRONG], "whether the job was created is not known"),
    "two are listed": ([2], "whether the job was created is not known"),
}


@pytest.mark.parametrize(("lists", "rule"), UNCLEAR.values(), ids=UNCLEAR)
def test_where_nobody_can_tell_nothing_is_created_again(
    tmp_path: Path, lists: list[ServiceError | int], rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = Scripted(tmp_path, [LOST], list(lists))
    with pytest.raises(ServiceError, match=rule) as caught:
        service.submit()
    assert f"vertex-sweeper attach {tmp_path}" in str(caught.value)
    assert (caught.value.code, caught.value.acted) == ("DEADLINE_EXCEEDED", None)
    assert service.created == 1
    assert json.loads((tmp_path / "job.json").read_text()) == SPEC
    if lists == [2]:
        assert f"several jobs carry this sweep's label: {NAME}, {NAME}1" in caplog.text
    with pytest.raises(SweepDirectoryError, match="to go on with it, `vertex-sweeper attach"):
        claim(tmp_path)


@pytest.mark.parametrize("creations", [[LOST], [BUSY]], ids=["while looking for a job", "before another try"])
def test_an_interrupt_ends_the_waiting(tmp_path: Path, creations: list[ServiceError]) -> None:
    service = Scripted(tmp_path, list(creations), [])
    opened = OpenService(service, service.find, service.pauses.append)
    claim(tmp_path)
    with pytest.raises(ServiceError):
        submit(opened, PARENT, SPEC, directory=tmp_path, pause=lambda _: False)
    assert service.created == 1


def test_a_service_of_this_process_is_not_asked_for_what_it_refused(tmp_path: Path) -> None:
    service = Scripted(tmp_path, [LOST], [])
    opened = OpenService(service, service.find, service.pauses.append, outlives=False)
    claim(tmp_path)
    with pytest.raises(ServiceError) as caught:
        submit(opened, PARENT, SPEC, directory=tmp_path, pause=service.pause)
    assert caught.value is LOST
    assert list(tmp_path.iterdir()) == []
