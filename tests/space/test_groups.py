"""Config groups bring their own search space: found by Hydra, placed where Hydra places the option, under its condition."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from tests.support import app_in, every
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.plan import Plan
from vertex_sweeper_runtime.contract import Condition

BASE = {
    "config": "defaults: [{model: cnn}, {override hydra/sweeper: vertex}, _self_]\nlr: 0.1\nd: {x: 1, y: 1}\n",
    "model/cnn": "kernel: 3\n",
    "model/vit": "heads: 4\nkind: a\ngamma: 1.0\ndrop: 0.0\nopt: {lr: 1, beta: 1}\n",
    "search_space/model/vit": "heads: range(2, 9)\n",
}
DB = {
    "config": "defaults: [{db/mysql: small}]\n",
    "db/mysql/small": "size: 1\n",
    "db/mysql/large": "size: 9\n",
    "search_space/db/mysql/large": "size: range(5, 9)\n",
}
TWO_ROLES = {
    **BASE,
    "config": "defaults: [{model@teacher: cnn}, {model@student: cnn}, _self_]\nlr: 0.1\n",
}


def conditional(block: str) -> str:
    """The lines of a primary config that say this under `conditional`."""
    return f"hydra: {{sweeper: {{conditional: {{{block}}}}}}}\n"


def tuned(plan: Plan) -> list[str]:
    """Each parameter's key, and of its condition the parent's key and literals."""
    parameters = {parameter.id: parameter for parameter in plan.contract.parameters}

    def condition(when: Condition | None) -> str:
        if when is None:
            return ""
        parent = parameters[when.parent]
        literals = ",".join(parent.literal(value) for value in when.values)
        return f" if {parent.key}={literals}{condition(parent.when)}"

    return [parameter.key + condition(parameter.when) for parameter in plan.contract.parameters]


def plan_of(folder: Path, configs: dict[str, str], *overrides: str) -> Plan:
    with app_in(folder, configs) as app:
        return app.plan(*overrides)


PLACES: dict[str, tuple[dict[str, str], list[str], list[str]]] = {
    "the group's own package": (BASE, ["model=cnn,vit"], ["model", "model.heads if model=vit"]),
    "options found by glob": (BASE, ["model=glob(*)"], ["model", "model.heads if model=vit"]),
    "a nested group": (DB, ["db/mysql=small,large"], ["db/mysql", "db.mysql.size if db/mysql=large"]),
    "a group with another package": (
        TWO_ROLES,
        ["model@teacher=cnn,vit"],
        ["model@teacher", "teacher.heads if model@teacher=vit"],
    ),
    "one group in two packages": (
        TWO_ROLES,
        ["model@teacher=cnn,vit", "model@student=cnn,vit"],
        ["model@teacher", "model@student", "teacher.heads if model@teacher=vit", "student.heads if model@student=vit"],
    ),
    "a group at the top": (
        {**BASE, "config": "defaults: [{model@_global_: cnn}]\n"},
        ["model@_global_=cnn,vit"],
        ["model@_global_", "heads if model@_global_=vit"],
    ),
    "an added group": ({**BASE, "config": "{}\n"}, ["+model=cnn,vit"], ["+model", "model.heads if +model=vit"]),
    "an added group with a package": (
        {**BASE, "config": "{}\n"},
        ["+model@net=cnn,vit"],
        ["+model@net", "net.heads if +model@net=vit"],
    ),
    "a mandatory group": (
        {**BASE, "config": "defaults: [{model: '???'}]\n"},
        ["model=cnn,vit"],
        ["model", "model.heads if model=vit"],
    ),
    "beside another mandatory group that is swept": (
        {**BASE, "config": "defaults: [{model: '???'}, {size: '???'}]\n", "size/s": "n: 1\n", "size/l": "n: 2\n"},
        ["size=s,l", "model=cnn,vit"],
        ["size", "model", "model.heads if model=vit"],
    ),
    "lists of options": (
        {**BASE, "search_space/model/cnn": "kernel: 3,5\n"},
        ["model=[cnn],[cnn,vit]"],
        ["model", "model.kernel if model=[cnn]", "model.kernel if model=[cnn,vit]", "model.heads if model=[cnn,vit]"],
    ),
    "an option that says its package": (
        {**BASE, "model/vit": "# @package net.body\nheads: 4\n"},
        ["model=cnn,vit"],
        ["model", "net.body.heads if model=vit"],
    ),
    "a global option": (
        {**BASE, "model/vit": "# @package _global_\nd: {x: 7}\n", "search_space/model/vit": "d.x: 7,8\n"},
        ["model=cnn,vit"],
        ["model", "d.x if model=vit"],
    ),
    "a search-space file that says its package": (
        {**BASE, "search_space/model/vit": "# @package _global_.d\nx: 7,8\n"},
        ["model=cnn,vit"],
        ["model", "d.x if model=vit"],
    ),
    "an absolute key": ({**BASE, "search_space/model/vit": "/d.x: 7,8\n"}, ["model=cnn,vit"], ["model", "d.x if model=vit"]),
    "a new key": (
        {**BASE, "search_space/model/vit": "+new: 7,8\n++heads: 2,4\n"},
        ["model=cnn,vit"],
        ["model", "+model.new if model=vit", "++model.heads if model=vit"],
    ),
    "conditions inside": (
        {
            **BASE,
            "search_space/model/vit": "kind: a,b,c\nconditional:\n  kind=b,c:\n    params: {gamma: 'interval(0, 1)'}\n"
            "    conditional: {}\n",
        },
        ["model=cnn,vit"],
        ["model", "model.kind if model=vit", "model.gamma if model.kind=b,c if model=vit"],
    ),
    "a group inside the option, with a search space of its own": (
        {
            **BASE,
            "model/vit": "defaults: [{optim: sgd}]\nheads: 4\n",
            "model/optim/sgd": "m: 1\n",
            "model/optim/adam": "b: 1\n",
            "search_space/model/vit": "heads: 2,4\noptim: sgd,adam\n",
            "search_space/model/optim/adam": "b: interval(0, 1)\n",
        },
        ["model=cnn,vit"],
        [
            "model",
            "model.heads if model=vit",
            "model/optim if model=vit",
            "model.optim.b if model/optim=adam if model=vit",
        ],
    ),
    "the same inside another package": (
        {
            **TWO_ROLES,
            "model/vit": "defaults: [{optim: sgd}]\n",
            "model/optim/sgd": "m: 1\n",
            "model/optim/adam": "b: 1\n",
            "search_space/model/vit": "optim: sgd,adam\n",
            "search_space/model/optim/adam": "b: 1,2\n",
        },
        ["model@teacher=cnn,vit"],
        [
            "model@teacher",
            "model/optim@teacher.optim if model@teacher=vit",
            "teacher.optim.b if model/optim@teacher.optim=adam if model@teacher=vit",
        ],
    ),
    "a group swept under a condition": (
        {**BASE, "config": BASE["config"] + "use: 0\n" + conditional("use=1: {params: {model: 'cnn,vit'}}")},
        ["use=0,1"],
        ["use", "model if use=1", "model.heads if model=vit if use=1"],
    ),
    "a fixed value": (
        {**BASE, "search_space/model/vit": "drop: 0.5\nopt: {lr: 2}\n"},
        ["model=cnn,vit"],
        ["model", "model.drop if model=vit", "model.opt if model=vit"],
    ),
    "a group of one option": (BASE, ["model=choice(vit)"], ["model.heads"]),
    "options in a folder": (
        {**BASE, "model/big/vit": "heads: 4\n", "search_space/model/big/vit": "heads: 8,16\n"},
        ["model=cnn,big/vit"],
        ["model", "model.heads if model=big/vit"],
    ),
    "two options with the same key": (
        {**BASE, "model/cnn": "heads: 1\n", "search_space/model/cnn": "heads: 1,2\n"},
        ["model=cnn,vit"],
        ["model", "model.heads if model=cnn", "model.heads if model=vit"],
    ),
    "another group's name": (
        {**BASE, "tuning/space/model/vit": "drop: interval(0, 1)\n"},
        ["model=cnn,vit", "hydra.sweeper.search_space=tuning/space"],
        ["model", "model.drop if model=vit"],
    ),
    "turned off": (BASE, ["model=cnn,vit", "hydra.sweeper.search_space=null"], ["model"]),
    "a group that is fixed": (BASE, ["model=vit", "lr=1,2"], ["lr"]),
    "a group that is swept in params and fixed on the command line": (
        BASE,
        ["hydra.sweeper.params={model: 'cnn,vit'}", "model=vit", "lr=1,2"],
        ["lr"],
    ),
    "a file of an option that is not swept, and broken": (
        {**BASE, "model/rnn": "n: 1\n", "search_space/model/rnn": "n: [unclosed\n"},
        ["model=cnn,vit"],
        ["model", "model.heads if model=vit"],
    ),
}


@pytest.mark.parametrize("case", every(2, PLACES))
def test_keys_are_placed_where_hydra_places_the_option(tmp_path: Path, case: str) -> None:
    configs, overrides, expected = PLACES[case]
    assert tuned(plan_of(tmp_path, configs, *overrides)) == expected


REPLACED: dict[str, tuple[list[str], list[str]]] = {
    "in params": (["hydra.sweeper.params={++model.heads: '2,3'}"], ["model", "++model.heads"]),
    "on the command line": (["++model.heads=2,3"], ["model", "++model.heads"]),
    "fixed on the command line": (["++model.heads=3"], ["model"]),
    "by deletion": (["model=vit,big", "~model.heads"], ["model"]),
    "as part of a dict": (["++model={heads:3}"], ["model"]),
    "as part of swept dicts": (["++model={kind:b},{heads:3}"], ["model", "++model"]),
    "beside it in a dict": (["++model={kind:3}"], ["model", "model.heads if model=vit"]),
    "under the same condition": (
        [conditional("model=vit: {params: {model.heads: '2,3'}}")],
        ["model", "model.heads if model=vit"],
    ),
    "under another option": (
        [conditional("model=cnn: {params: {+model.heads: '2,3'}}")],
        ["model", "model.heads if model=vit", "+model.heads if model=cnn"],
    ),
    "under a condition that can hold together with it": (
        ["lr=1,2", conditional("lr=1: {params: {++model.heads: '2,3'}}")],
        ["model", "lr", "++model.heads if lr=1"],
    ),
}


@pytest.mark.parametrize("case", every(2, REPLACED))
def test_what_the_sweep_itself_says_replaces_a_files_key(tmp_path: Path, case: str) -> None:
    overrides, expected = REPLACED[case]
    lines = [line for line in overrides if line.startswith("hydra:")]
    config = BASE["config"].replace("model: cnn", "model: vit")
    configs = {**BASE, "config": "".join([config, *lines]), "model/big": "heads: 8\n"}
    swept = [] if "model=vit,big" in overrides else ["model=cnn,vit"]
    plan = plan_of(tmp_path, configs, *swept, *(line for line in overrides if line not in lines))
    assert sorted(tuned(plan)) == sorted(expected)
    replaced = "model.heads if model=vit" not in expected or case == "under the same condition"
    assert any("; the sweep itself sets model.heads" in note for note in plan.notes) == replaced


def test_the_sweeps_own_keys_come_last_and_have_the_last_word(tmp_path: Path) -> None:
    configs = {**BASE, "search_space/model/vit": "opt: '{lr:2,beta:3},{lr:3,beta:4}'\n"}
    plan = plan_of(tmp_path, configs, "++model.opt.lr=9", "model=cnn,vit", "lr=1,2")
    id = next(parameter.id for parameter in plan.contract.parameters if parameter.key == "model.opt")
    overrides = plan.contract.overrides({"model": "vit", "lr": 1, id: plan.contract.parameter(id).values[0]})
    assert overrides == ["model.opt={lr:2,beta:3}", "++model.opt.lr=9", "model=vit", "lr=1"]
    assert plan.compose(overrides).model.opt == {"lr": 9, "beta": 3}


def test_a_files_keys_follow_their_group_where_nothing_stands_before_it(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, BASE, "model=cnn,vit", "lr=1,2")
    assert plan.contract.overrides({"model": "vit", "lr": 2, "model.heads": 5}) == ["model=vit", "model.heads=5", "lr=2"]
    assert plan.contract.overrides({"model": "cnn", "lr": 2}) == ["model=cnn", "lr=2"]


def test_each_file_that_was_used_is_named(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, BASE, "model=cnn,vit", "lr=1,2")
    assert "model=vit brings search_space/model/vit.yaml: model.heads" in plan.notes


def test_what_is_interpolated_in_a_file_is_read_where_its_option_is(tmp_path: Path) -> None:
    space = "heads: 'range(1, ${.heads})'\nkind: '${lr},${d.x}'\ndrop: ${oc.env:NOT_SET_HERE,1}\n/d.y: ${model.gamma}\n"
    plan = plan_of(tmp_path, {**BASE, "search_space/model/vit": space}, "model=cnn,vit")
    lines = plan.contract.overrides({"model": "vit", "model.heads": 2, "model.kind": "1", "model.drop": "1", "d.y": "1.0"})
    assert lines == ["model=vit", "model.heads=2", "model.kind=1", "model.drop=1", "d.y=1.0"]
    assert "search_space/model/vit.yaml.model.heads: range(1, ${.heads}) reads range(1, 4)" in plan.notes


def sources(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> tuple[dict[str, str], list[str]]:
    """Puts the search space of vit into one kind of config source; the app's other configs, and how the sweep reaches it."""
    configs = {key: text for key, text in BASE.items() if not key.startswith("search_space")}
    elsewhere = folder / "elsewhere" / f"configs_of_{source.replace(' ', '_')}"
    (elsewhere / "search_space" / "model").mkdir(parents=True)
    (elsewhere / "search_space" / "model" / "vit.yaml").write_text(BASE["search_space/model/vit"])
    if source == "a folder of the primary config's search path":
        configs["config"] += f'hydra:\n  searchpath: ["file://{elsewhere}"]\n'
        return configs, []
    if source == "a folder named on the command line":
        return configs, [f"hydra.searchpath=['file://{elsewhere}']"]
    assert source == "a package"
    monkeypatch.syspath_prepend(str(elsewhere.parent))
    for package in (elsewhere, elsewhere / "search_space", elsewhere / "search_space" / "model"):
        (package / "__init__.py").touch()
    return configs, [f"hydra.searchpath=['pkg://{elsewhere.name}']"]


