"""What Hydra hands to a sweep, in one object that the steps of a plan take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from vertex_sweeper.plan.hydra_overrides import given_hydra_overrides
from vertex_sweeper.plan.trial_command import Start
from vertex_sweeper.space.config_groups import GroupFiles


@dataclass(frozen=True, slots=True)
class SweepContext:
    """A sweep as it was started.

    Attributes:
        arguments: The overrides of the task, as Hydra hands them to a sweeper.
        config: The config of the multirun, with its `hydra` node.
        config_loader: Hydra's.
        start: How this process was started.
        files: The config sources, `hydra.searchpath` included.
    """

    arguments: Sequence[str]
    config: DictConfig
    config_loader: ConfigLoader
    start: Start
    files: GroupFiles

    @classmethod
    def of(
        cls, arguments: Sequence[str], *, config: DictConfig, config_loader: ConfigLoader, start: Start | None = None
    ) -> SweepContext:
        """The context of a sweep; without a `start`, of one in this process."""
        files = GroupFiles(config_loader, config.hydra.job.config_name, given_hydra_overrides(config))
        return cls(arguments, config, config_loader, start or Start.of_this_process(), files)

    @property
    def directory(self) -> Path:
        """The sweep directory, where the results will be."""
        return self.start.directory / str(self.config.hydra.sweep.dir)

    @property
    def config_name(self) -> str | None:
        """The name of the app's primary config; None for an app without one."""
        name: str | None = self.config.hydra.job.config_name
        return name
