"""Hydra 1.4's execution whitelist, which decides whether our callback may run in a trial."""

from __future__ import annotations

from hydra.errors import InstantiationException
from hydra.types import HydraContext
from hydra.utils import instantiate

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.space.hydra_api import execution_whitelist
from vertex_sweeper_runtime.hydra_overrides import CALLBACK


def check_whitelist(hydra_context: HydraContext) -> None:
    """Raises InvalidSweep when the app's whitelist refuses the callback that reports the metric; 1.3 has no whitelist."""
    whitelist = execution_whitelist(hydra_context)
    if whitelist is None:
        return
    try:
        instantiate({"_target_": CALLBACK}, _execution_whitelist_=whitelist)
    except InstantiationException as error:
        remedy = f"add {CALLBACK!r} to @hydra.main(execution_whitelist=…)"
        raise InvalidSweep(
            [f"this app's execution whitelist refuses the callback that reports its metric: {remedy}"]
        ) from error
