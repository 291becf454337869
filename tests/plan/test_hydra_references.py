"""A trial has of the sweep's own settings, and its launcher's, what the app's config asks for, as a job of a multirun has."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from tests.support import LOCAL, App, app_in, every
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.composition import samples
from vertex_sweeper.plan.hydra_overrides import given_hydra_overrides
from vertex_sweeper.space.config_groups import GroupFiles

CONFIG = "defaults: [_self_, {model: cnn}]\nlr: 0.1\nname: red\n"
OWN = """
defaults: [_self_, {model: cnn}]
lr: 0.1
trials: ${hydra:sweeper.max_trial_count}
hydra:
  sweeper:
    backend: local
    max_trial_count: 4
    params: {lr: "1,2"}
    trial: {env: {A: b}}
  launcher: {n_jobs: 4}
"""
IN_DEFAULTS = """
defaults: [_self_, {model: cnn}, {override hydra/sweeper: vertex}]
lr: 0.1
trials: ${hydra:sweeper.max_trial_count}
hydra: {sweeper: {max_trial_count: 4, labels: {team: a}}}
"""
SWEPT = "lr=1,2"
MANY = """
which: parallel_trial_count
whole: sweeper.on_interrupt
resolver: hydra
a: ${hydra:sweeper.max_trial_count}
b: a_${hydra:sweeper.algorithm}_b
c: [1, '${hydra:sweeper.measurement_selection}']
d: ${e}
e: ${hydra:sweeper.backend}
f: ${hydra:sweeper.${which}}
g: ${hydra:${whole}}
h: '${${resolver}:sweeper.wait}'
i: "${oc.decode:'[${hydra:sweeper.local.seed}]'}"
j: ${hydra:sweeper.metrics}
k: ${hydra:sweeper.display_name}
l: ${hydra:sweeper.max_batch_size}
m: ${hydra:sweeper.nope}
n: ${hydra:sweeper.vertex.network}
o: ${hydra:launcher._target_}
p: ${hydra:launcher.n_jobs}
q: {r: [{s: "${hydra:sweeper.trial.machine_type}"}]}
"""
SET = [
    "hydra/launcher=joblib",
    "hydra.launcher.n_jobs=3",
    "hydra.sweeper.max_trial_count=7",
    "hydra.sweeper.local.seed=5",
    "hydra.sweeper.labels={a: b}",
    "hydra.sweeper.metrics={acc: maximize, loss: minimize}",
    "hydra.sweeper.display_name='it\\'s ${name}, a=b {c} ${.search_space}'",
]
GIVEN = [
    "++hydra.sweeper.max_trial_count=7",
    "++hydra.sweeper.algorithm='bayesian'",
    "++hydra.sweeper.measurement_selection='last'",
    "++hydra.sweeper.backend='local'",
    "++hydra.sweeper.on_interrupt='ask'",
    "++hydra.sweeper.wait=True",
    "++hydra.sweeper.local.seed=5",
    "++hydra.sweeper.metrics.acc='maximize'",
    "++hydra.sweeper.metrics.loss='minimize'",
    "++hydra.sweeper.display_name='it\\'s ${name}, a=b {c} ${.search_space}'",
    "++hydra.sweeper.search_space='search_space'",
    "++hydra.launcher._target_='hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher'",
    "++hydra.launcher.n_jobs=3",
    "++hydra.sweeper.trial.machine_type='n1-standard-4'",
]

# The primary config, the words of the sweep, and what travels besides the sweep's own.
CASES: dict[str, tuple[str, list[str], list[str]]] = {
    "many at a time": (MANY, SET, GIVEN),
    "nothing": ("x: ${lr}\ny: ${hydra:runtime.output_dir}\n", SET, []),
    "a parameter's expression": (
        "x: ${hydra:sweeper.params.lr}\n",
        ["hydra.sweeper.params={lr: '1,2', name: 'a,b'}"],
        ["++hydra.sweeper.params.lr='1,2'"],
    ),
    "all parameters, one with a dot": (
        "x: ${hydra:sweeper.params}\n",
        ["hydra.sweeper.params={model.k: '1,2', name: [1, 'a b']}"],
        ["++hydra.sweeper.params={model.k:'1,2'}", "++hydra.sweeper.params.name=[1,'a b']"],
    ),
    "all parameters, of which there are none": (
        "x: ${hydra:sweeper.params}\n",
        [],
        ["++hydra.sweeper.params={}"],
    ),
    "by one option only": (
        "",
        ["model=cnn,vit", "hydra.sweeper.max_trial_count=7"],
        ["++hydra.sweeper.max_trial_count=7"],
    ),
    "by a key of Hydra's": (
        "hydra: {sweep: {subdir: '${hydra.job.num}_${hydra.sweeper.algorithm}'}}\n",
        [],
        ["++hydra.sweeper.algorithm='bayesian'"],
    ),
    "beside what only the trial has": (
        "hydra: {sweep: {subdir: '${oc.env:NOT_SET_HERE,x}_${hydra:sweeper.algorithm}'}}\n",
        [],
        ["++hydra.sweeper.algorithm='bayesian'"],
    ),
}
WHOLE: dict[str, tuple[str, list[str], list[str]]] = {
    "settings in the app's config": (OWN, ["hydra/launcher=joblib"], ["hydra/sweeper=vertex", "~hydra/launcher"]),
    "a setting in both": (
        OWN,
        ["hydra/launcher=joblib", "hydra.sweeper.max_trial_count=9"],
        ["++hydra.sweeper.max_trial_count=9", "hydra/sweeper=vertex", "~hydra/launcher"],
    ),
    "settings for the sweeper alone": (OWN.replace("  launcher: {n_jobs: 4}\n", ""), [], ["hydra/sweeper=vertex"]),
    "settings for the launcher alone": (
        "defaults: [_self_, {model: cnn}]\nlr: 0.1\nhydra: {launcher: {n_jobs: 4}}\nx: ${hydra:launcher.n_jobs}\n",
        [SWEPT, "hydra/launcher=joblib"],
        ["~hydra/launcher"],
    ),
    "our sweeper in the defaults": (IN_DEFAULTS, [SWEPT], []),
    "our sweeper in the defaults, and another value": (
        IN_DEFAULTS,
        [SWEPT, "hydra.sweeper.max_trial_count=7"],
        ["++hydra.sweeper.max_trial_count=7"],
    ),
    "a setting that the command line takes away": (
        IN_DEFAULTS + "x: ${hydra:sweeper.labels}\n",
        [SWEPT, "~hydra.sweeper.max_trial_count"],
        ["++hydra.sweeper.max_trial_count=null"],
    ),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    configs = {"model/cnn": "k: 1\n", "model/vit": "k: ${hydra:sweeper.max_trial_count}\n"}
    for number, (text, *_) in enumerate(CASES.values()):
        configs[f"c{number}"] = CONFIG + text
    for number, (text, *_) in enumerate(WHOLE.values()):
        configs[f"w{number}"] = text
    with app_in(tmp_path_factory.mktemp("references"), configs) as app:
        yield app


def resolved(config: DictConfig) -> Any:
    """What the task would see, resolved, and the trial's folder."""
    with open_dict(config.hydra):
        config.hydra.job.num, config.hydra.job.id, config.hydra.runtime.output_dir = 3, "x", "here"
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        folder = config.hydra.sweep.subdir
        with open_dict(config):
            del config["hydra"]
        return OmegaConf.to_container(config, resolve=True), folder
    finally:
        HydraConfig.instance().cfg = before


