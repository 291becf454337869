"""The check of what trials will compose, before anything is paid for, and what they are given so that it is right."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from omegaconf import DictConfig

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.rerun import GROUP
from vertex_sweeper.plan import composition
from vertex_sweeper.plan.composition import Compose
from vertex_sweeper.plan.config_drift import Recorder, with_drift
from vertex_sweeper.plan.hydra_references import HydraReferences
from vertex_sweeper.plan.no_effect import EffectCheck
from vertex_sweeper.plan.rerun_needs import RerunNeeds
from vertex_sweeper.plan.trial_folders import TrialFolders
from vertex_sweeper.settings import Backend, DriftPolicy, Settings
from vertex_sweeper.space.config_groups import GroupFiles
from vertex_sweeper.space.search_space import SearchSpace
from vertex_sweeper_runtime.contract import Contract, ServiceValue

Agree = Callable[[SearchSpace], Contract]
"""The contract for a search space."""


@dataclass(frozen=True, slots=True)
class TrialConfigs:
    """What was checked: the search space with what trials are given besides, the contract, and lines for the user.

    `folder` is the one that all trials have, if they have one.
    """

    space: SearchSpace
    contract: Contract
    notes: tuple[str, ...]
    folder: str | None


@dataclass(slots=True)
class _Examined:
    """What was found in the configs of a contract."""

    checked: composition.Checked
    recorder: Recorder
    references: HydraReferences
    rerun: RerunNeeds
    folders: TrialFolders
    mistakes: list[str]
    samples: list[Mapping[str, ServiceValue]]


class TrialConfigCheck:
    """Composes what trials may ask for.

    Args:
        settings: the sweep's.
        files: the config sources.
        compose: composes a trial's config.
        roots: folders of this machine, whose names are not compared.
    """

    def __init__(self, settings: Settings, files: GroupFiles, compose: Compose, roots: Sequence[str]) -> None:
        self._settings = settings
        self._files = files
        self._compose = compose
        self._roots = roots

    def check(self, space: SearchSpace, agree: Agree, left_behind: Sequence[Sequence[str]]) -> TrialConfigs:
        """Raises InvalidSweep with what Hydra refuses, what changes nothing, and what trials cannot be given."""
        contract = agree(space)
        found = self._examine(contract, space)
        if found.mistakes and (extra := self._needed(space, left_behind)):
            space = _with_overrides(space, extra)
            contract = agree(space)
            found = self._examine(contract, space)
        if found.mistakes:
            raise InvalidSweep(found.mistakes)
        space, contract = self._with_references(found, space, agree, left_behind)
        contract = contract._replace(rerun=found.rerun.words)
        notes = []
        if found.checked.unchecked:
            notes.append(
                f"{found.checked.unchecked} values were not composed beforehand: {found.checked.compositions} configs were"
            )
        if self._settings.trial.drift is not DriftPolicy.OFF:
            contract, uncompared = with_drift(contract, found.recorder, self._compose, self._settings.trial.drift)
            notes += uncompared
        return TrialConfigs(space, contract, tuple(notes), found.folders.shared)

    def _examine(self, contract: Contract, space: SearchSpace) -> _Examined:
        recorder = Recorder(contract, self._files.is_group, self._roots)
        effect = EffectCheck(contract, self._files.is_group)
        references = HydraReferences(self._files.compose_job)
        rerun = RerunNeeds(taken=self._files.has_group(GROUP))
        folders = TrialFolders(container=self._settings.backend is Backend.VERTEX)
        samples: list[Mapping[str, ServiceValue]] = []

        def record(sample: Mapping[str, ServiceValue], config: DictConfig) -> None:
            effect.record(sample, config)
            rerun.record(config)
            folders.record(config)
            if self._settings.trial.drift is not DriftPolicy.OFF:
                recorder.record(sample, config)
            if references.record(contract.overrides(sample), config):
                samples.append(sample)

        checked = composition.check_compositions(
            contract, self._compose, sources=space.sources, record=record, each=HydraReferences.asks
        )
        mistakes = [*checked.mistakes, *effect.mistakes(space.sources)]
        return _Examined(checked, recorder, references, rerun, folders, mistakes, samples)

    def _needed(self, space: SearchSpace, left_behind: Sequence[Sequence[str]]) -> Sequence[str]:
        """The first of these lists with which the fixed overrides compose; none where they do without, or do with none."""
        fixed = [item for item in space.sequence if isinstance(item, str)]
        return next((extra for extra in ((), *left_behind) if self._files.composes([*extra, *fixed])), ())

    def _with_references(
        self, found: _Examined, space: SearchSpace, agree: Agree, left_behind: Sequence[Sequence[str]]
    ) -> tuple[SearchSpace, Contract]:
        """The search space and contract with what the app's config asks for of the sweeper and the launcher."""
        lines = found.references.overrides(allow_secrets=self._settings.trial.allow_secrets)
        if not lines:
            return space, agree(space)
        why: list[str] = []
        for extra in ((), *left_behind):
            if extra and set(extra) & set(space.sequence):
                continue
            given = _with_overrides(space, [*extra, *lines])
            contract = agree(given)
            why = [line for sample in found.samples for line in self._still_missing(found.references, contract, sample)]
            if not why:
                return given, contract
        raise InvalidSweep(list(dict.fromkeys(why)))

    def _still_missing(self, references: HydraReferences, contract: Contract, sample: Mapping[str, ServiceValue]) -> list[str]:
        config, error = composition.compose_or_say(self._compose, contract.overrides(sample))
        if config is None:
            return [references.mistake(path, error) for path in itertools.islice(references.wanted, 1)]
        return [references.mistake(path, "no override can set it") for path in references.missing(config)]


def _with_overrides(space: SearchSpace, lines: Sequence[str]) -> SearchSpace:
    return replace(space, sequence=(*lines, *space.sequence))
