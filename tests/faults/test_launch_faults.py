"""Whatever goes wrong with a launch's calls: each of its jobs exists once at most, and all that exist come to their ends."""

from __future__ import annotations

import itertools
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

for module in ("google.cloud.aiplatform_v1", "optuna", "cryptography"):
    pytest.importorskip(module, reason=f"{module} is not installed: the emulator needs it, and Google's client")

from tests.faults.injection import DROPPED, Fault, Faults, Wire  # noqa: E402
from tests.support import thorough  # noqa: E402
from vertex_sweeper.emulator import Emulator  # noqa: E402
from vertex_sweeper.job import SWEEP_LABEL  # noqa: E402
from vertex_sweeper.results import launch_directory  # noqa: E402
from vertex_sweeper.results.launch_results import JobEnd  # noqa: E402
from vertex_sweeper.run import launch, submit, watch  # noqa: E402
from vertex_sweeper.run.interrupt import Interrupt  # noqa: E402
from vertex_sweeper.run.launch import Launch  # noqa: E402
from vertex_sweeper.run.launch_options import LaunchOptions  # noqa: E402
from vertex_sweeper.services.address import Address  # noqa: E402
from vertex_sweeper.services.backoff import Backoff  # noqa: E402
from vertex_sweeper.services.base import OpenService  # noqa: E402
from vertex_sweeper.services.vertex import service  # noqa: E402
from vertex_sweeper.services.vertex.errors import Verb  # noqa: E402
from vertex_sweeper.services.vertex.service import VertexService  # noqa: E402
from vertex_sweeper.settings import Backend, OnInterrupt, OnRefusal  # noqa: E402
from vertex_sweeper.testing.gate import make_custom_job, wait_for_end  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "PERMISSION_DENIED", "INVALID_ARGUMENT", "INTERNAL")
BEFORE = [Fault(code, acted=False) for code in CODES]
AFTER = [*(Fault(code, acted=True) for code in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")), DROPPED]
TABLE = [(verb, fault) for verb in Verb for fault in [*BEFORE, *AFTER]]
TOLD = {
    (Verb.CREATE, DROPPED.kind),
    (Verb.CREATE, "RESOURCE_EXHAUSTED"),
    (Verb.LIST, "UNAVAILABLE"),
    (Verb.CANCEL, "UNAVAILABLE"),
}
NOT_CREATED = ("PERMISSION_DENIED", "INVALID_ARGUMENT")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with Wire() as wire:
        yield wire


@pytest.fixture(scope="module")
def faults(wire: Wire) -> Faults:
    return Faults(wire)


@pytest.fixture(scope="module")
def emulator(wire: Wire, faults: Faults) -> Iterator[Emulator]:
    with Emulator(interceptors=[faults], grace=0.1) as emulator:
        wire.connect(emulator.address)
        yield emulator


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = Backoff(first=0.0, longest=0.0)
    monkeypatch.setattr(launch, "BLOCKED", at_once)
    monkeypatch.setattr(submit, "LOOKS", replace(at_once, times=3))
    monkeypatch.setattr(watch, "LOOKS", replace(at_once, times=2))
    monkeypatch.setattr(service, "PAUSES", replace(at_once, times=2))


class FaultedLaunch:
    """Two jobs in a directory and in a project of their own; with `hangs` they end when they are cancelled."""

    def __init__(self, emulator: Emulator, wire: Wire, directory: Path, *, hangs: bool) -> None:
        self.hangs = hangs
        self.ends: dict[int, JobEnd] = {}
        self._emulator = emulator
        self._directory = directory
        project = f"f{next(_numbers)}"
        self._address = Address(Backend.VERTEX, f"projects/{project}/locations/l", f"http://{wire.address}")
        command = ["python", "-I", "-S", "-c", "import time; time.sleep(600)" if hangs else ""]
        labels = [{SWEEP_LABEL: f"{project}-{number}"} for number in (0, 1)]
        documents = {number: make_custom_job(command=command, labels=label) for number, label in enumerate(labels)}
        launch_directory.put_down(directory, self._address, documents, parallel=None)
        launch_directory.make_ready(directory, parallel=None)

    def run(self, *, again: bool) -> None:
        """Launches them, or comes back to them; those that hang are cancelled as after a SIGTERM."""
        interrupt = Interrupt(lambda: None)
        vertex = VertexService("l", endpoint=self._address.endpoint, pause=lambda _: vertex.renew())

        def wait(_: float) -> None:
            if self.hangs and not again:
                interrupt.received = signal.SIGTERM
            for name in [] if self.hangs and not again else self.names():
                wait_for_end(self._emulator.service, name)

        opened = OpenService(vertex, vertex.find, wait, renew=vertex.renew)
        options = LaunchOptions(on_refusal=OnRefusal.KEEP, on_interrupt=OnInterrupt.CANCEL, again=again)
        jobs = launch_directory.read_launch(self._directory)[0]
        Launch(jobs, lambda _: opened, interrupt, lambda end: self.ends.update({end.launched.number: end}), options).run()

    def names(self) -> list[str]:
        return [name for name in self._emulator.service.names() if name.startswith(f"{self._address.parent}/")]

    def cancel(self) -> None:
        """Ends them behind everybody's back."""
        for name in self.names():
            self._emulator.service.cancel(name)

    def created(self) -> Counter[int]:
        """How often each exists, by its number."""
        jobs = [self._emulator.service.get(name) for name in self.names()]
        return Counter(int(job["labels"][SWEEP_LABEL].rpartition("-")[2]) for job in jobs)


@pytest.fixture
def faulted(request: pytest.FixtureRequest, emulator: Emulator, wire: Wire, tmp_path: Path) -> FaultedLaunch:
    return FaultedLaunch(emulator, wire, tmp_path, hangs=request.node.callspec.params["verb"] is Verb.CANCEL)


@pytest.mark.parametrize(
    ("verb", "fault"),
    [row if (row[0], row[1].kind) in TOLD else thorough(row) for row in TABLE],
    ids=lambda each: str(each).removeprefix("Verb.").lower(),
)
def test_each_job_exists_once_at_most_and_all_that_exist_end(
    verb: Verb, fault: Fault, faults: Faults, faulted: FaultedLaunch
) -> None:
    with ExitStack() as trouble:
        trouble.enter_context(faults.planned(verb, fault, times=1))
        if verb is Verb.LIST:
            trouble.enter_context(faults.planned(Verb.CREATE, DROPPED, times=1))
        faulted.run(again=False)
    if faulted.hangs:  # one may not have been cancelled, and the error of its end says so
        faulted.cancel()
    first = dict(faulted.ends)
    faulted.run(again=True)
    created = faulted.created()
    assert set(created.values()) == {1}
    assert set(faulted.ends) == {0, 1}
    for number in created:
        assert faulted.ends[number].job is not None
        assert (faulted.ends[number].error == "") is not faulted.hangs
    for number in {0, 1} - set(created):  # told, and not created a second time
        assert (verb, fault.acted) == (Verb.CREATE, False)
        assert fault.kind in NOT_CREATED or "is not known" in first[number].error