@pytest.mark.parametrize(
    "source",
    ["a folder of the primary config's search path", "a folder named on the command line", "a package"],
)
def test_a_file_is_found_in_any_config_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    configs, overrides = sources(tmp_path, monkeypatch, source)
    plan = plan_of(tmp_path, configs, "model=cnn,vit", *overrides)
    assert tuned(plan) == ["model", "model.heads if model=vit"]
    assert any("search_space/model/vit.yaml (" in note and "configs_of_" in note for note in plan.notes)


class Kind(enum.Enum):
    a = 1


@dataclass
class Vit:
    heads: str = "range(2, 9)"
    kind: Kind = Kind.a
    drop: float = 0.5


def test_a_search_space_may_be_a_structured_config(tmp_path: Path) -> None:
    ConfigStore.instance().store(group="search_space/typed", name="vit", node=Vit)
    configs = {"config": "defaults: [{typed: cnn}]\n", "typed/cnn": "n: 1\n", "typed/vit": BASE["model/vit"]}
    plan = plan_of(tmp_path, configs, "typed=cnn,vit")
    assert [(parameter.key, parameter.literals) for parameter in plan.contract.parameters] == [
        ("typed", ("cnn", "vit")),
        ("typed.heads", ()),
        ("typed.kind", ("a",)),
        ("typed.drop", ("0.5",)),
    ]


