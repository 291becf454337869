"""What a sweep sees of the local service: states, counts, suggestions, failures. Trials are real processes."""

from __future__ import annotations

import copy
import re
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.local.gate import ACC, PARENT, PATIENCE, Gate, make_job, trials_of, wait_for, wait_for_end
from vertex_sweeper.errors import InvalidJob, JobNotFound, ServiceError
from vertex_sweeper.local import LocalService
from vertex_sweeper.local.nodes import Choice
from vertex_sweeper.local.rendering import PLAIN
from vertex_sweeper.service import JobState

Start = Callable[..., LocalService]


def run_gated(service: LocalService, gate: Gate, job: dict[str, Any], *endings: str) -> dict[str, Any]:
    """Runs a job with one slot whose trials end as told; returns the ended job."""
    name = service.create(PARENT, job)["name"]
    for ending in endings:
        gate.next().do(*ending.split("; "))
    return wait_for_end(service, name)


def test_a_created_job_has_a_name_under_its_parent_and_all_that_was_asked_for(service: LocalService, gate: Gate) -> None:
    spec = gate.job()
    before = copy.deepcopy(spec)
    job = service.create(PARENT, spec)
    assert re.fullmatch(rf"{PARENT}/hyperparameterTuningJobs/\d+", job["name"])
    assert job["state"] == JobState.PENDING.value
    assert {key: job[key] for key in spec} == spec == before


def test_a_job_succeeds_when_all_its_trials_have_ended(service: LocalService, gate: Gate) -> None:
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


def test_a_free_slot_is_refilled_while_another_trial_goes_on(service: LocalService, gate: Gate) -> None:
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


def test_no_more_trials_run_than_slots(service: LocalService, gate: Gate) -> None:
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


def wait_for_trials(service: LocalService, name: str, count: int) -> None:
    wait_for(service, name, lambda job: sum("endTime" in trial for trial in job["trials"]) == count)


def test_jobs_run_side_by_side(service: LocalService, gate: Gate) -> None:
    names = [service.create(PARENT, gate.job())["name"] for _ in range(3)]
    assert len(set(names)) == 3
    for visitor in [gate.next() for _ in names]:  # all of them at a time
        visitor.finish(acc=0.5)
    assert {wait_for_end(service, name)["state"] for name in names} == {"JOB_STATE_SUCCEEDED"}


INTEGER = {"parameterId": "n", "integerValueSpec": {"minValue": "1", "maxValue": "2"}}
DISCRETE = {"parameterId": "batch", "discreteValueSpec": {"values": [16, 32]}}
CONDITIONAL = {
    "parameterId": "model",
    "categoricalValueSpec": {"values": ["a", "b"]},
    "conditionalParameterSpecs": [
        {"parentCategoricalValues": {"values": ["a"]}, "parameterSpec": DISCRETE},
        {"parentCategoricalValues": {"values": ["b"]}, "parameterSpec": INTEGER},
    ],
}


def test_a_grid_runs_each_point_once_and_then_the_job_ends(service: LocalService, gate: Gate) -> None:
    job = gate.job(parameters=[INTEGER, DISCRETE], most=50, algorithm="GRID_SEARCH")
    ended = run_gated(service, gate, job, *["report(acc=0.5); sys.exit(0)"] * 4)
    points = [tuple(entry["value"] for entry in trial["parameters"]) for trial in ended["trials"]]
    assert points == [(1.0, 16.0), (1.0, 32.0), (2.0, 16.0), (2.0, 32.0)]
    assert ended["state"] == "JOB_STATE_SUCCEEDED"


def test_a_grid_ends_early_when_trials_run_out(service: LocalService, gate: Gate) -> None:
    job = gate.job(parameters=[INTEGER, DISCRETE], most=3, algorithm="GRID_SEARCH")
    assert len(run_gated(service, gate, job, *["report(acc=0.5); sys.exit(0)"] * 3)["trials"]) == 3


