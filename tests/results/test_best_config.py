"""The config of the best trial, against Hydra's own composition."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.results.best_config import best_config, left_out

APP = {
    "config.yaml": """\
defaults:
  - base
  - data: digits
  - model: linear
  - model@backup: linear
  - optional extra: null
  - _self_
name: app
lr: 0.1
nothing: null
flag: true
sizes: [1, 2]
d: {a: 1, b: {x: 1, y: 2}}
other: {v: 3}
classes: {0: zero, one: 1}
""",
    "base.yaml": "seed: 1\nlr: 7\n",
    "data/digits.yaml": "size: 8\npath: ${oc.env:HOME}\n",
    "model/linear.yaml": "kind: linear\nC: 1.0\n",
    "model/svm.yaml": "kind: svm\nC: 2.0\nkernel: {name: rbf, gamma: 0.1}\n",
    "model/a.yaml": "first: 1\nboth: a\n",
    "model/b.yaml": "second: 2\nboth: b\n",
    "model/1.yaml": "kind: numbered\n",
    "model/nested/deep.yaml": "kind: deep\n",
    "db/nested/deep.yaml": "kind: deep\n",
    "db/mysql.yaml": "host: h\nport: 3306\n",
    "db/lite.yaml": "file: f\n",
    "extra/more.yaml": "more: 1\n",
    "experiment/e1.yaml": """\
# @package _global_
defaults:
  - override /model: svm
