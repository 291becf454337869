"""One sweep, from Hydra's call to the files in the sweep directory.

    plan (check everything) → claim the sweep directory → create the job → watch it → read its outcome → write the results

Nothing is started or paid for before the job is created. From then on the job is followed to its end, or until a signal says
otherwise. `hydra.sweeper.attach` follows a job that exists; `hydra.sweeper.dry_run` ends with the plan.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import starmap
from pathlib import Path

from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.errors import InvalidJob, ServiceError, SweepError
from vertex_sweeper.finding import Finding, Found, unchecked
from vertex_sweeper.job import in_our_words
from vertex_sweeper.job.app_image import with_digest
from vertex_sweeper.job.needs import job_needs
from vertex_sweeper.messages import attach_command, printable
from vertex_sweeper.plan.ceiling import ceiling_lines
from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.dry_run import dry_run_text
from vertex_sweeper.plan.own_settings import unused_to_attach, valid_settings
from vertex_sweeper.plan.plan import Plan, make_plan
from vertex_sweeper.plan.whitelist import check_whitelist
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.results.folders import output_of, trial_folder
from vertex_sweeper.results.outcome import Outcome, read_outcome
from vertex_sweeper.run.attach import go_on
from vertex_sweeper.run.follow import follow_to_end
from vertex_sweeper.run.interrupt import Interrupt, ending
from vertex_sweeper.run.interruptible import interruptible
from vertex_sweeper.run.preflight import DOCTOR, preflight
from vertex_sweeper.run.reporter import FollowedJob
from vertex_sweeper.run.submit import submit
from vertex_sweeper.run.target import read_target
from vertex_sweeper.run.upload import upload_all
from vertex_sweeper.services.buckets import Put, Upload
from vertex_sweeper.services.checks import check_acceptable, require_extras
from vertex_sweeper.services.opening import open_buckets, open_service
from vertex_sweeper.services.requirements import check_requirements
from vertex_sweeper.settings import Backend
from vertex_sweeper.settings.image_name import ImageName
from vertex_sweeper.space.hydra_api import is_hydra_1_3
from vertex_sweeper.terminal import next_steps
from vertex_sweeper.terminal.findings import finding_lines
from vertex_sweeper_runtime.signals import INTERRUPTED

log = logging.getLogger(__name__)


def run_sweep(arguments: Sequence[str], *, hydra_context: HydraContext, config: DictConfig) -> Outcome | None:
    """Tunes the app of this Hydra multirun; returns when the job has ended and its results are written.

    The task function is not called here: trials run the command that started the sweep.

    Args:
        arguments: The overrides of the command line, as Hydra hands them to a sweeper.
        hydra_context: Hydra's config loader and callbacks.
        config: The app's config for the multirun, with `hydra`.

    Returns:
        The sweep as it was last seen; None after a dry run.

    Raises:
        SweepError: Something that a user can mend.
        SystemExit: 130, after a signal.
    """
    with _multirun(hydra_context, config):
        if config.hydra.sweeper.get("attach") is not None:
            return _go_on(arguments, config)
        check_whitelist(hydra_context)
        plan = make_plan(SweepContext.of(arguments, config=config, config_loader=hydra_context.config_loader))
        for note in plan.notes:
            log.info("%s", printable(note))
        _check(plan)
        if plan.settings.dry_run:
            _show(plan)
            return None
        return _create_and_follow(plan, config)


def _check(plan: Plan) -> None:
    """Checks the whole job before anything is written. Raises InvalidJob, InvalidSweep, MissingExtra."""
    if plan.shipment is not None:
        _buckets(plan)
    try:
        check_acceptable(plan.settings.backend, plan.job)
    except InvalidJob as error:
        raise in_our_words(error) from error


def _show(plan: Plan) -> None:
    """Prints a dry run's job, and what is found of the things that it needs. Raises SweepError where one is missing."""
    for_doctor = os.environ.get(DOCTOR) == "1"
    if not for_doctor:
        _write(dry_run_text(plan))
    if plan.address.backend is not Backend.VERTEX:
        return
    failures = []
    for finding in _findings(plan, for_doctor=for_doctor):
        _write("".join(f"{line}\n" for line in finding_lines([finding])))  # as it comes: some take seconds
        failures += [finding.subject] if finding.found is Found.FAILED else []
    _write("".join(f"{printable(line)}\n" for line in ceiling_lines(job_needs(plan.job), plan.settings.prices)))
    if failures:
        raise SweepError(f"this sweep would fail on Vertex: {', '.join(dict.fromkeys(failures))}")


