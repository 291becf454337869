"""How long to wait before something is tried again: pauses that grow to a ceiling, no two processes' the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Pauses before further attempts, exponential with jitter; each iteration begins with the first one again.

    It waits for nothing itself: whoever iterates does, by the clock that it has.

    Args:
        first: Seconds of the first pause, without jitter.
        longest: Seconds that no pause exceeds, jitter included.
        growth: By what each pause is multiplied to become the next one.
        times: How many pauses there are; None stands for no end.
        patience: Seconds of pauses in all after which there are no more; None stands for no end.
        jitter: By which share of it a pause is lengthened at most, so that processes that failed together do not come back
            together.
        chance: A number from 0 to 1, drawn for each pause.

    >>> list(Backoff(first=1.0, longest=5.0, times=4, jitter=0.0))
    [1.0, 2.0, 4.0, 5.0]
    """

    first: float
    longest: float
    growth: float = 2.0
    times: int | None = None
    patience: float | None = None
    jitter: float = 0.25
    chance: Callable[[], float] = random.random

    def __iter__(self) -> Iterator[float]:
        """The seconds of each pause."""
        pause, paused = self.first, 0.0
        for number in count():
            if number == self.times or (self.patience is not None and paused >= self.patience):
                return
            seconds = min(pause * (1 + self.jitter * self.chance()), self.longest)
            yield seconds
            paused += seconds
            pause = min(pause * self.growth, self.longest)
