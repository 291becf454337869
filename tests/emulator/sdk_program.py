"""A stranger's program: Google's high-level SDK as its documentation shows it, and nothing of ours.

It is told an address, the container specs of jobs to run by name, one of a job to cancel, and those of custom jobs by name.
Whom to trust it knows from the environment, by GRPC_DEFAULT_SSL_ROOTS_FILE_PATH. It prints what it sees as one line of JSON.
"""

import json
import sys
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud.aiplatform import hyperparameter_tuning as hpt


def make_custom_job(name: str, container: dict[str, Any]) -> aiplatform.CustomJob:
    pool = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1, "container_spec": container}
    return aiplatform.CustomJob(display_name=name, worker_pool_specs=[pool], labels={"who": name})


def make_job(name: str, container: dict[str, Any], trials: int) -> aiplatform.HyperparameterTuningJob:
    return aiplatform.HyperparameterTuningJob(
        display_name=name,
        custom_job=make_custom_job(name, container),
        metric_spec={"acc": "maximize"},
        parameter_spec={
            "lr": hpt.DoubleParameterSpec(min=1e-5, max=1e-1, scale="log"),
            "layers": hpt.IntegerParameterSpec(min=1, max=4, scale="linear"),
            "batch": hpt.DiscreteParameterSpec(values=[16, 32], scale="linear"),
            "model": hpt.CategoricalParameterSpec(
                values=["cnn", "vit"],
                conditional_parameter_spec={
                    "heads": hpt.IntegerParameterSpec(min=2, max=8, scale="linear", parent_values=["vit"])
                },
            ),
        },
        max_trial_count=trials,
        parallel_trial_count=2,
        labels={"who": name},
    )


def describe(job: aiplatform.HyperparameterTuningJob) -> dict[str, Any]:
    trials = [
        {
            "id": trial.id,
            "state": trial.state.name,
            "parameters": {parameter.parameter_id: parameter.value for parameter in trial.parameters},
            "acc": [metric.value for metric in trial.final_measurement.metrics],
            "reason": trial.infeasible_reason,
        }
        for trial in job.trials
    ]
    return {"name": job.resource_name, "state": job.state.name, "trials": trials}


def end_of(job: aiplatform.CustomJob) -> dict[str, Any]:
    failure = None
    try:
        job.wait()
        job.wait_for_completion()
    except RuntimeError as error:
        failure = str(error)
    message = job.error.message if job.error else None
    uris = dict(job.web_access_uris)
    return {"name": job.resource_name, "state": job.state.name, "error": message, "raised": failure, "uris": uris}


def manage(customs: dict[str, aiplatform.CustomJob]) -> dict[str, Any]:
    listing = aiplatform.CustomJob.list
    seen: dict[str, Any] = {"listed": [job.display_name for job in listing(order_by="display_name")]}
    seen["failed"] = [job.display_name for job in listing(filter='state="JOB_STATE_FAILED"')]
    again = aiplatform.CustomJob.get(customs["good"].resource_name)
    seen["got"] = again.display_name
    again.delete()
    seen["after delete"] = [job.display_name for job in listing(filter="labels.who=good")]
    return seen


def cancel(job: aiplatform.HyperparameterTuningJob) -> dict[str, Any]:
    job.run(sync=False)
    job._wait_for_resource_creation()
    job.cancel()
    try:
        job.wait()
    except RuntimeError as error:
        return {"state": job.state.name, "error": str(error)}
    return {"state": job.state.name, "error": None}


def main() -> None:
    address, (containers, endless, custom) = sys.argv[1], map(json.loads, sys.argv[2:])
    aiplatform.init(
        project="my-project",
        location="europe-west4",
        api_endpoint=address,
        credentials=AnonymousCredentials(),
        staging_bucket="gs://bucket",
    )
    jobs = {name: make_job(name, container, trials=6) for name, container in containers.items()}
    for job in jobs.values():
        job.run(sync=False)
    customs = {name: make_custom_job(name, container) for name, container in custom.items()}
    for one in customs.values():
        one.run(sync=False)
    asked = make_custom_job("endless", endless)
    asked.submit()
    asked.cancel()
    seen: dict[str, Any] = {"cancelled": cancel(make_job("endless", endless, trials=2))}
    for job in jobs.values():
        job.wait()
    seen["jobs"] = {name: describe(job) for name, job in jobs.items()}
    listing = aiplatform.HyperparameterTuningJob.list
    seen["succeeded"] = [job.display_name for job in listing(filter='state="JOB_STATE_SUCCEEDED"', order_by="display_name")]
    first = next(iter(jobs))
    seen["found"] = [job.display_name for job in listing(filter=f"labels.who={first}")]
    again = aiplatform.HyperparameterTuningJob.get(jobs[first].resource_name)
    seen["got"] = len(again.trials)  # type: ignore[attr-defined]  # the SDK says its base class
    again.delete()
    seen["after delete"] = [job.display_name for job in listing(filter=f"labels.who={first}")]
    seen["custom"] = {name: end_of(job) for name, job in {**customs, "endless": asked}.items()}
    seen["managed"] = manage(customs)
    print(json.dumps(seen))  # noqa: T201 - a program of its own


main()