@pytest.mark.parametrize("algorithm", ["GRID_SEARCH", "RANDOM_SEARCH", "ALGORITHM_UNSPECIFIED"])
def test_only_children_of_the_chosen_value_are_passed(service: LocalService, gate: Gate, algorithm: str) -> None:
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


@pytest.mark.parametrize("algorithm", ["RANDOM_SEARCH", "ALGORITHM_UNSPECIFIED"])
def test_a_seed_repeats_the_suggestions(start: Start, gate: Gate, algorithm: str) -> None:
    def suggestions(seed: int | None) -> list[Any]:
        service = start(seed=seed)
        name = service.create(PARENT, gate.job(most=14, algorithm=algorithm))["name"]
        for number in range(14):
            gate.next().finish(acc=number % 5)
        return [trial["parameters"] for trial in wait_for_end(service, name)["trials"]]

    once = suggestions(7)
    assert once == suggestions(7)
    assert once != suggestions(8)
    assert suggestions(None) != suggestions(None)
    assert len({str(parameters) for parameters in once}) == 14


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        pytest.param("sys.exit(3)", "exited with a non-zero status of 3.", id="exit code"),
        pytest.param("sys.exit(143)", "exited with a non-zero status of 143 (SIGTERM).", id="a shim's child by signal"),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "ended by signal SIGKILL.", id="signal"),
    ],
)
def test_a_trial_that_exits_badly_is_infeasible_and_keeps_its_measurements(
    service: LocalService, gate: Gate, ending: str, reason: str
) -> None:
    job = run_gated(service, gate, gate.job(failed=1), f"report(2, acc=0.5); {ending}")
    (trial,) = job["trials"]
    assert trial["state"] == "INFEASIBLE"
    assert trial["infeasibleReason"].endswith(reason)
    assert trial["measurements"] == [{"stepCount": "2", "metrics": [{"metricId": "acc", "value": 0.5}]}]
    assert "finalMeasurement" not in trial
    assert job["state"] == "JOB_STATE_FAILED"  # it counted


@pytest.mark.parametrize("report", ["pass", "report(acc='nan')", "report(loss=1.0)"], ids=["nothing", "nan", "another metric"])
def test_a_trial_without_a_final_measurement_is_infeasible_and_does_not_count_as_failed(
    service: LocalService, gate: Gate, report: str
) -> None:
    job = run_gated(service, gate, gate.job(most=2, failed=1), f"{report}; sys.exit(0)", "report(acc=0.5); sys.exit(0)")
    assert [trial["state"] for trial in job["trials"]] == ["INFEASIBLE", "SUCCEEDED"]
    assert "no finite value of acc" in job["trials"][0]["infeasibleReason"]
    assert job["state"] == "JOB_STATE_SUCCEEDED"


def test_every_metric_of_the_study_is_needed(service: LocalService, gate: Gate) -> None:
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
    service: LocalService, gate: Gate, selection: str, goal: str, value: float
) -> None:
    job = gate.job(metrics=[{"metricId": "acc", "goal": goal}], measurementSelectionType=selection)
    reports = "report(1, acc=0.2); report(2, acc=0.9); report(3, acc=0.7); sys.exit(0)"
    (trial,) = run_gated(service, gate, job, reports)["trials"]
    assert trial["finalMeasurement"]["metrics"] == [{"metricId": "acc", "value": value}]
    assert len(trial["measurements"]) == 3


def test_too_many_failed_trials_fail_the_job_and_end_the_running_ones(service: LocalService, gate: Gate) -> None:
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
def test_without_a_limit_a_first_trial_that_fails_ends_the_job(service: LocalService, gate: Gate, failed: int | None) -> None:
    job = run_gated(service, gate, gate.job(most=5, failed=failed), "sys.exit(1)")
    assert job["state"] == "JOB_STATE_FAILED"
    assert "the first trial failed" in job["error"]["message"]
    assert len(job["trials"]) == 1


