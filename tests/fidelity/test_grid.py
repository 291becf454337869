"""A grid of ours is the set of configs that Hydra's own basic sweeper runs: over awkward sweeps, and once for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import hydra
import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType

from tests.fidelity.drawn import Case
from tests.fidelity.oracle import composed, planned
from tests.support import App, app_in
from vertex_sweeper.services.local.suggest.grid import iterate_points
from vertex_sweeper.testing import HostileRendering
from vertex_sweeper_runtime.flags import trial_overrides

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "config": (
        "defaults: [{model: cnn}, {server/db@primary: mysql}, {opt: [a, b]}, {pick: '???'}, _self_]\n"
        "x: null\ny: null\nz: null\nlr: 0.1\nd: {a: 1, b: {c: [1, 2]}}\nlst: [1, 2, 3]\ngone: 5\n"
    ),
    **{f"model/{name}": f"kind: {name}\nheads: 1\n" for name in ("cnn", "vit", "virus")},
    **{f"server/db/{name}": f"driver: {name}\nport: 1\n" for name in ("mysql", "pg")},
    **{f"opt/{name}": f"o{name}: 1\n" for name in ("a", "b", "c")},
    **{f"pick/{name}": f"picked: {name}\n" for name in ("one", "two")},
    "extra/one": "e: 1\n",
    "extra/two": "e: 2\n",
}
SWEEPS = """
x=1,2 | x=1,1.0,01 | x=True,true,1 | x=null,'null',Null,none | x='1',1,"1" | x=1e-05,0.00001,1 | x=0.10,0.1,0.2
x=-0.0,0.0,0
x=1_000,1000,2 | x=9007199254740993,9007199254740992 | x=1e308,1e309,-inf | x=inf,nan,NaN
x=1e22,10000000000000000000000
x=0.1,0.1000000001,0.10000000005 | x=0x10,0b1,1:30 | x=yes,no,on | x=a,A,'a' | x=a_b,a b,a-b,'a b' | x=--a,-b,-
x='',' ',"" | x=a\\,b,c | x=a\\ b,\\=,\\\\ | x='it\\'s',"it's",'"' | x='a\\\\','\\\\' | x='{','}','['
x='$(HOME)','$$(HOME)' | x=${lr},'${lr}',a${lr}b
x=[1,2],[1,'2'],[] | x=[[1,[2,'3']],{a:[]}],[] | x={a:1,b:'x y'},{} | x={a b:1},{1:a} | x=[${lr}],{a:${lr}}
x='\u00e9','\U0001f600','a\tb'
x=a|b,c?d,* | x=c:/x,/a/b | x=10abc,1.2.3 | x=${oc.env:HOME},b
x=choice(1,2) | x=choice (a,b) | x=choice('a b',c) | x=choice(a) | x=choice('1',2)
x=tag(choice(a,b)) | x=tag(log,choice(1,10))
x=range(3) | x=range(1,4) | x=range(-2,2) | x=range(0,1,0.25) | x=range(0,1,0.1) | x=range(1e-4,1e-3,3e-4)
x=range(5,1,-2) | x=range(3.0)
x=float(range(3)) | x=int(range(0.5,3.5)) | x=shuffle(range(4)) | x=sort(range(5,0,-1))
x=sort(range(0,1,0.3),reverse=true)
x=sort(3,1,2) | x=sort(b,a,reverse=true) | x=shuffle(a,b,c) | x=int(1.5,2.5) | x=float(1,2) | x=str(1,2)
x=bool(1,0) | x=str('a',[1])
model=cnn,vit | model=glob(*) | model=glob([c*,v*],exclude=virus) | server/db@primary=mysql,pg
server/db@primary=glob(p*)
+server/db@third=mysql,pg | +extra=one,two | +extra@foo.bar=one,two | +extra@_global_=one,two | opt=[a,b],[c]
opt=[a],[b,c],a
+new.a.b=1,2 | ++d.b.c=[1],[2,3] | d.b.c.0=1,2 | lst.1=7,8 | +d.z={q:1},{q:2} | +$n=1,2 | +a-b=1,2 | ++x=1,2
~gone ; x=1,2 | ~gone=5 ; x=1,2 | ~d.b ; x=1,2 | ~model ; x=1,2 | ~model=cnn ; x=1,2 | ~server/db@primary ; x=1,2
~gone ; +gone=1,2
d.a=5 ; d={a:9} ; x=1,2 | d={a:9} ; d.a=5,6 | lst=[9],[8,7] ; lst.0=5 | model=cnn,vit ; model.heads=1,2
model.heads=1,2 ; model=cnn,vit
x=1,2 ; y=a,b ; z=null,[] | x= 1 , 2 ; y=  'a' | y='it\\'s' ; x=1,2 | y= ; x=1,2 | y=[1, 2,  'a b'] ; x=1,2
y={a: 1} ; x=1,2 | y=a b ; x=1,2
"""
NEW = "lst=extend_list(4,5) ; x=1,2 | lst[0]=1,2 | +d.b.q\\.r=1,2 | x=json_str([1,2]),b"
"""What Hydra 1.4 adds."""


_REWRITTEN = (OverrideType.DEL, getattr(OverrideType, "EXTEND_LIST", None))


def sweeps(text: str) -> list[list[str]]:
    """One sweep between bars, its overrides between semicolons."""
    return [sweep.strip().split(" ; ") for line in text.strip().splitlines() for sweep in line.split(" | ")]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app_in(tmp_path_factory.mktemp("grid"), CONFIGS) as app:
        yield app


def ours(app: App, lines: Sequence[str]) -> set[tuple[str, ...]]:
    """The overrides of all trials of a grid, each through the shim."""
    _, agreed, nodes = planned(Case({}, {}, lines, ()), app.loader)
    fixed = [item for item in agreed.sequence if isinstance(item, str)]
    rendered = (HostileRendering(number).render(point, fixed) for number, point in enumerate(iterate_points(nodes)))
    return {tuple(trial_overrides(agreed, [*agreed.command, *arguments])) for arguments in rendered}


def theirs(app: App, lines: Sequence[str]) -> set[tuple[str, ...]]:
    """The overrides of all jobs of Hydra's basic sweeper."""
    overrides = OverridesParser.create(config_loader=app.loader).parse_overrides(list(lines))
    (batch,) = BasicSweeper.split_arguments(overrides, None)
    # It writes `~gone` anew, as `~gone=null`, which Hydra 1.4 refuses, and extend_list() as a plain list: no opinion there.
    lost = {place: override for place, override in enumerate(overrides) if override.type in _REWRITTEN}
    return {tuple(str(lost[place].input_line) if place in lost else text for place, text in enumerate(job)) for job in batch}


@pytest.mark.filterwarnings("ignore:extend_list", "ignore:json_str", "ignore:\\nextend_list", "ignore:\\njson_str")
@pytest.mark.parametrize("lines", sweeps(SWEEPS) + ([] if hydra.__version__ < "1.4" else sweeps(NEW)), ids=" ; ".join)
def test_a_grid_is_the_set_of_configs_that_hydras_basic_sweeper_runs(app: App, lines: list[str]) -> None:
    # At least two values, so that there is something to tune.
    lines = [*lines, "pick=one,two"]
    mine, hydras = ours(app, lines), theirs(app, lines)
    if mine != hydras:  # it writes fixed overrides and deletions anew
        assert {composed(app, trial)[0] for trial in mine} == {composed(app, trial)[0] for trial in hydras}
    parsed: list[Override] = OverridesParser.create(config_loader=app.loader).parse_overrides(lines)
    swept = [override.get_key_element() for override in parsed if override.is_sweep_override()]
    assert {tuple(line for line in trial if line.partition("=")[0] in swept) for trial in mine} == {
        tuple(line for line in trial if line.partition("=")[0] in swept) for trial in hydras
    }


APP = """
import json, os
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with open(os.environ["SEEN"], "a") as file:
        file.write(json.dumps(OmegaConf.to_container(cfg, resolve=True)) + "\\n")
    return 1.0

if __name__ == "__main__":
    main()
"""


def test_a_real_multirun_of_either_sweeper_sees_the_same_configs(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="backend local needs the extra [local]")
    folder = tmp_path / "it's an \u00e4pp"
    with app_in(folder, CONFIGS):
        (folder / "train.py").write_text(APP)
    sweep = ["pick=two", "x='it\\'s','a=b',${lr},[1,'2',null]", "model=glob(v*)", "y=' '"]
    vertex = ["hydra/sweeper=vertex", "hydra.sweeper.backend=local", "hydra.sweeper.algorithm=grid"]
    seen = [configs_of(folder, words, tmp_path / name) for name, words in {"basic": sweep, "vertex": [*vertex, *sweep]}.items()]
    assert len(seen[0]) == 8
    assert seen[0] == seen[1]


def configs_of(folder: Path, words: Sequence[str], file: Path) -> list[str]:
    """What the app saw in a multirun, in no order."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "SEEN": str(file)}
    command = [sys.executable, "train.py", "-m", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(json.dumps(json.loads(line)) for line in file.read_text().splitlines())
