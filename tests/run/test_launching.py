"""Launched jobs against a service that answers as told: each is created once, and what goes wrong with one is told of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from vertex_sweeper.api import Job
from vertex_sweeper.errors import InvalidJob, JobNotFound, JobsTaken, ServiceError, Unanswered
from vertex_sweeper.job import SWEEP_LABEL
from vertex_sweeper.results import launch_directory, sweep_directory
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.results.launch_results import JobEnd
from vertex_sweeper.run import launch, launched, submit
from vertex_sweeper.run.interrupt import Interrupt
from vertex_sweeper.run.launch import Launch
from vertex_sweeper.run.launch_options import LaunchOptions
from vertex_sweeper.run.launch_target import LaunchTarget
from vertex_sweeper.run.launched import cancel_all
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.backoff import Backoff
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.settings import Backend, OnInterrupt, OnRefusal

PARENT = "projects/p/locations/l"
ADDRESS = Address(Backend.VERTEX, PARENT, "http://127.0.0.1:1")

QUOTA = ServiceError("a quota is exhausted", code="RESOURCE_EXHAUSTED", acted=False, transient=True)
LOST = ServiceError("no answer in time", code="DEADLINE_EXCEEDED", acted=None, transient=True)
DENIED = ServiceError("permission denied", code="PERMISSION_DENIED", acted=False)
INVALID = InvalidJob("no such machine", code="INVALID_ARGUMENT")
BUSY = ServiceError("busy", code="UNAVAILABLE", transient=True)


@dataclass
class Fake:
    """Vertex: each job ends at its second look, unless it is told to run on.

    `creations` has what becomes of each attempt to create a job, by its label: an error, or one after the job was created.
    """

    creations: dict[str, list[ServiceError | tuple[ServiceError]]] = field(default_factory=dict)
    cancellations: list[ServiceError] = field(default_factory=list)
    hidden: bool = False
    runs_on: bool = False
    looked: Callable[[], object] = lambda: None
    answering: Callable[[str], object] = lambda _: None
    jobs: dict[str, Job] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    looks: dict[str, int] = field(default_factory=dict)

    def create(self, parent: str, spec: Mapping[str, Any]) -> Job:
        label = spec["labels"][SWEEP_LABEL]
        answers = self.creations.get(label, [])
        answer = answers.pop(0) if answers else None
        if isinstance(answer, ServiceError):
            raise answer
        self.created.append(label)
        self.answering(label)
        name = f"{parent}/customJobs/{len(self.jobs) + 1}"
        self.jobs[name] = cast("Job", {**spec, "name": name, "state": "JOB_STATE_RUNNING"})
        if answer is not None:
            raise answer[0]
        return self.jobs[name]

    def get(self, name: str) -> Job:
        if name not in self.jobs:
            raise JobNotFound(f"no job {name}", code="NOT_FOUND")
        self.looked()
        self.looks[name] = self.looks.get(name, 0) + 1
        if self.looks[name] > 1 and not self.runs_on and self.jobs[name]["state"] == "JOB_STATE_RUNNING":
            self.jobs[name]["state"] = "JOB_STATE_SUCCEEDED"
        return cast("Job", dict(self.jobs[name]))

    def cancel(self, name: str) -> None:
        if self.cancellations:
            raise self.cancellations.pop(0)
        self.jobs[name]["state"] = "JOB_STATE_CANCELLED"

    def find(self, parent: str, labels: Mapping[str, str | None], *, custom: bool | None = None) -> list[Job]:
        assert custom
        assert parent == PARENT
        found = [job for job in self.jobs.values() if job["labels"][SWEEP_LABEL] == labels[SWEEP_LABEL]]
        return [] if self.hidden else found

    def opened(self, _: LaunchedJob | None = None) -> OpenService:
        return OpenService(self, self.find, lambda _: None)

    def states(self) -> dict[str, str]:
        return {job["labels"][SWEEP_LABEL]: str(job["state"]).removeprefix("JOB_STATE_") for job in self.jobs.values()}


@dataclass
class Launched:
    """A launch of three jobs, `a0` to `a2`."""

    directory: Path
    fake: Fake = field(default_factory=Fake)
    ends: dict[int, JobEnd] = field(default_factory=dict)
    interrupt: Interrupt = field(default_factory=lambda: Interrupt(lambda: None))

    def put_down(self, count: int = 3) -> list[LaunchedJob]:
        documents = {
            number: {"displayName": "t", "labels": {SWEEP_LABEL: f"a{number}"}, "jobSpec": {"workerPoolSpecs": []}}
            for number in range(count)
        }
        jobs = launch_directory.put_down(self.directory, ADDRESS, documents, parallel=None)
        launch_directory.make_ready(self.directory, parallel=None)
        return jobs

    def run(self, jobs: list[LaunchedJob] | None = None, **options: Any) -> dict[int, str]:
        """All to their ends; why each has not completed."""
        self.launch(self.put_down() if jobs is None else jobs, **options).run()
        return self.errors()

    def launch(self, jobs: list[LaunchedJob], **options: Any) -> Launch:
        return Launch(jobs, self.fake.opened, self.interrupt, self.ended, LaunchOptions(**options))

    def attach(self) -> dict[int, str]:
        return self.run(launch_directory.read_launch(self.directory)[0], again=True)

    def ended(self, end: JobEnd) -> None:
        self.ends[end.launched.number] = end

    def errors(self) -> dict[int, str]:
        return {number: end.error for number, end in sorted(self.ends.items())}

    def folders(self) -> list[str]:
        return sorted(path.parent.name + "/" + path.name for path in self.directory.glob("jobs/*/*.json"))


@pytest.fixture
def launched_jobs(tmp_path: Path) -> Launched:
    return Launched(tmp_path / "sweep")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = Backoff(first=0.0, longest=0.0)
    monkeypatch.setattr(launch, "BLOCKED", at_once)
    monkeypatch.setattr(submit, "LOOKS", replace(at_once, times=3))
    monkeypatch.setattr("vertex_sweeper.run.watch.POLL", at_once)
    monkeypatch.setattr("vertex_sweeper.run.watch.LOOKS", replace(at_once, times=2))


DONE = {"a0": "SUCCEEDED", "a1": "SUCCEEDED", "a2": "SUCCEEDED"}


def test_all_are_created_once_and_followed_to_their_ends(launched_jobs: Launched) -> None:
    assert launched_jobs.run() == {0: "", 1: "", 2: ""}
    assert launched_jobs.fake.created == ["a0", "a1", "a2"]
    assert launched_jobs.fake.states() == DONE


@pytest.mark.parametrize("refused", [DENIED, INVALID], ids=lambda error: error.code)
def test_a_job_that_is_refused_cancels_the_others_and_what_is_planned_is_not_launched(
    refused: ServiceError, launched_jobs: Launched
) -> None:
    launched_jobs.fake.creations["a1"] = [refused]
    with pytest.raises(ServiceError) as caught:
        launched_jobs.run()
    assert str(caught.value) == f"#1: {refused}"
    assert launched_jobs.fake.states() == {"a0": "CANCELLED"}
    assert launched_jobs.errors() == {0: "the job ended CANCELLED", 1: str(refused), 2: "it was not launched"}
    assert [name for name in launched_jobs.folders() if not name.startswith("0/")] == []


def test_with_keep_the_others_go_on(launched_jobs: Launched) -> None:
    launched_jobs.fake.creations["a1"] = [DENIED]
    assert launched_jobs.run(on_refusal=OnRefusal.KEEP) == {0: "", 1: str(DENIED), 2: ""}
    assert launched_jobs.fake.states() == {"a0": "SUCCEEDED", "a2": "SUCCEEDED"}


@pytest.mark.parametrize("code", ["RESOURCE_EXHAUSTED", "UNAVAILABLE"])
def test_a_job_without_quota_waits_and_is_created_once(
    code: str, launched_jobs: Launched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    launched_jobs.fake.creations["a1"] = [ServiceError("not now", code=code, acted=False, transient=True)] * 5
    assert launched_jobs.run() == {0: "", 1: "", 2: ""}
    assert sorted(launched_jobs.fake.created) == ["a0", "a1", "a2"]
    assert [record.message for record in caplog.records].count("#1: not now; nothing was created, and it waits") == 1


def test_what_was_created_though_the_answer_said_otherwise_is_found_and_not_created_again(launched_jobs: Launched) -> None:
    launched_jobs.fake.creations["a1"] = [(QUOTA,)]
    assert launched_jobs.run() == {0: "", 1: "", 2: ""}
    assert sorted(launched_jobs.fake.created) == ["a0", "a1", "a2"]


def test_a_signal_while_a_job_waits_for_quota_is_acted_on(launched_jobs: Launched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "BLOCKED", Backoff(first=600.0, longest=600.0))
    launched_jobs.fake.creations = {f"a{number}": [QUOTA] for number in range(3)}
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("time.sleep", sleep)
    with launched_jobs.interrupt:
        running = launched_jobs.launch(launched_jobs.put_down(), on_interrupt=OnInterrupt.DETACH)
        running.run()
    assert [seconds > 0 for seconds in waits] == [True]
    assert running.unfinished == 3
    assert launched_jobs.folders() == [
        "0/planned.json",
        "0/sweep.json",
        *(f"{n}/{k}.json" for n in "12" for k in ("planned", "sweep")),
    ]
    launched_jobs.fake.creations, launched_jobs.interrupt = {}, Interrupt(lambda: None)
    assert launched_jobs.attach() == {0: "", 1: "", 2: ""}


def test_a_signal_with_cancel_launches_no_more(launched_jobs: Launched) -> None:
    launched_jobs.fake.looked = lambda: launched_jobs.interrupt.received or signal.raise_signal(signal.SIGINT)
    launched_jobs.fake.runs_on = True
    with launched_jobs.interrupt:
        errors = launched_jobs.run(on_interrupt=OnInterrupt.CANCEL, parallel=1)
    assert errors == {0: "the job ended CANCELLED", 1: "it was not launched", 2: "it was not launched"}
    assert launched_jobs.fake.created == ["a0"]


@pytest.mark.parametrize("on_refusal", OnRefusal)
def test_an_unclear_creation_names_how_to_look_and_is_found_later(on_refusal: OnRefusal, launched_jobs: Launched) -> None:
    keep = on_refusal is OnRefusal.KEEP
    launched_jobs.fake.creations["a1"] = [(LOST,)]
    launched_jobs.fake.hidden = True
    if keep:
        launched_jobs.run(on_refusal=OnRefusal.KEEP)
    else:
        with pytest.raises(ServiceError, match=r"#1: .*vertex-sweeper attach .*jobs/1`"):
            launched_jobs.run()
    assert "vertex-sweeper attach" in launched_jobs.errors()[1]
    assert launched_jobs.fake.created == (["a0", "a1", "a2"] if keep else ["a0", "a1"])
    assert launched_jobs.fake.states()["a0"] == ("SUCCEEDED" if keep else "CANCELLED")
    launched_jobs.fake.hidden = False
    assert launched_jobs.attach()[1] == ""
    assert launched_jobs.fake.states()["a1"] == "SUCCEEDED"
    assert launched_jobs.fake.created == (["a0", "a1", "a2"] if keep else ["a0", "a1"])


def test_a_creation_that_a_signal_interrupts_is_found_later(launched_jobs: Launched) -> None:
    fake = launched_jobs.fake
    fake.creations["a1"], fake.hidden = [(Unanswered("SIGTERM came before the answer", transient=True),)], True
    fake.answering = lambda label: label == "a1" and signal.raise_signal(signal.SIGTERM)
    with launched_jobs.interrupt:
        launched_jobs.run(on_interrupt=OnInterrupt.DETACH)
    assert "attach" in launched_jobs.errors()[1]
    fake.hidden, launched_jobs.interrupt = False, Interrupt(lambda: None)
    assert launched_jobs.attach() == {0: "", 1: "", 2: ""}
    assert fake.created == ["a0", "a1", "a2"]


def test_two_who_launch_one_directory_at_the_same_time_create_each_job_once(launched_jobs: Launched) -> None:
    jobs = launched_jobs.put_down(12)
    other = Launched(launched_jobs.directory, launched_jobs.fake)
    both = [threading.Thread(target=one.run, args=(list(jobs),), kwargs={"again": True}) for one in (launched_jobs, other)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(launched_jobs.fake.created) == sorted(f"a{number}" for number in range(12))
    assert launched_jobs.errors() == other.errors() == dict.fromkeys(range(12), "")


def test_what_another_process_takes_back_is_not_launched_and_what_it_begins_is_followed(launched_jobs: Launched) -> None:
    first, second, third = launched_jobs.put_down()
    launch_directory.take_back(second)
    launch_directory.begin(third)
    launched_jobs.fake.create(PARENT, third.job)
    errors = launched_jobs.run([first, second, third])
    assert errors == {0: "", 1: "another process took it back before it was launched", 2: ""}
    assert launched_jobs.fake.created == ["a2", "a0"]


def test_a_cancel_from_elsewhere_while_it_launches_ends_all(launched_jobs: Launched, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = launched_jobs.fake
    monkeypatch.setattr(launched, "reopen_service", lambda *_: fake.opened())
    fake.runs_on = True
    lines: list[str] = []

    def cancel() -> None:
        fake.looked = lambda: None
        lines.extend(cancel_all(LaunchTarget(launched_jobs.directory)))

    fake.looked = cancel
    errors = launched_jobs.run(parallel=1)
    assert lines == [
        "#1 was not launched yet, and will not be",
        "#2 was not launched yet, and will not be",
        "#0 was asked to end",
    ]
    assert errors[0] == "the job ended CANCELLED"
    assert fake.created == ["a0"]


def test_a_job_that_cannot_be_cancelled_hinders_no_other(launched_jobs: Launched, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = launched_jobs.fake
    monkeypatch.setattr(launched, "reopen_service", lambda *_: fake.opened())
    for job in launched_jobs.put_down():
        launch_directory.begin(job)
        fake.create(PARENT, job.job)
    fake.cancellations = [DENIED]
    with pytest.raises(ServiceError, match=r"^#0: permission denied$"):
        list(cancel_all(LaunchTarget(launched_jobs.directory)))
    assert fake.states() == {"a0": "RUNNING", "a1": "CANCELLED", "a2": "CANCELLED"}


def test_a_cancellation_that_fails_for_the_moment_is_asked_for_again(launched_jobs: Launched) -> None:
    fake = launched_jobs.fake
    fake.runs_on, fake.creations["a2"], fake.cancellations = True, [DENIED], [BUSY, BUSY, BUSY]
    with pytest.raises(ServiceError, match="#2: permission denied"):
        launched_jobs.run()
    assert fake.states() == {"a0": "CANCELLED", "a1": "CANCELLED"}


def test_a_cancellation_that_is_denied_is_told_and_the_others_are_cancelled(launched_jobs: Launched) -> None:
    fake = launched_jobs.fake
    fake.runs_on, fake.creations["a2"], fake.cancellations = True, [INVALID], [DENIED]
    with pytest.raises(ServiceError, match="#2: no such machine"):
        launched_jobs.run()
    assert fake.states() == {"a0": "RUNNING", "a1": "CANCELLED"}
    assert "the job may go on" in launched_jobs.errors()[0]
    assert "vertex-sweeper cancel" in launched_jobs.errors()[0]


def test_a_job_that_another_process_of_this_machine_takes_is_followed(launched_jobs: Launched) -> None:
    fake = launched_jobs.fake
    taken = JobsTaken("another process uses the jobs")
    fake.creations["a1"] = [(taken,)]

    def opened(job: LaunchedJob) -> OpenService:
        return replace(fake.opened(), outlives=not job.planned)

    Launch(launched_jobs.put_down(), opened, launched_jobs.interrupt, launched_jobs.ended, LaunchOptions()).run()
    assert launched_jobs.errors() == {0: "", 1: "", 2: ""}
    assert fake.created == ["a0", "a1", "a2"]


def test_a_folder_that_cannot_be_written_is_one_line_and_the_others_are_cancelled(
    launched_jobs: Launched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_job(directory: Path, job: Mapping[str, Any], name: str) -> None:
        if directory.name == "1":
            raise OSError(28, "No space left on device")
        real(directory, job, name)

    launched_jobs.fake.runs_on = True
    jobs, real = launched_jobs.put_down(), sweep_directory.write_job
    monkeypatch.setattr(sweep_directory, "write_job", write_job)
    with pytest.raises(ServiceError) as caught:
        launched_jobs.run(jobs)
    assert "#1: projects/p/locations/l/customJobs/2 was created, but its name cannot be written" in str(caught.value)
    assert launched_jobs.fake.states() == {"a0": "CANCELLED", "a1": "RUNNING"}
    monkeypatch.undo()
    assert launch_directory.read_folder(jobs[1].folder) is not None
