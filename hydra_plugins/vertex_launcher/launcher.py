"""The launcher that Hydra makes: it keeps what it is given, and imports the engine only when jobs are launched.

Hydra executes this module at the start of every Hydra app of the environment: see the sweeper's `sweeper.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.plugins.launcher import Launcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


class VertexLauncher(Launcher):
    """Runs each job of a multirun as a Vertex AI custom job, on Vertex or on this machine.

    Args:
        **settings: The `hydra.launcher` config, unread: `launch` reads `config.hydra.launcher` for itself, as the sweeper does.
    """

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over; nothing is read before `launch`."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run one job for each list of overrides, and return when all have ended.

        Args:
            job_overrides: The overrides of each job, as the sweeper gives them.
            initial_job_idx: The `hydra.job.num` of the first one.

        Returns:
            What became of each job, in the order of the overrides.

        Raises:
            SystemExit: This process belongs to a trial or a launched job; its exit code is that of
                `vertex_sweeper_runtime.errors.SweepInTrialError`.
            vertex_sweeper.errors.SweepError: What went wrong, on one line; Hydra prints it without a traceback.
        """
        from vertex_sweeper_runtime.inside_trial import refuse_sweep

        refuse_sweep(what="launch")  # before anything else: jobs that launch jobs have no end

        # Here, so that a plain run of the app does not pay for the engine.
        from vertex_sweeper.launch import launch_jobs

        return launch_jobs(job_overrides, initial_job_idx, hydra_context=self.hydra_context, config=self.config)
