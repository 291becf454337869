"""The machine's NVIDIA devices, as far as its driver tells: they are shared out among the slots of local trials.

NVML is asked, the driver's own library, through `nvidia-ml-py`; CUDA itself would take memory of each device. Where there is no
driver nothing is imported.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vertex_sweeper.messages import one_line
from vertex_sweeper.services.local.execute.environment import CUDA_VISIBLE_DEVICES

if TYPE_CHECKING:
    from types import ModuleType

DRIVER: Final = (Path("/proc/driver/nvidia"), Path("/dev/nvidiactl"))
"""What is there on a Linux machine with NVIDIA's driver."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of a machine's devices.

    Attributes:
        uuids: Those of all devices, by their numbers; None where nobody knows.
        visible: What CUDA_VISIBLE_DEVICES of this process names; None where it is not set.
        unknown: Why nobody knows, where there is a driver.
    """

    uuids: Sequence[str] | None
    visible: Sequence[str] | None
    unknown: str = ""

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that this process may use, by the names that CUDA_VISIBLE_DEVICES has for them; those known only."""
        if self.uuids is None:
            return ()
        if self.visible is None:
            return tuple(map(str, range(len(self.uuids))))
        known: list[str] = []
        for device in self.visible:
            if not self._has(device):  # CUDA sees nothing of what stands behind a device that is not there
                break
            known.append(device)
        return tuple(known)

    def find_mistakes(self, devices: Sequence[str]) -> Iterator[str]:
        """A line for each of these devices that a process here would not see."""
        for device in devices:
            if self.visible is not None and device not in self.visible:
                seen = ",".join(self.visible)
                yield f"device {device} is not visible here: {CUDA_VISIBLE_DEVICES} is {seen or 'empty'}"
            elif not self._has(device):
                yield f"device {device} is unknown: {_described(self.uuids or ())}"

    def _has(self, device: str) -> bool:
        if self.uuids is None or device.startswith("MIG-"):  # a part of a device, which has a UUID of its own
            return True
        if device.isdigit():
            return int(device) < len(self.uuids)
        return any(uuid.startswith(device) for uuid in self.uuids)  # CUDA takes the beginning of a UUID, too


def look_at_machine(environment: Mapping[str, str], *, driver: Sequence[Path] = DRIVER) -> Machine:
    """What is known of this machine's devices.

    Args:
        environment: That of this process.
        driver: Files of which one is there where there is a driver.
    """
    written = environment.get(CUDA_VISIBLE_DEVICES)
    visible = None if written is None else [device.strip() for device in written.split(",") if device.strip()]
    if not any(path.exists() for path in driver):
        return Machine(None, visible)
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return Machine(None, visible, "nvidia-ml-py is not installed")
    try:
        with _initialised(nvml):
            return Machine([_uuid(nvml, number) for number in range(nvml.nvmlDeviceGetCount())], visible)
    except nvml.NVMLError as error:
        return Machine(None, visible, one_line(error))


@contextmanager
def _initialised(nvml: ModuleType) -> Iterator[None]:
    nvml.nvmlInit()
    try:
        yield
    finally:
        nvml.nvmlShutdown()


def _uuid(nvml: ModuleType, number: int) -> str:
    uuid: Any = nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(number))
    return uuid.decode() if isinstance(uuid, bytes) else str(uuid)  # bytes in versions before 11.5


def _described(uuids: Sequence[str]) -> str:
    if not uuids:
        return "the driver knows no device"
    return "this machine has device 0 alone" if len(uuids) == 1 else f"this machine has devices 0 to {len(uuids) - 1}"