lr: 0.5
model: {C: 9}
""",
    "sweep/all.yaml": "# @package _global_\nhydra: {mode: MULTIRUN}\nd: {b: {x: 5}}\n",
}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    for name, text in APP.items():
        path = tmp_path / "cönf dir" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "cönf dir"


def loader(app: Path, config_dir: Path | None = None) -> ConfigLoaderImpl:
    Plugins.instance()  # finds the kinds of config sources
    search_path = create_config_search_path(str(app))
    if config_dir is not None:
        search_path.prepend(provider="command-line", path=f"file://{config_dir}")
    return ConfigLoaderImpl(config_search_path=search_path)


def compose(app: Path, overrides: list[str], config_dir: Path | None = None) -> DictConfig:
    return loader(app, config_dir).load_configuration("config", overrides=overrides, run_mode=RunMode.RUN)


def write_best(app: Path, overrides: list[str], pinned: Collection[str] = ()) -> tuple[Path, list[str]]:
    repository = loader(app).repository

    def is_group(override: Override) -> bool:
        return bool(repository.group_exists(override.key_or_group))

    sweep = app.parent / "swéep dir"
    (sweep / "best").mkdir(parents=True)
    (sweep / "best" / "best.yaml").write_text(best_config(overrides, is_group, pinned=pinned), encoding="utf-8")
    return sweep, left_out(overrides, is_group, pinned=pinned)


def typed(value: Any) -> Any:
    """The data with the types of its leaves, so that 1, 1.0, True and '1' differ, and nan equals nan."""
    if isinstance(value, dict):
        return {(type(key).__name__, key): typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return (type(value).__name__, repr(value))


def raw(config: DictConfig) -> Any:
    """All of the config, less what is about the very run that it is of: where it writes, and how it was asked for."""
    plain = OmegaConf.to_container(config, resolve=False)
    assert isinstance(plain, dict)
    hydra = plain["hydra"]
    for name in ("mode", "overrides"):
        del hydra[name]
    del hydra["job"]["override_dirname"], hydra["runtime"]["config_sources"]
    choices = hydra["runtime"].pop("choices")
    choices.pop("best", None)
    # A group that is not there is named with null by one way and not at all by the other; and Hydra 1.4 reads an option in a
    # folder as another group's.
    plain["choices"] = {key: name for key, name in choices.items() if name is not None and "/" not in f"{key}{name}"}
    return typed(plain)


SAID = {
    "nothing at all": [],
    "numbers": ["lr=0.5", "seed=3", "name=1e-05", "nothing=1e22", "flag=1_000"],
    "a whole float": ["seed=2.0"],
    "infinities": ["lr=inf", "seed=-inf", "name=nan"],
    "booleans and null": ["flag=false", "name=true", "lr=null"],
    "quoted numbers": ["name='1'", 'seed="1.5"', "lr='1e3'", "flag='1_0'", "nothing='0x1f'"],
    "quoted words": ["name='null'", "seed='true'", "lr='inf'", "flag='.nan'", "nothing='~'"],
    "words with a past in YAML": ["name=yes", "seed=on", "lr=NO", "flag=y", "nothing=12:30:45"],
    "a date": ["name='2020-01-01'"],
    "empty and blank": ["name=", "seed=''", "lr='  '", "flag=' a '"],
    "quotes in quotes": ["name='it\\'s \"so\"'", 'seed="a\'b"'],
    "punctuation": ["name='a: b #c'", "seed='- x'", "lr='{a}'", "flag='[1'", "nothing='%&*!|>@`'"],
    "backslashes": ["name='a\\\\b\\n'", "seed=C:\\\\x"],
    "line breaks": ["name='a\nb\n'", "seed='\ta\x85b\u2028c\ufeff'"],
    "unicode": ["name='größe'", "seed='日本語'", "nothing='🐍'"],
    "an equals sign": ["name='a=b'", "seed='='", "lr='<<'"],
    "an environment variable": ["name='$(HOME)'", "seed=$HOME"],
    "interpolations": ["name=${other.v}", "lr=${d.b}", "seed=x${.name}y", "nothing='${oc.env:HOME}'"],
    "an escaped interpolation": ["name='\\${other.v}'"],
    "a list": ["sizes=[3,4,5]", "nothing=[a,'1',null,[1.0,{x:1}]]", "flag=[]"],
    "a dict merges": ["d={b:{x:7}}"],
    "an empty dict": ["d={}", "nothing={}", "+fresh={}"],
    "a dict on null": ["nothing={a:1,b c:2}"],
    "a dict on a scalar": ["lr={a:1}"],
    "keys that are no words": ["+new={1:a,true:b,1.5:c,x y:d}"],
    "dicts that merge": ["d={b:{x:7}}", "d={b:{y:8}}", "d.b.y=9"],
    "the later value wins": ["d.a=5", "d={a:9}", "lr=1", "lr=2"],
    "the later part wins": ["d={a:9}", "d.a=5"],
    "scalar in place of a dict": ["d=5"],
    "null in place of a dict": ["d.a=2", "d=null"],
    "new keys": ["+new.key=3", "++lr=4", "++brand.new='5'", "+d.c=6", "+d.b={z:1}"],
    "a group": ["model=svm"],
    "a group and its keys": ["model.C=7", "model=svm", "model.kernel.gamma=1e-05", "model.kernel={name:poly}"],
    "a group in a package": ["model@backup=svm", "model=svm", "backup.C=3"],
    "an appended group": ["+db=mysql", "db.port=1"],
    "an appended group in a package": ["+db@store.main=mysql", "+db=lite", "store.main.port=1"],
    "an appended group at the top": ["+db@_global_=mysql"],
    "an appended group, chosen again": ["+db=mysql", "db=lite"],
    "a list of options": ["model=[a,b]"],
    "a list of options, the other way": ["model=[b,a]", "+db=[mysql,lite]"],
    "an option like a number": ["model='1'"],
    "an appended option in a folder": ["+db=nested/deep", "db.kind=x"],
    "an optional group": ["extra=more"],
    "no group": ["~model"],
    "no group of this option": ["~model=linear"],
    "a deletion is stronger than a choice": ["model=svm", "~model@backup"],
    "an experiment": ["+experiment=e1", "seed=4"],
    "an experiment, and a choice against it": ["+experiment=e1", "model=a"],
    "a dict behind a group's name": ["model={C:5}"],
    "what chooses hydra's mode": ["+sweep=all"],
    "hydra's own": ["hydra.job.chdir=true", "hydra/job_logging=disabled", "hydra.job.name='a b'", "hydra.verbose=true", "lr=3"],
    "hydra's environment": ["+hydra.job.env_set.A=1", "+hydra.job.env_set.B='1e3'", "hydra.job.env_copy=[HOME]", "lr=3"],
    "hydra's names": ["hydra.job.name=x_${model.kind}", "hydra.sweep.subdir=${hydra.job.num}/${lr}"],
    "a null among hydra's": ["hydra.output_subdir=null", "hydra.help.footer=''"],
    "hydra's callbacks": ["+hydra.callbacks.c={_target_:a.B,n:1}", "hydra.job_logging.root.level=ERROR"],
}


@pytest.mark.parametrize("overrides", SAID.values(), ids=SAID)
def test_the_config_of_the_best_trial_composes_to_what_its_overrides_compose_to(app: Path, overrides: list[str]) -> None:
    sweep, rest = write_best(app, overrides)

    assert rest == []
    assert raw(compose(app, ["+best=best"], sweep)) == raw(compose(app, overrides))


UNSAID = {
    "a deleted value": (["lr=2", "~d.a", "seed=5"], ["~d.a"]),
    "deleted, and set again": (["~d", "+d.z=3", "seed=5"], ["~d", "+d.z=3"]),
    "added, and deleted": (["+d.z=3", "~d.z"], ["~d.z"]),
    "an element of a list": (["sizes.0=5", "sizes.1=6", "d.a=3"], ["sizes.0=5", "sizes.1=6"]),
    "a list, then its element": (["sizes=[4,5]", "sizes.0=6"], ["sizes.0=6"]),
    "a dict anew": (["d=null", "d={a:9}"], ["d={a:9}"]),
    "a list anew": (["d=5", "d=[1,2]"], ["d=[1,2]"]),
    "a key of what was a scalar": (["d=3", "++d.a=9", "lr=2"], ["++d.a=9"]),
    "a part anew": (["d.b=1", "d={b:{x:9},a:2}"], ["d={b:{x:9},a:2}"]),
    "an option in a folder": (["model=nested/deep", "model.kind=x"], ["model=nested/deep"]),
    "a missing value": (["lr=???", "lr=5"], ["lr=???", "lr=5"]),
    "where configs are": (["hydra.searchpath=[pkg://json]", "lr=5"], ["hydra.searchpath=[pkg://json]"]),
    "a key that hydra's settings do not have": (["++hydra.x.y=1", "lr=3"], ["++hydra.x.y=1"]),
    "all of hydra's settings": (["hydra={job:{chdir:true}}", "lr=3"], ["hydra={job:{chdir:true}}"]),
    "another sweeper": (["hydra/sweeper=basic"], ["hydra/sweeper=basic"]),
    "settings of a sweeper": (["hydra.sweeper.max_batch_size=3", "lr=3"], ["hydra.sweeper.max_batch_size=3"]),
    "another launcher": (["hydra/launcher=basic", "lr=3"], ["hydra/launcher=basic"]),
    "a key called defaults": (["+defaults=[1]"], ["+defaults=[1]"]),
    "a line break in what is left out": (["~name", "+name='a\nb'", "seed=2"], ["~name", "+name='a\nb'"]),
}


@pytest.mark.parametrize(("overrides", "rest"), UNSAID.values(), ids=UNSAID)
def test_what_a_config_cannot_say_is_left_out_and_completes_it_on_the_command_line(
    app: Path, overrides: list[str], rest: list[str]
) -> None:
    sweep, unsaid = write_best(app, overrides)

    assert unsaid == rest
    assert raw(compose(app, ["+best=best", *unsaid], sweep)) == raw(compose(app, overrides))


@pytest.mark.parametrize("overrides", [["model=a", "model.first=5"], ["~model"], ["model=svm", "lr=3"]], ids=" ".join)
def test_what_the_primary_config_itself_overrides_is_chosen_on_the_command_line(app: Path, overrides: list[str]) -> None:
    (app / "parent.yaml").write_text("defaults: [{model: linear}]\n", encoding="utf-8")
    primary = "defaults: [base, parent, _self_, {override model: svm}]\n"
    (app / "config.yaml").write_text(primary, encoding="utf-8")

    sweep, unsaid = write_best(app, overrides, pinned=["model"])

    assert unsaid == overrides[:1]
    assert raw(compose(app, ["+best=best", *unsaid], sweep)) == raw(compose(app, overrides))


def test_what_is_left_out_is_named_in_a_comment_on_one_line() -> None:
    text = best_config(["~a.b", "+a.b='x\ny'"], lambda _: False)

    assert "#   ~a.b\n#   +a.b='x\\ny'\n" in text


def test_a_config_without_gaps_has_no_such_comment() -> None:
    assert best_config(["a=1", "model=svm"], lambda override: override.key_or_group == "model") == (
        "# @package _global_\n"
        "# The best trial of a sweep. Use: --config-dir <the sweep's directory> +best=best\n"
        "defaults:\n- _self_\n- override /model: svm\n"
        "hydra:\n  mode: RUN\n"
        "a: 1\n"
    )


SCHEMA = """
from dataclasses import dataclass, field
from enum import Enum
from collections.abc import Collection
from pathlib import Path
from typing import Any, Dict, List, Optional
import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

