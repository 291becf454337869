"""Google's API as a tuning service that ends jobs when told, a Hydra app in a folder, and sweeps of it with backend vertex."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from google.cloud.aiplatform_v1.types import HyperparameterTuningJob, JobState, Trial
from google.protobuf.json_format import ParseDict

from tests.services.vertex.fake_api import FakeApi

ROOT = Path(__file__).parents[3]
SOURCE = """
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    raise SystemExit("a trial must not run here")

main()
"""


class TuningApi(FakeApi):
    """Answers as a service whose job ends well at once, or runs until it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.endless = False
        self.watched = threading.Event()
        self.created = threading.Event()
        self.answers = threading.Event()
        self.answers.set()

    def _create(self, request: Any) -> HyperparameterTuningJob:
        job: HyperparameterTuningJob = super()._create(request)
        self.created.set()
        self.answers.wait(60)
        return job

    def _listed(self, job: Any, wanted: str) -> bool:
        name, _, value = wanted.removeprefix("labels.").removesuffix(":*").partition("=")
        return name in job.labels and value in ("", job.labels[name])

    def _get(self, request: Any) -> HyperparameterTuningJob:
        job = self.jobs[request.name]
        self.watched.set()
        cancelled = self.count("CancelHyperparameterTuningJob") > 0
        if self.endless and not cancelled:
            job.state = JobState.JOB_STATE_RUNNING
            return job
        job.state = JobState.JOB_STATE_CANCELLED if cancelled else JobState.JOB_STATE_SUCCEEDED
        job.trials = [self._trial(number) for number in (2, 1)]
        return job

    def _trial(self, number: int) -> Trial:
        trial = {
            "id": str(number),
            "state": "SUCCEEDED",
            "parameters": [
                {"parameterId": "lr", "value": number / 10},
                {"parameterId": "batch", "value": 16.0 * number},
                {"parameterId": "model", "value": "svm"},
            ],
            "finalMeasurement": {"stepCount": "1", "metrics": [{"metricId": "val_acc", "value": 0.9 + number / 100}]},
            "startTime": "2026-11-01T10:00:00Z",
            "endTime": "2026-11-01T10:01:30Z",
        }
        return Trial(ParseDict(trial, Trial()._pb))


def make_app(folder: Path) -> Path:
    """An app with a config group of two options."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "config.yaml").write_text("defaults: [{model: linear}, _self_]\nlr: 0.1\nbatch: 8\nname: abc\n")
    for name in ("linear", "svm"):
        (folder / "conf" / "model" / f"{name}.yaml").write_text(f"kind: {name}\n")
    (folder / "train.py").write_text(SOURCE)
    return folder


def run(folder: Path, *argv: str) -> subprocess.Popen[str]:
    """A Python program in this folder, as it would run in a shell: what it prints goes into a pipe."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    return subprocess.Popen(
        [sys.executable, *argv],
        cwd=folder,
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def words_of(api: FakeApi, *words: str) -> list[str]:
    """How a sweep of the app into `sweep/` is started."""
    settings = {
        "vertex.endpoint": f"http://{api.address}",
        "vertex.project": "my-project",
        "vertex.location": "europe-west4",
        "trial.image": "europe-west4-docker.pkg.dev/my-project/train/app:1",
        "metrics": "{val_acc: maximize}",
        "max_trial_count": "2",
    }
    fixed = [f"hydra.sweeper.{key}={value}" for key, value in settings.items()]
    sweep = ["lr=interval(0, 1)", "batch=16,32", "model=linear,svm", "name='x y'"]
    return ["train.py", "-m", "hydra/sweeper=vertex", "hydra.sweep.dir=sweep", *sweep, *fixed, *words]


def start(folder: Path, api: FakeApi, *words: str) -> subprocess.Popen[str]:
    """A sweep of the app into `sweep/`."""
    return run(folder, *words_of(api, *words))
