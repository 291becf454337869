"""500 trials of an empty app through the emulator, 8 at a time, with Google's client: what they leave, and what a call costs.

The emulator is a process of its own. Prints its children, open files, threads and memory as trials end, the rate of trials, and
the milliseconds of a `get` while the job runs, after it, and for a job of 20 trials. `python bench/emulator.py [trials]`; a run
that leaves something behind ends with 1. Needs Linux.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PARALLEL = 8
ORDINARY = 20
PARENT = "projects/p/locations/l"
APP = """
import hydra

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(cfg):
    return cfg.x

main()
"""


def make_job(trials: int) -> dict[str, Any]:
    """A job without a contract: the shim makes overrides of the flags, and the return value becomes the metric."""
    container = {
        "imageUri": "image",
        "command": ["vertex-trial", "python", "app.py"],
        "env": [{"name": "VERTEX_TRIAL_METRIC", "value": "acc"}],
    }
    parameters = [
        {"parameterId": "x", "doubleValueSpec": {"minValue": 0.1, "maxValue": 1}},
        {"parameterId": "y", "integerValueSpec": {"minValue": "1", "maxValue": "100"}},
        {"parameterId": "z", "categoricalValueSpec": {"values": ["a", "b"]}},
    ]
    return {
        "displayName": "soak",
        "maxTrialCount": trials,
        "parallelTrialCount": PARALLEL,
        "studySpec": {
            "metrics": [{"metricId": "acc", "goal": "MAXIMIZE"}],
            "parameters": parameters,
            "algorithm": "RANDOM_SEARCH",
        },
        "trialJobSpec": {"workerPoolSpecs": [{"replicaCount": "1", "containerSpec": container}]},
    }


def count_held(pid: int) -> dict[str, int]:
    """What a process holds."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines() if ":\t" in line
    )
    children = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            children += path.read_text(encoding="utf-8").rpartition(")")[2].split()[1] == str(pid)
        except OSError:
            continue  # it has just ended
    return {
        "children": children,
        "files": sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
        "threads": int(status["Threads"]),
        "MiB": int(status["VmRSS"].split()[0]) // 1024,
    }


def timed_gets(client: Any, name: str, count: int) -> list[float]:
    """The milliseconds of that many calls."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        client.get_hyperparameter_tuning_job(name=name)
        times.append((time.perf_counter() - began) * 1000)
    return times


def run_job(client: Any, pid: int, trials: int) -> tuple[str, list[float]]:
    """Runs a job to its end; returns its name and what calls cost meanwhile."""
    from google.cloud.aiplatform_v1.types import HyperparameterTuningJob

    job = HyperparameterTuningJob.from_json(json.dumps(make_job(trials)))
    name = client.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=job).name
    times: list[float] = []
    told = 0
    while True:
        times += timed_gets(client, name, 3)
        job = client.get_hyperparameter_tuning_job(name=name)
        ended = sum(1 for trial in job.trials if trial.end_time)
        if ended >= told + 100 or job.end_time:
            print(f"{ended:4} trials ended: {count_held(pid)}", flush=True)
            told = ended
        if job.end_time:
            failed = [trial.infeasible_reason for trial in job.trials if trial.state.name != "SUCCEEDED"]
            if failed:
                sys.exit(f"{len(failed)} trials failed, the first one: {failed[0]}")
            return name, times
        time.sleep(0.5)  # as a client polls


def report(label: str, times: list[float]) -> None:
    """One line about the cost of a call."""
    ordered = sorted(times)
    high = ordered[int(len(ordered) * 0.95)]
    print(f"get, {label:32} median {statistics.median(times):5.2f} ms, 95 % under {high:5.2f} ms ({len(times)} calls)")


def main(trials: int) -> None:
    """Warm up with an ordinary job, then compare what is held before and after the large one."""
    import grpc
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "app.py").write_text(APP, encoding="utf-8")
        (folder / "config.yaml").write_text("x: 0\ny: 0\nz: a\nhydra: {output_subdir: null}\n", encoding="utf-8")
        ready = folder / "ready.json"
        program = "import sys; from vertex_sweeper.cli.main import main; sys.exit(main())"
        command = [sys.executable, "-c", program, "emulator", "--ready-file", str(ready)]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
            assert process.stdout is not None
            process.stdout.readline()  # it speaks once it listens
            address = json.loads(ready.read_text(encoding="utf-8"))["address"]
            options = [("grpc.max_receive_message_length", -1)]
            client = JobServiceClient(
                transport=JobServiceGrpcTransport(channel=grpc.insecure_channel(address, options=options))
            )
            ordinary, _ = run_job(client, process.pid, ORDINARY)
            before = count_held(process.pid)
            began = time.perf_counter()
            large, meanwhile = run_job(client, process.pid, trials)
            seconds = time.perf_counter() - began
            after = count_held(process.pid)
            print(f"{trials} trials, {PARALLEL} at a time: {seconds:.1f} s, {trials / seconds:.1f} a second")
            report(f"while {trials} trials run", meanwhile)
            report(f"a job of {trials} ended trials", timed_gets(client, large, 300))
            report(f"a job of {ORDINARY} ended trials", timed_gets(client, ordinary, 300))
            process.terminate()
            process.wait()
    # gRPC and the emulator's pool take their threads as they need them, up to a few.
    allowed = {"children": 0, "files": 0, "threads": PARALLEL}
    leaked = [key for key, more in allowed.items() if after[key] > before[key] + more]
    if leaked:
        sys.exit(f"left behind: {', '.join(leaked)}")
    print("nothing left behind")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
