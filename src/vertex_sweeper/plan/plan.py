"""Everything a sweep is, before anything is started: from what Hydra hands over to the checked job.

Reads the config, collects every mistake that can be known now, and asks Hydra to compose what the trials will ask for.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from vertex_sweeper import job
from vertex_sweeper.api import LONGEST_DISPLAY_NAME, Job
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.app_image import AppImage
from vertex_sweeper.job.shipped_code import ShippedCode
from vertex_sweeper.plan import composition
from vertex_sweeper.plan.config_drift import machine_roots
from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.display_name import display_name
from vertex_sweeper.plan.exposed_credentials import exposed_credentials
from vertex_sweeper.plan.hydra_overrides import left_behind, refuse_absolute_search_paths
from vertex_sweeper.plan.mistakes import Mistakes
from vertex_sweeper.plan.own_settings import read_own_settings
from vertex_sweeper.plan.process_arguments import refuse_foreign_arguments
from vertex_sweeper.plan.trial_command import trial_command
from vertex_sweeper.plan.trial_configs import TrialConfigCheck
from vertex_sweeper.plan.trial_folders import shared_folder_note
from vertex_sweeper.plan.written_space import read_space
from vertex_sweeper.services.address import Address, address_of
from vertex_sweeper.services.checks import wrong_fields
from vertex_sweeper.settings import Backend, Reading, Settings
from vertex_sweeper.space.config_groups import GroupFiles
from vertex_sweeper.space.hydra_api import overridden_groups
from vertex_sweeper.space.search_space import SearchSpace
from vertex_sweeper_runtime.contract import Contract
from vertex_sweeper_runtime.trial_environment import RANKS, SIZES

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


@dataclass(frozen=True, slots=True)
class _Read:
    """What the user wrote, read and without a mistake."""

    reading: Reading
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
    name = settings.display_name or _name_of(context, read.code)
    build = partial(job.build_job, settings, space, display_name=name, sweep_id=secrets.token_hex(8), code=read.code)
    unchecked = _check_fields(settings, build(agree(space)))
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
        _refuse_distributed_run(os.environ)
    reading = read_own_settings(context.config)
    mistakes.add(reading.mistakes)
    space = SearchSpace((), ())
    with mistakes:
        space = read_space(context.arguments, context.config, context.files, allow_secrets=_may_have_secrets(reading))
    command: Sequence[str] = ()
    with mistakes:
        command = _command_of(context, reading)
    with mistakes:
        _refuse_credentials(reading, space, context.files)
    shipment: Shipment | None = None
    with mistakes:
        shipment = _shipment_of(context, reading, command)
    image: AppImage | None = None
    with mistakes:
        image = _image_of(context, reading, command)
    mistakes.raise_if_any()
    if image is not None:  # the job names it by its tag, until it is built
        settings = reading.settings
        reading = replace(reading, settings=replace(settings, trial=replace(settings.trial, image=str(image.name))))
    return _Read(reading, space, command, shipment, image)


def _name_of(context: SweepContext, code: ShippedCode | None) -> str:
    version = None if code is None else code.archive_sha256
    name, directory = str(context.config.hydra.job.name), context.start.directory
    return display_name(name, directory, longest=LONGEST_DISPLAY_NAME, code=version)


def _output_notes(settings: Settings, address: Address, shared: str | None) -> list[str]:
    """What becomes of the trials' output; `shared` is the one folder of several trials."""
    if address.backend is Backend.VERTEX and settings.vertex.base_output_directory is None:
        return [_LOST]
    return [] if shared is None else [shared_folder_note(shared)]


def _may_have_secrets(reading: Reading) -> bool:
    return reading.settings.trial.allow_secrets or "hydra.sweeper.trial.allow_secrets" in reading.unread


def _refuse_credentials(reading: Reading, space: SearchSpace, files: GroupFiles) -> None:
    """What trials are given stands in the job, as readable as their environment is."""
    found = [] if _may_have_secrets(reading) else exposed_credentials(space, files.is_group)
    if found:
        raise InvalidSweep(found)


