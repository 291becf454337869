"""Hydra's own suite for launchers, run on this one with backend local.

The suite's task functions exist in the test's process alone. So `hydra.launcher.trial.command` is `launcher_tasks/a_module.py`,
which has the same tasks and composes the same configs of Hydra's package.

What cannot hold, and what is tried in its place:

- `test_failure_preserves_task_traceback` (Hydra 1.4 has it) expects the exception's own class, frames and cause as objects.
  They come from another process, maybe of another image, as text, and the text has all of them.
- `test_to_absolute_path_multirun` launches twice into one directory. A directory that holds launched jobs is left as it is, so
  the first launch's is removed between the two.

What holds without the launcher's doing:

- `test_not_sweeping_hydra_overrides`: Hydra refuses the words before it asks a launcher.
- `test_sweep_1_job_strict` is `test_sweep_1_job` again.
- `test_sweep_1_job_strict_and_bad_key` is content with any exception: here the message is looked at, too.
- The three `test_custom_task_name` that set the name, and all `test_custom_sweeper_run_workdir`, would hold in the process that
  launches as well. That another process writes what they read is what `tests/test_launch.py` shows.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hydra.core.plugins import Plugins
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
    sweep_1_job,
)
from hydra.test_utils.test_utils import SweepTaskFunction, TSweepRunner

from vertex_sweeper.errors import JobFailed

TASKS = Path(__file__).parent / "launcher_tasks" / "a_module.py"
LOCAL = "hydra.launcher.backend=local"
FAILING = "test_failure_preserves_task_traceback"


@pytest.fixture(scope="module", autouse=True)
def _plugins() -> None:
    """Hydra's fixture restores what was registered before the test: the plugins, as in Hydra's own tests."""
    Plugins.instance()


@pytest.fixture
def hydra_sweep_runner(
    hydra_sweep_runner: Callable[..., SweepTaskFunction], request: pytest.FixtureRequest
) -> Callable[..., SweepTaskFunction]:
    """Hydra's fixture, with the command of the jobs set to the same task and the same config."""

    def make(*, config_name: str, overrides: list[str], **others: Any) -> SweepTaskFunction:
        task = "resolved" if config_name == "custom_resolver" else "hundred"
        if request.function.__name__ == FAILING:
            task = "failing"
        command = f"hydra.launcher.trial.command=['{sys.executable}','{TASKS}',{task},--config-name,{config_name}]"
        return hydra_sweep_runner(config_name=config_name, overrides=[*overrides, command], **others)

    return make


@pytest.mark.parametrize(("launcher_name", "overrides"), [("vertex", [LOCAL])])
class TestLauncher(LauncherTestSuite):
    """One launch."""

    def test_failure_preserves_task_traceback(
        self, hydra_sweep_runner: Callable[..., SweepTaskFunction], launcher_name: str, overrides: list[str], tmpdir: Path
    ) -> None:
        """The text has what the suite looks for in the objects."""
        words = [f"hydra/launcher={launcher_name}", *overrides]
        module = "hydra.test_utils.a_module"
        sweep = hydra_sweep_runner(
            calling_file=None,
            calling_module=module,
            task_function=None,
            config_path="configs",
            config_name="compose.yaml",
            overrides=words,
            temp_dir=tmpdir,
        )
        with pytest.raises(JobFailed) as raised, sweep:
            pass
        for part in (
            *("job 0: RuntimeError: launcher failure", "ValueError: launcher cause", "RuntimeError: launcher failure\n"),
            *("The above exception was the direct cause", f'"{TASKS}"', "in task_func"),
        ):
            assert part in f"{raised.value}\n"

    def test_sweep_1_job_strict_and_bad_key(
        self, hydra_sweep_runner: Callable[..., SweepTaskFunction], launcher_name: str, overrides: list[str], tmpdir: Path
    ) -> None:
        """The suite takes any exception; the one that is meant names the key."""
        with pytest.raises(Exception, match="boo"):
            sweep_1_job(
                cast("TSweepRunner", hydra_sweep_runner),
                overrides=[f"hydra/launcher={launcher_name}", "boo=bar", *overrides],
                task_function=None,
                temp_dir=tmpdir,
            )


@pytest.mark.parametrize(("launcher_name", "overrides"), [("vertex", [LOCAL, "hydra.sweeper.max_batch_size=2"])])
class TestLaunches(BatchedSweeperTestSuite):
    """Several launches into one directory."""


@pytest.mark.parametrize(("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=vertex", LOCAL])])
class TestApps(IntegrationTestSuite):
    """Apps that are started as programs."""

    def generate_custom_cmd(self) -> Callable[..., list[str]]:
        """The app's own words, and a directory without the launch before."""

        def command(words: list[str], _: str) -> list[str]:
            shutil.rmtree("cli_dir", ignore_errors=True)
            return words

        return command
