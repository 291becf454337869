"""The optional dependency of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vertex_sweeper.errors import MissingExtra


@contextmanager
def vertex_extra() -> Iterator[None]:
    """Turns a missing Google library, imported inside the block, into the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as missing:
        raise MissingExtra("vertex", "backend vertex") from missing
