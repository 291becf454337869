"""All that can be known of launched jobs before they cost: settings, command and code, and each job's config and custom job."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from omegaconf import DictConfig

from vertex_sweeper.api import Job
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.app_image import AppImage
from vertex_sweeper.job.containers import check_lengths
from vertex_sweeper.job.custom_job import build_custom_job
from vertex_sweeper.plan import composition
from vertex_sweeper.plan.config_drift import Recorder, machine_roots, with_drift
from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.exposed_credentials import exposed_credentials
from vertex_sweeper.plan.hydra_overrides import left_behind, trial_hydra_overrides
from vertex_sweeper.plan.job_parts import (
    as_written,
    check_fields,
    command_of,
    image_of,
    may_have_secrets,
    name_of,
    refuse_distributed_run,
    shipment_of,
)
from vertex_sweeper.plan.mistakes import Mistakes
from vertex_sweeper.plan.own_settings import read_launch_settings
from vertex_sweeper.services.address import Address, address_of
from vertex_sweeper.settings import Backend, DriftPolicy, LaunchSettings, Reading
from vertex_sweeper.space.search_space import SearchSpace
from vertex_sweeper_runtime.contract import Contract

if TYPE_CHECKING:
    from vertex_sweeper.plan.shipment import Shipment

MOST_AT_ONCE: Final = 100
"""So many jobs are launched at once without a word on it: a quota of Vertex is 60 submissions a minute and project."""

_BASIC_SWEEPER: Final = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """One Hydra job: its number, the overrides that Hydra gave it, the contract with its container, and the custom job."""

    number: int
    overrides: tuple[str, ...]
    contract: Contract
    job: Job


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Checked jobs, in Hydra's order: what will be created, where, and what to tell the user first.

    `needs_values` says whether the sweeper looks at what the jobs return.
    """

    settings: LaunchSettings
    jobs: tuple[PlannedJob, ...]
    address: Address
    directory: Path
    notes: tuple[str, ...]
    needs_values: bool = False
    shipment: Shipment | None = None
    image: AppImage | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    reading: Reading[LaunchSettings]
    command: Sequence[str]
    shipment: Shipment | None
    image: AppImage | None

    @property
    def notes(self) -> Sequence[str]:
        """Lines for the user."""
        return (*self.reading.notes, *(() if self.shipment is None else self.shipment.notes))


def make_launch_plan(context: SweepContext, job_overrides: Sequence[Sequence[str]], first: int) -> LaunchPlan:
    """The plan of a launch; nothing is started and nothing written.

    Args:
        context: The multirun.
        job_overrides: The overrides of each job, as Hydra's sweeper hands them to a launcher.
        first: The number of the first.

    Raises:
        InvalidSweep: Every mistake found.
    """
    read = _read_all(context, job_overrides)
    settings = read.reading.settings
    address = address_of(settings)
    code = None if read.shipment is None else read.shipment.code
    name = settings.display_name or name_of(context, code)
    build = partial(build_custom_job, settings, display_name=name, launch_id=secrets.token_hex(8), code=code)
    composer = _Composer(context, settings, read.command)
    jobs: list[PlannedJob] = []
    notes: list[str] = []
    for number, overrides in enumerate(job_overrides, start=first):
        agreed, found = composer.agree(number, overrides)
        check_lengths(agreed, code)
        job = build(agreed)
        notes += found if jobs else [*check_fields(settings, job), *found]
        jobs.append(PlannedJob(number, tuple(overrides), agreed, job))
    return LaunchPlan(
        settings=settings,
        jobs=tuple(jobs),
        address=address,
        directory=context.directory,
        notes=tuple(dict.fromkeys([*read.notes, *notes, *_output_notes(settings)])),
        needs_values=_needs_values(context.config),
        shipment=read.shipment,
        image=read.image,
    )


def _read_all(context: SweepContext, job_overrides: Sequence[Sequence[str]]) -> _Read:
    mistakes = Mistakes()
    with mistakes:
        refuse_distributed_run(os.environ)
    reading = read_launch_settings(context.config)
    mistakes.add(reading.mistakes)
    mistakes.add(list(_broken_rules(context, reading, len(job_overrides))))
    command: Sequence[str] = ()
    with mistakes:
        command = command_of(context, reading)
    with mistakes:
        _refuse_credentials(context, reading, job_overrides)
    shipment: Shipment | None = None
    with mistakes:
        shipment = shipment_of(context, reading, command)
    image: AppImage | None = None
    with mistakes:
        image = image_of(context, reading, command)
    mistakes.raise_if_any()
    if image is not None:  # the jobs name it by its tag, until it is built
        settings = reading.settings
        reading = replace(reading, settings=replace(settings, trial=replace(settings.trial, image=str(image.name))))
    return _Read(reading, command, shipment, image)


