"""Trials that are stopped early, and studies that end before their last trial, at every service."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from vertex_sweeper.api import Job
from vertex_sweeper.testing.gate import (
    PARENT,
    PATIENCE,
    Gate,
    Start,
    Visitor,
    WatchedService,
    trials_of,
    wait_for,
    wait_for_end,
)

METRIC_INTERVAL = 0.02
"""Every how many seconds a service reads running trials' metrics; what it finds is waited for as an event."""

MEDIAN: dict[str, Any] = {"medianAutomatedStoppingSpec": {}}


def begin(gate: Gate, count: int = 1) -> list[Visitor]:
    """The next trials, in the order of their numbers; each says so when it is asked to end, and lives until it is told."""
    visitors = sorted((gate.next() for _ in range(count)), key=lambda visitor: int(visitor.trial))
    for visitor in visitors:
        visitor.ask("signal.signal(signal.SIGTERM, lambda *_: say('asked to end')) and None")
    return visitors


def states(job: Job) -> dict[str, str]:
    """The states of the job's trials, by their ids."""
    return {id: trial["state"] for id, trial in sorted(trials_of(job).items(), key=lambda item: int(item[0]))}


def final(job: Job, trial: str) -> float:
    """The value of a trial's only metric in its final measurement."""
    (metric,) = trials_of(job)[trial]["finalMeasurement"]["metrics"]
    value: float = metric["value"]
    return value


def watched_clock() -> tuple[threading.Event, Callable[[], float]]:
    """A clock, and an event that is set when a service looks at it: it does so when it reads metrics, or checks a time."""
    looked = threading.Event()

    def tell_time() -> float:
        looked.set()
        return 1000.0

    return looked, tell_time


