"""The most a job can cost."""

from __future__ import annotations

from vertex_sweeper.job.needs import JobNeeds, Machines, job_needs
from vertex_sweeper.plan.ceiling import ceiling_lines

T4 = Machines("n1-standard-8", 1, "NVIDIA_TESLA_T4", 2)
NEEDS = JobNeeds(trials=20, parallel=2, timeout=5400, timeout_set=True, machines=(T4, Machines("n1-standard-8", 3)))


def test_it_is_every_trial_to_its_timeout_on_all_of_its_machines() -> None:
    first, *_ = ceiling_lines(NEEDS, {})
    assert first == "at most 120 hours of n1-standard-8, 60 hours of NVIDIA_TESLA_T4: 20 trials of up to 1.5 hours"


def test_prices_make_money_of_it() -> None:
    _, money = ceiling_lines(NEEDS, {"n1-standard-8": 0.38, "NVIDIA_TESLA_T4": 0.35, "a2-highgpu-1g": 9})
    assert money == "at most 66.60 at your prices, without disks, storage and traffic"


def test_what_has_no_price_is_named() -> None:
    _, money = ceiling_lines(NEEDS, {"n1-standard-8": 0.5})
    assert money.startswith("at most 60.00 at your prices")
    assert "without NVIDIA_TESLA_T4" in money
    assert (
        ceiling_lines(NEEDS, {})[-1]
        == "hydra.sweeper.prices says what that is in money: {n1-standard-8: …, NVIDIA_TESLA_T4: …}"
    )


def test_a_job_without_timeout_counts_vertexs_and_the_user_is_told() -> None:
    job = {
        "maxTrialCount": 1,
        "parallelTrialCount": 4,
        "trialJobSpec": {"workerPoolSpecs": [{"machineSpec": {"machineType": "e2-standard-4"}, "replicaCount": "1"}, {}]},
    }
    needs = job_needs(job)
    assert needs == JobNeeds(trials=1, parallel=1, timeout=604_800, timeout_set=False, machines=(Machines("e2-standard-4"),))
    first, timeout, *_ = ceiling_lines(needs, {})
    assert first == "at most 168 hours of e2-standard-4: 1 trial of up to 168 hours"
    assert "trial.timeout is left out" in timeout


def test_a_job_is_read_as_the_api_spells_it() -> None:
    pool = {
        "machineSpec": {"machineType": "n1-standard-8", "acceleratorType": "NVIDIA_TESLA_T4"},
        "replicaCount": "2",
        "containerSpec": {"imageUri": "app"},
    }
    job = {
        "maxTrialCount": "20",
        "parallelTrialCount": 2,
        "trialJobSpec": {
            "workerPoolSpecs": [pool, pool],
            "scheduling": {"timeout": "3600s", "strategy": "SPOT"},
            "baseOutputDirectory": {"outputUriPrefix": "gs://b/x"},
            "serviceAccount": "a@b",
        },
    }
    machines = Machines("n1-standard-8", 2, "NVIDIA_TESLA_T4", 1)
    assert job_needs(job) == JobNeeds(
        trials=20,
        parallel=2,
        timeout=3600,
        timeout_set=True,
        machines=(machines, machines),
        images=("app",),
        output="gs://b/x",
        service_account="a@b",
        spot=True,
    )
