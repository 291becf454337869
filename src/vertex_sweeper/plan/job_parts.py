"""What the plan of a sweep and that of a launch read alike: the command, the code, the image, the name, and the fields."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from vertex_sweeper import job
from vertex_sweeper.api import LONGEST_DISPLAY_NAME, Job, is_custom_job
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.app_image import AppImage
from vertex_sweeper.job.custom_job import in_trial_fields
from vertex_sweeper.job.shipped_code import ShippedCode
from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.display_name import display_name
from vertex_sweeper.plan.hydra_overrides import refuse_absolute_search_paths
from vertex_sweeper.plan.mistakes import Mistakes
from vertex_sweeper.plan.process_arguments import refuse_foreign_arguments
from vertex_sweeper.plan.trial_command import trial_command
from vertex_sweeper.services.checks import wrong_fields
from vertex_sweeper.settings import Backend, JobSettings, Reading
from vertex_sweeper_runtime.trial_environment import RANKS, SIZES

if TYPE_CHECKING:
    from vertex_sweeper.plan.shipment import Shipment


def refuse_distributed_run(environment: Mapping[str, str]) -> None:
    """Raises InvalidSweep in a process that is one of several, which would each do the same."""
    rule, remedy = "a sweep inside a distributed run would be started", "start it outside torchrun, mpirun or srun"
    for name in (*SIZES, *RANKS):
        text = environment.get(name, "")
        count = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
        if name in SIZES and count > 1:
            raise InvalidSweep([f"{name}={count}: {rule} {count} times: {remedy}"])
        if name in RANKS and count > 0:
            raise InvalidSweep([f"{name}={count}: {rule} by each of its processes: {remedy}"])


def may_have_secrets(reading: Reading[JobSettings]) -> bool:
    """Whether what looks like a credential may stand in a job, or nobody can tell."""
    return reading.settings.trial.allow_secrets or "hydra.sweeper.trial.allow_secrets" in reading.unread


def command_of(context: SweepContext, reading: Reading[JobSettings]) -> Sequence[str]:
    """The words that start a container's app; none where settings that decide it could not be read. Raises InvalidSweep."""
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


def shipment_of(context: SweepContext, reading: Reading[JobSettings], command: Sequence[str]) -> Shipment | None:
    """The code that goes to a bucket, if some does. Raises InvalidSweep."""
    trial = reading.settings.trial
    if trial.code is None or any(reading.unread.touches(f"hydra.sweeper.trial.{key}") for key in ("requirements", "wheels")):
        return None
    from vertex_sweeper.plan.shipment import make_shipment  # most sweeps do without

    commands = [command, *(pool.command or () for pool in trial.worker_pools or () if pool is not None)]
    return make_shipment(
        reading.settings, directory=context.start.directory, commands=commands, sweep_directory=context.directory
    )


def image_of(context: SweepContext, reading: Reading[JobSettings], command: Sequence[str]) -> AppImage | None:
    """The image that is built for the sweep. On this machine trials run without one."""
    trial = reading.settings.trial
    if not trial.build or trial.image is None or reading.settings.backend is not Backend.VERTEX or reading.mistakes:
        return None
    from vertex_sweeper.plan.app_image import plan_image  # most sweeps do without

    return plan_image(trial, root=context.start.directory, command=command, left_out=[context.directory])


def name_of(context: SweepContext, code: ShippedCode | None) -> str:
    """The display name where none is set."""
    version = None if code is None else code.archive_sha256
    name, directory = str(context.config.hydra.job.name), context.start.directory
    return display_name(name, directory, longest=LONGEST_DISPLAY_NAME, code=version)


def check_fields(settings: JobSettings, document: Job) -> list[str]:
    """A line when `spec_overrides` could not be checked. Raises InvalidSweep with every field that the API does not have."""
    found = wrong_fields(settings.backend, document, overridden=bool(settings.spec_overrides))
    if found:
        raise InvalidSweep(job.lines_in_our_words(in_trial_fields(found) if is_custom_job(document) else found, settings))
    if found is None and settings.spec_overrides:
        return ["spec_overrides is not checked against the API's fields: pip install 'hydra-vertex-sweeper[vertex]' for that"]
    return []


def as_written(section: DictConfig, key: str) -> str | None:
    """A value with its interpolations; None where there is none."""
    value = OmegaConf.to_container(section, resolve=False)
    return str(value[key]) if isinstance(value, dict) and value.get(key) is not None else None
