"""What is said of a job's place and logs, by the kind of job and by where it runs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from vertex_sweeper.api import Job
from vertex_sweeper.results.outcome import TrialResult
from vertex_sweeper.services.address import Address
from vertex_sweeper.settings import Backend
from vertex_sweeper.terminal import next_steps

PARENT = "projects/p/locations/europe-west4"
TUNING, CUSTOM = f"{PARENT}/hyperparameterTuningJobs/7", f"{PARENT}/customJobs/7"
VERTEX = Address(Backend.VERTEX, PARENT)
EMULATOR = Address(Backend.VERTEX, PARENT, "http://127.0.0.1:1")
LOCAL = Address(Backend.LOCAL, PARENT)
PLACE = "--project=p --region=europe-west4"


@pytest.mark.parametrize(
    ("address", "name", "ran", "shown"),
    [
        (VERTEX, TUNING, "", f"gcloud ai hp-tuning-jobs stream-logs 7 {PLACE}"),
        (VERTEX, TUNING, f"{PARENT}/customJobs/8", f"gcloud ai custom-jobs stream-logs 8 {PLACE}"),
        (VERTEX, CUSTOM, "", f"gcloud ai custom-jobs stream-logs 7 {PLACE}"),
        (EMULATOR, CUSTOM, "", "jobs/7/logs/1.log in the emulator's folder"),
        (LOCAL, CUSTOM, "", None),
    ],
    ids=["a trial", "a trial with a job of its own", "a custom job", "on an emulator", "here, before it has printed"],
)
def test_the_command_for_a_log_is_that_of_the_jobs_kind(
    tmp_path: Path, address: Address, name: str, ran: str, shown: str | None
) -> None:
    trial = TrialResult(1, None, {}, (), {}, job=ran)
    assert next_steps.log_command(address, name, trial, tmp_path) == shown


@pytest.mark.parametrize("address", [EMULATOR, LOCAL], ids=["on an emulator", "here"])
def test_a_custom_jobs_log_is_a_file_on_this_machine(tmp_path: Path, address: Address) -> None:
    log = tmp_path / "jobs" / "7" / "logs" / "1.log"
    log.parent.mkdir(parents=True)
    log.write_text("trained\n")
    trial = TrialResult(1, None, {}, (), {}, log=log.as_uri())
    assert next_steps.log_command(address, CUSTOM, trial, tmp_path / "jobs" / "7") == f"cat {log}"


@pytest.mark.parametrize(
    ("job", "lines"),
    [
        (
            Job(name=TUNING, maxTrialCount=4, parallelTrialCount=2),
            [
                "https://console.cloud.google.com/agent-platform/locations/europe-west4/training/7?project=p",
                f"{TUNING}: 4 trials, 2 at a time, in out",
            ],
        ),
        (
            Job(name=CUSTOM, jobSpec={}),
            [
                "https://console.cloud.google.com/agent-platform/locations/europe-west4/training/7?project=p",
                f"{CUSTOM}, in out",
            ],
        ),
    ],
    ids=["a tuning job", "a custom job"],
)
def test_a_job_is_announced_with_its_page_and_its_place(job: Job, lines: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    next_steps.announce(VERTEX, job, Path("out"))
    assert caplog.messages == lines
