"""Sweeps whose whole requests are recorded under `job/recorded/`, a file each.

    make record

writes the files anew; nothing else does. Read what changed before you commit it.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support import App, app_in
from vertex_sweeper.job import SWEEP_LABEL
from vertex_sweeper.plan.plan import Plan
from vertex_sweeper_runtime import contract

RECORDED = Path(__file__).parent / "job" / "recorded"

CONFIGS = {
    "config": "defaults: [{model: linear}, _self_]\nlr: 0.1\nlayers: 2\nbatch: 8\nname: abc\nsteps: [1, 2]\n",
    "model/linear": "C: 1.0\n",
    "model/svm": "C: 1.0\ngamma: 0.1\n",
    "model/mlp": "C: 1.0\noptimizer: adam\nmomentum: 0.9\n",
}

LR = "lr=tag(log, interval(1e-5, 1e-1))"
SERVER = "us-docker.pkg.dev/vertex-ai-restricted/training/reductionserver:latest"


def settings(**given: Any) -> list[str]:
    """Overrides of `hydra.sweeper`; `__` stands for a dot."""
    return [f"hydra.sweeper.{name.replace('__', '.')}={value}" for name, value in given.items()]


EVERYWHERE = [
    "hydra.sweeper.backend=vertex",
    *settings(vertex__project="my-project", vertex__location="europe-west4"),
    *settings(trial__image="europe-west4-docker.pkg.dev/my-project/train/app:1.4"),
]

JOBS: dict[str, list[str]] = {
    "least": [LR],
    "kinds": [
        "hydra.job.chdir=false",
        LR,
        "layers=range(1, 9)",
        "batch=64,16,32",
        "model=linear,svm",
        "name='two words'",
        "+extra='a b',c",
        *settings(metrics="{val_acc: maximize, seconds: minimize}", algorithm="random", measurement_selection="best"),
        *settings(max_trial_count=40, parallel_trial_count=4, max_failed_trial_count=9),
        *settings(display_name="Digits again", labels__team="vision", on_interrupt="cancel", wait="false"),
    ],
    "machine": [
        LR,
        *settings(trial__machine_type="n1-standard-8", trial__accelerator_type="NVIDIA_TESLA_T4", trial__accelerator_count=2),
        *settings(trial__disk_type="pd-ssd", trial__disk_size_gb=200, trial__timeout=7200, trial__enable_web_access="true"),
        *settings(trial__env__DATA="/gcs/my-bucket/data", trial__keep_alive=300, trial__drift="error"),
    ],
    "grid": ["batch=16,32", "layers=range(1, 4)", *settings(algorithm="grid")],
    "conditions": [
        "model=linear,svm,mlp",
        *settings(
            conditional="{model\\=svm: {params: {model.gamma: 'tag(log, interval(1e-4, 1))'}}, "
            "model\\=mlp: {params: {model.optimizer: 'sgd,adam'}, "
            "conditional: {model.optimizer\\=sgd: {params: {model.momentum: 'interval(0, 1)'}}}}}"
        ),
    ],
    "values": ["steps=[1,2],[3],null", "name='1',1,true,'a, b'", "layers=tag(categorical, choice(1, 2))", "~batch"],
    "spot": [LR, *settings(trial__strategy="spot", trial__timeout=3600)],
    "queue": [
        LR,
        *settings(trial__machine_type="g2-standard-48", trial__accelerator_type="NVIDIA_L4", trial__accelerator_count=4),
        *settings(trial__strategy="flex_start", trial__max_wait_duration=86400, trial__replica_count=3),
        *settings(trial__command="[torchrun, '--nproc_per_node=4', train.py]"),
    ],
    "pools": [
        LR,
        *settings(trial__machine_type="a2-highgpu-1g", trial__accelerator_type="NVIDIA_TESLA_A100", trial__env="{A: first}"),
        *settings(
            trial__worker_pools="[{replica_count: 3}, "
            f"{{replica_count: 2, machine_type: n1-highcpu-16, image: '{SERVER}', command: []}}, "
            "{machine_type: g2-standard-4, accelerator_type: NVIDIA_L4, accelerator_count: 1, disk_type: pd-ssd, "
            "disk_size_gb: 50, env: {B: own}, command: [python, evaluate.py]}]"
        ),
    ],
    "gap": [LR, *settings(trial__worker_pools="[{}, {machine_type: n1-highmem-8}]")],
    "private": [
        LR,
        *settings(vertex__service_account="trainer@my-project.iam.gserviceaccount.com"),
        *settings(vertex__impersonate_service_account="tuner@my-project.iam.gserviceaccount.com"),
        *settings(vertex__network="projects/12345/global/networks/training", vertex__endpoint="private.example:443"),
        *settings(vertex__kms_key_name="projects/my-project/locations/europe-west4/keyRings/ring/cryptoKeys/key"),
        *settings(vertex__base_output_directory="gs://my-bucket/digits"),
        *settings(vertex__tensorboard="projects/my-project/locations/europe-west4/tensorboards/123"),
        *settings(trial__env="{HF_TOKEN: 'not a real one'}", trial__allow_secrets="true"),
    ],
    "persistent": [LR, *settings(trial__persistent_resource_id="my-resource")],
    "stopping": [
        LR,
        *settings(median_automated_stopping_spec="{use_elapsed_duration: true}"),
        *settings(
            study_stopping_config="{should_stop_asap: true, minimum_runtime_constraint: 600, "
            "maximum_runtime_constraint: 86400, min_num_trials: 5, max_num_trials: 100, "
            "max_num_trials_no_progress: 10, max_duration_no_progress: 7200}"
        ),
    ],
    "median": [LR, *settings(median_automated_stopping_spec="{}")],
    "local": [LR, *settings(backend="local", local__seed=1)],
    "rest": [
        LR,
        *settings(
            spec_overrides="{labels: {cost: a}, trialJobSpec: {scheduling: {disableRetries: true}, workerPoolSpecs: {0: "
            "{machineSpec: {reservationAffinity: {reservationAffinityType: ANY_RESERVATION}}}}}}"
        ),
    ],
}


@contextmanager
def recording_app(folder: Path) -> Iterator[App]:
    """The app whose sweeps are recorded."""
    with app_in(folder, CONFIGS) as app:
        yield app


def plan_of(app: App, name: str) -> Plan:
    """The plan of one of `JOBS`."""
    return app.plan(*EVERYWHERE, *JOBS[name])


def unpacked(text: str) -> Any:
    """What an encoded contract or fingerprint holds."""
    return json.loads(zlib.decompress(base64.urlsafe_b64decode(text)))


def request_of(plan: Plan) -> dict[str, Any]:
    """The whole request, with the sweep's random id left out and the contracts readable."""
    text = json.dumps(plan.job)
    job: dict[str, Any] = json.loads(text.replace(plan.job["labels"][SWEEP_LABEL], "<sweep id>"))
    for pool in job["trialJobSpec"]["workerPoolSpecs"]:
        for entry in pool.get("containerSpec", {}).get("env", ()):
            if entry["name"] == contract.VARIABLE:
                entry["value"] = unpacked(entry["value"])
                entry["value"]["drift"] = unpacked(entry["value"]["drift"])
    return {"parent": plan.address.parent, "hyperparameterTuningJob": job}


def main() -> int:
    """Writes every recorded request anew, and takes away those that nobody records any more."""
    for path in RECORDED.glob("*.json"):
        path.unlink()
    RECORDED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, recording_app(Path(folder)) as app:
        for name in JOBS:
            text = json.dumps(request_of(plan_of(app, name)), indent=2, ensure_ascii=False)
            (RECORDED / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