def check(app: App, name: str, words: list[str]) -> list[str]:
    """What travels of Hydra's own settings, where trials see what jobs of the multirun see."""
    plan = app.plan(*words, config_name=name)
    fixed = [item for item in plan.contract.sequence if isinstance(item, str)]
    given = [item for item in fixed if item.startswith("++hydra.") or item.lstrip("~").startswith("hydra/")]
    files = GroupFiles(app.loader, name, given_hydra_overrides(app.multirun([*LOCAL, *words], name)))
    for sample in islice(samples(plan.contract), 2):
        overrides = plan.contract.overrides(sample)
        task = [line for line in overrides if line not in given]
        assert resolved(plan.compose(overrides)) == resolved(files.compose_job(task)), sample
    return given


@pytest.mark.parametrize("case", every(2, CASES))
def test_a_trial_has_what_its_config_asks_for_and_nothing_else(app: App, case: str) -> None:
    _, words, expected = CASES[case]
    given = check(app, f"c{list(CASES).index(case)}", [SWEPT, *words])
    # Whether a setting fits into Hydra's own default config is for OmegaConf to say, and differs by version.
    assert [line for line in given if line != LOCAL[0]] == expected


@pytest.mark.parametrize("case", every(2, WHOLE))
def test_settings_in_the_apps_config_compose_in_the_check_and_in_the_trial(app: App, case: str) -> None:
    _, words, expected = WHOLE[case]
    assert check(app, f"w{list(WHOLE).index(case)}", words) == expected


