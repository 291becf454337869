"""A sweep against the emulator, from plan to results: the real functions and client, and a clock that never waits."""

from __future__ import annotations

import csv
import itertools
import json
import secrets
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.faults.frames import FrameProxy
from tests.faults.injection import Wire
from vertex_sweeper.api_names import JobName
from vertex_sweeper.emulator import Emulator
from vertex_sweeper.job import SWEEP_LABEL
from vertex_sweeper.plan.plan import Plan
from vertex_sweeper.results.outcome import Outcome
from vertex_sweeper.results.sweep_directory import claim
from vertex_sweeper.run.attach import prepare
from vertex_sweeper.run.follow import check_success, follow
from vertex_sweeper.run.interrupt import Interrupt
from vertex_sweeper.run.reporter import FollowedJob
from vertex_sweeper.run.submit import submit
from vertex_sweeper.run.target import read_target
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.base import OpenService
from vertex_sweeper.services.vertex import VertexService
from vertex_sweeper.services.vertex.errors import Verb
from vertex_sweeper.services.vertex.service import TIMEOUTS
from vertex_sweeper.settings import Backend, OnInterrupt
from vertex_sweeper.testing.gate import wait_for, wait_for_end

# A trial without an app: it reports a number that follows from its values. Of a job that must be cancelled the last one hangs.
TRIAL = """
import os, signal, sys
values = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:] if "=" in word)
if float(values["batch"]) == float(values.get("hangs", "0")):
    signal.pause()
with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a") as file:
    file.write('{"timestamp": 1.0, "trial": "1", "acc": "%r", "global_step": "0"}\\n' % (1 / float(values["batch"]),))
"""
# The first trial ends by itself, the second when it is let go on.
GATED = """
import os, sys
values = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
if float(values["batch"]) == 32:
    os.read(os.open(values["gate"].strip("'"), os.O_RDONLY), 1)
with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a") as file:
    file.write('{"timestamp": 1e12, "trial": "1", "acc": "%r", "global_step": "0"}\\n' % (1 / float(values["batch"]),))
"""
COMMAND = ("python", "-I", "-S", "-c", TRIAL)
BATCHES = (16, 32)

RESULTS = ("optimization_results.yaml", "best.yaml", "best/best.yaml")

_numbers = itertools.count(1)


