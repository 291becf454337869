"""What every service does with a custom job: one process, judged by its exit code."""

from __future__ import annotations

import copy
import re

import pytest

from vertex_sweeper.api import JobState, parse_datetime
from vertex_sweeper.errors import InvalidJob, JobNotFound
from vertex_sweeper.testing.gate import PARENT, Gate, Start, WatchedService, make_custom_job, run_gated, wait_for_end

OF_TUNING_JOBS = {"trials", "studySpec", "trialJobSpec", "maxTrialCount", "parallelTrialCount", "maxFailedTrialCount"}
"""The fields that no custom job has."""


class CustomJobSuite:
    """Tests of custom jobs; see `ServiceSuite`."""

    def test_a_created_custom_job_has_a_name_of_its_kind_and_all_that_was_asked_for(
        self, service: WatchedService, gate: Gate
    ) -> None:
        spec = gate.custom_job(args=["seed=1"], labels={"team": "a"}, timeout="3600s", output="gs://bucket/runs/0")
        before = copy.deepcopy(spec)
        job = service.create(PARENT, spec)
        assert re.fullmatch(rf"{PARENT}/customJobs/\d+", job["name"])
        assert job["state"] == JobState.PENDING.value
        assert {key: value for key, value in job.items() if key in spec} == spec == before
        assert set(job) - set(spec) == {"name", "state", "createTime", "updateTime"}
        visitor = gate.next()
        assert visitor.argv == ["seed=1"]
        assert service.get(job["name"])["state"] == JobState.RUNNING.value

    def test_a_custom_job_that_exits_with_0_succeeds(self, service: WatchedService, gate: Gate) -> None:
        job = run_gated(service, gate, gate.custom_job(), "sys.exit(0)")
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert "error" not in job
        assert not OF_TUNING_JOBS & set(job)
        moments = [parse_datetime(job[field]) for field in ("createTime", "startTime", "endTime")]
        assert moments == sorted(moments)
        assert job["endTime"] == job["updateTime"]

    def test_a_custom_job_is_no_trial_to_its_process(self, service: WatchedService, gate: Gate) -> None:
        name = service.create(PARENT, gate.custom_job(output="gs://bucket/runs/0/"))["name"]
        visitor = gate.next()
        environ = visitor.environ
        assert not {"CLOUD_ML_TRIAL_ID", "CLOUD_ML_HP_METRIC_FILE"} & set(environ)
        assert environ["CLOUD_ML_JOB_ID"] == name.rpartition("/")[2]
        assert visitor.ask("json.loads(os.environ['CLUSTER_SPEC'])['task']") == {"type": "workerpool0", "index": 0}
        assert environ["AIP_MODEL_DIR"] == "gs://bucket/runs/0/model/"
        assert environ["AIP_CHECKPOINT_DIR"] == "gs://bucket/runs/0/checkpoints/"
        assert environ["AIP_TENSORBOARD_LOG_DIR"] == "gs://bucket/runs/0/logs/"
        assert visitor.argv == []

    @pytest.mark.parametrize(
        ("ending", "message"),
        [
            pytest.param("sys.exit(3)", "exited with a non-zero status of 3.", id="exit code"),
            pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "ended by signal SIGKILL.", id="signal"),
        ],
    )
    def test_a_custom_job_that_exits_badly_fails(self, service: WatchedService, gate: Gate, ending: str, message: str) -> None:
        job = run_gated(service, gate, gate.custom_job(), ending)
        assert job["state"] == "JOB_STATE_FAILED"
        assert job["error"]["code"] == 3
        assert job["error"]["message"].endswith(message)
        assert not OF_TUNING_JOBS & set(job)

    @pytest.mark.parametrize("token", ["no-such-program", "nul\0"], ids=["absent", "NUL"])
    def test_a_custom_job_whose_command_cannot_be_started_fails(self, service: WatchedService, token: str) -> None:
        job = wait_for_end(service, service.create(PARENT, make_custom_job(command=[token]))["name"])
        assert job["state"] == "JOB_STATE_FAILED"
        assert "could not be started" in job["error"]["message"]

    def test_a_custom_job_that_exceeds_its_timeout_fails(self, service: WatchedService) -> None:
        endless = make_custom_job(command=["sh", "-c", "exec sleep 1000"], timeout="0.1s")
        job = wait_for_end(service, service.create(PARENT, endless)["name"])
        assert job["state"] == "JOB_STATE_FAILED"
        assert "timeout of 0.1 s" in job["error"]["message"]

    def test_a_cancelled_custom_job_is_asked_to_end(self, service: WatchedService, gate: Gate) -> None:
        name = service.create(PARENT, gate.custom_job())["name"]
        visitor = gate.next()
        visitor.ask("signal.signal(signal.SIGTERM, lambda *_: say('asked to end')) and None")
        service.cancel(name)
        assert service.get(name)["state"] == "JOB_STATE_CANCELLING"
        assert visitor.hear() == "asked to end"
        service.cancel(name)  # again: changes nothing
        visitor.do("sys.exit(0)")
        job = wait_for_end(service, name)
        assert job["state"] == "JOB_STATE_CANCELLED"
        assert job["error"]["code"] == 1
        assert not OF_TUNING_JOBS & set(job)
        service.cancel(name)  # too late: changes nothing
        assert service.get(name) == job

    def test_a_custom_job_that_ignores_the_request_is_killed_after_the_grace(self, start: Start, gate: Gate) -> None:
        service = start(grace=0.2)
        name = service.create(PARENT, gate.custom_job())["name"]
        gate.next().ask("signal.signal(signal.SIGTERM, signal.SIG_IGN) and None")
        service.cancel(name)
        assert wait_for_end(service, name)["state"] == "JOB_STATE_CANCELLED"

    def test_custom_jobs_run_side_by_side_and_beside_tuning_jobs(self, service: WatchedService, gate: Gate) -> None:
        specs = [gate.custom_job(args=["0"]), gate.custom_job(args=["3"]), gate.job()]
        names = [service.create(PARENT, spec)["name"] for spec in specs]
        for visitor in [gate.next() for _ in names]:  # all of them at a time
            if visitor.trial:
                visitor.finish(acc=0.5)
            else:
                visitor.do("sys.exit(int(sys.argv[1]))")
        jobs = [wait_for_end(service, name) for name in names]
        states = ["JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_SUCCEEDED"]
        assert [job["state"] for job in jobs] == states
        assert [len(job.get("trials", ())) for job in jobs] == [0, 0, 1]

    def test_an_unknown_custom_job_is_not_found(self, service: WatchedService) -> None:
        with pytest.raises(JobNotFound):
            service.get(f"{PARENT}/customJobs/1")
        with pytest.raises(JobNotFound):
            service.cancel(f"{PARENT}/customJobs/1")

    def test_a_custom_job_is_not_found_by_the_name_of_a_tuning_job(self, service: WatchedService, gate: Gate) -> None:
        name = service.create(PARENT, gate.custom_job())["name"]
        with pytest.raises(JobNotFound):
            service.get(name.replace("customJobs", "hyperparameterTuningJobs"))

    def test_a_custom_job_with_mistakes_is_refused_with_all_of_them_and_starts_nothing(
        self, service: WatchedService, gate: Gate
    ) -> None:
        spec = gate.custom_job(displayName="", env=[{"name": "1x", "value": ""}])
        with pytest.raises(InvalidJob, match=r"display(N|_n)ame.*required.*job(S|_s)pec.*\[0\].*env\[1\].*identifier"):
            service.create(PARENT, spec)
        assert service.names() == []

    def test_a_custom_jobs_snapshot_belongs_to_the_caller(self, service: WatchedService, gate: Gate) -> None:
        job = run_gated(service, gate, gate.custom_job(), "sys.exit(0)")
        untouched = copy.deepcopy(job)
        job["jobSpec"]["workerPoolSpecs"].clear()
        assert service.get(job["name"]) == untouched
