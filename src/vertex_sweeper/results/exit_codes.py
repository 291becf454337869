"""The exit code that a trial's reason names, and what `vertex-trial` means by its own."""

from __future__ import annotations

import re
from typing import Final

from vertex_sweeper_runtime.contract import SHIM
from vertex_sweeper_runtime.errors import PERMANENT

_EXIT: Final = re.compile(
    r"""(?<![a-z]) (?:exit|status|code|returned) [a-z_]* \W*
        (?: (?:a|an|and|the|of|with|was|is|non|zero|exit|exited|status|code|value) (?:\W+|_) )*
        (?<![\d.-]) (\d{1,3}) (?! \w | [.,/:]\d | \s* (?:%|[kmgt]i?b\b|bytes?\b|m?s\b|sec|min|hour|day) )""",
    re.IGNORECASE | re.VERBOSE,
)


_OURS: Final = re.compile(r"\(exit code (\d{1,3})\)$")
"""How the local service ends a reason whose first part is the trial's own words: those may speak of exit codes, too."""


def exit_code(reason: str) -> int | None:
    """The exit code that a service names in a trial's reason; None where it names none, or several.

    How Vertex words it is not documented: a number counts only right behind "exit", "status" or "code".
    """
    ours = _OURS.search(reason)
    codes = {int(ours[1])} if ours is not None else {int(found) for found in _EXIT.findall(reason)}
    return codes.pop() if len(codes) == 1 else None


def explained(reason: str) -> str:
    """The service names an exit code; what the shim means by its own codes is added."""
    meaning = PERMANENT.get(exit_code(reason) or 0)
    return f"{reason} ({SHIM}: {meaning})" if meaning and f"{SHIM}: " not in reason else reason
