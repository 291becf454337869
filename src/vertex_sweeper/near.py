"""The near match of a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def near(word: str, known: Iterable[str], *, most: int = 1) -> str:
    """` (did you mean X?)` for the closest known spelling, or a few, whatever their case; or nothing."""
    return meant(nearest(word, known, most=most))


def nearest(word: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.5) -> list[str]:
    """The closest known spellings, whatever their case; at 1, `cutoff` takes no other one."""
    spellings = {spelling.lower(): spelling for spelling in known}
    return [spellings[match] for match in difflib.get_close_matches(word.lower(), list(spellings), n=most, cutoff=cutoff)]


def meant(words: Sequence[str]) -> str:
    """The end of a line that asks whether one of these was meant; nothing for none."""
    return f" (did you mean {' or '.join(words)}?)" if words else ""
