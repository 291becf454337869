"""What a job asks of whoever suggests its trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from vertex_sweeper.services.local.parameter_tree import Choice


class Suggester(Protocol):
    """Decides what a trial tries. Called by one thread."""

    def suggest(self, trial: int) -> tuple[Choice, ...] | None:
        """What the trial of this number tries; None when there is nothing left to try."""

    def drawn(self, trial: int) -> Mapping[str, Any]:
        """All that `suggest` drew for a trial that has not ended, as plain data: what the trial has not, too."""

    def recall(self, trial: int, drawn: Mapping[str, Any]) -> None:
        """The same as if `suggest` had drawn this: trials of an earlier process, by their number."""

    def tell(self, trial: int, values: Mapping[str, float] | None) -> None:
        """A trial's final values by metric id; None when it was infeasible."""
