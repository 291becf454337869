"""Times and durations: seconds here (times since 1970), text in the API's JSON form, where whatever else stands is an error."""

from __future__ import annotations

import re
from datetime import datetime, timezone


def format_time(seconds: float) -> str:
    """As RFC 3339, in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(text: str) -> float:
    """An RFC 3339 time. Raises ValueError for anything else, and for a time of no time zone."""
    # Before 3.11 Python reads no Z, and three or six digits of a second only; the API may write none, three, six or nine.
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", str(text))
    try:
        second, fraction, zone = match.groups() if match else ("", "", "")
        zone = "+00:00" if zone in "Zz" else zone
        return datetime.fromisoformat(f"{second}.{(fraction or '0')[:6]:0<6}{zone}").timestamp()
    except ValueError:  # or there is no such day
        raise ValueError(f"Must be a time like 2026-01-31T12:00:00Z, got {text!r}.") from None


def format_duration(seconds: float) -> str:
    """As the API writes it: seconds with none, three or six digits behind the point."""
    text = f"{seconds:.6f}"
    while text.endswith("000") and "." in text:
        text = text[:-3].rstrip(".")
    return f"{text}s"


def parse_duration(text: str) -> float:
    """What `format_duration` gave. Raises ValueError for anything else, and for less than nothing."""
    if not re.fullmatch(r"\d+(\.\d+)?s", str(text)):
        raise ValueError(f"Must be a number of seconds like 3600s, got {text!r}.")
    return float(text[:-1])
