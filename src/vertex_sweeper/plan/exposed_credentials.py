"""Credentials among the overrides that trials are given: they stand in the job, as readable as a container's environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from hydra.errors import HydraException

from vertex_sweeper.credentials import credential_at, credential_in, credentials_among, exposed_line
from vertex_sweeper.space.hydra_api import Override, OverridesParser
from vertex_sweeper.space.key_paths import is_within, key_path, leaves
from vertex_sweeper.space.search_space import SearchSpace

_ENVIRONMENT: Final = ("hydra", "job", "env_set")
"""Where Hydra keeps the variables that it sets for a job."""


def exposed_credentials(space: SearchSpace, is_group: Callable[[Override], bool]) -> list[str]:
    """A line for each value in the search space that looks like a credential; `is_group` tells what chooses an option.

    A fixed value is told by its form or by its key's name. An element of a sweep is told by its form alone: nobody tries one
    password after the other, and `pool.token=cls,mean` is how apps name their settings.
    """
    fixed = [item for item in space.sequence if isinstance(item, str)]
    swept = [(parameter.key, literal) for parameter in space.parameters for literal in parameter.literals]
    return [*_among_fixed(fixed, is_group), *credentials_among(swept)]


def _among_fixed(lines: Sequence[str], is_group: Callable[[Override], bool]) -> Iterator[str]:
    parser = OverridesParser.create()
    for line in lines:
        key, _, text = line.partition("=")
        found = credentials_among([(key, text)])
        yield from found
        if not found:
            yield from (exposed_line(where, what) for where, what in _in_override(parser, line, is_group).items())


def _in_override(parser: OverridesParser, line: str, is_group: Callable[[Override], bool]) -> dict[str, str]:
    """What looks like a credential, by the key that it stands at."""
    try:
        override = parser.parse_override(line)
        value = None if override.is_delete() else override.value()
        path = key_path(override)
    except (HydraException, ValueError):
        return {}  # Hydra refuses it where it is composed, and says so
    if is_group(override) and not isinstance(value, Mapping):
        return {}
    found = {inner: _looks_like((*path, *inner), leaf) for inner, leaf in leaves(value)}
    return {".".join([override.get_key_element(), *map(str, inner)]): what for inner, what in found.items() if what}


def _looks_like(path: tuple[str | int, ...], value: Any) -> str | None:
    if is_within(path, _ENVIRONMENT) and len(path) > len(_ENVIRONMENT):
        return credential_in(str(path[len(_ENVIRONMENT)]), str(value))
    # An element of a list has the list's name.
    name = next((part for part in map(str, reversed(path)) if not part.isdigit()), "")
    return credential_at(name, value) if value is not None else None