FILE = "search_space/model/vit.yaml"
MISTAKES: dict[str, tuple[str | dict[str, str], list[str]]] = {
    "YAML that cannot be read": ("heads: [2,\n", [f"{FILE}: cannot be read:"]),
    "a list": ("- heads\n", [f"{FILE}: must be a mapping of keys to expressions"]),
    "a defaults list": (
        "defaults: [base]\nheads: 2,3\n",
        [f"{FILE}: a defaults list is not composed here: write its keys out"],
    ),
    "an expression that does not parse": ("heads: range(2\n", [FILE, "model.heads=range(2"]),
    "an expression that means nothing": ("heads: interval(2, 1)\n", ["model.heads: interval(2, 1)", f"({FILE})"]),
    "a value that is missing": ("heads: ???\n", [f"{FILE}: heads is missing (???)"]),
    "a value no override can say": ("heads: !!binary aGVsbG8=\n", [f"{FILE}: heads is of type bytes"]),
    "a sweep inside a fixed value": ("opt: {lr: 'interval(0, 1)'}\n", [f"{FILE}.model.opt", "its own dotted key"]),
    "a key that Hydra refuses": ("headz: range(2, 9)\n", ["model.headz=2", "Could not override", f"({FILE})"]),
    "the same key twice": ("heads: 1,2\n/model.heads: 3,4\n", [f"{FILE}: two of its keys mean the same one"]),
    "a deletion": ("~heads: null\n", ["~model.heads", "a deletion cannot hang on a condition", f"({FILE})"]),
    "conditions that are no mapping": ("conditional: [kind=b]\n", [f"{FILE}: conditional: must be a mapping of conditions"]),
    "a condition of another shape": (
        "kind: a,b\nconditional: {kind=b: {gamma: 1}}\n",
        [f"{FILE}: conditional.model.kind=b: must hold"],
    ),
    "a condition on what is not tuned": (
        "conditional: {kind=b: {params: {gamma: '1,2'}}}\n",
        [f"{FILE}: conditional.model.kind=b: model.kind is not swept"],
    ),
    "a condition on a value that never is": (
        "kind: a,b\nconditional: {kind=x: {params: {gamma: '1,2'}}}\n",
        [FILE, "model.kind never is x"],
    ),
    "a condition across branches": (
        "conditional: {/lr=1: {params: {gamma: '1,2'}}}\n",
        [FILE, "lr is not tuned under model=vit: conditions nest only along one branch"],
    ),
    "two files with the same key": (
        {"search_space/model/vit": "/d.x: 1,2\n", "search_space/size/l": "/d.x: 3,4\n"},
        ["d.x: tuned under model=vit (search_space/model/vit.yaml) and under size=l (search_space/size/l.yaml)"],
    ),
    "an option whose package cannot be told": (
        {"model/vit": "defaults: [nowhere]\n"},
        [f"{FILE}: the package of model=vit cannot be told: In 'model/vit': Could not load 'model/nowhere'."],
    ),
}