def test_without_a_limit_later_failures_do_not_end_the_job(service: LocalService, gate: Gate) -> None:
    job = run_gated(service, gate, gate.job(most=4), "report(acc=0.5); sys.exit(0)", *["sys.exit(1)"] * 3)
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    assert [trial["state"] for trial in job["trials"]] == ["SUCCEEDED", *["INFEASIBLE"] * 3]


def test_a_trial_that_exceeds_its_timeout_is_ended_and_counts_as_failed(service: LocalService) -> None:
    endless = make_job(command=["sh", "-c", "exec sleep 1000"], failed=1, timeout="0.1s")
    job = wait_for_end(service, service.create(PARENT, endless)["name"])
    (trial,) = job["trials"]
    assert trial["state"] == "INFEASIBLE"
    assert "timeout of 0.1 s" in trial["infeasibleReason"]
    assert job["state"] == "JOB_STATE_FAILED"


def test_a_cancelled_job_stops_its_trials_and_starts_no_more(service: LocalService, gate: Gate) -> None:
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


def test_a_trial_that_ignores_the_request_is_killed_after_the_grace(start: Start, gate: Gate) -> None:
    service = start(grace=0.2)
    name = service.create(PARENT, gate.job())["name"]
    gate.next().ask("signal.signal(signal.SIGTERM, signal.SIG_IGN) and None")
    service.cancel(name)
    assert wait_for_end(service, name)["state"] == "JOB_STATE_CANCELLED"


@pytest.mark.parametrize("token", ["no-such-program", "/etc/hostname", "nul\0"], ids=["absent", "not executable", "NUL"])
def test_a_command_that_cannot_be_started_is_a_failed_trial(service: LocalService, token: str) -> None:
    name = service.create(PARENT, make_job(command=[token]))["name"]
    job = wait_for_end(service, name)
    assert job["state"] == "JOB_STATE_FAILED"
    assert job["trials"][0]["state"] == "INFEASIBLE"
    assert "could not be started" in job["trials"][0]["infeasibleReason"]


def test_a_trial_gets_the_containers_arguments_and_a_flag_for_each_parameter(service: LocalService, gate: Gate) -> None:
    job = gate.job(parameters=[INTEGER, DISCRETE], args=["a=1", "b=x y"], algorithm="GRID_SEARCH")
    service.create(PARENT, job)
    assert gate.next().argv == ["a=1", "b=x y", "--n=1", "--batch=16.0"]


def test_what_a_trial_prints_is_in_its_log(service: LocalService, gate: Gate, tmp_path: Path) -> None:
    job = run_gated(service, gate, gate.job(failed=1), "print('out', flush=True); print('err', file=sys.stderr); sys.exit(1)")
    folder = tmp_path / "jobs of this test" / job["name"].rpartition("/")[2]
    assert (folder / "logs" / "1.log").read_text() == "out\nerr\n"


def test_metrics_of_an_earlier_job_in_the_same_folder_do_not_count(gate: Gate, tmp_path: Path) -> None:
    with LocalService(lambda _: tmp_path / "one") as service:
        run_gated(service, gate, gate.job(), "report(acc=0.5); sys.exit(0)")
        assert (tmp_path / "one" / "logs" / "1.metrics").exists()
        (trial,) = run_gated(service, gate, gate.job(), "sys.exit(0)")["trials"]
    assert trial["state"] == "INFEASIBLE"


def test_further_pools_and_replicas_do_not_run_here_and_the_log_says_so(
    service: LocalService, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="vertex_sweeper")
    job = gate.job(most=1)
    job["trialJobSpec"]["workerPoolSpecs"][0]["replicaCount"] = "2"
    ended = run_gated(service, gate, job, "report(acc=0.5); sys.exit(0)")
    assert ended["state"] == "JOB_STATE_SUCCEEDED"
    assert [record.message for record in caplog.records if "first worker pool" in record.message]


