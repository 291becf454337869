"""The tasks of Hydra's launcher suite as a program: jobs are named after it, and the suite expects the name `a_module`.

The first word names the task: the suite's functions live in the test's process, and jobs run in others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

import hydra
from omegaconf import DictConfig, OmegaConf

TASK: Final = sys.argv.pop(1)
# The suite calls Hydra 1.3 as 1.1 was called, whose jobs run in their output folders; 1.4 has one way only.
BASE: Final = {"version_base": "1.1"} if hydra.__version__.startswith("1.3") else {}


def task_func(_: DictConfig) -> None:
    """The suite's task that fails."""
    try:
        raise ValueError("launcher cause")  # noqa: TRY301 - as the suite's
    except ValueError as cause:
        raise RuntimeError("launcher failure") from cause


TASKS: Final[dict[str, Callable[[DictConfig], Any]]] = {
    "hundred": lambda _: 100,
    "resolved": lambda config: config.x,
    "failing": task_func,
}


@hydra.main(config_path="pkg://hydra.test_utils.configs", **BASE)
def main(config: DictConfig) -> Any:
    """Returns what the suite's task returns."""
    return TASKS[TASK](config)


if __name__ == "__main__":
    OmegaConf.register_new_resolver("my_custom_resolver", lambda: "foo")
    main()
