"""One launch, from Hydra's call to the returns of its jobs: each Hydra job is a custom job.

    plan (check everything) → put all jobs down → create and follow them, so many at a time → what their tasks returned

Nothing is started or paid for before all is checked and put down. `vertex-sweeper attach` goes on with a launch that was left.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import starmap
from pathlib import Path

from hydra import version
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from vertex_sweeper.errors import InvalidJob, InvalidSweep, JobFailed, ServiceError
from vertex_sweeper.job import in_our_words
from vertex_sweeper.job.app_image import with_digest
from vertex_sweeper.messages import printable
from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.launch_plan import LaunchPlan, PlannedJob, make_launch_plan
from vertex_sweeper.plan.whitelist import check_whitelist
from vertex_sweeper.results import launch_directory
from vertex_sweeper.results.launch_results import JobEnd
from vertex_sweeper.run.interrupt import Interrupt
from vertex_sweeper.run.launch_options import LaunchOptions
from vertex_sweeper.run.launch_to_end import Services, launch_to_end
from vertex_sweeper.run.returns import has_place
from vertex_sweeper.run.upload import upload_all
from vertex_sweeper.services.buckets import Upload
from vertex_sweeper.services.checks import check_acceptable
from vertex_sweeper.services.opening import has_buckets, open_buckets
from vertex_sweeper.settings import in_launcher_words
from vertex_sweeper_runtime.code_archive import BUCKETS
from vertex_sweeper_runtime.signals import INTERRUPTED

log = logging.getLogger(__name__)


def launch_jobs(
    job_overrides: Sequence[Sequence[str]], initial_job_idx: int, *, hydra_context: HydraContext, config: DictConfig
) -> list[JobReturn]:
    """Runs each of these Hydra jobs as a custom job; returns when all have ended.

    The task function is not called here: the containers run the command that started this process.

    Args:
        job_overrides: The overrides of each job, as Hydra's sweeper hands them to a launcher.
        initial_job_idx: The number of the first job.
        hydra_context: Hydra's config loader and callbacks.
        config: The app's config for the multirun, with `hydra`.

    Returns:
        What Hydra's sweeper looks at, in the order of the overrides. A job that failed has its error in it.

    Raises:
        SweepError: Something that a user can mend; no job was created, or those that were have ended.
        SystemExit: 130 after a signal; 0 where the jobs are not waited for, or nothing was to be created.
    """
    with _in_launcher_words():
        check_whitelist(hydra_context)
        context = SweepContext.of((), config=config, config_loader=hydra_context.config_loader)
        plan = make_launch_plan(context, job_overrides, initial_job_idx)
        for note in plan.notes:
            log.info("%s", printable(in_launcher_words(note)))
        _check(plan)
        if plan.settings.dry_run:
            _show(plan)
            raise SystemExit(0)
        plan = _with_image(plan)
        ends = _launch(plan)
    return [_job_return(planned, ends[planned.number], hydra_context, config) for planned in plan.jobs]


def _check(plan: LaunchPlan) -> None:
    """Checks all jobs before anything is written. Raises InvalidJob, InvalidSweep, MissingExtra."""
    if plan.settings.vertex.base_output_directory is not None and not has_buckets(plan.address):
        rule = "the jobs run on an emulator, and nothing there stands for the bucket that return values come back by"
        line = f"{rule}: start it with `vertex-sweeper emulator --gcs DIR`, and set {BUCKETS}=DIR here"
        if plan.needs_values:
            raise InvalidSweep([line])
        log.info("%s", line)
    if plan.shipment is not None:
        open_buckets(plan.address, plan.directory, project=plan.settings.vertex.project)
    for planned in plan.jobs:
        try:
            check_acceptable(plan.settings.backend, planned.job)
        except InvalidJob as error:
            raise in_our_words(error) from error


def _show(plan: LaunchPlan) -> None:
    from vertex_sweeper.plan.dry_run import launch_text  # rarely asked for

    sys.stdout.write(launch_text(plan))  # not logged: it is what was asked for, and may be piped into a file
    sys.stdout.flush()


def _with_image(plan: LaunchPlan) -> LaunchPlan:
    if plan.image is None:
        return plan
    from vertex_sweeper.run.build import built_image  # most launches do without

    pinned = built_image(plan.image, plan.address, project=plan.settings.vertex.project)
    if pinned is None:
        return plan
    jobs = [replace(planned, job=with_digest(planned.job, plan.image.name, pinned)) for planned in plan.jobs]
    return replace(plan, jobs=tuple(jobs))


def _launch(plan: LaunchPlan) -> dict[int, JobEnd]:
    settings = plan.settings
    documents = {planned.number: planned.job for planned in plan.jobs}
    services = Services(plan.directory, join=True)
    with Interrupt(services.kill) as interrupt:
        jobs = launch_directory.put_down(plan.directory, plan.address, documents, parallel=settings.parallel)
        try:
            _upload(plan, interrupt)
            launch_directory.make_ready(plan.directory, parallel=settings.parallel)
        except BaseException:
            launch_directory.withdraw(plan.directory, documents)
            raise
        options = LaunchOptions(
            parallel=settings.parallel,
            on_interrupt=settings.on_interrupt,
            on_refusal=settings.on_refusal,
            wait=settings.wait,
        )
        return launch_to_end(jobs, services, interrupt, options)


def _upload(plan: LaunchPlan, interrupt: Interrupt) -> None:
    """Uploads the code where it is shipped. Raises ServiceError, and SystemExit after a signal."""
    if plan.shipment is not None:
        put = open_buckets(plan.address, plan.directory, project=plan.settings.vertex.project)
        with plan.shipment.bundle.archive:
            upload_all(starmap(Upload, plan.shipment.contents().items()), put, interrupt)
    if interrupt.received:
        log.warning("%s: nothing was created", interrupt.received.name)
        raise SystemExit(INTERRUPTED)


def _job_return(planned: PlannedJob, end: JobEnd, hydra_context: HydraContext, config: DictConfig) -> JobReturn:
    """What Hydra's own launchers return of a job, its config composed here as they compose it."""
    composed = hydra_context.config_loader.load_sweep_config(config, list(planned.overrides))
    with read_write(composed), open_dict(composed):
        composed.hydra.job.num = planned.number
        composed.hydra.job.id = str(planned.number)
        folder = Path(str(composed.hydra.sweep.dir)) / _subdir(composed)
        composed.hydra.runtime.output_dir = str(folder.absolute())
        changes_folder, name = _changes_folder(composed), str(composed.hydra.job.name)
        hydra_config = OmegaConf.create({"hydra": composed.hydra}, flags={"allow_objects": True})
        del composed["hydra"]
    returned = JobReturn(
        overrides=list(planned.overrides),
        cfg=composed,
        hydra_cfg=hydra_config,
        working_dir=str(folder) if changes_folder else str(Path.cwd()),
        task_name=name,
    )
    failure = failure_of(end)
    returned.status = JobStatus.COMPLETED if failure is None else JobStatus.FAILED
    value = None if end.returned is None else end.returned.value
    returned._return_value = value if failure is None else failure  # noqa: SLF001 - Hydra's launchers set it so, too
    return returned


