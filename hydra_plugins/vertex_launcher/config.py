"""The `hydra/launcher=vertex` config. See the sweeper's `config.py`: why a placeholder is stored, and nothing of ours imported.

Most settings are the sweeper's, and are taken from its module once Hydra loads this config. By then the scan is over: an import
at the top here would execute that module twice.
"""

from __future__ import annotations

from typing import Any, Final

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

LAUNCH_SETTINGS: Final[dict[str, Any]] = {
    "_target_": "hydra_plugins.vertex_launcher.launcher.VertexLauncher",
    # How many jobs run at a time, whether many may do so at once, and what becomes of the others when one is refused.
    "parallel": None,
    "allow_many": False,
    "on_refusal": "cancel",
}


class Placeholder(DictConfig):
    """Stands in the store for the settings. Hydra deep-copies what it loads, and the copy is the config."""

    def __deepcopy__(self, memo: dict[int, Any]) -> DictConfig:
        from hydra_plugins.vertex_sweeper.config import JOB_SETTINGS, as_loaded

        return as_loaded({**LAUNCH_SETTINGS, **JOB_SETTINGS})


def store_settings() -> None:
    """Register `hydra/launcher=vertex`. The store copies a node when it takes it, so the placeholder comes afterwards."""
    store = ConfigStore.instance()
    store.store(group="hydra/launcher", name="vertex", node={}, provider="hydra-vertex-sweeper")
    store.repo["hydra"]["launcher"]["vertex.yaml"].node = Placeholder({})


store_settings()