REFUSED: dict[str, tuple[str, list[str], str]] = {
    "a password of a launcher": (
        "x: ${hydra:launcher.password}\n",
        ["+hydra.launcher.password=abc"],
        "hydra.launcher.password: x asks for it, and its name is that of a credential",
    ),
    "a credential by its form": (
        "x: ${hydra:launcher.greeting}\n",
        ["hydra/launcher=own", f"+hydra.launcher.greeting=hf_{30 * 'a'}"],
        "hydra.launcher.greeting: x asks for it, and its value looks like a Hugging Face token",
    ),
    "what no override can say": (
        "x: ${hydra:launcher.options}\n",
        ["hydra/launcher=own"],
        "x.++hydra.launcher.options: {'1': 'a'} cannot be said in Hydra's override grammar",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_trial_cannot_be_given_is_refused_by_name(tmp_path: Path, case: str) -> None:
    text, words, line = REFUSED[case]
    configs = {"config": "lr: 0.1\n" + text, "hydra/launcher/own": "_target_: own\noptions: {'1': a}\n"}
    with app_in(tmp_path, configs) as app, pytest.raises(InvalidSweep) as caught:
        app.plan(SWEPT, *words)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


SCRIPT = """
import json
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base="1.3", config_path=".", config_name="config")
def main(cfg):
    print("SEEN", json.dumps(OmegaConf.to_container(cfg, resolve=True), sort_keys=True))
    return cfg.lr

main()
"""


def test_trials_and_the_best_one_again_see_what_a_job_of_the_multirun_would_see(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="backend local needs the extra [local]")
    (tmp_path / "train.py").write_text(SCRIPT)
    asked = "a: ${hydra:sweeper.max_trial_count}\nb: ${hydra:launcher.n_jobs}\nc: ${hydra:sweeper.algorithm}\n"
    (tmp_path / "config.yaml").write_text(f"lr: 0.1\n{asked}{OWN.partition('max_trial_count}')[2]}")
    python = [sys.executable, "-W", "ignore"]
    words = ["hydra/sweeper=vertex", "hydra/launcher=joblib", "hydra.sweeper.algorithm=grid", "hydra.sweeper.max_trial_count=2"]
    result = _run([*python, "train.py", "-m", "hydra.sweep.dir=out", *words], tmp_path)
    seen = [json.loads(_seen(log.read_text())) for log in sorted((tmp_path / "out" / "logs").glob("*.log"))]
    expected = [{"lr": lr, "a": 2, "b": 4, "c": "grid"} for lr in (1, 2)]
    assert sorted(seen, key=lambda one: one["lr"]) == expected
    (line,) = [line for line in result.splitlines() if "run it again: " in line]
    _, *again = shlex.split(line.partition("run it again: ")[2])
    assert json.loads(_seen(_run([sys.executable, *again], tmp_path))) == expected[0]


def _run(command: list[str], folder: Path) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _seen(output: str) -> str:
    return output.partition("SEEN ")[2].splitlines()[0]
