"""Watching 1,000 trials: what a look costs, and that hundreds of looks take no more memory than one.

The real client looks at a stand-in for the API on loopback, in a process of its own; the real watch and reporter do what they
do in a sweep, with a clock that does not wait. In the first looks the trials end, a few between two of them; in as many more
nothing changes. Memory is what Python has allocated (tracemalloc) and what the system counts (RSS), when the last trial has
ended and at the end.

    python bench/watch.py [looks]

The exit code is 1 when memory has grown by more than the limit.
"""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRIALS = 1000
LIMIT = 1024 * 1024
NAME = "projects/my-project/locations/europe-west4/hyperparameterTuningJobs/1"

SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
looks, trials, name = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
from google.cloud.aiplatform_v1.types import HyperparameterTuningJob, JobState, Trial
from google.protobuf.json_format import ParseDict
from tests.services.vertex.fake_api import FakeApi

def trial(number, ended):
    values = [{"parameterId": f"p{n}", "value": number / (n + 1)} for n in range(10)]
    metrics = {"stepCount": "1", "metrics": [{"metricId": "val_acc", "value": number / trials}]}
    end = {"finalMeasurement": metrics, "endTime": "2026-11-24T11:00:00Z"} if ended else {}
    state = "SUCCEEDED" if ended else "ACTIVE"
    fields = {"id": str(number), "state": state, "parameters": values, "startTime": "2026-11-24T10:00:00Z", **end}
    return Trial(ParseDict(fields, Trial()._pb))

class Api(FakeApi):
    seen = 0
    def _get(self, request):
        self.seen += 1
        ended = min(trials, trials * self.seen // looks)
        job = self.jobs[name]
        if len(job.trials) < trials or job.trials[-1].state != Trial.State.SUCCEEDED:
            job.trials = [trial(n, n <= ended) for n in range(1, min(trials, ended + 4) + 1)]
        job.state = JobState.JOB_STATE_SUCCEEDED if self.seen == 2 * looks else JobState.JOB_STATE_RUNNING
        return job

with Api() as api:
    api.jobs[name] = HyperparameterTuningJob(name=name, max_trial_count=trials)
    print(api.address, flush=True)
    sys.stdin.read()
"""


def resident() -> int:
    """Bytes of this process in memory; Linux tells."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def watch(address: str, directory: Path, looks: int) -> dict[str, list[float]]:
    """Follows the job; memory after the last trial's end and at the end, and the seconds of each look."""
    from vertex_sweeper.api import Job
    from vertex_sweeper.results import sweep_directory
    from vertex_sweeper.run.interrupt import Interrupt, Reaction
    from vertex_sweeper.run.reporter import FollowedJob, Reporter
    from vertex_sweeper.run.watch import Watch
    from vertex_sweeper.services.address import Address
    from vertex_sweeper.services.opening import open_service
    from vertex_sweeper.settings import Backend, OnInterrupt
    from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, Slot

    parameters = tuple(Parameter(f"p{n}", f"p{n}", Kind.DOUBLE, low=0.0, high=1e6) for n in range(10))
    agreed = Contract(("python", "train.py"), tuple(Slot(f"p{n}") for n in range(10)), parameters, ("val_acc",))
    where = Address(Backend.VERTEX, NAME.partition("/hyper")[0], f"http://{address}")
    opened = open_service(where, directory)
    sweep_directory.write_record(directory, sweep_directory.Record(where))
    followed = FollowedJob(
        opened=opened,
        address=where,
        name=NAME,
        contract=agreed,
        directory=directory,
        folder=lambda _: None,
        on_interrupt=OnInterrupt.DETACH,
    )
    reporter = Reporter(followed)
    found: dict[str, list[float]] = {"python": [], "resident": [], "look": [], "report": []}
    began = time.perf_counter()

    def report(job: Job) -> None:
        nonlocal began
        at = time.perf_counter()
        reporter.report(job)
        now = time.perf_counter()
        found["report"].append(now - at)
        found["look"].append(now - began)
        began = now
        if len(found["look"]) in (looks + 1, 2 * looks):
            gc.collect()
            found["python"].append(tracemalloc.get_traced_memory()[0])
            found["resident"].append(resident())

    tracemalloc.start()
    interrupt = Interrupt(lambda: None)
    Watch(opened.service, NAME, wait=lambda _: None, interrupt=interrupt, react=lambda: Reaction.DETACH, report=report).run()
    reporter.leave_results()
    return found


def main() -> int:
    """Measures and prints; the exit code is 1 above the limit."""
    looks = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-c", SERVER, str(ROOT), str(looks), str(TRIALS), NAME]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own program
            assert server.stdout is not None
            found = watch(server.stdout.readline().strip(), Path(name), looks)
            server.terminate()
        rows = len(Path(name, "trials.csv").read_text().splitlines()) - 1
    measured = (found["look"], found["report"][:looks], found["report"][looks:])
    look, ending, quiet = (1000 * sum(part) / len(part) for part in measured)
    print(f"{2 * looks} looks at {rows} trials, {look:.0f} ms each (under tracemalloc)")
    print(f"of that the report: {ending:.0f} ms while trials end, then {quiet:.0f} ms")
    grown = {label: found[label][1] - found[label][0] for label in ("python", "resident")}
    for label, more in grown.items():
        before = found[label][0] / 2**20
        print(f"{label:10} {before:6.1f} MiB when all had ended, {more / 2**10:+.0f} KiB after {looks} more looks")
    print(f"limit {LIMIT / 2**10:.0f} KiB of what Python has allocated")
    return int(grown["python"] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