def test_an_unknown_job_is_not_found(service: LocalService) -> None:
    with pytest.raises(JobNotFound):
        service.get(f"{PARENT}/hyperparameterTuningJobs/1")
    with pytest.raises(JobNotFound):
        service.cancel("nonsense")


def test_a_job_with_mistakes_is_refused_and_starts_nothing(service: LocalService, gate: Gate, tmp_path: Path) -> None:
    with pytest.raises(InvalidJob):
        service.create(PARENT, gate.job(most=0))
    assert not (tmp_path / "jobs of this test").exists()


def test_what_was_passed_in_may_change_afterwards(service: LocalService, gate: Gate) -> None:
    spec = gate.job(most=2)
    name = service.create(PARENT, spec)["name"]
    visitor = gate.next()
    spec["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"].clear()
    spec["studySpec"].clear()
    visitor.finish(acc=0.5)
    gate.next().finish(acc=0.5)
    assert wait_for_end(service, name)["state"] == "JOB_STATE_SUCCEEDED"


def test_a_snapshot_belongs_to_the_caller(service: LocalService, gate: Gate) -> None:
    job = run_gated(service, gate, gate.job(), "report(acc=0.5); sys.exit(0)")
    untouched = copy.deepcopy(job)
    job["trials"][0]["parameters"].clear()
    job["studySpec"]["parameters"].clear()
    assert service.get(job["name"]) == untouched


def test_a_change_between_a_look_and_the_wait_is_not_missed(service: LocalService, gate: Gate) -> None:
    name = service.create(PARENT, gate.job())["name"]
    visitor = gate.next()
    looked, changed, returned = threading.Event(), threading.Event(), threading.Event()

    def look_and_wait() -> None:
        service.get(name)
        looked.set()
        changed.wait()
        service.wait_for_change(86400)
        returned.set()

    threading.Thread(target=look_and_wait, daemon=True).start()
    assert looked.wait(PATIENCE)
    visitor.finish(acc=0.5)
    wait_for_end(service, name)
    changed.set()
    assert returned.wait(PATIENCE)


def test_a_wait_without_a_change_ends_after_its_time(service: LocalService, gate: Gate) -> None:
    name = service.create(PARENT, gate.job())["name"]
    gate.next()
    before = service.get(name)
    service.wait_for_change(0.01)
    assert service.get(name) == before


def test_a_closed_service_cancels_its_jobs_and_takes_no_more(start: Start, gate: Gate) -> None:
    service = start()
    name = service.create(PARENT, gate.job(most=10, parallel=2))["name"]
    gate.next()
    service.close()
    service.close()
    job = service.get(name)
    assert job["state"] == "JOB_STATE_CANCELLED"
    assert {trial["state"] for trial in job["trials"]} == {"INFEASIBLE"}
    with pytest.raises(ServiceError):
        service.create(PARENT, gate.job())


def test_a_mistake_of_ours_ends_the_job_and_leaves_no_trial(
    tmp_path: Path, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def __init__(self) -> None:
            self.used = False

        def render(self, choices: Sequence[Choice], args: Sequence[str]) -> list[str]:
            if self.used:
                raise RuntimeError("broken")
            self.used = True
            return PLAIN.render(choices, args)

    with LocalService(lambda _: tmp_path, rendering=Broken()) as service:
        name = service.create(PARENT, gate.job(most=2, parallel=2))["name"]
        job = wait_for_end(service, name)
        assert job["state"] == "JOB_STATE_FAILED"
        assert "broken" in job["error"]["message"]
        assert [trial["state"] for trial in job["trials"]] == ["INFEASIBLE"] * 2
    assert "broken" in caplog.text


def test_signal_handlers_stay_as_they_are(service: LocalService, gate: Gate) -> None:
    numbers = sorted(signal.valid_signals())
    before = [signal.getsignal(number) for number in numbers]
    run_gated(service, gate, gate.job(), "report(acc=0.5); sys.exit(0)")
    assert [signal.getsignal(number) for number in numbers] == before
