"""Following a job: how often it is looked at, what does not end the watch, what a signal does: by a clock of the tests' own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from vertex_sweeper.errors import JobNotFound, ServiceError
from vertex_sweeper.interrupt import Interrupt, Reaction, react
from vertex_sweeper.service import Job, JobState
from vertex_sweeper.settings import OnInterrupt
from vertex_sweeper.watch import APPEARANCE, LONGEST_PAUSE, Watch, ended

NAME = "projects/p/locations/l/hyperparameterTuningJobs/1"
GONE = ServiceError("cannot read the job: the service cannot be reached", code="UNAVAILABLE", acted=False, transient=True)
DENIED = ServiceError("permission denied", code="PERMISSION_DENIED", acted=False)
MISSING = JobNotFound("there is no such job")
RUNNING, SUCCEEDED = "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"

Look = Job | ServiceError


def job(state: str | None = RUNNING, *trials: str, **fields: Any) -> Job:
    return {"name": NAME, "state": state, "trials": [{"id": str(n), "state": s} for n, s in enumerate(trials, 1)], **fields}


class Service:
    """Shows one thing after the other; the last one for ever."""

    def __init__(self, looks: list[Look], *, after_cancel: Look | None = None) -> None:
        self.looks = looks
        self.after_cancel = after_cancel
        self.cancelled: list[str] = []

    def create(self, parent: str, spec: Mapping[str, Any]) -> Job:
        raise AssertionError((parent, spec))

    def get(self, name: str) -> Job:
        assert name == NAME
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(look, ServiceError):
            raise look
        return look

    def cancel(self, name: str) -> None:
        self.cancelled.append(name)
        if isinstance(self.after_cancel, ServiceError):
            raise self.after_cancel
        if self.after_cancel is not None:
            self.looks = [self.after_cancel]


class Sweep:
    """A watch with a clock that only its pauses move, and signals that come after so many of them."""

    def __init__(self, *looks: Look, signals: Mapping[int, signal.Signals] | None = None, **service: Any) -> None:
        self.service = Service(list(looks), **service)
        self.pauses: list[float] = []
        self.reported: list[Job] = []
        self.interrupt = Interrupt(lambda: None)
        self.signals = dict(signals or {})
        self.reaction = Reaction.DETACH

    def run(self) -> Job | None:
        watch = Watch(
            self.service,
            NAME,
            wait=self.wait,
            interrupt=self.interrupt,
            react=self.react,
            report=self.reported.append,
            why_to_cancel=self.why_to_cancel,
        )
        return watch.run()

    def why_to_cancel(self) -> str:
        return ""

    def react(self) -> Reaction:
        if self.reaction is Reaction.WAIT:
            self.interrupt.forget()
        return self.reaction

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        assert len(self.pauses) < 1000
        if len(self.pauses) in self.signals:
            self.interrupt.received = self.signals[len(self.pauses)]


def test_the_pause_grows_to_a_minute_while_nothing_changes_and_is_short_again_after_a_change() -> None:
    quiet = [job(RUNNING, "ACTIVE") for _ in range(12)]
    sweep = Sweep(*quiet, job(RUNNING, "SUCCEEDED", "ACTIVE"), job(SUCCEEDED, "SUCCEEDED", "SUCCEEDED"))
    assert sweep.run() == job(SUCCEEDED, "SUCCEEDED", "SUCCEEDED")
    assert sweep.pauses[0] == 2.0
    assert sweep.pauses[:12] == sorted(sweep.pauses[:12])
    assert sweep.pauses[11] == LONGEST_PAUSE == 60.0
    assert sweep.pauses[12] == 2.0
    assert len(sweep.reported) == 14


ENDS = [state for state in JobState if state.ended]


@pytest.mark.parametrize("state", ENDS, ids=lambda state: state.name)
def test_every_state_that_is_an_end_ends_the_watch(state: JobState) -> None:
    sweep = Sweep(job(), job(state.value))
    assert sweep.run() == job(state.value)


@pytest.mark.parametrize("state", [state for state in JobState if not state.ended], ids=lambda state: state.name)
def test_no_other_state_does(state: JobState) -> None:
    sweep = Sweep(job(state.value), job(state.value), job(SUCCEEDED))
    assert sweep.run() == job(SUCCEEDED)
    assert len(sweep.pauses) == 2


def test_a_state_of_a_later_version_counts_by_the_end_time_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    strange = job("JOB_STATE_DREAMING", "DOZING")
    last = job("JOB_STATE_AWAKE", "DOZING", endTime="2026-11-24T10:00:00Z")
    sweep = Sweep(strange, strange, strange, last)
    assert sweep.run() == last
    assert [record.message for record in caplog.records if "DREAMING" in record.message] == [
        "the job's state JOB_STATE_DREAMING is not known to this version: it counts as running until it has an end time"
    ]
    assert not ended(strange)


def test_a_job_that_waits_for_quota_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    Sweep(job("JOB_STATE_QUEUED"), job("JOB_STATE_QUEUED"), job(SUCCEEDED)).run()
    assert [record.message for record in caplog.records] == [
        "the job is queued: it waits for capacity, or for quota that the project does not have"
    ]


def test_a_service_that_cannot_be_reached_for_hours_does_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    sweep = Sweep(job(), *[GONE] * 200, job(SUCCEEDED))
    assert sweep.run() == job(SUCCEEDED)
    assert sum(sweep.pauses) > 3 * 60 * 60
    told = [record.message for record in caplog.records]
    assert told == [f"{GONE}; the job goes on, and so does the watch", "the service answers again"]


def test_what_waiting_does_not_mend_ends_it() -> None:
    sweep = Sweep(job(), DENIED)
    with pytest.raises(ServiceError) as caught:
        sweep.run()
    assert caught.value is DENIED
    assert sweep.reported == [job()]


def test_a_new_job_may_take_a_minute_to_be_known() -> None:
    sweep = Sweep(*[MISSING] * 7, job(SUCCEEDED))
    assert sweep.run() == job(SUCCEEDED)
    assert 40 < sum(sweep.pauses) <= 2 * APPEARANCE


@pytest.mark.parametrize("looks", [[MISSING], [job(), MISSING]], ids=["it never was", "it is no more"])
def test_a_job_that_is_not_there_ends_the_watch(looks: list[Look]) -> None:
    sweep = Sweep(*looks)
    with pytest.raises(JobNotFound):
        sweep.run()
    assert sum(sweep.pauses) <= 2 * APPEARANCE


def test_detached_from_the_job_is_left_alone() -> None:
    sweep = Sweep(job(), signals={3: signal.SIGINT})
    assert sweep.run() == job()
    assert (sweep.service.cancelled, len(sweep.pauses)) == ([], 3)


def test_detached_before_the_first_look_came_there_is_no_snapshot() -> None:
    sweep = Sweep(GONE, signals={1: signal.SIGINT})
    assert sweep.run() is None


def test_a_cancelled_job_is_watched_to_its_end() -> None:
    sweep = Sweep(job(), signals={2: signal.SIGTERM}, after_cancel=job("JOB_STATE_CANCELLED"))
    sweep.reaction = Reaction.CANCEL
    assert sweep.run() == job("JOB_STATE_CANCELLED")
    assert sweep.service.cancelled == [NAME]


def test_a_job_that_could_not_be_cancelled_is_an_error() -> None:
    sweep = Sweep(job(), signals={1: signal.SIGINT}, after_cancel=DENIED)
    sweep.reaction = Reaction.CANCEL
    with pytest.raises(ServiceError, match="permission denied"):
        sweep.run()


def test_waiting_on_is_as_if_nothing_had_happened() -> None:
    sweep = Sweep(*[job()] * 5, job(SUCCEEDED), signals={1: signal.SIGINT, 3: signal.SIGINT})
    sweep.reaction = Reaction.WAIT
    assert sweep.run() == job(SUCCEEDED)
    assert sweep.interrupt.received is None


def answering(text: str) -> Callable[[], str]:
    return lambda: text


def unasked() -> str:
    raise AssertionError("nobody was to be asked")


INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
ASK, DETACH, CANCEL = OnInterrupt.ASK, OnInterrupt.DETACH, OnInterrupt.CANCEL
REACTIONS = {
    "asked: d": (INT, ASK, answering("d\n"), Reaction.DETACH),
    "asked: c": (INT, ASK, answering("C\n"), Reaction.CANCEL),
    "asked: wait": (INT, ASK, answering(" wait \n"), Reaction.WAIT),
    "asked: nothing": (INT, ASK, answering("\n"), Reaction.DETACH),
    "asked: the end of the input": (INT, ASK, answering(""), Reaction.DETACH),
    "asked: something else": (INT, ASK, answering("what?\n"), Reaction.DETACH),
    "nobody to ask": (INT, ASK, None, Reaction.DETACH),
    "a SIGTERM comes from no person": (TERM, ASK, unasked, Reaction.DETACH),
    "a hang-up": (HUP, ASK, unasked, Reaction.DETACH),
    "a hang-up, cancel": (HUP, CANCEL, unasked, Reaction.DETACH),
    "detach": (INT, DETACH, unasked, Reaction.DETACH),
    "cancel": (INT, CANCEL, unasked, Reaction.CANCEL),
    "cancel by SIGTERM": (TERM, CANCEL, unasked, Reaction.CANCEL),
}


@pytest.mark.parametrize(("number", "setting", "answer", "expected"), REACTIONS.values(), ids=REACTIONS)
def test_a_signal_does_what_the_setting_or_the_person_says(
    number: signal.Signals, setting: OnInterrupt, answer: Callable[[], str] | None, expected: Reaction
) -> None:
    interrupt = Interrupt(lambda: None)
    interrupt.received = number
    assert react(interrupt, setting, answer=answer) is expected
    assert (interrupt.received is None) is (expected is Reaction.WAIT)


def test_a_second_ctrl_c_at_the_question_lets_go_and_kills_nothing() -> None:
    killed: list[str] = []

    def answer() -> str:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the question ends with the signal")

    with Interrupt(lambda: killed.append("killed")) as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.received is signal.SIGINT
        assert react(interrupt, ASK, answer=answer) is Reaction.DETACH
    assert killed == []
