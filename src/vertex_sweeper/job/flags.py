"""A parameter's value as a word of the container's command line, as Vertex has been seen to write it."""

from __future__ import annotations

from vertex_sweeper_runtime.contract import Kind, ServiceValue


def plain_flag(id: str, value: ServiceValue, kind: Kind) -> str:
    """One word; DOUBLE and DISCRETE values are floats, as users have seen them.

    >>> plain_flag("lr", 1, Kind.DOUBLE), plain_flag("steps", 1, Kind.INTEGER)
    ('--lr=1.0', '--steps=1')
    """
    return f"--{id}={float(value)!r}" if kind in (Kind.DOUBLE, Kind.DISCRETE) else f"--{id}={value}"
