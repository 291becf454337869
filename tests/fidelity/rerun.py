"""A trial run again by the command that is printed for the best one, beside the trial itself: Hydra composes both here.

What must be the same is all of the config, with what the app takes from `hydra.job`; excepted is what is about the very
run: where it writes and looks for configs, its mode, its list of overrides, and the callback that reports.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.api import TrialState
from vertex_sweeper.results.outcome import TrialResult
from vertex_sweeper.results.rerun import Rerun, rerun_of
from vertex_sweeper_runtime.contract import Contract
from vertex_sweeper_runtime.hydra_overrides import hydra_overrides
from vertex_sweeper_runtime.trial_environment import TrialContainer

NUMBER, JOB = 3, "4711"
HYDRAS_GROUPS = ("hydra/job_logging", "hydra/hydra_logging")
HYDRAS = [
    "hydra.job.chdir=true",
    "hydra.job.name='x y'",
    "hydra.job.name=n_${k0}",
    "+hydra.job.env_set.A=1",
    "+hydra.job.env_set.B='$(HOME)'",
    "hydra.job.config.override_dirname.exclude_keys=[k0,model]",
    "hydra.job.config.override_dirname.kv_sep=':'",
    "hydra.sweep.subdir=${hydra.job.num}_${hydra.job.name}",
    "hydra.verbose=true",
    "hydra.output_subdir=null",
    "hydra/job_logging=none",
    "hydra/hydra_logging=disabled",
    "hydra.job_logging.disable_existing_loggers=true",
    "+hydra.callbacks.own={_target_:a.B,n:1}",
    "++hydra.help.app_name=''",
    "hydra.help.footer=''",
    "hydra.searchpath=[pkg://json]",
    "+hydra.job.env_set={C:'1e3'}",
]


def draw_hydra_overrides(dice: Random) -> list[str]:
    """Overrides of Hydra's own settings, such as go with a trial."""
    return dice.sample(HYDRAS, dice.randint(0, 3))


def rerun_differences(configs: Path, sweep: Path, agreed: Contract, overrides: Sequence[str]) -> str:
    """Where a trial and its reruns part, by a config and by the whole list of overrides; nothing when they are the same.

    Args:
        configs: the app's config folder, whose primary config has a branch `seen` of interpolations to be resolved.
        sweep: a sweep directory; `best/best.yaml` is written there.
        agreed: the sweep's contract.
        overrides: the trial's, as the shim makes them of Vertex's flags.
    """
    container = TrialContainer(trial=str(NUMBER), job=JOB, primary=True, sweep_directory=str(sweep))
    trial = TrialResult(NUMBER, TrialState.SUCCEEDED, {}, tuple(overrides), {})
    wanted = _compose(configs, None, [*overrides, *hydra_overrides(container)])
    agreed = agreed._replace(groups=(*agreed.groups, *HYDRAS_GROUPS))
    for known in (agreed._replace(rerun=()), agreed._replace(rerun=None)):
        again = rerun_of(trial, known, job=JOB, directory=str(sweep), output=str(sweep))
        (sweep / "best").mkdir(parents=True, exist_ok=True)
        (sweep / "best" / "best.yaml").write_text(again.config, encoding="utf-8")
        config_dir, given = arguments_of(again, known)
        ours, theirs = (
            _compared(config, whole=known.rerun is None) for config in (_compose(configs, config_dir, given), wanted)
        )
        apart = [f"{name}: {ours[name]} and not {theirs[name]}" for name in ours if ours[name] != theirs[name]]
        if apart:
            return "\n".join([again.command, again.config, *apart])
    return ""


def arguments_of(again: Rerun, agreed: Contract) -> tuple[str | None, list[str]]:
    """The `--config-dir` and the overrides of the command, as Hydra reads them."""
    given = get_args_parser().parse_args(list(again.words[len(agreed.command) :]))
    return given.config_dir, given.overrides


def _compose(configs: Path, config_dir: str | None, overrides: list[str]) -> DictConfig:
    search_path = create_config_search_path(str(configs))
    if config_dir is not None:
        search_path.prepend(provider="command-line", path=f"file://{config_dir}")
    return ConfigLoaderImpl(search_path).load_configuration("config", overrides, run_mode=RunMode.RUN)


def _compared(config: DictConfig, *, whole: bool) -> dict[str, str]:
    """What must be the same, as text that tells 1 from 1.0; with `whole`, the overrides too."""
    with _current(config):
        seen = OmegaConf.to_container(config.get("seen") or OmegaConf.create({}), resolve=True)
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    hydra = plain.pop("hydra")
    task = hydra.pop("overrides")["task"]
    for name in ("mode", "searchpath"):
        del hydra[name]
    hydra["callbacks"].pop("vertex_sweeper", None)
    runtime = hydra.pop("runtime")
    # The file names a group that was taken away with null, and Hydra 1.4 reads an option in a folder as another group's.
    choices = {key: name for key, name in runtime["choices"].items() if name is not None and "/" not in f"{key}{name}"}
    choices.pop("best", None)
    del hydra["run"]["dir"]
    if not whole:
        task = None
        del hydra["sweep"]["dir"], hydra["job"]["override_dirname"]
    parts = {"config": plain, "seen": seen, "hydra": hydra, "choices": choices, "overrides": task}
    return {name: repr(part) for name, part in parts.items()}


@contextmanager
def _current(config: DictConfig) -> Iterator[None]:
    """The config that `${hydra:…}` is about, as in a job."""
    instance = HydraConfig.instance()
    before = instance.cfg
    instance.set_config(config)
    try:
        yield
    finally:
        instance.cfg = before