class Colour(Enum):
    RED = 1
    BLUE = 2

@dataclass
class Inner:
    x: float = 1.0
    names: List[str] = field(default_factory=lambda: ["a"])
    table: Dict[str, int] = field(default_factory=dict)

@dataclass
class Config:
    lr: float = 0.1
    text: str = "t"
    maybe: Optional[int] = 4
    colour: Colour = Colour.RED
    where: Path = Path("p")
    inner: Inner = field(default_factory=Inner)
    anything: Any = None

ConfigStore.instance().store(name="config", node=Config)

@hydra.main(config_path=None, config_name="config")
def main(config):
    print(repr(OmegaConf.to_container(config)))

main()
"""


def start(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "app.py", *arguments]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", check=False, timeout=60)


def run(folder: Path, *arguments: str) -> str:
    done = start(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_app_with_a_schema_runs_the_best_trial_again(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SCHEMA, encoding="utf-8")
    overrides = ["lr=1", "text='1'", "maybe=null", "colour=BLUE", "where=/a/b", "inner.x=1e-05", "inner.names=['1',b]"]
    overrides += ["+inner.table.k=3", "anything={a:[1,2.0]}", "hydra.run.dir=."]
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "best.yaml").write_text(best_config(overrides, lambda _: False), encoding="utf-8")

    assert run(tmp_path, "--config-dir", str(tmp_path), "+best=best") == run(tmp_path, *overrides)


SWEEPING = """
import hydra

