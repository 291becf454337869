"""What only the local service has: seeds, files, waiting for changes, closing; the rest is in `tests/services/behaviour`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vertex_sweeper.errors import ServiceError
from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.execute.flag_rendering import PLAIN
from vertex_sweeper.services.local.parameter_tree import Choice
from vertex_sweeper.testing.gate import PARENT, PATIENCE, Gate, run_gated, wait_for_end

Start = Callable[..., LocalService]


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


def test_further_pools_do_not_run_here_and_the_log_says_so(
    service: LocalService, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="vertex_sweeper")
    job = gate.job(most=1)
    pools = job["trialJobSpec"]["workerPoolSpecs"]
    pools.append({**pools[0], "replicaCount": "2"})
    ended = run_gated(service, gate, job, "report(acc=0.5); sys.exit(0)")
    assert ended["state"] == "JOB_STATE_SUCCEEDED"
    assert [record.message for record in caplog.records if "first worker pool" in record.message]


@pytest.mark.parametrize("rule", ["decayCurveStoppingSpec", "convexAutomatedStoppingSpec"])
def test_a_rule_that_is_a_model_of_vertex_stops_no_trial_and_the_log_says_so(
    service: LocalService, gate: Gate, caplog: pytest.LogCaptureFixture, rule: str
) -> None:
    caplog.set_level("INFO", logger="vertex_sweeper")
    job = gate.job(most=2, **{rule: {}})
    ended = run_gated(service, gate, job, *["report(1, acc=0.5); sys.exit(0)"] * 2)
    assert [trial["state"] for trial in ended["trials"]] == ["SUCCEEDED"] * 2
    (message,) = [record.message for record in caplog.records if "not imitated" in record.message]
    assert rule in message


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