class StoppingSuite:
    """Tests of stopping; see `ServiceSuite`. They pass `metric_interval`, `clock` and `grace` to `start`."""

    def test_a_trial_that_falls_behind_is_stopped_counts_with_what_it_measured_and_is_no_failure(
        self, start: Start, gate: Gate
    ) -> None:
        service = start(seed=1, metric_interval=METRIC_INTERVAL)
        name = service.create(PARENT, gate.job(most=4, parallel=2, failed=1, **MEDIAN))["name"]
        first, good = begin(gate, 2)
        first.do("report(1, acc=0.5)", "report(2, acc=0.7)", "sys.exit(0)")
        (bad,) = begin(gate)
        good.ask("report(1, acc=0.5)")  # just as good as the median at its step
        bad.do("report(1, acc=0.3)", "report(1, acc=0.4)")
        assert bad.hear() == "asked to end"
        assert states(service.get(name)) == {"1": "SUCCEEDED", "2": "ACTIVE", "3": "STOPPING"}
        bad.do("sys.exit(3)")
        (last,) = begin(gate)  # another trial may run
        for visitor in (good, last):
            visitor.finish(acc=0.9)
        job = wait_for_end(service, name)
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert states(job) == dict.fromkeys("1234", "SUCCEEDED")
        assert final(job, "3") == 0.4
        assert len(trials_of(job)["3"]["measurements"]) == 2
        assert "infeasibleReason" not in trials_of(job)["3"]

    def test_a_trial_is_compared_again_when_another_has_ended(self, start: Start, gate: Gate) -> None:
        looked, tell_time = watched_clock()
        service = start(seed=1, metric_interval=METRIC_INTERVAL, clock=tell_time)
        name = service.create(PARENT, gate.job(most=2, parallel=2, **MEDIAN))["name"]
        first, second = begin(gate, 2)
        looked.clear()
        second.do("report(1, acc=0.25)")
        assert looked.wait(PATIENCE)  # nobody to be compared with
        first.do("report(1, acc=0.5)", "sys.exit(0)")
        assert second.hear() == "asked to end"
        second.do("sys.exit(0)")
        assert final(wait_for_end(service, name), "2") == 0.25

    def test_trials_may_be_compared_at_the_same_running_time(self, start: Start, gate: Gate) -> None:
        now = [1000.0]
        service = start(seed=1, metric_interval=METRIC_INTERVAL, clock=lambda: now[0])
        name = service.create(PARENT, gate.job(most=2, medianAutomatedStoppingSpec={"useElapsedDuration": True}))["name"]
        first = gate.next()
        now[0] = 1020.0
        first.do("report(1, 1010.0, acc=0.5)", "report(2, 1020.0, acc=0.9)", "sys.exit(0)")
        (second,) = begin(gate)
        now[0] = 1040.0
        second.do("report(1, 1040.0, acc=0.6)")  # better than the other at its step, and worse after these 20 seconds
        assert second.hear() == "asked to end"
        second.do("sys.exit(0)")
        trials = trials_of(wait_for_end(service, name))
        assert [one["elapsedDuration"] for one in trials["1"]["measurements"]] == ["10s", "20s"]
        assert trials["2"]["finalMeasurement"]["elapsedDuration"] == "20s"

    def test_a_stopped_trial_that_ignores_it_is_killed_after_the_grace(self, start: Start, gate: Gate) -> None:
        service = start(seed=1, metric_interval=METRIC_INTERVAL, grace=0.1)
        name = service.create(PARENT, gate.job(most=2, failed=1, **MEDIAN))["name"]
        gate.next().do("report(1, acc=0.5)", "sys.exit(0)")
        (second,) = begin(gate)
        second.do("report(1, acc=0.25)")
        job = wait_for_end(service, name)
        assert (job["state"], states(job)["2"], final(job, "2")) == ("JOB_STATE_SUCCEEDED", "SUCCEEDED", 0.25)

    def test_a_study_without_progress_starts_no_more_trials_and_lets_running_ones_end(self, start: Start, gate: Gate) -> None:
        service = start(seed=1, metric_interval=METRIC_INTERVAL)
        config = {"maxNumTrialsNoProgress": 1, "minNumTrials": 2}
        name = service.create(PARENT, gate.job(most=10, parallel=2, studyStoppingConfig=config))["name"]
        first, second = begin(gate, 2)
        first.finish(acc=0.5)
        (third,) = begin(gate)
        second.finish(acc=0.4)
        wait_for(service, name, lambda job: states(job)["2"] == "SUCCEEDED")
        third.finish(acc=0.9)  # better, but the study has been stopped
        job = wait_for_end(service, name)
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert states(job) == dict.fromkeys("123", "SUCCEEDED")
        assert "error" not in job

    def test_a_study_that_stops_as_soon_as_possible_ends_its_running_trials_and_none_has_failed(
        self, start: Start, gate: Gate
    ) -> None:
        service = start(seed=1, metric_interval=METRIC_INTERVAL)
        config = {"maxNumTrialsNoProgress": 1, "shouldStopAsap": True}
        name = service.create(PARENT, gate.job(most=10, parallel=3, failed=1, studyStoppingConfig=config))["name"]
        first, second, third = begin(gate, 3)
        third.ask("report(1, acc=0.25)")
        first.finish(acc=0.5)
        (fourth,) = begin(gate)
        second.finish(acc=0.5)  # as good is not better
        for visitor in (third, fourth):
            assert visitor.hear() == "asked to end"
            visitor.do("sys.exit(1)")
        job = wait_for_end(service, name)
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert states(job) == {"1": "SUCCEEDED", "2": "SUCCEEDED", "3": "SUCCEEDED", "4": "INFEASIBLE"}
        assert final(job, "3") == 0.25
        assert "without a final measurement" in trials_of(job)["4"]["infeasibleReason"]

    def test_a_study_has_no_more_trials_than_it_may_and_none_is_interrupted_for_that(self, start: Start, gate: Gate) -> None:
        looked, tell_time = watched_clock()
        service = start(seed=1, metric_interval=METRIC_INTERVAL, clock=tell_time)
        config = {"maxNumTrials": 3, "shouldStopAsap": True}
        name = service.create(PARENT, gate.job(most=10, parallel=2, studyStoppingConfig=config))["name"]
        first, *others = begin(gate, 2)
        first.finish(acc=0.5)
        others += begin(gate)
        for _ in range(2):  # conditions are looked at once more
            looked.clear()
            assert looked.wait(PATIENCE)
        assert states(service.get(name)) == {"1": "SUCCEEDED", "2": "ACTIVE", "3": "ACTIVE"}
        for visitor in others:
            visitor.finish(acc=0.5)
        job = wait_for_end(service, name)
        assert (job["state"], states(job)) == ("JOB_STATE_SUCCEEDED", dict.fromkeys("123", "SUCCEEDED"))

    def test_a_study_whose_time_is_over_ends(self, start: Start, gate: Gate) -> None:
        now = [1000.0]
        service = start(seed=1, metric_interval=METRIC_INTERVAL, clock=lambda: now[0])
        config: dict[str, Any] = {"maximumRuntimeConstraint": {"maxDuration": "3600s"}}
        patient = service.create(PARENT, gate.job(most=9, studyStoppingConfig=config))["name"]
        (first,) = begin(gate)
        hasty = service.create(PARENT, gate.job(most=9, studyStoppingConfig={**config, "shouldStopAsap": True}))["name"]
        (second,) = begin(gate)
        now[0] += 3600
        assert second.hear() == "asked to end"
        second.finish(acc=0.5)
        wait_for_end(service, hasty)
        first.finish(acc=0.5)
        for name in (patient, hasty):
            job = wait_for_end(service, name)
            assert (job["state"], states(job)) == ("JOB_STATE_SUCCEEDED", {"1": "SUCCEEDED"})

    def test_a_study_whose_end_has_passed_begins_nothing(self, service: WatchedService, gate: Gate) -> None:
        config = {"maximumRuntimeConstraint": {"endTime": "2020-01-01T00:00:00Z"}}
        name = service.create(PARENT, gate.job(most=9, studyStoppingConfig=config))["name"]
        job = wait_for_end(service, name)
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert trials_of(job) == {}
