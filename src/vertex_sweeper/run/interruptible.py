"""A service whose calls give way to a signal: nobody waits for a deadline on a network that has died."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from vertex_sweeper.api import Job
from vertex_sweeper.run.interrupt import Interrupt
from vertex_sweeper.services.base import OpenService, Service

PATIENCE: Final = 3.0
"""Seconds that a read has to be answered when a signal has come: long for a service that answers, short for a person."""

CREATION_PATIENCE: Final = 10.0
"""The same for a creation: to know the job's name is worth more."""


def interruptible(opened: OpenService, interrupt: Interrupt) -> OpenService:
    """The same service; where it is on this machine it answers at once, and is left as it is."""
    if opened.be_brief_when is None:
        return opened
    opened.be_brief_when(lambda: interrupt.pending)
    service = _Interruptible(opened, interrupt)
    return replace(opened, service=service, find=service.find)


class _Interruptible:
    """A `Service`, and `find`. To cancel is what a signal asks for, and goes on when one has come."""

    def __init__(self, opened: OpenService, interrupt: Interrupt) -> None:
        self._service: Service = opened.service
        self._find = opened.find
        self._interrupt = interrupt

    def create(self, parent: str, spec: Mapping[str, Any]) -> Job:
        """As the service does. Raises Unanswered, too: then nobody knows whether the job exists."""
        create = partial(self._service.create, parent, spec)
        return self._interrupt.call(create, patience=CREATION_PATIENCE, what="the answer to the job's creation")

    def get(self, name: str) -> Job:
        """As the service does. Raises Unanswered, too."""
        return self._interrupt.call(partial(self._service.get, name), patience=PATIENCE, what=f"news of {name}")

    def cancel(self, name: str) -> None:
        """As the service does."""
        self._service.cancel(name)

    def find(self, parent: str, labels: Mapping[str, str | None], *, custom: bool | None = None) -> list[Job]:
        """As the service does. Raises Unanswered, too."""
        find = partial(self._find, parent, labels, custom=custom)
        return self._interrupt.call(find, patience=PATIENCE, what=f"the jobs of {parent}")
