"""How a trial's values become arguments of its command. What Vertex does here is only partly documented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from vertex_sweeper.job.flags import plain_flag
from vertex_sweeper.services.local.parameter_tree import Choice


class Rendering(Protocol):
    """Turns a trial's choices and the container's own arguments into what stands behind the command."""

    def render(self, choices: Sequence[Choice], args: Sequence[str]) -> list[str]:
        """The arguments. Pure: the same input, the same output; called from any thread."""


@dataclass(frozen=True, slots=True)
class PlainRendering:
    """One token a parameter, behind the container's arguments; DISCRETE as a float, as users have seen it."""

    def render(self, choices: Sequence[Choice], args: Sequence[str]) -> list[str]:
        """`args`, then `--id=value` for every choice."""
        return [*args, *(plain_flag(choice.parameter.id, choice.value, choice.parameter.kind) for choice in choices)]


PLAIN: Final = PlainRendering()
"""The rendering that has been seen of Vertex."""
