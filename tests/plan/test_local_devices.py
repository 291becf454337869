"""What becomes of `local.devices` before a sweep begins: the devices of each slot, and as many slots as there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support import App, app_in
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.local_devices import share_devices
from vertex_sweeper.services.local.devices import Machine
from vertex_sweeper.settings import Backend, DeviceSharing, Settings, read_what_is_right

TWO = Machine(["GPU-a", "GPU-b"], None)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app_in(tmp_path_factory.mktemp("app"), {"config": "lr: 0.1\n"}) as app:
        yield app


def shared(machine: Machine = TWO, **section: Any) -> tuple[Settings, tuple[str, ...]]:
    """The settings with the devices of each slot, and the lines for the user."""
    reading = read_what_is_right({"backend": "local", **section}, Settings)
    assert reading.mistakes == ()
    done = share_devices(reading, {}, look=lambda _: machine)
    return done.settings, done.notes


def test_auto_is_one_device_for_each_slot_and_a_line_says_so() -> None:
    settings, (note,) = shared()
    assert settings.local.devices == ("0", "1")
    assert "2 devices here (0, 1): one for each trial, and as many trials run at a time" in note


@pytest.mark.parametrize("machine", [Machine(None, None), Machine(None, ["0", "1"]), Machine([], None), Machine(["GPU-a"], [])])
def test_auto_without_devices_changes_nothing(machine: Machine) -> None:
    settings, notes = shared(machine, parallel_trial_count=7)
    assert (settings.local.devices, settings.parallel_trial_count, notes) == ((), 7, ())


def test_auto_beside_a_driver_that_does_not_answer_says_why() -> None:
    settings, (note,) = shared(Machine(None, None, "Driver/library version mismatch"))
    assert settings.local.devices == ()
    assert "(Driver/library version mismatch), and every trial sees all of them" in note


@pytest.mark.parametrize(
    "section",
    [
        pytest.param({"local": {"devices": "none"}, "parallel_trial_count": 7}, id="none"),
        pytest.param({"trial": {"env": {"CUDA_VISIBLE_DEVICES": "1"}}, "parallel_trial_count": 7}, id="set for the trials"),
    ],
)
def test_devices_are_shared_out_only_where_that_is_wanted(section: dict[str, Any]) -> None:
    assert shared(**section)[0].local.devices == ()


def test_more_slots_than_the_machine_has_devices_is_one_line() -> None:
    with pytest.raises(InvalidSweep) as caught:
        shared(parallel_trial_count=3)
    (line,) = caught.value.mistakes
    assert line.startswith("hydra.sweeper.parallel_trial_count: 3 trials at a time, and 2 slots have devices (0; 1): lower it")


def test_a_device_that_is_not_there_is_one_line() -> None:
    with pytest.raises(InvalidSweep) as caught:
        shared(local={"devices": [0, 2]})
    assert caught.value.mistakes == ("hydra.sweeper.local.devices: device 2 is unknown: this machine has devices 0 to 1",)


def test_the_machine_is_not_looked_at_for_another_backend() -> None:
    reading = read_what_is_right({"backend": "local"}, Settings)
    vertex = replace(reading, settings=replace(reading.settings, backend=Backend.VERTEX))
    done = share_devices(vertex, {}, look=lambda _: pytest.fail("looked"))
    assert done.settings.local.devices is DeviceSharing.AUTO


@pytest.mark.parametrize(
    ("words", "devices", "parallel"),
    [
        ("hydra.sweeper.local.devices=[0,1,2]", ("0", "1", "2"), 3),
        ("hydra.sweeper.local.devices=['0, 1','2,3']", ("0,1", "2,3"), 2),
        ("hydra.sweeper.local.devices=[GPU-8932f937,MIG-1/2/0]", ("GPU-8932f937", "MIG-1/2/0"), 2),
        ("hydra.sweeper.local.devices=none", (), 2),
        ("hydra.sweeper.local.devices=[5]", ("5",), 1),
    ],
)
def test_a_job_has_as_many_trials_at_a_time_as_slots(app: App, words: str, devices: tuple[str, ...], parallel: int) -> None:
    plan = app.plan("lr=interval(0,1)", words)
    assert (plan.devices, plan.job["parallelTrialCount"]) == (devices, parallel)
    assert not [note for note in plan.notes if "numbers that are used as texts" in note]


def test_fewer_trials_at_a_time_than_slots_are_fine(app: App) -> None:
    plan = app.plan("lr=interval(0,1)", "hydra.sweeper.local.devices=[0,1,2]", "hydra.sweeper.parallel_trial_count=2")
    assert (len(plan.devices), plan.job["parallelTrialCount"]) == (3, 2)