@hydra.main(config_path=".", config_name="config")
def main(config):
    print("lr", config.lr, "seed", config.seed)

main()
"""


def write_sweeping_app(folder: Path) -> None:
    (folder / "app.py").write_text(SWEEPING, encoding="utf-8")
    config = "lr: 1\nseed: 1\nhydra: {mode: MULTIRUN, sweeper: {params: {lr: '5,6'}}}\n"
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "best").mkdir()
    (folder / "best" / "best.yaml").write_text(best_config(["lr=3"], lambda _: False), encoding="utf-8")


def test_it_is_one_run_also_where_the_app_sweeps_by_its_own_config(tmp_path: Path) -> None:
    write_sweeping_app(tmp_path)

    assert run(tmp_path, "--config-dir", str(tmp_path), "+best=best", "hydra.mode=RUN") == "lr 3 seed 1\n"


def test_nobody_starts_a_sweep_with_it_unasked(tmp_path: Path) -> None:
    """Hydra 1.3 runs it once; 1.4 wants `hydra.mode=RUN` on the command line and says so."""
    write_sweeping_app(tmp_path)

    done = start(tmp_path, "--config-dir", str(tmp_path), "+best=best")

    assert done.stdout == "lr 3 seed 1\n" or (done.returncode == 1 and "hydra.mode" in done.stderr)


def test_it_can_be_swept_around(tmp_path: Path) -> None:
    write_sweeping_app(tmp_path)
    (tmp_path / "config.yaml").write_text("lr: 1\nseed: 1\n", encoding="utf-8")

    done = start(tmp_path, "-m", "--config-dir", str(tmp_path), "+best=best", "seed=5,6")

    assert [line for line in done.stdout.splitlines() if line.startswith("lr")] == ["lr 3 seed 5", "lr 3 seed 6"]
