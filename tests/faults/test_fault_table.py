"""Whatever goes wrong with a call on its way to the service, and whenever: one job at most, and nothing of it is lost.

Each cell is a sweep with Google's client over real gRPC against the emulator. The table says of every fault how the sweep ends;
what must hold in all cells stands in the test.
"""

from __future__ import annotations

import errno
import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

for module in ("google.cloud.aiplatform_v1", "optuna", "cryptography"):
    pytest.importorskip(module, reason=f"{module} is not installed: the emulator needs it, and Google's client")


from tests.faults.faulted_sweep import FaultedSweep, comparable, settings  # noqa: E402
from tests.faults.frames import BREAKS, HTTP, FrameFault, FrameProxy  # noqa: E402
from tests.faults.injection import DROPPED, HIDDEN, LATE, Fault, Faults, Wire  # noqa: E402
from tests.support import app_in, thorough  # noqa: E402
from vertex_sweeper.emulator import Emulator  # noqa: E402
from vertex_sweeper.errors import JobNotFound, ServiceError, SweepDirectoryError, SweepError  # noqa: E402
from vertex_sweeper.messages import attach_command  # noqa: E402
from vertex_sweeper.plan.plan import Plan  # noqa: E402
from vertex_sweeper.run import submit, watch  # noqa: E402
from vertex_sweeper.services.vertex import service  # noqa: E402
from vertex_sweeper.services.vertex.errors import Verb  # noqa: E402
from vertex_sweeper.services.vertex.service import TIMEOUTS  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CODES = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED", "ABORTED", "PERMISSION_DENIED")
BEFORE = {code: Fault(code, acted=False) for code in CODES}
# A service that denies a permission has not acted: that is what the code says, and nobody on the way answers with it.
AFTER = {code: Fault(code, acted=True) for code in CODES if code != "PERMISSION_DENIED"}
LATE_AFTER = {Verb.CREATE: 1.0, Verb.GET: 0.05, Verb.LIST: 0.05, Verb.CANCEL: 0.2}
"""Seconds that a client waits for an answer that comes too late. To give up a creation before it arrived is another cell."""
DENIED = "ask for roles/aiplatform.user"
FRAMES = {
    fault.kind: fault
    for fault in (*BREAKS, *HTTP.values())
    if fault.kind
    in (
        "GOAWAY NO_ERROR, last stream 0, closed",
        "GOAWAY NO_ERROR, this stream, closed",
        "RST_STREAM REFUSED_STREAM",
        "RST_STREAM ENHANCE_YOUR_CALM",
        "RST_STREAM INADEQUATE_SECURITY",
        "cut after 1 frames and 12 bytes",
        "HTTP 502",
    )
}
"""What each call may meet between the two ends; `test_frame_faults.py` has all of their kinds, without a sweep around them."""
UNSEEN = [fault for fault in BREAKS if not fault.acted]
"""What a creation may meet that then does not arrive: nobody can tell."""
OFTEN = {"once": 1.0, "lasting": math.inf}


class End(Enum):
    """How a sweep ends; the value is what it says, besides the fault itself."""

    UNNOTICED = ()
    """The call was made again, and all is well."""
    REPEATED = ("nothing was created, so once more in 5 s",)
    FOUND = ("the job may exist all the same: looking for it", "found it: JOB")
    FOUND_BUSY = ("nothing was created, so once more in 5 s", "it was created all the same: JOB")
    UNCLEAR = ("whether the job was created is not known, and it is not created a second time", "ATTACH")
    REFUSED = ("cannot create a tuning job in PARENT",)
    """And the directory is free."""
    LOOKED_AGAIN = ("looking again in 5 s, with fresh credentials", "the service answers again")
    DETACHED = ("the job goes on, and so does the watch", "the job goes on without this process", "ATTACH")
    """It would have watched on, and was told to end."""
    LOST = ("cannot read JOB", "the job JOB may go on", "ATTACH", "CANCEL")
    NOT_CANCELLED = ("cannot cancel JOB", "the job JOB may go on", "ATTACH", "CANCEL")


@dataclass(frozen=True)
class Cell:
    call: Verb
    fault: Fault | FrameFault
    often: str
    end: End
    jobs: int

    def __str__(self) -> str:
        return f"{self.call.name.lower()}: {self.fault}, {self.often}"


