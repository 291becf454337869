"""The `hydra/sweeper=vertex` config, as users find it before they set anything.

Hydra executes this module at the start of every Hydra app of the environment, swept or not, and most of the time nobody asks
for this config. To store it takes 1.9 ms, to store a placeholder 0.03 ms (Hydra 1.3.8): what is stored is a placeholder, which
becomes the config when Hydra loads it. (A structured config would cost even more; types are checked where a sweep starts.) The
module imports nothing of ours, and in particular not `sweeper.py`: the scanner executes each module by itself, and what two of
them share would exist twice.
"""

from __future__ import annotations

from typing import Any, Final

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf, StringNode

JOB_SETTINGS: Final[dict[str, Any]] = {
    # Hydra 1.3 would read, one by one, what is in the settings, and make objects of what another plugin left there.
    "_recursive_": False,
    # The job.
    "backend": "vertex",
    "display_name": None,
    "labels": {},
    # How it runs: only check and show, do not wait for its end, what Ctrl-C does.
    "dry_run": False,
    "wait": True,
    "on_interrupt": "ask",
    # What the API has and no setting says, in its JSON form.
    "spec_overrides": {},
    # What an hour of each machine type and accelerator costs: the most the job can cost is then told in money, too.
    "prices": {},
    # What runs, and on what.
    "trial": {
        "command": None,
        "image": None,
        "build": False,
        "code": None,
        "requirements": None,
        "wheels": None,
        "machine_type": "n1-standard-4",
        "accelerator_type": None,
        "accelerator_count": None,
        "disk_type": None,
        "disk_size_gb": None,
        "replica_count": 1,
        "worker_pools": None,
        "env": {},
        "allow_secrets": False,
        "timeout": None,
        "strategy": "standard",
        "max_wait_duration": None,
        "persistent_resource_id": None,
        "keep_alive": None,
        "drift": "warn",
        "enable_web_access": False,
    },
    # Where it runs.
    "vertex": {
        "project": None,
        "location": None,
        "endpoint": None,
        "impersonate_service_account": None,
        "service_account": None,
        "network": None,
        "kms_key_name": None,
        "base_output_directory": None,
        "staging": None,
        "tensorboard": None,
    },
}
"""What `hydra/launcher=vertex` has too, which takes it from here once it is asked for."""

# Every setting with its default. Null stands where a default depends on other settings, and for a dict that has one: Hydra
# would merge the user's dict into it, and the default metric would stay beside the user's own.
SETTINGS: Final[dict[str, Any]] = {
    "_target_": "hydra_plugins.vertex_sweeper.sweeper.VertexSweeper",
    **JOB_SETTINGS,
    # The study.
    "metrics": None,
    "max_trial_count": None,
    "parallel_trial_count": None,
    "max_failed_trial_count": None,
    "algorithm": "bayesian",
    "measurement_selection": "last",
    "median_automated_stopping_spec": None,
    "study_stopping_config": None,
    # What is searched.
    "params": {},
    "conditional": {},
    "search_space": "search_space",  # the config group where options of swept groups have theirs
    # Go on with a job instead of creating one.
    "attach": None,
    "local": {"seed": None, "devices": "auto"},
}

OTHER_TARGET: Final = "_other_target_"
OTHER_SWEEPERS: Final = ("hydra_plugins.hydra_", "hydra_plugins.hypersweeper.", "hydra._internal.core_plugins.")
"""How the classes of others begin, launchers too: those of Hydra's repository, those named after them, and Hydra's own."""


class Placeholder(DictConfig):
    """Stands in the store for the settings. Hydra deep-copies what it loads, and the copy is the config.

    The config's struct flag is off so that an unknown key reaches the sweeper, which names the nearest known one, and so that
    `params`, `env` and `labels` take new keys from the command line without a `+`.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> DictConfig:
        return as_loaded(SETTINGS)


def as_loaded(settings: dict[str, Any]) -> DictConfig:
    """The config that Hydra loads, of a plugin's settings: those of the sweeper, or of the launcher."""
    if hydra.__version__.startswith("1.3."):
        _let_hydra_resolve_early()
    config = DictConfig(settings, flags={"struct": False})
    config["_target_"] = target_node(settings["_target_"])
    return config


def _let_hydra_resolve_early() -> None:
    """Give `${hydra:…}` an answer before there is a job, from the config itself.

    Hydra 1.3 resolves `hydra.sweeper` before it makes the sweeper and has none then, so that the sweep could not say what
    cannot be resolved and why. This resolves into a copy that nobody reads; in a job Hydra's own answer is the one.
    """
    from hydra.core.hydra_config import HydraConfig

    def answer(path: str, *, _root_: Any) -> Any:
        config: Any = HydraConfig.get() if HydraConfig.initialized() else _root_.hydra
        return OmegaConf.select(config, path)

    OmegaConf.register_new_resolver("hydra", answer, replace=True)


def target_node(target: str) -> StringNode:
    """`_target_` as a node that keeps its value where a config was written for another plugin and still names that one.

    Hydra would make the other one of our settings, or say that it is not installed, with a traceback. So what was given is put
    beside it, and the sweep says what to do.
    """

    class Target(StringNode):
        # Made where the config is loaded: at the top of a scanned module every app would pay 0.02 ms for it.
        def _set_value(self, value: Any, flags: dict[str, bool] | None = None) -> None:
            parent = self._get_parent()
            if isinstance(parent, DictConfig) and str(value).startswith(OTHER_SWEEPERS):
                parent[OTHER_TARGET] = str(value)
            else:
                super()._set_value(value, flags)

        def __deepcopy__(self, memo: dict[int, Any]) -> StringNode:
            copied = Target()
            self._deepcopy_impl(copied, memo)
            return copied

        def __reduce__(self) -> tuple[Any, ...]:
            return StringNode, (), self.__dict__  # whoever unpickles it need not have this package

    return Target(target)


def store_settings() -> None:
    """Register `hydra/sweeper=vertex`. The store copies a node when it takes it, so the placeholder is put there afterwards."""
    store = ConfigStore.instance()
    store.store(group="hydra/sweeper", name="vertex", node={}, provider="hydra-vertex-sweeper")
    store.repo["hydra"]["sweeper"]["vertex.yaml"].node = Placeholder({})


store_settings()
