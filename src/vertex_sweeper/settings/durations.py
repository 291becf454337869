"""Times among the settings: whole seconds, or `90m`, `12h`, `7d`, `1h30m`."""

from __future__ import annotations

import re
from typing import Any, Final

from vertex_sweeper.credentials import shown

LONGEST: Final = 315_576_000_000
"""What the API's Duration can hold, in seconds."""

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PARTS: Final = re.compile("".join(rf"(?:([0-9]+){unit})?" for unit in _UNITS))


class Seconds(int):
    """A time in whole seconds; `written` is how a user wrote it, where that was no number."""

    written: str = ""


def read_seconds(value: Any) -> Seconds:
    """A time as a user wrote it. Raises ValueError with the rule that it breaks, and the remedy."""
    if type(value) is int:
        return _checked(Seconds(value))
    match = _PARTS.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError(f"{shown(value)} must be a whole number of seconds, or as in 45s, 90m, 12h, 7d, 1h30m{_remedy(value)}")
    counts = zip(match.groups(), _UNITS.values(), strict=True)
    time = Seconds(sum(int(count) * unit for count, unit in counts if count))
    time.written = value
    return _checked(time)


def as_written(number: int) -> str:
    """A number as messages show it."""
    return (isinstance(number, Seconds) and number.written) or str(number)


def _checked(time: Seconds) -> Seconds:
    if time > LONGEST:
        raise ValueError(f"{as_written(time)} is more than {LONGEST} seconds, the longest time of the API")
    return time


def _remedy(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    if re.fullmatch(r"-?[0-9]+", value):
        return f": write it without quotes, {value}"
    close = re.sub(r"\s+", "", value.lower())
    return f": write {close}" if close and close != value and _PARTS.fullmatch(close) else ""
