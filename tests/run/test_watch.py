"""Following a job: how often it is looked at, what does not end the watch, what a signal does: by a clock of the tests' own."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from itertools import islice
from typing import Any, cast

import pytest

from vertex_sweeper.api import Job, JobState
from vertex_sweeper.errors import JobNotFound, ServiceError, Unanswered
from vertex_sweeper.run import watch as watching
from vertex_sweeper.run.interrupt import Interrupt, Reaction, react
from vertex_sweeper.run.watch import APPEARANCE, Watch, ended
from vertex_sweeper.services.vertex.errors import MEANINGS
from vertex_sweeper.settings import OnInterrupt

NAME = "projects/p/locations/l/hyperparameterTuningJobs/1"
GONE = ServiceError("cannot read the job: the service cannot be reached", code="UNAVAILABLE", acted=False, transient=True)
DENIED = ServiceError("permission denied", code="PERMISSION_DENIED", acted=False)
MISSING = JobNotFound("there is no such job")
RUNNING, SUCCEEDED = "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"

POLL, LOOKS = (replace(backoff, jitter=0.0) for backoff in (watching.POLL, watching.LOOKS))

Look = Job | ServiceError


@pytest.fixture(autouse=True)
def _without_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "POLL", POLL)
    monkeypatch.setattr(watching, "LOOKS", LOOKS)


def job(state: str | None = RUNNING, *trials: str, **fields: Any) -> Job:
    entries = [{"id": str(number), "state": one} for number, one in enumerate(trials, 1)]
    return cast("Job", {"name": NAME, "state": state, "trials": entries, **fields})


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
        self.renewed = 0

    def run(self) -> Job | None:
        watch = Watch(
            self.service,
            NAME,
            wait=self.wait,
            interrupt=self.interrupt,
            react=self.react,
            report=self.reported.append,
            why_to_cancel=self.why_to_cancel,
            renew=self.renew,
        )
        return watch.run()

    def why_to_cancel(self) -> str:
        return ""

    def react(self) -> Reaction:
        if self.reaction is Reaction.WAIT:
            self.interrupt.forget()
        return self.reaction

    def renew(self) -> None:
        self.renewed += 1

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
    assert sweep.pauses[11] == 60.0
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


class Patience(Enum):
    """What a watch does about an error; the value is how long it looks on when the error stays."""

    AS_LONG_AS_IT_TAKES = None
    A_FEW_LOOKS = sum(LOOKS)
    THE_TIME_TO_APPEAR = APPEARANCE
    NONE = 0.0


LONG, FEW, APPEARS, NONE = Patience
BEFORE_AND_AFTER = {
    "CANCELLED": (LONG, LONG),
    "UNKNOWN": (LONG, LONG),
    "INVALID_ARGUMENT": (NONE, FEW),
    "DEADLINE_EXCEEDED": (LONG, LONG),
    "NOT_FOUND": (APPEARS, FEW),
    "ALREADY_EXISTS": (NONE, FEW),
    "PERMISSION_DENIED": (FEW, FEW),
    "RESOURCE_EXHAUSTED": (LONG, LONG),
    "FAILED_PRECONDITION": (NONE, FEW),
    "ABORTED": (LONG, LONG),
    "OUT_OF_RANGE": (NONE, FEW),
    "UNIMPLEMENTED": (NONE, FEW),
    "INTERNAL": (LONG, LONG),
    "UNAVAILABLE": (LONG, LONG),
    "DATA_LOSS": (FEW, FEW),
    "UNAUTHENTICATED": (FEW, FEW),
    None: (FEW, FEW),  # no answer of the API: a login that has expired
}
"""What a code means before the service has shown the job, and after."""
CELLS = [
    (code, seen, patience)
    for code, both in BEFORE_AND_AFTER.items()
    for seen, patience in zip((False, True), both, strict=True)
]
IDS = [f"{code or 'login'}, {'seen' if seen else 'not seen'}" for code, seen, _ in CELLS]


def failing(code: str | None) -> ServiceError:
    """As the service translates it."""
    if code == "NOT_FOUND":
        return JobNotFound(f"there is no tuning job {NAME}", code=code)
    return ServiceError(
        f"cannot read it ({code})", code=code, acted=False, transient=code is not None and MEANINGS[code].transient
    )


def test_the_table_has_every_code() -> None:
    assert set(BEFORE_AND_AFTER) == {*MEANINGS, None}


@pytest.mark.parametrize(("code", "seen", "patience"), CELLS, ids=IDS)
def test_one_error_ends_a_watch_only_where_it_leaves_no_doubt(code: str | None, seen: bool, patience: Patience) -> None:  # noqa: FBT001
    sweep = Sweep(*[job()] * seen, failing(code), job(SUCCEEDED))
    if patience is NONE:
        with pytest.raises(ServiceError, match="cannot read it"):
            sweep.run()
        return
    assert sweep.run() == job(SUCCEEDED)
    assert sweep.renewed == (patience is FEW)


@pytest.mark.parametrize(("code", "seen", "patience"), CELLS, ids=IDS)
def test_an_error_that_stays_ends_it_after_a_while(code: str | None, seen: bool, patience: Patience) -> None:  # noqa: FBT001
    sweep = Sweep(*[job()] * seen, failing(code), signals={200: signal.SIGTERM})
    if patience is LONG:
        assert sweep.run() == (job() if seen else None)
        return
    with pytest.raises(ServiceError) as caught:
        sweep.run()
    assert ("was deleted while it was watched" in str(caught.value)) is (code == "NOT_FOUND" and seen)
    waited = sum(sweep.pauses) - 2.0 * seen
    assert patience.value is not None
    assert patience.value <= waited <= 2 * patience.value
    assert sweep.reported == [job()] * seen


def test_each_doubt_is_told_and_the_end_of_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    denied = failing("PERMISSION_DENIED")
    Sweep(job(), denied, denied, job(), denied, job(SUCCEEDED)).run()
    told = [record.message.removeprefix(f"{denied}; ") for record in caplog.records]
    first, second = (f"looking again in {seconds:g} s, with fresh credentials" for seconds in islice(LOOKS, 2))
    assert told == [first, second, "the service answers again", first, "the service answers again"]


def test_doubts_among_other_errors_come_to_an_end() -> None:
    sweep = Sweep(job(), *[failing("UNAVAILABLE"), failing("PERMISSION_DENIED")] * len(list(LOOKS)), failing("UNAUTHENTICATED"))
    with pytest.raises(ServiceError, match="UNAUTHENTICATED"):
        sweep.run()


def test_a_new_job_may_take_a_minute_to_be_known() -> None:
    sweep = Sweep(*[MISSING] * 7, job(SUCCEEDED))
    assert sweep.run() == job(SUCCEEDED)
    assert 40 < sum(sweep.pauses) <= 2 * APPEARANCE


def test_detached_from_the_job_is_left_alone() -> None:
    sweep = Sweep(job(), signals={3: signal.SIGINT})
    assert sweep.run() == job()
    assert (sweep.service.cancelled, len(sweep.pauses)) == ([], 3)


def test_detached_there_is_a_last_look() -> None:
    sweep = Sweep(job(), job(RUNNING, "SUCCEEDED"), signals={1: signal.SIGINT})
    assert sweep.run() == job(RUNNING, "SUCCEEDED")
    assert len(sweep.reported) == 2


@pytest.mark.parametrize("error", [GONE, DENIED, MISSING], ids=["gone", "denied", "missing"])
def test_detached_an_error_of_the_last_look_is_none(error: ServiceError) -> None:
    sweep = Sweep(job(), error, signals={1: signal.SIGINT})
    assert sweep.run() == job()


def test_a_signal_that_came_before_the_first_look_is_heeded_first() -> None:
    sweep = Sweep(job())
    sweep.interrupt.received = signal.SIGINT
    sweep.reaction = Reaction.CANCEL
    sweep.service.after_cancel = job("JOB_STATE_CANCELLED")
    assert sweep.run() == job("JOB_STATE_CANCELLED")
    assert sweep.reported == [job("JOB_STATE_CANCELLED")]


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


def test_a_call_gives_what_its_function_gives() -> None:
    interrupt = Interrupt(lambda: None)
    assert interrupt.call(lambda: 5, patience=0.0, what="it") == 5

    def fail() -> None:
        raise MISSING

    with pytest.raises(JobNotFound) as caught:
        interrupt.call(fail, patience=0.0, what="it")
    assert caught.value is MISSING


@pytest.mark.parametrize("answered", [True, False], ids=["answered in time", "not answered"])
def test_a_signal_in_a_call_is_acknowledged_before_the_answer(
    answered: bool,  # noqa: FBT001
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    acknowledged = threading.Event()

    class Telling(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert record.getMessage().startswith("SIGINT: waiting for the news, ")
            acknowledged.set()

    def call() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        assert acknowledged.wait(60)
        if not answered:
            released.wait(60)
        return "news"

    released = threading.Event()
    handler = Telling()
    logging.getLogger("vertex_sweeper.run.interrupt").addHandler(handler)
    try:
        with Interrupt(lambda: None) as interrupt:
            if answered:
                assert interrupt.call(call, patience=60.0, what="the news") == "news"
            else:
                with pytest.raises(Unanswered, match="SIGINT came before the news"):
                    interrupt.call(call, patience=0.0, what="the news")
            assert interrupt.pending
    finally:
        released.set()
        logging.getLogger("vertex_sweeper.run.interrupt").removeHandler(handler)


def test_what_a_signal_asked_for_is_waited_for_as_ever() -> None:
    interrupt = Interrupt(lambda: None)
    interrupt.received = signal.SIGINT
    with pytest.raises(Unanswered):
        interrupt.call(threading.Event().wait, patience=0.0, what="it")
    assert not interrupt.pause(lambda _: pytest.fail("it waits"), 1.0)
    interrupt.settle()
    assert interrupt.pause(lambda _: None, 1.0)
    assert interrupt.call(lambda: 5, patience=0.0, what="it") == 5
