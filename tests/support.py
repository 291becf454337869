"""What several tests share: a Hydra app in a folder, and what Hydra hands to a sweeper for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.plan import Plan, make_plan
from vertex_sweeper.plan.trial_command import Start

LOCAL = ("hydra/sweeper=vertex", "hydra.sweeper.backend=local")


@dataclass(frozen=True)
class App:
    """A Hydra app's config folder, seen through Hydra's own loader."""

    loader: ConfigLoader
    folder: Path

    def multirun(self, overrides: Sequence[str], config_name: str = "config") -> DictConfig:
        """The config that Hydra hands to a sweeper for `-m` and these overrides."""
        return self.loader.load_configuration(config_name, list(overrides), run_mode=RunMode.MULTIRUN)

    def run(self, overrides: Sequence[str], config_name: str = "config") -> DictConfig:
        """The config of a plain run: the oracle."""
        return self.loader.load_configuration(config_name, list(overrides), run_mode=RunMode.RUN)

    def plan(self, *overrides: str, config_name: str = "config") -> Plan:
        """The plan of a local sweep with these overrides."""
        config = self.multirun([*LOCAL, *overrides], config_name)
        arguments = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)  # as Hydra itself hands them over
        assert isinstance(arguments, list)
        start = start_of(self.folder, "--multirun", *LOCAL, *overrides)
        return make_plan(SweepContext.of(arguments, config=config, config_loader=self.loader, start=start))


def start_of(folder: Path, *words: str) -> Start:
    """A process started as `python train.py words…` in this folder."""
    script = folder / "train.py"
    script.touch()
    argv = [str(script), *words]
    return Start(argv, ["python", *argv], None, "/usr/bin/python", folder)


def every(number: int, rows: Iterable[Any]) -> list[Any]:
    """Rows for `parametrize`, of which `make test` tries the first and then each so many-th; the others are `thorough`."""
    return [row if index % number == 0 else thorough(row) for index, row in enumerate(rows)]


def thorough(row: Any) -> Any:
    """A row for `parametrize` that `make test-all` tries, and `make test` does not."""
    if not isinstance(row, ParameterSet):
        return pytest.param(*(row if isinstance(row, tuple) else (row,)), marks=pytest.mark.thorough)
    return pytest.param(*row.values, id=row.id, marks=[*row.marks, pytest.mark.thorough])


@contextmanager
def app_in(folder: Path, configs: dict[str, str]) -> Iterator[App]:
    """An app whose `conf/` holds these files, by their paths without `.yaml`."""
    for name, text in configs.items():
        path = folder / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    GlobalHydra.instance().clear()
    try:
        hydra = Hydra.create_main_hydra2("train", create_config_search_path(str(folder / "conf")))
        yield App(hydra.config_loader, folder)
    finally:
        GlobalHydra.instance().clear()