class FaultedSweep:
    """One sweep in a directory and in a project of its own.

    Its pauses are written down and not made; waiting for changes of the job is waiting for what the test needs to be true.

    Args:
        plan: of a sweep of `batch=16,32`, each once.
        hangs: The last trial does not end, and the job must be cancelled.
    """

    def __init__(self, emulator: Emulator, wire: Wire | FrameProxy, plan: Plan, directory: Path, *, hangs: bool) -> None:
        self.directory = directory
        self.parent = f"projects/p{next(_numbers)}/locations/l"
        self.address = Address(Backend.VERTEX, self.parent, f"http://{wire.address}")
        self.pauses: list[float] = []
        self.timeouts: dict[Verb, float] = dict(TIMEOUTS)
        self.hangs = hangs
        self.patience = 0
        """How often the service is waited for in vain before the sweep is sent a SIGTERM; 0: never."""
        self._emulator = emulator
        self._contract = plan.contract
        self.spec = _trivial(plan.job, hangs=hangs)

    def sweep(self) -> Outcome:
        """From the claim to the end, as a sweep does it."""
        interrupt = Interrupt(lambda: None)
        opened = self._opened(lambda: self._news(interrupt))
        claim(self.directory, self.address, self.spec, config="")
        job = submit(opened, self.parent, self.spec, directory=self.directory, pause=self._pause(interrupt))
        followed = FollowedJob(
            opened=opened,
            address=self.address,
            name=job["name"],
            contract=self._contract,
            directory=self.directory,
            folder=lambda _: None,
            on_interrupt=OnInterrupt.CANCEL if self.hangs else OnInterrupt.DETACH,
        )
        outcome = follow(followed, interrupt)
        if interrupt.received is None:
            check_success(outcome)
        return outcome

    def attach(self) -> Outcome:
        """As a new process would: all it knows is the directory."""
        return attach_to(self.directory, self._opened(self._end))

    def cancel(self) -> None:
        """Ends the job behind everybody's back."""
        for name in self.jobs():
            self._emulator.service.cancel(name)

    def jobs(self) -> list[str]:
        """The names of all jobs that this sweep has created."""
        return [name for name in self._emulator.service.names() if name.startswith(f"{self.parent}/")]

    def _pause(self, interrupt: Interrupt) -> Callable[[float], bool]:
        return lambda seconds: interrupt.pause(self.pauses.append, seconds)

    def _opened(self, wait: Callable[[], None]) -> OpenService:
        def pause(seconds: float) -> None:
            self.pauses.append(seconds)
            service.renew()  # in that time a connection that was cut would come back

        service = VertexService("l", endpoint=self.address.endpoint, pause=pause, timeouts=self.timeouts)
        return OpenService(service, service.find, lambda _: wait())

    def _news(self, interrupt: Interrupt) -> None:
        """Waits until there is something to see, or sends the sweep a signal when it is time for one."""
        if self.patience:
            self.patience -= 1
            if not self.patience:
                interrupt.received = signal.SIGTERM
        elif self.hangs and interrupt.received is None:
            (name,) = self.jobs()
            wait_for(self._emulator.service, name, lambda job: len(job.get("trials", [])) == len(BATCHES))
            interrupt.received = signal.SIGINT
        else:
            self._end()

    def _end(self) -> None:
        (name,) = self.jobs()
        wait_for_end(self._emulator.service, name)


def attach_to(directory: Path, opened: OpenService | None = None) -> Outcome:
    """As a new process would: all it knows is the directory. Without a service it does not wait either."""
    target = read_target(str(directory))
    if opened is None:
        service = VertexService("l", endpoint=target.address.endpoint, pause=lambda _: None)
        opened = OpenService(service, service.find, lambda _: None)
    followed = prepare(target, opened, None, on_interrupt=OnInterrupt.DETACH, pause=lambda _: True)
    return follow(followed, Interrupt(lambda: None))


def settings(*, project: str = "p", endpoint: str = "") -> list[str]:
    """The sweep's words, but for Hydra's own."""
    values = {
        "backend": "vertex",
        "algorithm": "grid",
        "parallel_trial_count": "1",
        "metrics": "{acc: maximize}",
        "trial.image": "image:1",
        "vertex.project": project,
        "vertex.location": "l",
        "vertex.endpoint": endpoint or "null",
    }
    return [f"batch={','.join(map(str, BATCHES))}", *(f"hydra.sweeper.{key}={value}" for key, value in values.items())]


def comparable(directory: Path) -> dict[str, Any]:
    """What the sweep found out, without what differs from run to run. Checks that every file is whole, and none is missing."""
    assert not list(directory.rglob("*.part"))
    job_id = JobName.parse(json.loads((directory / "job.json").read_text())["name"]).id
    record = json.loads((directory / "sweep.json").read_text())
    with (directory / "trials.csv").open(newline="") as lines:
        trials = [{**row, "started": "", "seconds": ""} for row in csv.DictReader(lines)]
    documents = {name: yaml.safe_load((directory / name).read_text().replace(job_id, "JOB")) for name in RESULTS}
    return {"state": record["state"], "trials": trials, **documents}


def _trivial(job: Mapping[str, Any], *, hangs: bool) -> dict[str, Any]:
    """The job with trials that cost next to nothing, and a label that no other job has."""
    spec: dict[str, Any] = json.loads(json.dumps(job))
    container = spec["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    container["command"] = [*COMMAND, f"hangs={BATCHES[-1] if hangs else 0}"]
    spec["labels"] = {**spec.get("labels", {}), SWEEP_LABEL: secrets.token_hex(8)}
    return spec
