"""The devices of local trials, before a sweep begins: what the machine has, and whether the slots have enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.settings import Backend, Devices, DeviceSharing, Reading, Settings

if TYPE_CHECKING:
    from vertex_sweeper.services.local.devices import Machine

_PATH: Final = "hydra.sweeper.local.devices"
_VARIABLE: Final = "CUDA_VISIBLE_DEVICES"


def look(environment: Mapping[str, str]) -> Machine:
    """What is known of this machine's devices, given the environment of this process."""
    from vertex_sweeper.services.local.devices import look_at_machine  # of no use to other backends

    return look_at_machine(environment)


def share_devices(
    reading: Reading[Settings], environment: Mapping[str, str], *, look: Callable[[Mapping[str, str]], Machine] = look
) -> Reading[Settings]:
    """The settings with the devices of each slot in the place of `auto` and `none`; empty where all trials see the same.

    Args:
        reading: The settings as they were read.
        environment: That of this process.
        look: Tells what is known of the machine.

    Raises:
        InvalidSweep: A device is not there, or there are more slots than devices.
    """
    settings, unread = reading.settings, reading.unread
    if settings.backend is not Backend.LOCAL or any(map(unread.touches, ("hydra.sweeper.backend", _PATH))):
        return reading
    chosen = settings.local.devices
    own = _VARIABLE in settings.trial.env
    notes: list[str] = []
    slots: Sequence[Devices] = ()
    if isinstance(chosen, DeviceSharing):
        if chosen is DeviceSharing.AUTO and not own:
            slots, notes = _share_all(look(environment), settings)
    elif own:
        raise InvalidSweep([f"{_PATH}: must not be set beside trial.env.{_VARIABLE}: leave one of them out"])
    else:
        slots = chosen
        devices = [device for slot in slots for device in slot.split(",")]
        mistakes = [f"{_PATH}: {line}" for line in look(environment).find_mistakes(devices)]
        if mistakes:
            raise InvalidSweep(mistakes)
    _check_slots(settings, slots)
    shared = replace(settings, local=replace(settings.local, devices=tuple(slots)))
    return replace(reading, settings=shared, notes=(*reading.notes, *notes))


def _share_all(machine: Machine, settings: Settings) -> tuple[Sequence[Devices], list[str]]:
    if machine.unknown:
        return (), [f"{_PATH}: which devices are here cannot be told ({machine.unknown}), and every trial sees all of them"]
    slots = [Devices(device) for device in machine.devices]
    if not slots:
        return (), []
    count = "1 device" if len(slots) == 1 else f"{len(slots)} devices"
    at_once = "" if settings.parallel_trial_count else ", and as many trials run at a time"
    return slots, [f"{_PATH}: {count} here ({', '.join(slots)}): one for each trial{at_once}; none lets every trial see all"]


def _check_slots(settings: Settings, slots: Sequence[Devices]) -> None:
    parallel = settings.spec_overrides.get("parallelTrialCount", settings.parallel_trial_count)
    if slots and isinstance(parallel, int) and parallel > len(slots):
        have = "1 slot has" if len(slots) == 1 else f"{len(slots)} slots have"
        rule = f"hydra.sweeper.parallel_trial_count: {parallel} trials at a time, and {have} devices ({'; '.join(slots)})"
        raise InvalidSweep([f"{rule}: lower it, or set {_PATH.removeprefix('hydra.sweeper.')}=none to let every trial see all"])
