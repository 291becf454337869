"""What the sweep's configs looked like where it was started, so that a trial can tell whether its own are the same.

A trial's config depends on its fixed overrides, on the options of swept groups, and on swept values. So there is one snapshot
for each combination of options, made of a config that is composed anyway to check the sweep; the keys that swept values decide
are left out of it, and so are values that are paths on this machine.
"""

from __future__ import annotations

import itertools
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from omegaconf import DictConfig

from vertex_sweeper.job import LONGEST_CONTRACT
from vertex_sweeper.plan.composition import Compose, compose_with
from vertex_sweeper.settings import DriftPolicy
from vertex_sweeper.space.hydra_api import Override, OverridesParser
from vertex_sweeper.space.key_paths import KeyPath, key_path, paths_set
from vertex_sweeper_runtime import contract_document, fingerprint
from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, ServiceValue
from vertex_sweeper_runtime.fingerprint import Fingerprint, Leaf, Snapshot

MOST_SNAPSHOTS = 12
"""Combinations of options that are composed for this alone are at most so many; a trial with another one is not compared."""

LONGEST_DRIFT = 24 * 1024
"""What the fingerprint may add to the contract. Where it would be longer, deep keys are hashed together."""


def machine_roots(directory: Path) -> list[str]:
    """Folders that are somewhere else in a container: values under them are not compared."""
    folders = [directory, Path.home(), Path(sys.prefix)]
    with suppress(FileNotFoundError):  # where the disk is full, no folder for temporary files can be found
        folders.append(Path(tempfile.gettempdir()))
    return [folder.as_posix().rstrip("/") for folder in folders if folder.is_absolute() and len(folder.parts) > 1]


@dataclass(slots=True)
class _Recorded:
    """One config without what is not compared; `again` says that a second one with the same options was looked at."""

    leaves: list[Leaf]
    ignored: dict[KeyPath, None]
    again: bool = False


