"""The optional parts of this package: whether one is installed, and the command that installs it."""

from __future__ import annotations

import importlib.util

from vertex_sweeper.errors import MissingExtra


def require(module: str, *, extra: str, purpose: str) -> None:
    """Says now what is not installed, without importing it: nothing has been written or started yet.

    Args:
        module: What the extra brings, `optuna`.
        extra: The extra's name, `local`.
        purpose: What needs it, as the message says it, `backend local`.

    Raises:
        MissingExtra: With the command that installs it.
    """
    if not installed(module):
        raise MissingExtra(extra, purpose)


def installed(module: str) -> bool:
    """Whether a module could be imported. It is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a parent package is missing too
        return False