def creations() -> Iterator[Cell]:
    ends = {"RESOURCE_EXHAUSTED": (End.REPEATED, 1, End.REFUSED, 0), "PERMISSION_DENIED": (End.REFUSED, 0, End.REFUSED, 0)}
    for code, fault in BEFORE.items():
        # Nobody can tell from these codes that the service did not act.
        once, jobs_once, lasting, jobs_lasting = ends.get(code, (End.UNCLEAR, 0, End.UNCLEAR, 0))
        yield Cell(Verb.CREATE, fault, "once", once, jobs_once)
        yield Cell(Verb.CREATE, fault, "lasting", lasting, jobs_lasting)
    for fault in (*AFTER.values(), DROPPED, LATE):
        for often in OFTEN:
            yield Cell(Verb.CREATE, fault, often, End.FOUND_BUSY if fault.kind == "RESOURCE_EXHAUSTED" else End.FOUND, 1)
    for broken in (*FRAMES.values(), *(HTTP[status] for status in (401, 403, 404))):
        yield Cell(Verb.CREATE, broken, "lasting", End.FOUND, 1)
    for broken in UNSEEN:
        yield Cell(Verb.CREATE, broken, "lasting", End.UNCLEAR, 0)


def reads() -> Iterator[Cell]:
    for fault in (*BEFORE.values(), DROPPED, LATE):
        denied = fault.kind == "PERMISSION_DENIED"
        yield Cell(Verb.GET, fault, "once", End.LOOKED_AGAIN if denied else End.UNNOTICED, 1)
        yield Cell(Verb.GET, fault, "lasting", End.LOST if denied else End.DETACHED, 1)


def lists() -> Iterator[Cell]:
    """Jobs are listed when the answer to a creation was lost: here the connection is dropped after the service acted."""
    for fault in (*BEFORE.values(), DROPPED, LATE, HIDDEN):
        yield Cell(Verb.LIST, fault, "once", End.UNCLEAR if fault.kind == "PERMISSION_DENIED" else End.FOUND, 1)
        yield Cell(Verb.LIST, fault, "lasting", End.UNCLEAR, 1)


def cancellations() -> Iterator[Cell]:
    for fault in (*BEFORE.values(), *AFTER.values(), DROPPED, LATE):
        denied = fault.kind == "PERMISSION_DENIED"
        yield Cell(Verb.CANCEL, fault, "once", End.NOT_CANCELLED if denied else End.UNNOTICED, 1)
        yield Cell(Verb.CANCEL, fault, "lasting", End.NOT_CANCELLED, 1)


def broken_frames() -> Iterator[Cell]:
    """Once: what lasts is a connection that breaks, as above."""
    for call, end in ((Verb.GET, End.UNNOTICED), (Verb.LIST, End.FOUND), (Verb.CANCEL, End.UNNOTICED)):
        for fault in FRAMES.values():
            yield Cell(call, fault, "once", end, 1)


TABLE = (*creations(), *reads(), *lists(), *cancellations(), *broken_frames())


def test_the_table_has_every_call_with_every_fault() -> None:
    assert len(FRAMES) == 7
    per_call = {Verb.CREATE: 6 + 5 + 2, Verb.GET: 6 + 2, Verb.LIST: 6 + 2 + 1, Verb.CANCEL: 6 + 5 + 2}
    only_once = {Verb.CREATE: 7 + 3 + len(UNSEEN), **dict.fromkeys((Verb.GET, Verb.LIST, Verb.CANCEL), 7)}
    assert set(per_call) == set(only_once) == set(Verb)
    assert Counter(cell.call for cell in TABLE) == {call: 2 * faults + only_once[call] for call, faults in per_call.items()}
    assert len({str(cell) for cell in TABLE}) == len(TABLE)
    for call in Verb:
        kinds = {(cell.fault.kind, cell.often) for cell in TABLE if cell.call is call}
        assert {kind for kind, _ in kinds} >= set(FRAMES)
        assert kinds >= {(kind, often) for kind in (*CODES, DROPPED.kind, LATE.kind) for often in OFTEN}