def _broken_rules(context: SweepContext, reading: Reading[LaunchSettings], count: int) -> Iterator[str]:
    """What the number of jobs and the sweeper ask of the settings."""
    settings, unread = reading.settings, reading.unread
    at_once = settings.parallel is None and not unread.touches("hydra.sweeper.parallel")
    if at_once and count > MOST_AT_ONCE and not settings.allow_many:
        yield (
            f"hydra.sweeper.parallel: {count} jobs would be launched at once: set how many may run at a time, or "
            "hydra.sweeper.allow_many=true"
        )
    if not settings.wait and settings.parallel is not None and settings.parallel < count:
        yield (
            f"hydra.sweeper.wait=false: of {count} jobs the last are launched when others have ended, "
            f"with parallel={settings.parallel}: leave parallel out, or wait"
        )
    if not _needs_values(context.config):
        return
    sweeper = context.config.hydra.runtime.choices.get("hydra/sweeper")
    if not settings.wait:
        yield f"hydra.sweeper.wait=false: hydra/sweeper={sweeper} waits for what the jobs return"
    on_vertex = settings.backend is Backend.VERTEX and "hydra.sweeper.backend" not in unread
    if on_vertex and settings.vertex.base_output_directory is None and not unread.touches("hydra.sweeper.vertex"):
        yield (
            f"hydra.sweeper.vertex.base_output_directory: hydra/sweeper={sweeper} needs what the jobs return, and that comes "
            "back by way of a gs:// folder: set one"
        )


def _needs_values(config: DictConfig) -> bool:
    """Whether the sweeper looks at what jobs return. Hydra's own only looks whether they failed."""
    return str(config.hydra.sweeper.get("_target_")) != _BASIC_SWEEPER


def _output_notes(settings: LaunchSettings) -> list[str]:
    if settings.backend is Backend.LOCAL or settings.vertex.base_output_directory is not None:
        return []
    return [
        "hydra.sweeper.vertex.base_output_directory is not set: Hydra's output and what the task returns end with the container"
    ]


def _refuse_credentials(
    context: SweepContext, reading: Reading[LaunchSettings], job_overrides: Sequence[Sequence[str]]
) -> None:
    """What jobs are given stands in them, as readable as their environment is."""
    if may_have_secrets(reading):
        return
    lines = dict.fromkeys(line for overrides in [trial_hydra_overrides(context.config), *job_overrides] for line in overrides)
    found = exposed_credentials(SearchSpace((), tuple(lines)), context.files.is_group)
    if found:
        raise InvalidSweep(found)


class _Composer:
    """Composes each job as its container will.

    Attributes:
        hydra_overrides: The overrides of Hydra's own settings that each job is given, before those of the task.
    """

    def __init__(self, context: SweepContext, settings: LaunchSettings, command: Sequence[str]) -> None:
        self._context = context
        self._settings = settings
        self._command = tuple(command)
        self._compose = composition.composer(context.config_loader, context.config_name)
        self._roots = machine_roots(context.start.directory)
        self.hydra_overrides = tuple(trial_hydra_overrides(context.config))
        # Settings for the launcher that stand in the app's config fit into none other.
        tried = ([*extra, *self.hydra_overrides] for extra in ((), *left_behind(context.config)))
        self.hydra_overrides = next((tuple(lines) for lines in tried if context.files.composes(lines)), self.hydra_overrides)

    def agree(self, number: int, overrides: Sequence[str]) -> tuple[Contract, list[str]]:
        """A job's contract, with its config's fingerprint, and lines for the user.

        Raises InvalidSweep with what Hydra refuses.
        """
        agreed = Contract(
            command=self._command,
            sequence=(*self.hydra_overrides, *overrides),
            parameters=(),
            metrics=(),
            keep_alive=self._settings.trial.keep_alive or 0,
            subdir=as_written(self._context.config.hydra.sweep, "subdir"),
            number=number,
        )
        return self._with_fingerprint(agreed)

    def _with_fingerprint(self, agreed: Contract) -> tuple[Contract, list[str]]:
        policy = self._settings.trial.drift
        overrides = agreed.overrides({})
        config, error = composition.compose_or_say(self._compose, overrides)
        if config is None:
            raise InvalidSweep([f"job {agreed.number}: {error}"])
        if policy is DriftPolicy.OFF:
            return agreed, []
        recorder = Recorder(agreed, self._context.files.is_group, self._roots)
        recorder.record({}, config)
        recorder.record({}, self._compose(overrides))  # what differs in the second is not compared
        return with_drift(agreed, recorder, self._compose, policy)
