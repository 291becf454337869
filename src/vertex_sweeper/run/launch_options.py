"""How jobs are launched and followed."""

from __future__ import annotations

from dataclasses import dataclass

from vertex_sweeper.settings import OnInterrupt, OnRefusal


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """How jobs are launched and followed.

    Attributes:
        parallel: How many run at a time; None for all.
        on_interrupt: What a signal does to them.
        on_refusal: What becomes of the others when the service refuses one.
        wait: Follow them to their ends.
        again: Whether another process may have tried to create what is planned.
    """

    parallel: int | None = None
    on_interrupt: OnInterrupt = OnInterrupt.ASK
    on_refusal: OnRefusal = OnRefusal.CANCEL
    wait: bool = True
    again: bool = False
