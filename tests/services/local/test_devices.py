"""The machine's devices: what its driver tells, which of them a trial sees, and that a trial's is free again at its end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vertex_sweeper.errors import InvalidJob
from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.devices import Machine, look_at_machine
from vertex_sweeper.services.local.execute.environment import CUDA_VISIBLE_DEVICES
from vertex_sweeper.services.local.records.viewer import Viewer
from vertex_sweeper.testing.gate import PARENT, Gate, Visitor, wait_for_end

Start = Callable[..., LocalService]

NVML = """
class NVMLError(Exception):
    pass

def nvmlInit():
    if {broken!r}:
        raise NVMLError({broken!r})

def nvmlShutdown():
    pass

def nvmlDeviceGetCount():
    return {count}

def nvmlDeviceGetHandleByIndex(number):
    return number

def nvmlDeviceGetUUID(number):
    return f"GPU-{{number}}a"
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Machine]:
    """Looks at a machine with a driver and as many devices; a stand-in for NVML, which needs one."""

    def look(count: int, visible: str | None = None, *, broken: str = "") -> Machine:
        (tmp_path / "pynvml.py").write_text(NVML.format(count=count, broken=broken))
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "pynvml", raising=False)
        return look_at_machine({} if visible is None else {CUDA_VISIBLE_DEVICES: visible}, driver=[tmp_path / "no", tmp_path])

    return look


@pytest.mark.parametrize(
    ("count", "visible", "devices"),
    [
        (3, None, ("0", "1", "2")),
        (0, None, ()),
        (4, "2,3", ("2", "3")),
        (4, " 3, 0 ", ("3", "0")),
        (4, "", ()),
        (4, "-1", ()),
        (2, "0,7,1", ("0",)),
        (2, "GPU-1,GPU-0a", ("GPU-1", "GPU-0a")),
        (2, "MIG-8a", ("MIG-8a",)),
        (2, "GPU-9,0", ()),
    ],
)
def test_the_devices_of_a_machine_are_those_that_this_process_sees(
    machine: Callable[..., Machine], count: int, visible: str | None, devices: tuple[str, ...]
) -> None:
    assert machine(count, visible).devices == devices


@pytest.mark.parametrize(
    ("count", "visible", "device", "mistake"),
    [
        (2, None, "1", None),
        (2, None, "2", "device 2 is unknown: this machine has devices 0 to 1"),
        (1, None, "GPU-1", "device GPU-1 is unknown: this machine has device 0 alone"),
        (2, None, "GPU-1", None),
        (0, None, "0", "device 0 is unknown: the driver knows no device"),
        (4, "2,3", "0", "device 0 is not visible here: CUDA_VISIBLE_DEVICES is 2,3"),
        (4, "", "0", "device 0 is not visible here: CUDA_VISIBLE_DEVICES is empty"),
        (4, "2,3", "3", None),
        (2, "2,3", "3", "device 3 is unknown: this machine has devices 0 to 1"),
    ],
)
def test_a_device_that_no_trial_would_see_is_a_mistake(
    machine: Callable[..., Machine], count: int, visible: str | None, device: str, mistake: str | None
) -> None:
    assert list(machine(count, visible).find_mistakes([device])) == ([] if mistake is None else [mistake])


def test_a_driver_that_does_not_answer_knows_nothing(machine: Callable[..., Machine]) -> None:
    broken = machine(2, broken="Driver/library version mismatch")
    assert (broken.devices, broken.unknown) == ((), "Driver/library version mismatch")
    assert list(broken.find_mistakes(["9"])) == []


def test_without_nvidia_ml_py_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert look_at_machine({}, driver=[tmp_path]).unknown == "nvidia-ml-py is not installed"


def test_without_a_driver_nothing_is_imported(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from vertex_sweeper.services.local.devices import look_at_machine
print(look_at_machine({{}}, driver=[Path({str(tmp_path / "none")!r})]).devices, "pynvml" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "() False\n"


def device_of(visitor: Visitor) -> str | None:
    return visitor.environ.get(CUDA_VISIBLE_DEVICES)


def devices_in(job: Any) -> dict[str, str | None]:
    return {trial["id"]: trial.get("device") for trial in job["trials"]}


def test_each_trial_at_a_time_has_devices_of_its_own_and_leaves_them_to_the_next(start: Start, gate: Gate) -> None:
    service = start(devices=["0,1", "5"])
    name = service.create(PARENT, gate.job(most=4, parallel=2))["name"]
    running = {visitor.trial: visitor for visitor in (gate.next(), gate.next())}
    assert {trial: device_of(visitor) for trial, visitor in running.items()} == {"1": "0,1", "2": "5"}
    running["2"].finish(acc=1)
    third = gate.next()
    assert (third.trial, device_of(third)) == ("3", "5")
    running["1"].do("sys.exit(0)")  # without a result: its devices are free all the same
    fourth = gate.next()
    assert (fourth.trial, device_of(fourth)) == ("4", "0,1")
    third.finish(acc=1)
    fourth.finish(acc=1)
    assert devices_in(wait_for_end(service, name)) == {"1": "0,1", "2": "5", "3": "5", "4": "0,1"}


def test_after_a_restart_each_trial_has_the_devices_it_had(start: Start, gate: Gate, tmp_path: Path) -> None:
    records = tmp_path / "records"
    service = start(devices=["0", "1", "2"], records=records)
    name = service.create(PARENT, gate.job(most=4, parallel=3))["name"]
    first = {visitor.trial: visitor for visitor in (gate.next(), gate.next(), gate.next())}
    first["1"].finish(acc=1)
    gate.next()
    first["2"].finish(acc=1)
    while sum(trial["state"] == "SUCCEEDED" for trial in service.get(name)["trials"]) < 2:
        service.wait_for_change(60)
    service.close()
    assert devices_in(Viewer(records).get(name)) == {"1": "0", "2": "1", "3": "2", "4": "0"}
    later = start(records=records)  # it is not told of devices
    later.resume()
    again = {visitor.trial: visitor for visitor in (gate.next(), gate.next())}
    assert {trial: device_of(visitor) for trial, visitor in again.items()} == {"3": "2", "4": "0"}
    for visitor in again.values():
        visitor.finish(acc=1)
    assert devices_in(wait_for_end(later, name)) == {"1": "0", "2": "1", "3": "2", "4": "0"}


def test_without_devices_a_trial_sees_what_the_service_does(start: Start, gate: Gate) -> None:
    service = start(environment={"PATH": "/usr/bin:/bin", CUDA_VISIBLE_DEVICES: "3"})
    name = service.create(PARENT, gate.job())["name"]
    visitor = gate.next()
    assert device_of(visitor) == "3"
    visitor.finish(acc=1)
    assert "device" not in wait_for_end(service, name)["trials"][0]


def test_a_job_with_more_slots_than_devices_is_refused(start: Start, gate: Gate) -> None:
    with pytest.raises(InvalidJob, match="Must be at most 2, as many as have devices, got 3"):
        start(devices=["0", "1"]).create(PARENT, gate.job(most=3, parallel=3))
