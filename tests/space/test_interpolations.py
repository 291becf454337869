"""What is interpolated in the search space is resolved before it is read, on what all trials with it have in common."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

from tests.support import LOCAL, App, app_in
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.hydra_overrides import given_hydra_overrides
from vertex_sweeper.plan.written_space import read_space
from vertex_sweeper.space.config_groups import GroupFiles
from vertex_sweeper.space.search_space import SearchSpace
from vertex_sweeper_runtime.contract import Kind

CONFIG = """
defaults: [_self_, {model: cnn}, {optim: sgd}]
lr: 0.1
top: 4
lo: 0.25
hi: 0.75
n: 0
x: null
y: null
word: red
comma: "7,8,9"
chain: ${comma}
flag: true
nothing: null
late: ???
which: small
list: [1, 2]
others: [1, 2]
dict: {a: 1, b: two}
both: {a: 1, b: two}
spaces: {small: "1,2", large: "10,20", x: "7,8,9", best: "${.${..which}}", nested: {n: "1,2", x: "5"}}
space: {n: "range(1, ${top})", x: "interval(${lo}, ${hi})", y: "${..word}"}
branch: {model.depth: "range(1, ${model.most})"}
block: {params: {model.depth: "5,6"}}
branches: {vit: {kind=9: {params: {/y: "${word},blue"}}}}
secret: ${oc.env:API_TOKEN}
deep: {secret: "${..secret}"}
from_lr: ${lr}
number: ${hydra:job.num}
folder: ${hydra.sweep.subdir}
"""
CONFIGS = {
    "model/cnn": "most: 3\nshared: 1\ndepth: 1\nkind: a\n",
    "model/vit": "most: 9\nshared: 1\ndepth: 1\nkind: a\nheads: {max: 16}\n",
    "optim/sgd": "rate: 1\nshared: 1\n",
    "optim/adam": "# @package _global_\noptim: {rate: 1, shared: 1}\nhi: 0.5\n",
    "search_space/model/vit": "depth: range(1, ${model.most})\nkind: ${.most},${..top}\nconditional: ${branches.vit}\n",
}
NO_FILES = "search_space: null\n"


def in_yaml(block: str) -> str:
    """The end of a primary config with this block under `hydra.sweeper`."""
    return "hydra:\n  sweeper:\n" + textwrap.indent(textwrap.dedent(block).strip("\n"), "    ") + "\n"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORDS", "left,right")
    monkeypatch.setenv("API_TOKEN", "not to be read")
    monkeypatch.setenv("ADDRESS", "postgres://me:hidden@host/db")


@pytest.fixture(autouse=True)
def calls() -> Iterator[list[int]]:
    """Resolvers of an app's own; the list has an element for each call of `count`."""
    made: list[int] = []

    def count() -> int:
        made.append(len(made))
        return len(made)

    def look(key: str, *, _root_: Any) -> Any:
        try:
            return _root_[key]
        except Exception:  # noqa: BLE001 - an app's resolver that swallows whatever happens
            return "nothing"

    def double(number: int) -> int:
        return 2 * number

    def space() -> dict[str, str]:
        return {"n": "1,2", "x": "${top}"}

    register: Any = OmegaConf.register_new_resolver if hydra.__version__.startswith("1.3.") else OmegaConf.register_resolver
    own = {"double": double, "space": space, "count": count, "look": look}
    for name, resolver in own.items():
        register(name, resolver)
    yield made
    for name in own:
        OmegaConf.clear_resolver(name)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app with a primary config for each table or case."""
    blocks = {case: block for table in (READ, REFUSED) for case, (block, *_) in table.items()}
    blocks |= {"values": in_params([value for value, _ in VALUES.values()])}
    blocks |= {"refused": in_params([value for value, *_ in REFUSED_VALUES.values()])}
    primary = {name_of(case): CONFIG + in_yaml(block) for case, block in blocks.items()}
    with app_in(tmp_path_factory.mktemp("interpolations"), CONFIGS | primary) as app:
        yield app


def in_params(values: list[str]) -> str:
    lines = [f"  +v{number}: {value}" for number, value in enumerate(values)]
    return "params:\n" + "\n".join(lines)


def name_of(case: str) -> str:
    return "case_" + re.sub(r"\W", "_", case)


def space_of(app: App, name: str, *words: str) -> SearchSpace:
    """The search space of a sweep with this primary config."""
    config = app.multirun([*LOCAL, *words], name)
    arguments = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(arguments, list)
    files = GroupFiles(app.loader, name, given_hydra_overrides(config))
    return read_space(arguments, config, files, allow_secrets=False)


def said(space: SearchSpace) -> list[str]:
    """Each override that trials get, with what a parameter ranges over in its place."""
    parameters = {parameter.id: parameter for parameter in space.parameters}
    lines = []
    for item in space.sequence:
        if isinstance(item, str):
            lines.append(item)
            continue
        parameter = parameters[item.id]
        bounds = parameter.kind in (Kind.DOUBLE, Kind.INTEGER)
        values = f"{parameter.low}..{parameter.high}" if bounds else ",".join(parameter.literals)
        lines.append(f"{parameter.key}={values}")
    return lines


VALUES: dict[str, tuple[str, str]] = {
    "inside a range": ('"range(1, ${top})"', "1..3"),
    "inside an interval": ('"interval(${lo}, ${hi})"', "0.25..0.75"),
    "inside a choice": ('"${top}, 9"', "4,9"),
    "a text that is a choice": ("${spaces.x}", "7,8,9"),
    "a chain": ("${chain}", "7,8,9"),
    "a key that is interpolated": ("${spaces.${which}}", "1,2"),
    "relative, and interpolated in turn": ("${spaces.best}", "1,2"),
    "a mapping": ("${both}", "{a:1,b:'two'}"),
    "a list": ("${others}", "[1,2]"),
    "inside a fixed list": ('["${top}", "${word}"]', "[4,'red']"),
    "inside a fixed mapping": ('{a: "${top}"}', "{a:4}"),
    "a number": ("${top}", "4"),
    "a bool": ("${flag}", "True"),
    "null": ("${nothing}", "null"),
    "a word": ("${word}", "red"),
    "of the environment": ("${oc.env:WORDS}", "left,right"),
    "of the environment, left out": ("${oc.env:NOT_SET_HERE,1}", "1"),
    "a default": ("${oc.select:not.there,5}", "5"),
    "decoded": ("\"${oc.decode:'[1, 2]'}\"", "[1,2]"),
    "a resolver of the app": ('"range(1, ${double:${top}})"', "1..7"),
    "a setting of the sweep": ("range(1, ${hydra.sweeper.max_trial_count})", "1..6"),
    "a key of Hydra's": ("${hydra.job.chdir}", "True"),
    "a key of Hydra's, by its resolver": ("${hydra:job.chdir}", "True"),
    "escaped": ("\\${lr}", "${lr}"),
    "escaped among others": ("\\${lr}, ${top}", "$\\{lr\\},4"),
    "escaped in a list": ("['\\${lr}']", "['${lr}']"),
}


def test_an_interpolation_is_resolved_before_it_is_read(app: App) -> None:
    space = space_of(app, "case_values", "lr=1,2", "hydra.job.chdir=true", "hydra.sweeper.max_trial_count=7")
    lines = [line for line in said(space) if line.startswith("+v")]
    assert lines == [f"+v{number}={expected}" for number, (_, expected) in enumerate(VALUES.values())]


def test_a_resolver_is_called_once_for_each_value(app: App, calls: list[int]) -> None:
    space = space_of(app, name_of("a resolver with a memory"), "top=5")
    assert (said(space), len(calls)) == (["x=1", "n=1..4", "y=2", "top=5"], 2)


def test_a_line_says_what_a_value_reads_and_with_which_fixed_overrides(app: App) -> None:
    notes = space_of(app, name_of("fixed values of params, in a chain"), "hi=2").notes
    assert "hydra.sweeper.params.n: range(1, ${top}) reads range(1, 6), with top=6" in notes
    assert "hydra.sweeper.params.top: ${x} reads 6, with x=6" in notes


READ: dict[str, tuple[str, list[str], list[str]]] = {
    "a resolver with a memory": ("params: {x: '${count:}', n: 'range(1, ${top})', y: '${count:}'}", [], []),
    "another parameter's expression": ("params: {x: '1,2', y: '${.x}'}", [], ["x=1,2", "y=1,2"]),
    "another parameter's, by its key": ("params: {x: '1,2', y: '${hydra.sweeper.params.x}'}", [], ["x=1,2", "y=1,2"]),
    "a whole mapping": ("params: ${space}", [], ["n=1..3", "x=0.25..0.75", "y=red"]),
    "a whole mapping below": ("params: ${spaces.nested}", [], ["n=1,2", "x=5"]),
    "a mapping that a resolver makes": ("params: '${space:}'", [], ["n=1,2", "x=4"]),
    "a fixed override of the command line": ('params: {n: "range(1, ${top})"}', ["top=3"], ["n=1..2", "top=3"]),
    "a fixed option of the command line": ('params: {n: "range(1, ${model.most})"}', ["model=vit"], ["n=1..8", "model=vit"]),
    "a key that the command line adds": ('params: {n: "range(1, ${new})"}', ["+new=6"], ["n=1..5", "+new=6"]),
    "a fixed value of params": ('params: {top: 3, n: "range(1, ${top})"}', [], ["top=3", "n=1..2"]),
    "fixed values of params, in a chain": (
        "params: {n: 'range(1, ${top})', top: '${x}', x: '${lo}', lo: 6}",
        [],
        ["n=1..5", "top=6", "x=6", "lo=6"],
    ),
    "a fixed option of params": ('params: {model: vit, n: "range(1, ${model.most})"}', [], ["model=vit", "n=1..8"]),
    "one element": ('params: {top: "choice(3)", n: "range(1, ${top})"}', [], ["top=3", "n=1..2"]),
    "its own key": ("params: {lr: '${lr}, 0.5'}", [], ["lr=0.1,0.5"]),
    "an option": ("params: {model: '${word}', n: '1,2'}", ["word=vit"], ["model=vit", "n=1,2", "word=vit"]),
    "options": (f"params: {{model: '${{word}}'}}\n{NO_FILES}", ["word='cnn,vit'"], ["model=cnn,vit", "word='cnn,vit'"]),
    "on the command line, as written": ("params: {n: '1,2'}", ["x=${lr}", "lr=1,2"], ["n=1,2", "x=${lr}", "lr=1,2"]),
    "replaced by the command line": ("params: {x: '${nope}', n: '1,2'}", ["x=5"], ["x=5", "n=1,2"]),
    "what is the same in all options": ("params: {n: '${optim.rate},2', optim: 'sgd,adam'}", [], ["n=1,2", "optim=sgd,adam"]),
    "under a condition, its parent's option": (
        f"params: {{model: 'cnn,vit'}}\nconditional: {{model=cnn: {{params: {{n: 'range(1, ${{model.most}})'}}}}}}\n{NO_FILES}",
        [],
        ["model=cnn,vit", "n=1..2"],
    ),
    "under a condition, its parent's value": (
        "params: {n: '5,6'}\nconditional: {n=6: {params: {x: '${n},${top}'}}}",
        [],
        ["n=5,6", "x=4,6"],
    ),
    "under a condition, a fixed value beside it": (
        "params: {n: '5,6'}\nconditional: {n=6: {params: {top: 3, x: '${top},9'}}, n=5: {params: {top: '7,8'}}}",
        [],
        ["n=5,6", "top=3", "x=3,9", "top=7,8"],
    ),
    "under a condition that the command line has decided": (
        "conditional: {model=vit: {params: {n: 'range(1, ${model.most})'}}, model=cnn: {params: {x: '${nope}'}}}",
        ["model=vit"],
        ["n=1..8", "model=vit"],
    ),
    "under a condition that is resolved first": (
        "params: {n: '${top},5'}\nconditional: {n=4: {params: {x: '${n},1'}}}",
        [],
        ["n=4,5", "x=1,4"],
    ),
    "a whole block under a condition": (
        f"params: {{model: 'cnn,vit'}}\nconditional: {{model=cnn: '${{block}}'}}\n{NO_FILES}",
        [],
        ["model=cnn,vit", "model.depth=5,6"],
    ),
    "all that is under a condition": (
        f"params: {{model: 'cnn,vit'}}\nconditional: {{model=vit: {{params: '${{branch}}'}}}}\n{NO_FILES}",
        [],
        ["model=cnn,vit", "model.depth=1..8"],
    ),
    "in an option's own file": (
        "params: {}",
        ["model=cnn,vit"],
        ["model=cnn,vit", "model.depth=1..8", "model.kind=4,9", "y=red,blue"],
    ),
}


@pytest.mark.parametrize("case", list(READ)[1:])
def test_the_config_is_the_one_that_all_trials_with_the_value_have_in_common(app: App, case: str) -> None:
    _, words, expected = READ[case]
    assert said(space_of(app, name_of(case), *words)) == expected


SWEPT = ["lr=1,2", "+new=1,2", "dict.a=1,2", "both={a:1},{a:2}", "list.0=1,2", "model=cnn,vit", "optim=sgd,adam"]
VARIES = "which is not the same in every trial"
ONLY = "which only a trial has"
REFUSED_VALUES: dict[str, tuple[str, ...]] = {
    "a key that is not there": ("${nope}", "${nope} cannot be resolved", "'nope' not found"),
    "a value that is missing": ("${late}", "late"),
    "an unknown resolver": ("${nope:1}", "nope"),
    "a variable that is not set": ("${oc.env:NOT_SET_HERE}", "NOT_SET_HERE"),
    "the trial's number": ("${hydra:job.num}", f"${{hydra:job.num}} asks for hydra.job.num, {ONLY}"),
    "the trial's number, by its key": ("${hydra.job.num}", f"hydra.job.num, {ONLY}"),
    "the trial's number, in a text": ("'a_${hydra:job.num},b'", f"hydra.job.num, {ONLY}"),
    "the trial's number, by another key": ("${number}", f"hydra.job.num, {ONLY}"),
    "the trial's number, in a list": ("['${number}']", f"hydra.job.num, {ONLY}"),
    "the trial's folder": ("${hydra:runtime.output_dir}", f"hydra.runtime.output_dir, {ONLY}"),
    "the trial's folder, by its parts": ("${folder}", f"hydra.job.num, {ONLY}"),
    "the trial's name": ("${hydra:job.id}", f"hydra.job.id, {ONLY}"),
    "the trial's overrides": ("${hydra:job.override_dirname}", f"override_dirname, {ONLY}"),
    "the trial's overrides, as a list": ("${hydra:overrides.task}", f"hydra.overrides, {ONLY}"),
    "all of hydra.job": ("${hydra:job}", f", {ONLY}"),
    "a swept key": ("${lr}", f"${{lr}} asks for lr, {VARIES}"),
    "a swept key in a text": ("'a${lr},b'", f"lr, {VARIES}"),
    "a swept key by another": ("${from_lr}", f"lr, {VARIES}"),
    "a swept key by a default": ("${oc.select:lr,5}", f"lr, {VARIES}"),
    "a swept key by a resolver that hides it": ("${look:lr}", f"lr, {VARIES}"),
    "a swept key in a mapping": ("${dict}", f"dict.a, {VARIES}"),
    "a swept key that is added": ("${new}", f"+new, {VARIES}"),
    "a swept mapping": ("${both.a}", f"both, {VARIES}"),
    "an element of a list": ("${list}", f"list.0, {VARIES}"),
    "what a swept option decides": ("${model.most}", f"model, {VARIES}"),
    "what a swept option decides elsewhere": ("${hi}", f"optim, {VARIES}"),
    "what only one option has": ("${oc.select:model.heads.max,1}", f"model, {VARIES}"),
    "which keys an option has": ("'${oc.dict.keys:model}'", f"model, {VARIES}"),
    "which option it is": ("${hydra:runtime.choices.model}", f"model, {VARIES}"),
    "what waits for what is refused": ("${.+v0}", "'nope' not found"),
    "to itself": ("${.+v30}", "ecursi"),
    "a credential": ("${oc.env:API_TOKEN}", "reads API_TOKEN"),
    "a credential with a default": ("${oc.env:OTHER_SECRET,1}", "reads OTHER_SECRET"),
    "a credential in a text": ("'a${oc.env:API_TOKEN},b'", "reads API_TOKEN"),
    "a credential by a chain": ("${deep.secret}", "reads API_TOKEN"),
    "a credential in a mapping": ("${deep}", "reads API_TOKEN"),
    "a credential by its value": ("${oc.env:ADDRESS}", "reads ADDRESS"),
    "a credential by a resolver": ("'${oc.decode:${oc.env:API_TOKEN}}'", "reads API_TOKEN"),
}


def test_what_is_not_the_same_in_all_trials_is_refused_by_name(app: App) -> None:
    with pytest.raises(InvalidSweep) as caught:
        space_of(app, "case_refused", *SWEPT)
    lines = str(caught.value).splitlines()
    for number, (case, (_, *fragments)) in enumerate(REFUSED_VALUES.items()):
        (line,) = [line for line in lines if line.startswith(f"hydra.sweeper.params.+v{number}: ")]
        assert [fragment for fragment in fragments if fragment not in line] == [], (case, line)
    assert len(lines) == len(REFUSED_VALUES)
    assert not re.search(r"not to be read|hidden@|vertex_sweeper_unresolved|vertex_sweeper\.marked", str(caught.value))


REFUSED: dict[str, tuple[str, list[str], list[str]]] = {
    "a key under a condition": (
        "params: {n: '5,6', x: '${top},9'}\nconditional: {n=6: {params: {top: 3}}}",
        [],
        [f"hydra.sweeper.params.x: ${{top}},9 asks for top, {VARIES}"],
    ),
    "a key under another condition": (
        "params: {n: '5,6', y: 'a,b'}\nconditional: {n=6: {params: {top: 3}}, y=a: {params: {x: '${top},9'}}}",
        [],
        [f"hydra.sweeper.conditional.y=a.x: ${{top}},9 asks for top, {VARIES}"],
    ),
    "a parent of several values": (
        "params: {n: '5,6,7'}\nconditional: {'n=6,7': {params: {x: '${n},1'}}}",
        [],
        [f"hydra.sweeper.conditional.n=6,7.x: ${{n}},1 asks for n, {VARIES}"],
    ),
    "a parent of several options": (
        "params: {model: 'cnn,vit'}\nconditional: {'model=cnn,vit': {params: {n: 'range(1, ${model.most})'}}}",
        [],
        [f"hydra.sweeper.conditional.model=cnn,vit.n: range(1, ${{model.most}}) asks for model, {VARIES}"],
    ),
    "a key that an option's file tunes": (
        "params: {x: '${y}'}",
        ["model=cnn,vit"],
        [f"hydra.sweeper.params.x: ${{y}} asks for y, {VARIES}"],
    ),
    "in a circle": (
        "params: {x: '${y}', y: '${x}', n: '1,2'}",
        [],
        ["params.x: ${y} needs y, and that needs it", "params.y: ${x} needs x, and that needs it"],
    ),
    "a mapping that is none": ("params: ${word}", ["lr=1,2"], ["hydra.sweeper.params: ${word} cannot be resolved: it is red"]),
    "conditions that are none": ("conditional: ${list}", ["lr=1,2"], ["hydra.sweeper.conditional: ${list} cannot be resolved"]),
    "a mapping that is not there": ("params: ${nope}", ["lr=1,2"], ["hydra.sweeper.params: ${nope} cannot be resolved"]),
    "a mapping of a swept option": ("params: ${model}", ["model=cnn,vit"], ["hydra.sweeper.params: ${model} asks for model"]),
    "what is no expression then": ("params: {x: '${word}(1'}", ["lr=1,2"], ["hydra.sweeper.params: x=red(1: "]),
    "what is no range then": ("params: {x: 'range(1, ${word})'}", [], ["hydra.sweeper.params: x=range(1, red): "]),
    "a credential in a whole mapping": (
        "params: '${deep}'",
        ["lr=1,2"],
        ["hydra.sweeper.params.secret: ${..secret} reads"],
    ),
    "a credential under a condition": (
        "params: {n: '5,6'}\nconditional: {n=6: {params: {x: '${secret}'}}}",
        [],
        ["hydra.sweeper.conditional.n=6.x: ${secret} reads API_TOKEN"],
    ),
    "a credential in a text that is no expression": (
        "params: {x: '${oc.env:ADDRESS}(', n: '1,2'}",
        [],
        ["hydra.sweeper.params.x: ${oc.env:ADDRESS}( reads ADDRESS"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_each_value_that_is_refused_is_one_line(app: App, case: str) -> None:
    _, words, expected = REFUSED[case]
    with pytest.raises(InvalidSweep) as caught:
        space_of(app, name_of(case), *words)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(expected), lines
    assert all(fragment in line for fragment, line in zip(expected, lines, strict=True)), lines
    assert not re.search(r"not to be read|hidden@|vertex_sweeper_unresolved|vertex_sweeper\.marked", str(caught.value))


def test_whoever_insists_may_have_a_credential_in_the_job(tmp_path: Path) -> None:
    block = "params: {x: '${oc.env:API_TOKEN}', n: '1,2'}\ntrial: {allow_secrets: true}"
    with app_in(
        tmp_path, CONFIGS | {"config": "defaults: [{override hydra/sweeper: vertex}]\nx: 1\nn: 1\n" + in_yaml(block)}
    ) as app:
        assert "x=not to be read" in app.plan().contract.sequence


def test_the_sweep_says_what_only_a_trial_has_also_where_hydra_resolves_before(tmp_path: Path) -> None:
    script = (
        "import hydra\n@hydra.main(version_base='1.3', config_path='.', config_name='config')\ndef main(cfg): ...\nmain()\n"
    )
    (tmp_path / "train.py").write_text(script)
    block = "backend: local\nparams: {x: '${hydra:job.num}', y: '${hydra.job.num}', n: '${late}', lr: '${hydra:job.name}'}"
    (tmp_path / "config.yaml").write_text("defaults: [{override hydra/sweeper: vertex}]\nlate: ???\n" + in_yaml(block))
    command = [sys.executable, "-W", "ignore", "train.py", "-m"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = [line for line in result.stderr.splitlines() if line.startswith("hydra.sweeper.params.")]
    assert result.returncode == 1
    assert [line.partition(":")[0][-1] for line in lines] == ["x", "y", "n"], result.stderr
    assert "Traceback" not in result.stderr
