"""Settings that could not be read: they have their defaults, and nothing may be concluded from those."""

from __future__ import annotations

from collections.abc import Iterable


class Unread:
    """The paths of settings that could not be read, from `hydra.sweeper` on."""

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._paths = frozenset(paths)

    def __contains__(self, path: str) -> bool:
        """Whether this setting, or a section that it stands in, could not be read."""
        return any(_holds(unread, path) for unread in self._paths)

    def touches(self, path: str) -> bool:
        """Whether anything at this path, above or below, could not be read."""
        return path in self or any(_holds(path, unread) for unread in self._paths)


def _holds(section: str, path: str) -> bool:
    return path == section or path.startswith((f"{section}.", f"{section}["))