def _command_of(context: SweepContext, reading: Reading) -> Sequence[str]:
    mistakes = Mistakes()
    command: Sequence[str] = ()
    # Where the job runs decides what a container would not have.
    if "hydra.sweeper.backend" in reading.unread or "hydra.sweeper.trial.command" in reading.unread:
        return command
    trial = reading.settings.trial
    given, portable = trial.command, reading.settings.backend is Backend.VERTEX or trial.code is not None
    with mistakes:
        refuse_absolute_search_paths(context.config, portable=portable)
    with mistakes:
        if given is None:
            start = context.start
            refuse_foreign_arguments(
                start.line, start.argv, host=start.host, config=context.config, config_loader=context.config_loader
            )
        command = trial_command(given, context.start, portable=portable)
    mistakes.raise_if_any()
    return command


def _shipment_of(context: SweepContext, reading: Reading, command: Sequence[str]) -> Shipment | None:
    trial = reading.settings.trial
    if trial.code is None or any(reading.unread.touches(f"hydra.sweeper.trial.{key}") for key in ("requirements", "wheels")):
        return None
    from vertex_sweeper.plan.shipment import make_shipment  # most sweeps do without

    commands = [command, *(pool.command or () for pool in trial.worker_pools or () if pool is not None)]
    return make_shipment(
        reading.settings, directory=context.start.directory, commands=commands, sweep_directory=context.directory
    )


def _image_of(context: SweepContext, reading: Reading, command: Sequence[str]) -> AppImage | None:
    """The image that is built for the sweep. On this machine trials run without one."""
    trial = reading.settings.trial
    if not trial.build or trial.image is None or reading.settings.backend is not Backend.VERTEX or reading.mistakes:
        return None
    from vertex_sweeper.plan.app_image import plan_image  # most sweeps do without

    return plan_image(trial, root=context.start.directory, command=command, left_out=[context.directory])


def _agree(context: SweepContext, read: _Read, space: SearchSpace) -> Contract:
    return job.build_contract(
        read.reading.settings,
        space,
        command=read.command,
        groups=[key for key in space.keys if "." not in key and context.files.has_group(key)],
        pinned=overridden_groups(context.config_loader, context.config_name),
        subdir=_as_written(context.config.hydra.sweep, "subdir"),
        code=read.code,
    )


def _check_fields(settings: Settings, document: Job) -> list[str]:
    """A line when `spec_overrides` could not be checked. Raises InvalidSweep with every field that the API does not have."""
    found = wrong_fields(settings.backend, document, overridden=bool(settings.spec_overrides))
    if found:
        raise InvalidSweep(job.lines_in_our_words(found, settings))
    if found is None and settings.spec_overrides:
        return ["spec_overrides is not checked against the API's fields: pip install 'hydra-vertex-sweeper[vertex]' for that"]
    return []


def _as_written(section: DictConfig, key: str) -> str | None:
    value = OmegaConf.to_container(section, resolve=False)
    return str(value[key]) if isinstance(value, dict) and value.get(key) is not None else None


def _notes(config: DictConfig) -> list[str]:
    notes = []
    if config.hydra.sweeper.get("metrics") is None:
        notes.append("hydra.sweeper.metrics is left out: the task's return value is minimized, as `objective`")
    launcher = config.hydra.runtime.choices.get("hydra/launcher")
    if launcher not in (None, "basic"):
        notes.append(f"hydra/launcher={launcher} is not used: parallel_trial_count decides how many trials run at once")
    return notes


def _refuse_distributed_run(environment: Mapping[str, str]) -> None:
    rule, remedy = "a sweep inside a distributed run would be started", "start it outside torchrun, mpirun or srun"
    for name in (*SIZES, *RANKS):
        text = environment.get(name, "")
        count = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
        if name in SIZES and count > 1:
            raise InvalidSweep([f"{name}={count}: {rule} {count} times: {remedy}"])
        if name in RANKS and count > 0:
            raise InvalidSweep([f"{name}={count}: {rule} by each of its processes: {remedy}"])
