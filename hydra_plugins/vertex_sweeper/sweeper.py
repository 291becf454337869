"""The sweeper that Hydra makes: it keeps what it is given, and imports the engine only when a sweep starts.

Hydra executes this module at the start of every Hydra app of the environment. An exception other than ImportError here would
stop all of them, and every import here is paid by all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


class VertexSweeper(Sweeper):
    """Runs a multirun as a Vertex AI hyperparameter tuning job, on Vertex or on this machine.

    Args:
        **settings: The `hydra.sweeper` config, unread. Hydra 1.3 resolves it before it gets here and 1.4 does not, so the sweep
            reads `config.hydra.sweeper` for itself; and an error raised here would be shown with a traceback.
    """

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over; nothing is read before `sweep`."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: Sequence[str]) -> Any:
        """Tune the app with these command-line overrides, and return when the job has ended.

        Raises:
            SystemExit: This process belongs to a trial; its exit code is that of
                `vertex_sweeper_runtime.errors.SweepInTrialError`.
            vertex_sweeper.errors.SweepError: What went wrong, on one line; Hydra prints it without a traceback.
        """
        from vertex_sweeper_runtime.inside_trial import refuse_sweep

        refuse_sweep()  # before anything else: a sweep in each trial has no end

        from vertex_sweeper.sweep import run_sweep  # here, so that a plain run of the app does not pay for the engine

        return run_sweep(arguments, hydra_context=self.hydra_context, config=self.config)
