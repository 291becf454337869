"""The search space of a sweep, from what stands in `hydra.sweeper`, in search-space files, and on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.hydra_overrides import aliased, trial_hydra_overrides
from vertex_sweeper.plan.other_sweepers import space_of_others
from vertex_sweeper.space.config_groups import GroupFiles
from vertex_sweeper.space.group_spaces import DEFAULT_GROUP, add_group_spaces
from vertex_sweeper.space.overrides import OverrideReader, WrittenOverride, merge, rivals
from vertex_sweeper.space.resolution import Resolution
from vertex_sweeper.space.search_space import SearchSpace, build_space, misread, nothing_to_tune
from vertex_sweeper.space.written_values import Interpolated, Shape, mark_interpolated


def read_space(arguments: Sequence[str], config: DictConfig, files: GroupFiles, *, allow_secrets: bool) -> SearchSpace:
    """The search space of these command-line overrides and this config. Raises InvalidSweep with every mistake."""
    resolution = Resolution(config, files, allow_secrets=allow_secrets)
    while True:
        reader = OverrideReader(files.config_loader, resolution)
        own, notes, mistakes = _read_own(reader, arguments, config, files)
        if resolution.is_over(own):
            break
    if resolution.mistakes:
        raise InvalidSweep([*resolution.mistakes, *resolution.about_the_user([*reader.mistakes, *mistakes])])
    mistakes += aliased(own, config, files.config_loader)
    if reader.mistakes or mistakes:
        raise InvalidSweep([*reader.mistakes, *mistakes, *misread(own)])
    given_to_trials = reader.command_line(trial_hydra_overrides(config))
    space = build_space([*given_to_trials, *own])
    if not space.parameters:
        raise InvalidSweep([nothing_to_tune(build_space(own)), *reader.notes])
    return replace(space, notes=(*resolution.notes, *reader.notes, *notes, *space.notes))


def _read_own(
    reader: OverrideReader, arguments: Sequence[str], config: DictConfig, files: GroupFiles
) -> tuple[list[WrittenOverride], list[str], list[str]]:
    """The sweep's own overrides with those of search-space files, notes, and mistakes that are not the reader's."""
    section = config.hydra.sweeper
    in_yaml = reader.params(_as_written(section, Shape.PARAMS)) + reader.conditional(_as_written(section, Shape.CONDITIONAL))
    given = reader.command_line(arguments)
    merged, repeated = merge(in_yaml, given)
    own, notes = _with_group_spaces(merged, reader, section.get("search_space"), files)
    return own, notes, [*repeated, *rivals(own, files.has_group)]


def _with_group_spaces(
    own: list[WrittenOverride], reader: OverrideReader, group: Any, files: GroupFiles
) -> tuple[list[WrittenOverride], list[str]]:
    """The overrides with those that options of swept groups bring, and a line for each file that was used."""
    key = "hydra.sweeper.search_space"
    if group is None:
        return own, []
    if not isinstance(group, str) or not group.strip("/"):
        raise InvalidSweep([f"{key}: {group!r} must be the name of a config group, or null for none{space_of_others(group)}"])
    if not files.has_group(group):
        if group == DEFAULT_GROUP:
            return own, []
        raise InvalidSweep([f"{key}: there is no config group {group!r} among this app's configs: name one, or null"])
    return add_group_spaces(own, group=group, files=files, reader=reader)


def _as_written(section: DictConfig, shape: Shape) -> Any:
    """A part of the search space as it was written, interpolations marked as such."""
    key = shape.value
    plain = OmegaConf.to_container(section, resolve=False)
    part = plain.get(key) if isinstance(plain, dict) else None
    marked = mark_interpolated({} if part is None else part, shape, Interpolated(part, shape, ("hydra", "sweeper", key)))
    if not isinstance(marked, dict | Interpolated):
        raise InvalidSweep([f"hydra.sweeper.{key}: {part} must be a mapping of keys to expressions"])
    return marked