@pytest.mark.parametrize("case", every(2, MISTAKES))
def test_a_mistake_in_a_file_is_one_line_that_names_it(tmp_path: Path, case: str) -> None:
    written, fragments = MISTAKES[case]
    configs = {
        **BASE,
        "config": "defaults: [{model: cnn}, {size: s}, _self_]\nlr: 0.1\nd: {x: 1}\n",
        "size/s": "n: 1\n",
        "size/l": "n: 1\n",
        **({"search_space/model/vit": written} if isinstance(written, str) else written),
    }
    with app_in(tmp_path, configs) as app, pytest.raises(InvalidSweep) as caught:
        app.plan("model=cnn,vit", "lr=1,2", "size=s,l")
    assert len(caught.value.mistakes) == 1, caught.value.mistakes
    assert "\n" not in str(caught.value)
    assert [fragment for fragment in fragments if fragment not in str(caught.value)] == []


SETTINGS: dict[str, tuple[str, Sequence[str]]] = {
    "a name that is no config group": ("spaces", ["hydra.sweeper.search_space", "'spaces'", "name one, or null"]),
    "no name": ("3", ["hydra.sweeper.search_space", "3 must be the name of a config group"]),
    "an empty name": ("''", ["hydra.sweeper.search_space", "'' must be the name of a config group"]),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_search_space_group_that_cannot_be_is_refused(tmp_path: Path, case: str) -> None:
    value, fragments = SETTINGS[case]
    with pytest.raises(InvalidSweep) as caught:
        plan_of(tmp_path, BASE, "model=cnn,vit", f"hydra.sweeper.search_space={value}")
    assert len(caught.value.mistakes) == 1
    assert [fragment for fragment in fragments if fragment not in str(caught.value)] == []


def test_an_option_that_does_not_exist_is_hydras_to_refuse(tmp_path: Path) -> None:
    with app_in(tmp_path, BASE) as app, pytest.raises(InvalidSweep, match="Could not find 'model/vitt'"):
        app.plan("model=cnn,vitt")


def test_a_group_that_would_bring_itself_ends(tmp_path: Path) -> None:
    configs = {
        **BASE,
        "config": "defaults: [{model: cnn}, {size: s}]\n",
        "size/s": "n: 1\n",
        "size/l": "n: 1\n",
        "search_space/model/vit": "/size: s,l\n",
        "search_space/size/l": "/model: cnn,vit\nn: 1,2\n",
    }
    assert tuned(plan_of(tmp_path, configs, "model=cnn,vit")) == ["model", "size if model=vit", "size.n if size=l if model=vit"]


def test_the_documented_example_does_what_the_docs_say(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "search-space-groups.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    shown = [re.fullmatch(r"# conf/(.*?)\.yaml\n(.*)", block, re.DOTALL) for kind, block in blocks if kind == "yaml"]
    files = {found[1]: found[2] for found in shown if found}
    assert len(files) == len(shown)
    [command] = [block for kind, block in blocks if kind == "bash"]
    _, trials, log = [block for kind, block in blocks if not kind]
    plan = plan_of(tmp_path, files, *[word for word in command.split() if word.startswith("model=")])
    ids = {parameter.key: parameter for parameter in plan.contract.parameters}
    for line in trials.splitlines():
        given = dict(override.split("=") for override in line.split())
        values = {
            ids[key].id: next((value for value in ids[key].values if ids[key].literal(value) == text), text)
            for key, text in given.items()
        }
        assert " ".join(plan.contract.overrides(values)) == line
        plan.compose(line.split())
    assert len(trials.splitlines()) == 3
    assert log.strip() in plan.notes