class Recorder:
    """Takes snapshots of configs as they are composed.

    Args:
        agreed: the sweep's contract.
        is_group: whether an override chooses an option, unless its value is a dict.
        roots: folders of this machine.
    """

    def __init__(self, agreed: Contract, is_group: Callable[[Override], bool], roots: Sequence[str]) -> None:
        self._agreed = agreed
        self._rooted = re.compile("|".join(rf"(?:^|[^\w.-]){re.escape(root)}(?:/|$)" for root in roots) or r"(?!)")
        self._recorded: dict[tuple[int | None, ...], _Recorded] = {}
        self._choices: list[Parameter] = []
        self._touched: dict[str, list[KeyPath]] = {}
        parser = OverridesParser.create()
        for parameter in agreed.parameters:
            touched: list[KeyPath] = []
            for override in map(parser.parse_override, _telling_lines(parameter)):
                if isinstance(override.value(), dict) or not is_group(override):
                    touched += paths_set(key_path(override), override.value())
                elif parameter not in self._choices:
                    self._choices.append(parameter)
            self._touched[parameter.id] = touched

    def record(self, sample: Mapping[str, ServiceValue], config: DictConfig) -> None:
        """Takes a snapshot of the config that was composed for these values, unless there is one for its options."""
        options = tuple(
            parameter.values.index(sample[parameter.id]) if parameter.id in sample else None for parameter in self._choices
        )
        before = self._recorded.get(options)
        if before is not None and before.again:
            return
        found = list(fingerprint.leaves(config))
        if before is None:
            touched = [
                path
                for parameter in self._agreed.parameters
                if self._possible(parameter, sample)
                for path in self._touched[parameter.id]
            ]
            local = [leaf.path for leaf in found if any(map(self._is_local, _texts(leaf.value)))]
            self._recorded[options] = _Recorded(found, dict.fromkeys([*touched, *local]))
        else:
            # Whatever else is not the same in two configs (a default that is computed anew each time) cannot be compared.
            before.again = True
            first, second = (
                {
                    (leaf.path, fingerprint.canonical(leaf.value)): leaf.path
                    for leaf in fingerprint.compared(leaves, before.ignored)
                }
                for leaves in (before.leaves, found)
            )
            both = first.keys() & second.keys()
            before.ignored |= dict.fromkeys(path for value, path in {**first, **second}.items() if value not in both)

    @property
    def count(self) -> int:
        """How many snapshots there are."""
        return len(self._recorded)

    def missing(self) -> Iterator[dict[str, ServiceValue]]:
        """The choices, by parameter, of each combination of options that has no snapshot."""
        ids = [parameter.id for parameter in self._choices]
        if all(parameter.when is None or parameter.when.parent in ids for parameter in self._choices):
            for chosen in self._combinations(self._choices, {}):
                options = tuple(
                    parameter.values.index(chosen[parameter.id]) if parameter.id in chosen else None
                    for parameter in self._choices
                )
                if options not in self._recorded:
                    yield chosen

    def fingerprint(self, policy: DriftPolicy, *, depth: int = 0) -> Fingerprint:
        """Everything that was recorded; with a depth above 0, deeper keys are hashed together."""
        snapshots = [
            Snapshot(options, tuple(recorded.ignored), fingerprint.hashes(recorded.leaves, recorded.ignored, depth=depth))
            for options, recorded in self._recorded.items()
        ]
        return Fingerprint(policy.value, tuple(parameter.id for parameter in self._choices), tuple(snapshots), depth)

    def _possible(self, parameter: Parameter, sample: Mapping[str, ServiceValue]) -> bool:
        """Whether a trial with this sample's options may have the parameter."""
        if parameter.when is None:
            return True
        parent = self._agreed.parameter(parameter.when.parent)
        fits = parent not in self._choices or sample.get(parent.id) in parameter.when.values
        return fits and self._possible(parent, sample)

    def _combinations(self, choices: Sequence[Parameter], chosen: dict[str, ServiceValue]) -> Iterator[dict[str, ServiceValue]]:
        """The combinations of options that trials may have; a parent's choice comes before its children's."""
        if not choices:
            yield chosen
            return
        parameter, *others = choices
        if parameter.when is not None and chosen.get(parameter.when.parent) not in parameter.when.values:
            yield from self._combinations(others, chosen)
            return
        for value in parameter.values:
            yield from self._combinations(others, {**chosen, parameter.id: value})

    def _is_local(self, text: str) -> bool:
        return self._rooted.search(text.replace("\\", "/")) is not None


def with_drift(agreed: Contract, recorder: Recorder, compose: Compose, policy: DriftPolicy) -> tuple[Contract, list[str]]:
    """The contract with what was recorded in it, as exact as there is room for; and a line about what is not compared, if any.

    Combinations of options that nobody has composed yet are composed here, as long as they are few.
    """
    for chosen in itertools.islice(recorder.missing(), max(MOST_SNAPSHOTS - recorder.count, 0)):
        sample, config = compose_with(agreed, compose, chosen)
        if config is not None:
            recorder.record(sample, config)
    more = next(recorder.missing(), None) is not None
    notes = [f"drift is looked for in trials with {recorder.count} combinations of options, and there are more"] if more else []
    bare = len(contract_document.encode(agreed))
    for depth in (0, 4, 3, 2, 1):
        whole = agreed._replace(drift=fingerprint.encode(recorder.fingerprint(policy, depth=depth)))
        size = len(contract_document.encode(whole))
        if size - bare <= LONGEST_DRIFT and size <= LONGEST_CONTRACT:
            return whole, notes
    return agreed, ["drift is not looked for: the fingerprint of this config would not fit into the contract"]


def _telling_lines(parameter: Parameter) -> list[str]:
    """Overrides that show what the parameter sets: one for all values, and one for each dict, which sets what it names."""
    if parameter.kind in (Kind.DOUBLE, Kind.INTEGER):
        return [f"{parameter.key}=0"]
    first, *others = parameter.literals
    return [f"{parameter.key}={literal}" for literal in (first, *(literal for literal in others if "{" in literal))]


def _texts(value: Any) -> Iterator[str]:
    """Every text in a leaf's value that may be a path."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, PurePath):
        yield value.as_posix()
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
