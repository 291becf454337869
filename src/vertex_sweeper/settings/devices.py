"""Which devices local trials have: `auto`, `none`, or a list with those of each slot, as CUDA_VISIBLE_DEVICES names them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, Final

from vertex_sweeper.credentials import shown

_NAME: Final = re.compile(r"[A-Za-z][\w/:.-]*", re.ASCII)
"""A device's UUID, `GPU-…` or `MIG-…`."""


class DeviceSharing(Enum):
    """Who decides which devices a local trial sees: the machine has one for each slot, or every trial sees all."""

    AUTO = "auto"
    NONE = "none"


class Devices(str):
    """The devices of one slot, as CUDA_VISIBLE_DEVICES has them: `0`, or `0,1`."""

    __slots__ = ()


def read_devices(value: Any) -> Devices:
    """The devices of one slot, as a user wrote them. Raises ValueError with the rule that is broken."""
    return Devices(",".join(_read_names(value)))


def broken_devices(slots: Sequence[str]) -> Iterator[str]:
    """A line for each device that comes more than once."""
    for device, count in Counter(device for slot in slots for device in slot.split(",")).items():
        if count > 1:
            yield f"device {device} is there {'twice' if count == 2 else f'{count} times'}: give it to one slot"  # noqa: PLR2004


def _read_names(item: Any) -> Iterator[str]:
    if isinstance(item, bool) or not isinstance(item, int | str):
        raise ValueError(f'{shown(item)} must be a device, as in 0, or the devices of one slot, as in "0,1"')  # noqa: TRY004 - collected with all other mistakes
    for name in str(item).split(","):
        device = name.strip()
        if not re.fullmatch(r"[0-9]+", device) and not _NAME.fullmatch(device):
            raise ValueError(f"{shown(item)} must have devices by their numbers, from 0, or by their UUIDs, as in GPU-…")
        yield str(int(device)) if device.isdigit() else device
