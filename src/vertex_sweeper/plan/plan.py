"""Everything a sweep is, before anything is started: from what Hydra hands over to the checked job.

Reads the config, collects every mistake that can be known now, and asks Hydra to compose what the trials will ask for.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from vertex_sweeper import job
from vertex_sweeper.api import Job
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.app_image import AppImage
from vertex_sweeper.job.shipped_code import ShippedCode
from vertex_sweeper.plan import composition
from vertex_sweeper.plan.config_drift import machine_roots
from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.exposed_credentials import exposed_credentials
from vertex_sweeper.plan.hydra_overrides import left_behind
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
from vertex_sweeper.plan.local_devices import share_devices
from vertex_sweeper.plan.mistakes import Mistakes
from vertex_sweeper.plan.own_settings import read_own_settings
from vertex_sweeper.plan.trial_configs import TrialConfigCheck
from vertex_sweeper.plan.trial_folders import shared_folder_note
from vertex_sweeper.plan.written_space import read_space
from vertex_sweeper.services.address import Address, address_of
from vertex_sweeper.settings import Backend, DeviceSharing, Reading, Settings
from vertex_sweeper.space.config_groups import GroupFiles
from vertex_sweeper.space.hydra_api import overridden_groups
from vertex_sweeper.space.search_space import SearchSpace
from vertex_sweeper_runtime.contract import Contract

if TYPE_CHECKING:
    from vertex_sweeper.plan.shipment import Shipment

_LOST = "hydra.sweeper.vertex.base_output_directory is not set: Hydra's output ends with each container"


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked sweep: what will be created, where, and what to tell the user first.

    `shipment` is the code that goes to a bucket for it, where there is some; `image` is what is built before, where that is so.
    """

    settings: Settings
    contract: Contract
    job: Job
    address: Address
    directory: Path
    compose: composition.Compose
    notes: tuple[str, ...]
    shipment: Shipment | None = None
    image: AppImage | None = None

    @property
    def devices(self) -> Sequence[str]:
        """The devices of each slot on this machine; none where all trials see the same."""
        devices = self.settings.local.devices
        return () if isinstance(devices, DeviceSharing) else devices


@dataclass(frozen=True, slots=True)
class _Read:
    """What the user wrote, read and without a mistake."""

    reading: Reading[Settings]
    space: SearchSpace
    command: Sequence[str]
    shipment: Shipment | None
    image: AppImage | None

    @property
    def code(self) -> ShippedCode | None:
        """What the job says of the code."""
        return None if self.shipment is None else self.shipment.code

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the user."""
        return (*self.reading.notes, *self.space.notes, *(() if self.shipment is None else self.shipment.notes))


def make_plan(context: SweepContext) -> Plan:
    """The plan of a sweep; nothing is started and nothing written.

    Raises:
        InvalidSweep: Every mistake found.
    """
    read = _read_all(context)
    settings, config, space = read.reading.settings, context.config, read.space
    address = address_of(settings)
    agree = partial(_agree, context, read)
    name = settings.display_name or name_of(context, read.code)
    build = partial(job.build_job, settings, space, display_name=name, sweep_id=secrets.token_hex(8), code=read.code)
    unchecked = check_fields(settings, build(agree(space)))
    compose = composition.composer(context.config_loader, context.config_name)
    check = TrialConfigCheck(settings, context.files, compose, machine_roots(context.start.directory))
    checked = check.check(space, agree, left_behind(config))
    counts = job.count_trials(settings, space)
    outputs = _output_notes(settings, address, checked.folder if counts.most > 1 else None)
    found = [*unchecked, *checked.notes, *counts.notes, *outputs]
    return Plan(
        settings=settings,
        contract=checked.contract,
        job=build(checked.contract),
        address=address,
        directory=context.directory,
        compose=compose,
        notes=(*_notes(config), *read.notes, *found),
        shipment=read.shipment,
        image=read.image,
    )


def _read_all(context: SweepContext) -> _Read:
    """Settings, search space, command and code; raises InvalidSweep with the mistakes of all of them."""
    mistakes = Mistakes()
    with mistakes:
        refuse_distributed_run(os.environ)
    reading = read_own_settings(context.config)
    mistakes.add(reading.mistakes)
    with mistakes:
        reading = share_devices(reading, os.environ)
    space = SearchSpace((), ())
    with mistakes:
        space = read_space(context.arguments, context.config, context.files, allow_secrets=may_have_secrets(reading))
    command: Sequence[str] = ()
    with mistakes:
        command = command_of(context, reading)
    with mistakes:
        _refuse_credentials(reading, space, context.files)
    shipment: Shipment | None = None
    with mistakes:
        shipment = shipment_of(context, reading, command)
    image: AppImage | None = None
    with mistakes:
        image = image_of(context, reading, command)
    mistakes.raise_if_any()
    if image is not None:  # the job names it by its tag, until it is built
        settings = reading.settings
        reading = replace(reading, settings=replace(settings, trial=replace(settings.trial, image=str(image.name))))
    return _Read(reading, space, command, shipment, image)


def _output_notes(settings: Settings, address: Address, shared: str | None) -> list[str]:
    """What becomes of the trials' output; `shared` is the one folder of several trials."""
    if address.backend is Backend.VERTEX and settings.vertex.base_output_directory is None:
        return [_LOST]
    return [] if shared is None else [shared_folder_note(shared)]


def _refuse_credentials(reading: Reading[Settings], space: SearchSpace, files: GroupFiles) -> None:
    """What trials are given stands in the job, as readable as their environment is."""
    found = [] if may_have_secrets(reading) else exposed_credentials(space, files.is_group)
    if found:
        raise InvalidSweep(found)


def _agree(context: SweepContext, read: _Read, space: SearchSpace) -> Contract:
    return job.build_contract(
        read.reading.settings,
        space,
        command=read.command,
        groups=[key for key in space.keys if "." not in key and context.files.has_group(key)],
        pinned=overridden_groups(context.config_loader, context.config_name),
        subdir=as_written(context.config.hydra.sweep, "subdir"),
        code=read.code,
    )


def _notes(config: DictConfig) -> list[str]:
    notes = []
    if config.hydra.sweeper.get("metrics") is None:
        notes.append("hydra.sweeper.metrics is left out: the task's return value is minimized, as `objective`")
    launcher = config.hydra.runtime.choices.get("hydra/launcher")
    if launcher not in (None, "basic"):
        notes.append(f"hydra/launcher={launcher} is not used: parallel_trial_count decides how many trials run at once")
    return notes