@pytest.fixture(autouse=True)
def _soon_tired(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is made three times and a lost job is looked for four times: that it is more is seen elsewhere."""
    monkeypatch.setattr(service, "PAUSES", replace(service.PAUSES, times=2, jitter=0.0))
    monkeypatch.setattr(submit, "LOOKS", replace(submit.LOOKS, times=3, jitter=0.0))
    monkeypatch.setattr(watch, "LOOKS", replace(watch.LOOKS, jitter=0.0))
    monkeypatch.setattr(submit, "REPEATS", replace(submit.REPEATS, jitter=0.0))


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with Wire() as wire:
        yield wire


@pytest.fixture(scope="module")
def faults(wire: Wire) -> Faults:
    return Faults(wire)


@pytest.fixture(scope="module")
def emulator(wire: Wire, faults: Faults) -> Iterator[Emulator]:
    with Emulator(interceptors=[faults], grace=2.0) as emulator:
        wire.connect(emulator.address)
        yield emulator


@pytest.fixture(scope="module")
def proxy(emulator: Emulator, wire: Wire) -> Iterator[FrameProxy]:
    assert emulator.address
    with FrameProxy(wire.address) as proxy:
        yield proxy


Planned = Callable[[Verb, "Fault | FrameFault", float], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def planned(faults: Faults, proxy: FrameProxy) -> Planned:
    """What makes the next calls of a verb fail, so many of them, wherever such a fault happens."""

    def planned(verb: Verb, fault: Fault | FrameFault, times: float) -> AbstractContextManager[None]:
        if isinstance(fault, FrameFault):
            return proxy.planned(verb, fault, times=times)
        return faults.planned(verb, fault, times=times)

    return planned


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    with app_in(tmp_path_factory.mktemp("app"), {"config": "batch: 8\n"}) as app:
        yield app.plan(*settings())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, emulator: Emulator, wire: Wire, plan: Plan) -> dict[bool, Any]:
    """What a sweep finds out to whom nothing happens, by whether its job must be cancelled."""
    results = {}
    for hangs in (False, True):
        faulted = FaultedSweep(emulator, wire, plan, tmp_path_factory.mktemp("undisturbed") / "sweep", hangs=hangs)
        faulted.sweep()
        results[hangs] = comparable(faulted.directory)
    assert [trial["batch"] for trial in results[False]["trials"]] == ["16", "32"]
    assert results[True]["state"] == "JOB_STATE_CANCELLED"
    return results


@pytest.fixture
def faulted(request: pytest.FixtureRequest, tmp_path: Path, emulator: Emulator, proxy: FrameProxy, plan: Plan) -> FaultedSweep:
    cell = request.node.callspec.params.get("cell")
    faulted = FaultedSweep(emulator, proxy, plan, tmp_path / "sweep", hangs=cell is not None and cell.call is Verb.CANCEL)
    if cell is None:
        return faulted
    if cell.fault is LATE:
        faulted.timeouts[cell.call] = LATE_AFTER[cell.call]
    if cell.end is End.DETACHED:
        faulted.patience = 3
    return faulted


def rows() -> list[Any]:
    """Of every call the first cell that ends in each way; the others are `thorough`, as is the same end once more."""
    seen: set[tuple[Verb, End]] = set()
    return [thorough(cell) if (key := (cell.call, cell.end)) in seen else seen.add(key) or cell for cell in TABLE]


@pytest.mark.parametrize("cell", rows(), ids=str)
def test_there_is_one_job_at_most_and_attach_brings_all_of_it(
    cell: Cell,
    faulted: FaultedSweep,
    planned: Planned,
    undisturbed: dict[bool, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="vertex_sweeper")
    with ExitStack() as trouble:
        times = 2 if (cell.fault, cell.often) == (HIDDEN, "once") else OFTEN[cell.often]
        trouble.enter_context(planned(cell.call, cell.fault, times))
        if cell.call is Verb.LIST:
            trouble.enter_context(planned(Verb.CREATE, DROPPED, math.inf))
        said = run(faulted, cell, caplog)
        assert len(faulted.jobs()) == cell.jobs
        for part in cell.end.value:
            assert filled(part, faulted) in said
        if cell.often == "lasting" and cell.call in (Verb.GET, Verb.LIST):
            check_that_attaching_is_no_harm(faulted, cell)
    faulted.timeouts.update(TIMEOUTS)
    check_what_remains(faulted, cell, undisturbed[faulted.hangs])


def run(faulted: FaultedSweep, cell: Cell, caplog: pytest.LogCaptureFixture) -> str:
    """The sweep; all that it said, on the way and in the end."""
    fails = cell.end in (End.UNCLEAR, End.REFUSED, End.LOST, End.NOT_CANCELLED)
    if not fails:
        faulted.sweep()
        return caplog.text
    with pytest.raises(ServiceError) as caught:
        faulted.sweep()
    message = str(caught.value)
    assert "\n" not in message
    if cell.call is not Verb.LIST and not isinstance(
        cell.fault, FrameFault
    ):  # there the reason is the creation whose answer was lost
        code = {DROPPED: "UNAVAILABLE", LATE: "DEADLINE_EXCEEDED"}.get(cell.fault, cell.fault.kind)
        assert f"({code})" in message
        assert (DENIED in message) == (code == "PERMISSION_DENIED")
        assert ("Quotas page" in message) == (code == "RESOURCE_EXHAUSTED")
    return caplog.text + message


def filled(part: str, faulted: FaultedSweep) -> str:
    """A part of a message, with the names of this sweep."""
    job = faulted.jobs()[0] if faulted.jobs() else ""
    commands = {"ATTACH": attach_command(faulted.directory), "CANCEL": f"vertex-sweeper cancel {faulted.directory}"}
    return commands.get(part) or part.replace("JOB", job).replace("PARENT", faulted.parent)


def check_that_attaching_is_no_harm(faulted: FaultedSweep, cell: Cell) -> None:
    """Somebody comes back while it still goes wrong: told so in a line, or to come back again, and nothing is changed."""
    with pytest.raises(SweepError) as caught:
        faulted.attach()
    assert "\n" not in str(caught.value)
    assert faulted.parent in str(caught.value)
    assert isinstance(caught.value, JobNotFound) == (cell.fault is HIDDEN)
    if cell.fault is not HIDDEN:
        assert (DENIED if cell.fault.kind == "PERMISSION_DENIED" else attach_command(faulted.directory)) in str(caught.value)
    assert len(faulted.jobs()) == cell.jobs


def check_what_remains(faulted: FaultedSweep, cell: Cell, undisturbed: Any) -> None:
    """The fault is over."""
    if cell.end is End.REFUSED:
        assert not list(faulted.directory.iterdir())
        faulted.sweep()  # the directory is free
    elif not cell.jobs:
        with pytest.raises(JobNotFound, match=r"no job with the label .* look in the console, .* another directory"):
            faulted.attach()
        assert not faulted.jobs()
        return
    else:
        if faulted.hangs:
            faulted.cancel()
        faulted.attach()
    assert len(faulted.jobs()) == 1
    assert comparable(faulted.directory) == undisturbed


@pytest.mark.parametrize("kind", ["RST_STREAM ENHANCE_YOUR_CALM", "RST_STREAM INADEQUATE_SECURITY", "HTTP 403"])
def test_a_job_that_no_list_shows_is_not_created_again_and_its_directory_stays_its_own(
    kind: str, faulted: FaultedSweep, planned: Planned
) -> None:
    """The code is that of a service that is busy, or denies a permission, and has done nothing."""
    fault = next(fault for fault in (*BREAKS, *HTTP.values()) if fault.kind == kind)
    with planned(Verb.CREATE, fault, math.inf), planned(Verb.LIST, HIDDEN, math.inf):
        with pytest.raises(ServiceError, match="whether the job was created is not known"):
            faulted.sweep()
        with pytest.raises(SweepDirectoryError, match="to another place"):
            faulted.sweep()
    assert len(faulted.jobs()) == 1
    faulted.attach()
    assert len(faulted.jobs()) == 1


@pytest.mark.parametrize("moment", ["created", "watched"])
def test_a_disk_that_fills_up_loses_nothing(faulted: FaultedSweep, undisturbed: dict[bool, Any], moment: str) -> None:
    whole = {"created": 3, "watched": 4}[moment]  # so many files are written before: the claim's, and the job with its name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full_after(whole))
        with pytest.raises(SweepDirectoryError, match="No space left on device") as caught:
            faulted.sweep()
    (name,) = faulted.jobs()
    assert attach_command(name if moment == "created" else faulted.directory) in str(caught.value)
    faulted.attach()
    assert faulted.jobs() == [name]
    assert comparable(faulted.directory) == undisturbed[False]


def full_after(files: int) -> Callable[[int], None]:
    """A disk that has room for so many files."""
    left = iter(range(files))

    def fsync(_: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fsync
