"""From process start to the create call: a sweep beside a script with Google's SDK class, `aiplatform.HyperparameterTuningJob`.

Both are fresh processes that take turns, and talk to a stand-in for the API on loopback, in this process, which notes when the
call arrives. The sweep is `python train.py -m hydra/sweeper=vertex` over one group of three options and does all its checks,
three compositions included; the script has its whole job written out, and checks nothing. One more process tells from the
inside what a sweep's time is made of.

    python bench/submit.py [rounds]

The exit code is 1 when the ratio of the medians is above the limit.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for the stand-in, which the tests use too

from tests.services.vertex.fake_api import FakeApi  # noqa: E402

LIMIT = 0.75
APP = """
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    return 0.0

main()
"""
SCRIPT = """
import sys
from google.cloud import aiplatform
from google.cloud.aiplatform import hyperparameter_tuning as hpt

aiplatform.init(project="my-project", location="europe-west4", credentials=CREDENTIALS)
pools = [{
    "machine_spec": {"machine_type": "n1-standard-4"},
    "replica_count": 1,
    "container_spec": {"image_uri": "a/b:1", "command": ["python", "train.py"], "args": []},
}]
trial = aiplatform.CustomJob(display_name="train", worker_pool_specs=pools, staging_bucket="gs://bucket")
job = aiplatform.HyperparameterTuningJob(
    display_name="train",
    custom_job=trial,
    metric_spec={"val_acc": "maximize"},
    parameter_spec={"model": hpt.CategoricalParameterSpec(values=["a", "b", "c"])},
    max_trial_count=20,
    parallel_trial_count=2,
)
"""
# Loopback has no TLS and nobody to log in to: the SDK gets a channel of its own, which is all that is changed about it.
LOOPBACK = """
import grpc
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport

channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.enable_http_proxy", 0)])
job.api_client = JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))
job.run(sync=False)
"""
PARTS = """
import sys, time
started = time.perf_counter()
marks = []
def mark(name):
    global started
    now = time.perf_counter()
    if now - started > 0.001: marks.append(f"{name} {1000 * (now - started):.0f} ms")
    started = now
import hydra
mark("hydra")
import vertex_sweeper.sweep as sweep, vertex_sweeper.run.submit as submission
from vertex_sweeper.plan import composition, plan
mark("the engine")
find, check, make, create = plan.wrong_fields, composition.check_compositions, sweep.make_plan, sweep.submit
def timed(name, call, before):
    def run(*args, **kwargs):
        mark(before)
        try:
            return call(*args, **kwargs)
        finally:
            mark(name)
    return run
plan.wrong_fields = timed("Google's client", find, "the plan until the job")
composition.check_compositions = timed("compositions", check, "settings")
sweep.make_plan = timed("the rest of the plan", make, "Hydra's own start")
sweep.submit = timed("the call", create, "the sweep directory")
sys.argv = sys.argv[1:]
import runpy
runpy.run_path("train.py", run_name="__main__")
print("PARTS", ", ".join(marks))
"""


class Clock(FakeApi):
    """Notes when a create call arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Event()
        self.at = 0.0

    def _create(self, request: Any) -> Any:
        self.at = time.perf_counter()
        self.arrived.set()
        return super()._create(request)


def seconds(api: Clock, command: list[str], folder: Path) -> float:
    """The time from this process's start of another one to the call."""
    api.arrived.clear()
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603 - our own commands
        while not api.arrived.wait(0.5):
            if process.poll() is not None and not api.arrived.is_set():
                sys.exit(f"{' '.join(command)} made no call:\n{process.stdout.read() if process.stdout else ''}")
        process.kill()
    return api.at - began


def prepare(folder: Path, address: str) -> tuple[list[str], list[str]]:
    """The sweep and the script, as commands."""
    (folder / "conf" / "model").mkdir(parents=True)
    (folder / "conf" / "config.yaml").write_text("defaults: [{model: a}, _self_]\nlr: 0.1\n")
    for name in "abc":
        (folder / "conf" / "model" / f"{name}.yaml").write_text(f"kind: {name}\n")
    (folder / "train.py").write_text(APP)
    anonymous = "from google.auth.credentials import AnonymousCredentials\n"
    (folder / "script.py").write_text(anonymous + SCRIPT.replace("CREDENTIALS", "AnonymousCredentials()") + LOOPBACK)
    settings = {
        "vertex.endpoint": f"http://{address}",
        "vertex.project": "my-project",
        "vertex.location": "europe-west4",
        "trial.image": "a/b:1",
        "metrics": "{val_acc: maximize}",
        "wait": "false",
    }
    words = ["-m", "hydra/sweeper=vertex", "model=a,b,c", *(f"hydra.sweeper.{key}={value}" for key, value in settings.items())]
    return [sys.executable, "train.py", *words], [sys.executable, "script.py", address]


def main() -> int:
    """Measures and prints; the exit code is 1 above the limit."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # pip compiles installed modules; ours may be compiled too
    with tempfile.TemporaryDirectory() as name, Clock() as api:
        folder = Path(name)
        ours, theirs = prepare(folder, api.address)
        times: dict[str, list[float]] = {"sweep": [], "script": []}
        for turn in range(rounds + 1):
            for label, command in (("sweep", [*ours, f"hydra.sweep.dir=sweep-{turn}"]), ("script", theirs)):
                taken = seconds(api, command, folder)
                if turn:  # the first is for the caches
                    times[label].append(taken)
        told = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", PARTS, *ours[1:], "hydra.sweep.dir=parts"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    median = {label: statistics.median(found) for label, found in times.items()}
    parts = [line.removeprefix("PARTS ") for line in told.stdout.splitlines() if line.startswith("PARTS ")]
    print(f"a sweep with backend vertex              {median['sweep']:6.2f} s (median of {rounds})")
    print(f"a script with HyperparameterTuningJob    {median['script']:6.2f} s")
    print(f"the sweep's parts: {parts[0] if parts else told.stderr}")
    ratio = median["sweep"] / median["script"]
    print(f"ratio {ratio:.2f} (limit {LIMIT})")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
