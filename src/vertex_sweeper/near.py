"""The near match of a misspelt word."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def near(word: str, known: Iterable[str], *, most: int = 1) -> str:
    """` (did you mean X?)` for the closest known spelling, or a few, whatever their case; or nothing."""
    spellings = {spelling.lower(): spelling for spelling in known}
    matches = difflib.get_close_matches(word.lower(), list(spellings), n=most, cutoff=0.5)
    return f" (did you mean {' or '.join(spellings[match] for match in matches)}?)" if matches else ""