def _findings(plan: Plan, *, for_doctor: bool) -> Iterator[Finding]:
    """Looks up what the job needs; an installer, which may take minutes, is asked for doctor only."""
    vertex, trial = plan.settings.vertex, plan.settings.trial
    staging = vertex.staging or vertex.base_output_directory if plan.shipment is not None else None
    built = None if plan.image is None else str(plan.image.name)
    yield from preflight(plan.address, plan.job, login=for_doctor, staging=staging, built=built)
    if plan.shipment is None or not for_doctor:
        return
    wanted = plan.shipment.code.requirements_file or plan.shipment.code.requirements
    if trial.wheels and wanted:
        yield unchecked("requirements", "whether trial.wheels has them all")
    elif wanted:
        python = ImageName.parse(trial.image).python if trial.image else None
        yield check_requirements(wanted, root=Path.cwd() / str(trial.code), python=python)


def _write(text: str) -> None:
    sys.stdout.write(text)  # not logged: it is what was asked for, and may be piped into a file
    sys.stdout.flush()


def _create_and_follow(plan: Plan, config: DictConfig) -> Outcome:
    """Claims the sweep directory, creates the job, and follows it to its end."""
    plan = _with_image(plan)
    address, directory = plan.address, plan.directory
    require_extras(address.backend, custom=False)
    opened = open_service(address, directory, seed=plan.settings.local.seed, devices=plan.devices)
    # Signals are caught before the claim: one between claim and creation would leave a directory that belongs to no job.
    with Interrupt(opened.kill) as interrupt:
        sweep_directory.claim(directory, address, plan.job, config=OmegaConf.to_yaml(config))
        if interrupt.received:
            sweep_directory.withdraw(directory)
            log.warning("%s: nothing was created", interrupt.received.name)
            raise SystemExit(INTERRUPTED)
        opened = interruptible(opened, interrupt)
        with ending(interrupt, opened.kill):
            _upload(plan, interrupt)
            job = submit(opened, address.parent, plan.job, directory=directory, pause=partial(interrupt.pause, opened.wait))
        next_steps.announce(address, job, directory)
        if not plan.settings.wait:
            log.info("not waiting for its end; come back with `%s`", attach_command(directory))
            return read_outcome(job, plan.contract)
        output = output_of(address, plan.job, directory)
        followed = FollowedJob(
            opened=opened,
            address=address,
            name=job["name"],
            contract=plan.contract,
            directory=directory,
            folder=partial(trial_folder, output=output, contract=plan.contract, compose=plan.compose),
            on_interrupt=plan.settings.on_interrupt,
        )
        return follow_to_end(followed, interrupt)


def _with_image(plan: Plan) -> Plan:
    """The plan with the image that is built for it, by its digest. Raises SweepError; nothing was created."""
    if plan.image is None:
        return plan
    from vertex_sweeper.run.build import built_image  # most sweeps do without

    pinned = built_image(plan.image, plan.address, project=plan.settings.vertex.project)
    return plan if pinned is None else replace(plan, job=with_digest(plan.job, plan.image.name, pinned))


def _upload(plan: Plan, interrupt: Interrupt) -> None:
    """Uploads the code, if the sweep brings some; the sweep directory is free again where that fails."""
    if plan.shipment is None:
        return
    try:
        with plan.shipment.bundle.archive:
            written = upload_all(starmap(Upload, plan.shipment.contents().items()), _buckets(plan), interrupt)
    except ServiceError:
        sweep_directory.withdraw(plan.directory)
        raise
    what = "uploaded to" if any(written) else "nothing has changed since it was uploaded to"
    log.info("trial.code: %s %s", what, printable(plan.shipment.code.archive))


def _buckets(plan: Plan) -> Put:
    return open_buckets(plan.address, plan.directory, project=plan.settings.vertex.project)


def _go_on(arguments: Sequence[str], config: DictConfig) -> Outcome:
    """Follows a job that exists. Its `multirun.yaml` was written by the command that created it, and stays."""
    settings = valid_settings(config)
    assert settings.attach is not None
    target = read_target(
        settings.attach,
        endpoint=settings.vertex.endpoint,
        impersonate=settings.vertex.impersonate_service_account,
    )
    unused = [*unused_to_attach(config, settings, own_directory=target.directory is not None), *arguments]
    if unused:
        log.info("attach: the job is what it is, and these are not used: %s", printable(", ".join(unused)))
    directory = target.directory or Path.cwd() / str(config.hydra.sweep.dir)
    return go_on(target, directory, on_interrupt=settings.on_interrupt, wait=settings.wait)


@contextmanager
def _multirun(hydra_context: HydraContext, config: DictConfig) -> Iterator[None]:
    """Calls `on_multirun_end` where the sweep fails, too: Hydra 1.3 does not when `sweep()` raises, Hydra 1.4 does."""
    try:
        yield
    except (SweepError, SystemExit):
        if is_hydra_1_3():
            hydra_context.callbacks.on_multirun_end(config=config, config_name=config.hydra.job.config_name)
        raise
