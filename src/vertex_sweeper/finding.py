"""What a check found: that something is as a job needs it, that it is not, or that nobody could tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Found(Enum):
    """The three results of a check, as a screen shows them."""

    OK = "ok"
    FAILED = "failed"
    UNCHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        subject: What was looked at: `bucket`, `image`.
        found: The result.
        text: What is so, on one line.
        remedy: What to do about it: a command, or a sentence. Empty where there is nothing to do.
    """

    subject: str
    found: Found
    text: str
    remedy: str = ""


def ok(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding(subject, Found.OK, text)


def failed(subject: str, text: str, remedy: str = "") -> Finding:
    """A job would fail, or not start."""
    return Finding(subject, Found.FAILED, text, remedy)


def unchecked(subject: str, text: str, remedy: str = "") -> Finding:
    """Nobody could tell; `text` says why."""
    return Finding(subject, Found.UNCHECKED, text, remedy)
