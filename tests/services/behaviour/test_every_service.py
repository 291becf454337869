"""What a sweep sees of a service: states, counts, failures, conditions, metrics, cancelling, ids, numbers.

One class of tests for every door behind which jobs run here: the local service itself, and Google's own client talking to the
emulator. Trials are real processes.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable

import pytest

from tests.services.behaviour.entry_points import Door
from tests.services.local.gate import ACC, PARENT, Gate, X, make_job, run_gated, trials_of, wait_for, wait_for_end
from vertex_sweeper.api import JobState
from vertex_sweeper.errors import InvalidJob, JobNotFound

Start = Callable[..., Door]

INTEGER = {"parameterId": "n", "integerValueSpec": {"minValue": "1", "maxValue": "2"}}

DISCRETE = {"parameterId": "batch", "discreteValueSpec": {"values": [16, 32]}}

LABEL = {"parameterId": "label", "categoricalValueSpec": {"values": ["1e5", "01"]}}
CONDITIONAL = {
    "parameterId": "model",
    "categoricalValueSpec": {"values": ["a", "b"]},
    "conditionalParameterSpecs": [
        {"parentCategoricalValues": {"values": ["a"]}, "parameterSpec": DISCRETE},
        {"parentCategoricalValues": {"values": ["b"]}, "parameterSpec": INTEGER},
    ],
}


def wait_for_trials(service: Door, name: str, count: int) -> None:
    wait_for(service, name, lambda job: sum("endTime" in trial for trial in job["trials"]) == count)


class TestEveryDoor:
    def test_a_created_job_has_a_name_under_its_parent_and_all_that_was_asked_for(self, service: Door, gate: Gate) -> None:
        spec = gate.job(args=["seed=1"])
        before = copy.deepcopy(spec)
        job = service.create(PARENT, spec)
        assert re.fullmatch(rf"{PARENT}/hyperparameterTuningJobs/\d+", job["name"])
        assert job["state"] == JobState.PENDING.value
        assert {key: job[key] for key in spec} == spec == before

    def test_a_job_succeeds_when_all_its_trials_have_ended(self, service: Door, gate: Gate) -> None:
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
            assert job["createTime"] <= job["startTime"] <= trial["startTime"] <= trial["endTime"] <= job["endTime"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", job["endTime"])

    def test_a_free_slot_is_refilled_while_another_trial_goes_on(self, service: Door, gate: Gate) -> None:
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

    def test_no_more_trials_run_than_slots(self, service: Door, gate: Gate) -> None:
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

    def test_jobs_run_side_by_side(self, service: Door, gate: Gate) -> None:
        names = [service.create(PARENT, gate.job())["name"] for _ in range(3)]
        assert len(set(names)) == 3
        for visitor in [gate.next() for _ in names]:  # all of them at a time
            visitor.finish(acc=0.5)
        assert {wait_for_end(service, name)["state"] for name in names} == {"JOB_STATE_SUCCEEDED"}

    def test_a_grid_runs_each_point_once_and_then_the_job_ends(self, service: Door, gate: Gate) -> None:
        job = gate.job(parameters=[INTEGER, DISCRETE], most=50, algorithm="GRID_SEARCH")
        ended = run_gated(service, gate, job, *["report(acc=0.5); sys.exit(0)"] * 4)
        points = [tuple(entry["value"] for entry in trial["parameters"]) for trial in ended["trials"]]
        assert points == [(1.0, 16.0), (1.0, 32.0), (2.0, 16.0), (2.0, 32.0)]
        assert ended["state"] == "JOB_STATE_SUCCEEDED"

    def test_a_grid_ends_early_when_trials_run_out(self, service: Door, gate: Gate) -> None:
        job = gate.job(parameters=[INTEGER, DISCRETE], most=3, algorithm="GRID_SEARCH")
        assert len(run_gated(service, gate, job, *["report(acc=0.5); sys.exit(0)"] * 3)["trials"]) == 3

    @pytest.mark.parametrize("algorithm", ["GRID_SEARCH", "RANDOM_SEARCH", "ALGORITHM_UNSPECIFIED"])
    def test_only_children_of_the_chosen_value_are_passed(self, service: Door, gate: Gate, algorithm: str) -> None:
        name = service.create(PARENT, gate.job(parameters=[CONDITIONAL], most=4, algorithm=algorithm))["name"]
        seen = []
        for _ in range(4):
            visitor = gate.next()
            seen.append(visitor.values())
            visitor.finish(acc=0.5)
        job = wait_for_end(service, name)
        for values, trial in zip(seen, job["trials"], strict=True):
            assert values.keys() == ({"model", "batch"} if values["model"] == "a" else {"model", "n"})
            assert values.keys() == {entry["parameterId"] for entry in trial["parameters"]}

    @pytest.mark.parametrize(
        ("ending", "reason"),
        [
            pytest.param("sys.exit(3)", "exited with a non-zero status of 3.", id="exit code"),
            pytest.param("sys.exit(143)", "exited with a non-zero status of 143 (SIGTERM).", id="a shim's child by signal"),
            pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "ended by signal SIGKILL.", id="signal"),
        ],
    )
    def test_a_trial_that_exits_badly_is_infeasible_and_keeps_its_measurements(
        self, service: Door, gate: Gate, ending: str, reason: str
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
        self, service: Door, gate: Gate, report: str
    ) -> None:
        job = run_gated(service, gate, gate.job(most=2, failed=1), f"{report}; sys.exit(0)", "report(acc=0.5); sys.exit(0)")
        assert [trial["state"] for trial in job["trials"]] == ["INFEASIBLE", "SUCCEEDED"]
        assert "no finite value of acc" in job["trials"][0]["infeasibleReason"]
        assert job["state"] == "JOB_STATE_SUCCEEDED"

    def test_every_metric_of_the_study_is_needed(self, service: Door, gate: Gate) -> None:
        job = gate.job(metrics=[ACC, {"metricId": "loss", "goal": "MINIMIZE"}], most=2)
        both = "report(1, acc=0.5, loss=2.0); sys.exit(0)"
        ended = run_gated(service, gate, job, "report(1, acc=0.5); sys.exit(0)", both)
        assert "no finite value of loss" in ended["trials"][0]["infeasibleReason"]
        assert {metric["metricId"] for metric in ended["trials"][1]["finalMeasurement"]["metrics"]} == {"acc", "loss"}

    @pytest.mark.parametrize(
        ("selection", "goal", "value"),
        [
            pytest.param("LAST_MEASUREMENT", "MAXIMIZE", 0.7, id="last"),
            pytest.param("BEST_MEASUREMENT", "MAXIMIZE", 0.9, id="best of a maximised metric"),
            pytest.param("BEST_MEASUREMENT", "MINIMIZE", 0.2, id="best of a minimised metric"),
        ],
    )
    def test_the_selection_decides_which_measurement_is_final(
        self, service: Door, gate: Gate, selection: str, goal: str, value: float
    ) -> None:
        job = gate.job(metrics=[{"metricId": "acc", "goal": goal}], measurementSelectionType=selection)
        reports = "report(1, acc=0.2); report(2, acc=0.9); report(3, acc=0.7); sys.exit(0)"
        (trial,) = run_gated(service, gate, job, reports)["trials"]
        assert trial["finalMeasurement"]["metrics"] == [{"metricId": "acc", "value": value}]
        assert len(trial["measurements"]) == 3

    def test_too_many_failed_trials_fail_the_job_and_end_the_running_ones(self, service: Door, gate: Gate) -> None:
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
    def test_without_a_limit_a_first_trial_that_fails_ends_the_job(self, service: Door, gate: Gate, failed: int | None) -> None:
        job = run_gated(service, gate, gate.job(most=5, failed=failed), "sys.exit(1)")
        assert job["state"] == "JOB_STATE_FAILED"
        assert "the first trial failed" in job["error"]["message"]
        assert len(job["trials"]) == 1

    def test_without_a_limit_later_failures_do_not_end_the_job(self, service: Door, gate: Gate) -> None:
        job = run_gated(service, gate, gate.job(most=4), "report(acc=0.5); sys.exit(0)", *["sys.exit(1)"] * 3)
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert [trial["state"] for trial in job["trials"]] == ["SUCCEEDED", *["INFEASIBLE"] * 3]

    def test_a_trial_that_exceeds_its_timeout_is_ended_and_counts_as_failed(self, service: Door) -> None:
        endless = make_job(command=["sh", "-c", "exec sleep 1000"], failed=1, timeout="0.1s")
        job = wait_for_end(service, service.create(PARENT, endless)["name"])
        (trial,) = job["trials"]
        assert trial["state"] == "INFEASIBLE"
        assert "timeout of 0.1 s" in trial["infeasibleReason"]
        assert job["state"] == "JOB_STATE_FAILED"

    def test_a_cancelled_job_stops_its_trials_and_starts_no_more(self, service: Door, gate: Gate) -> None:
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
    def test_a_command_that_cannot_be_started_is_a_failed_trial(self, service: Door, token: str) -> None:
        name = service.create(PARENT, make_job(command=[token]))["name"]
        job = wait_for_end(service, name)
        assert job["state"] == "JOB_STATE_FAILED"
        assert job["trials"][0]["state"] == "INFEASIBLE"
        assert "could not be started" in job["trials"][0]["infeasibleReason"]

    def test_a_trial_gets_the_containers_arguments_and_a_flag_for_each_parameter(self, service: Door, gate: Gate) -> None:
        job = gate.job(parameters=[INTEGER, DISCRETE], args=["a=1", "b=x y"], algorithm="GRID_SEARCH")
        service.create(PARENT, job)
        assert gate.next().argv == ["a=1", "b=x y", "--n=1", "--batch=16.0"]

    def test_an_unknown_job_is_not_found(self, service: Door) -> None:
        with pytest.raises(JobNotFound):
            service.get(f"{PARENT}/hyperparameterTuningJobs/1")
        with pytest.raises(JobNotFound):
            service.cancel("nonsense")

    def test_a_job_with_mistakes_is_refused_with_all_of_them_and_starts_nothing(self, service: Door, gate: Gate) -> None:
        with pytest.raises(InvalidJob, match=r"max(TrialC|_trial_c)ount.*at least 1, got 0.*model"):
            service.create(PARENT, gate.job(most=0, parameters=[{**CONDITIONAL, "scaleType": "UNIT_LINEAR_SCALE"}]))
        assert service.behind.names() == []

    def test_numbers_come_back_as_floats_and_a_double_is_to_the_last_bit_what_the_trial_got(
        self, service: Door, gate: Gate
    ) -> None:
        job = gate.job(parameters=[X, INTEGER, DISCRETE, LABEL], most=3, algorithm="RANDOM_SEARCH")
        name = service.create(PARENT, job)["name"]
        seen = []
        for _ in range(3):
            visitor = gate.next()
            seen.append(visitor.values())
            visitor.finish(acc=0.1 + 0.2)
        ended = wait_for_end(service, name)
        for flags, trial in zip(seen, ended["trials"], strict=True):
            values = {entry["parameterId"]: entry["value"] for entry in trial["parameters"]}
            assert values["label"] == flags.pop("label")
            assert {id: float(text) for id, text in flags.items()} == {id: values[id] for id in flags}
            assert all(type(values[id]) is float for id in flags)
            assert trial["finalMeasurement"]["metrics"] == [{"metricId": "acc", "value": 0.1 + 0.2}]

    def test_what_was_passed_in_may_change_afterwards(self, service: Door, gate: Gate) -> None:
        spec = gate.job(most=2)
        name = service.create(PARENT, spec)["name"]
        visitor = gate.next()
        spec["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"].clear()
        spec["studySpec"].clear()
        visitor.finish(acc=0.5)
        gate.next().finish(acc=0.5)
        assert wait_for_end(service, name)["state"] == "JOB_STATE_SUCCEEDED"

    def test_a_snapshot_belongs_to_the_caller(self, service: Door, gate: Gate) -> None:
        job = run_gated(service, gate, gate.job(), "report(acc=0.5); sys.exit(0)")
        untouched = copy.deepcopy(job)
        job["trials"][0]["parameters"].clear()
        job["studySpec"]["parameters"].clear()
        assert service.get(job["name"]) == untouched