def _changes_folder(config: DictConfig) -> bool:
    """Whether a job runs in its output folder. Where `hydra.job.chdir` is not set, `version_base` decides, below Hydra 1.4."""
    if config.hydra.job.chdir is not None:
        return bool(config.hydra.job.chdir)
    base_at_least = getattr(version, "base_at_least", lambda _: True)
    return not base_at_least("1.2")


def failure_of(end: JobEnd) -> JobFailed | None:
    """Why a job has not completed, as what its JobReturn raises; None where it has."""
    number, returned = end.launched.number, end.returned
    if returned is not None and returned.status == "raised":
        return JobFailed(f"job {number}: {end.failure}", traceback=returned.traceback)
    if end.failure:
        return JobFailed(f"job {number}: {end.failure}")
    if returned is None and has_place(end.launched):
        return JobFailed(f"job {number}: it ended well, and no task returned under Hydra (did the app leave by sys.exit()?)")
    return None


def _subdir(config: DictConfig) -> str:
    """`hydra.sweep.subdir` of a job's config; its number where that cannot be told here."""
    try:
        return str(config.hydra.sweep.subdir)
    except OmegaConfBaseException:
        return str(config.hydra.job.num)


@contextmanager
def _in_launcher_words() -> Iterator[None]:
    """What is said of settings names them as the user has: under `hydra.launcher`."""
    try:
        yield
    except InvalidSweep as error:
        raise InvalidSweep([in_launcher_words(line) for line in error.mistakes]) from error
    except InvalidJob as error:
        raise InvalidJob(in_launcher_words(str(error)), code=error.code, fields=error.fields) from error
    except ServiceError as error:
        line = in_launcher_words(str(error))
        raise ServiceError(line, code=error.code, acted=error.acted, transient=error.transient) from error
