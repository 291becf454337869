"""What every service does with a job: states, counts, failures, cancelling, copies."""

from __future__ import annotations

import copy
import re

import pytest

from vertex_sweeper.api import JobState, parse_datetime
from vertex_sweeper.errors import InvalidJob, JobNotFound
from vertex_sweeper.testing.gate import (
    PARENT,
    Gate,
    Start,
    WatchedService,
    make_job,
    run_gated,
    trials_of,
    wait_for,
    wait_for_end,
)

SCALED = {"parameterId": "model", "categoricalValueSpec": {"values": ["a", "b"]}, "scaleType": "UNIT_LINEAR_SCALE"}
"""A parameter with a mistake: labels have no scale."""


def wait_for_trials(service: WatchedService, name: str, count: int) -> None:
    """Returns when so many trials have ended."""
    wait_for(service, name, lambda job: sum("endTime" in trial for trial in job["trials"]) == count)


class JobSuite:
    """Tests of jobs and their trials as a whole; see `ServiceSuite`."""

    def test_a_created_job_has_a_name_under_its_parent_and_all_that_was_asked_for(
        self, service: WatchedService, gate: Gate
    ) -> None:
        spec = gate.job(args=["seed=1"])
        before = copy.deepcopy(spec)
        job = service.create(PARENT, spec)
        assert re.fullmatch(rf"{PARENT}/hyperparameterTuningJobs/\d+", job["name"])
        assert job["state"] == JobState.PENDING.value
        assert {key: value for key, value in job.items() if key in spec} == spec == before

    def test_a_job_succeeds_when_all_its_trials_have_ended(self, service: WatchedService, gate: Gate) -> None:
        job = run_gated(service, gate, gate.job(most=3), *["report(3, acc=0.5); sys.exit(0)"] * 3)
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert list(trials_of(job)) == ["1", "2", "3"]
        assert "error" not in job
        measurement = {"stepCount": "3", "metrics": [{"metricId": "acc", "value": 0.5}]}
        for trial in job["trials"]:
            assert trial["state"] == "SUCCEEDED"
            assert trial["finalMeasurement"] == measurement
            assert trial["measurements"] == [measurement]
            assert "infeasibleReason" not in trial
            # Not as texts: of a time without microseconds a message's JSON form has fewer digits.
            times = [job["createTime"], job["startTime"], trial["startTime"], trial["endTime"], job["endTime"]]
            moments = [parse_datetime(time) for time in times]
            assert moments == sorted(moments)
            assert all(time.endswith("Z") for time in times)

    def test_a_free_slot_is_refilled_while_another_trial_goes_on(self, service: WatchedService, gate: Gate) -> None:
        name = service.create(PARENT, gate.job(most=4, parallel=2))["name"]
        first, second = sorted((gate.next(), gate.next()), key=lambda visitor: visitor.trial)
        second.finish(acc=0.1)
        third = gate.next()  # arrives although the first has not ended
        assert third.trial == "3"
        third.finish(acc=0.2)
        fourth = gate.next()
        states = {id: trial["state"] for id, trial in trials_of(service.get(name)).items()}
        assert states == {"1": "ACTIVE", "2": "SUCCEEDED", "3": "SUCCEEDED", "4": "ACTIVE"}
        fourth.finish(acc=0.3)
        first.finish(acc=0.4)
        job = wait_for_end(service, name)
        values = {id: trial["finalMeasurement"]["metrics"][0]["value"] for id, trial in trials_of(job).items()}
        assert values == {"1": 0.4, "2": 0.1, "3": 0.2, "4": 0.3}

    def test_no_more_trials_run_than_slots(self, service: WatchedService, gate: Gate) -> None:
        name = service.create(PARENT, gate.job(most=5, parallel=2))["name"]
        visitors = [gate.next(), gate.next()]
        for ended in range(5):
            active = [trial for trial in service.get(name)["trials"] if trial["state"] == "ACTIVE"]
            assert len(active) == min(2, 5 - ended)
            visitors.pop(0).finish(acc=0.5)
            if ended < 3:
                visitors.append(gate.next())
            else:
                wait_for_trials(service, name, ended + 1)
        assert wait_for_end(service, name)["state"] == "JOB_STATE_SUCCEEDED"

    def test_jobs_run_side_by_side(self, service: WatchedService, gate: Gate) -> None:
        names = [service.create(PARENT, gate.job())["name"] for _ in range(3)]
        assert len(set(names)) == 3
        for visitor in [gate.next() for _ in names]:  # all of them at a time
            visitor.finish(acc=0.5)
        assert {wait_for_end(service, name)["state"] for name in names} == {"JOB_STATE_SUCCEEDED"}

    @pytest.mark.parametrize(
        ("ending", "reason"),
        [
            pytest.param("sys.exit(3)", "exited with a non-zero status of 3.", id="exit code"),
            pytest.param("sys.exit(143)", "exited with a non-zero status of 143 (SIGTERM).", id="a shim's child by signal"),
            pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "ended by signal SIGKILL.", id="signal"),
        ],
    )
    def test_a_trial_that_exits_badly_is_infeasible_and_keeps_its_measurements(
        self, service: WatchedService, gate: Gate, ending: str, reason: str
    ) -> None:
        job = run_gated(service, gate, gate.job(failed=1), f"report(2, acc=0.5); {ending}")
        (trial,) = job["trials"]
        assert trial["state"] == "INFEASIBLE"
        assert trial["infeasibleReason"].endswith(reason)
        assert trial["measurements"] == [{"stepCount": "2", "metrics": [{"metricId": "acc", "value": 0.5}]}]
        assert "finalMeasurement" not in trial
        assert job["state"] == "JOB_STATE_FAILED"  # it counted

    @pytest.mark.parametrize(
        "report", ["pass", "report(acc='nan')", "report(loss=1.0)"], ids=["nothing", "nan", "another metric"]
    )
    def test_a_trial_without_a_final_measurement_is_infeasible_and_does_not_count_as_failed(
        self, service: WatchedService, gate: Gate, report: str
    ) -> None:
        job = run_gated(service, gate, gate.job(most=2, failed=1), f"{report}; sys.exit(0)", "report(acc=0.5); sys.exit(0)")
        assert [trial["state"] for trial in job["trials"]] == ["INFEASIBLE", "SUCCEEDED"]
        assert "no finite value of acc" in job["trials"][0]["infeasibleReason"]
        assert job["state"] == "JOB_STATE_SUCCEEDED"

    def test_too_many_failed_trials_fail_the_job_and_end_the_running_ones(self, service: WatchedService, gate: Gate) -> None:
        name = service.create(PARENT, gate.job(most=10, parallel=3, failed=2))["name"]
        visitors = {visitor.trial: visitor for visitor in (gate.next(), gate.next(), gate.next())}
        visitors["1"].do("sys.exit(1)")
        gate.next()  # one failure is allowed
        visitors["2"].do("sys.exit(1)")
        job = wait_for_end(service, name)
        assert job["state"] == "JOB_STATE_FAILED"
        assert "maxFailedTrialCount is 2" in job["error"]["message"]
        assert job["error"]["code"] > 0
        assert {id: trial["state"] for id, trial in trials_of(job).items()} == dict.fromkeys("1234", "INFEASIBLE")
        assert "too many" in trials_of(job)["4"]["infeasibleReason"]

    @pytest.mark.parametrize("failed", [None, 0])
    def test_without_a_limit_a_first_trial_that_fails_ends_the_job(
        self, service: WatchedService, gate: Gate, failed: int | None
    ) -> None:
        job = run_gated(service, gate, gate.job(most=5, failed=failed), "sys.exit(1)")
        assert job["state"] == "JOB_STATE_FAILED"
        assert "the first trial failed" in job["error"]["message"]
        assert len(job["trials"]) == 1

    def test_without_a_limit_later_failures_do_not_end_the_job(self, service: WatchedService, gate: Gate) -> None:
        job = run_gated(service, gate, gate.job(most=4), "report(acc=0.5); sys.exit(0)", *["sys.exit(1)"] * 3)
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert [trial["state"] for trial in job["trials"]] == ["SUCCEEDED", *["INFEASIBLE"] * 3]

    def test_a_trial_that_exceeds_its_timeout_is_ended_and_counts_as_failed(self, service: WatchedService) -> None:
        endless = make_job(command=["sh", "-c", "exec sleep 1000"], failed=1, timeout="0.1s")
        job = wait_for_end(service, service.create(PARENT, endless)["name"])
        (trial,) = job["trials"]
        assert trial["state"] == "INFEASIBLE"
        assert "timeout of 0.1 s" in trial["infeasibleReason"]
        assert job["state"] == "JOB_STATE_FAILED"

    def test_a_cancelled_job_stops_its_trials_and_starts_no_more(self, service: WatchedService, gate: Gate) -> None:
        name = service.create(PARENT, gate.job(most=10, parallel=2))["name"]
        visitors = [gate.next(), gate.next()]
        for visitor in visitors:
            # On the signal the trial says so, and lives until it is told to end.
            visitor.ask("signal.signal(signal.SIGTERM, lambda *_: say('asked to end')) and None")
        service.cancel(name)
        assert service.get(name)["state"] == "JOB_STATE_CANCELLING"
        assert [visitor.hear() for visitor in visitors] == ["asked to end"] * 2
        assert [trial["state"] for trial in service.get(name)["trials"]] == ["STOPPING"] * 2
        service.cancel(name)  # again: changes nothing
        for visitor in visitors:
            visitor.finish(acc=0.5)
        job = wait_for_end(service, name)
        assert job["state"] == "JOB_STATE_CANCELLED"
        assert job["error"]["code"] == 1
        assert [trial["state"] for trial in job["trials"]] == ["INFEASIBLE"] * 2
        assert "cancelled" in job["trials"][0]["infeasibleReason"]
        service.cancel(name)  # too late: changes nothing
        assert service.get(name) == job

    def test_a_trial_that_ignores_the_request_is_killed_after_the_grace(self, start: Start, gate: Gate) -> None:
        service = start(grace=0.2)
        name = service.create(PARENT, gate.job())["name"]
        gate.next().ask("signal.signal(signal.SIGTERM, signal.SIG_IGN) and None")
        service.cancel(name)
        assert wait_for_end(service, name)["state"] == "JOB_STATE_CANCELLED"

    @pytest.mark.parametrize("token", ["no-such-program", "/etc/hostname", "nul\0"], ids=["absent", "not executable", "NUL"])
    def test_a_command_that_cannot_be_started_is_a_failed_trial(self, service: WatchedService, token: str) -> None:
        name = service.create(PARENT, make_job(command=[token]))["name"]
        job = wait_for_end(service, name)
        assert job["state"] == "JOB_STATE_FAILED"
        assert job["trials"][0]["state"] == "INFEASIBLE"
        assert "could not be started" in job["trials"][0]["infeasibleReason"]

    def test_an_unknown_job_is_not_found(self, service: WatchedService) -> None:
        with pytest.raises(JobNotFound):
            service.get(f"{PARENT}/hyperparameterTuningJobs/1")
        with pytest.raises(JobNotFound):
            service.cancel("nonsense")

    def test_a_job_with_mistakes_is_refused_with_all_of_them_and_starts_nothing(
        self, service: WatchedService, gate: Gate
    ) -> None:
        with pytest.raises(InvalidJob, match=r"max(TrialC|_trial_c)ount.*at least 1, got 0.*model"):
            service.create(PARENT, gate.job(most=0, parameters=[SCALED]))
        assert service.names() == []

    def test_what_was_passed_in_may_change_afterwards(self, service: WatchedService, gate: Gate) -> None:
        spec = gate.job(most=2)
        name = service.create(PARENT, spec)["name"]
        visitor = gate.next()
        spec["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"].clear()
        spec["studySpec"].clear()
        visitor.finish(acc=0.5)
        gate.next().finish(acc=0.5)
        assert wait_for_end(service, name)["state"] == "JOB_STATE_SUCCEEDED"

    def test_a_snapshot_belongs_to_the_caller(self, service: WatchedService, gate: Gate) -> None:
        job = run_gated(service, gate, gate.job(), "report(acc=0.5); sys.exit(0)")
        untouched = copy.deepcopy(job)
        job["trials"][0]["parameters"].clear()
        job["studySpec"]["parameters"].clear()
        assert service.get(job["name"]) == untouched
