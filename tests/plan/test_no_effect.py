"""What is tuned changes something in the config of a trial, or the sweep does not begin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import App, app_in
from vertex_sweeper.errors import InvalidSweep

CONFIGS = {
    "config": "defaults: [{model: cnn}, _self_]\nopt: {lr: 1, steps: 2}\nlayers: [1, 2]\nnote: a\nother: x\n",
    "model/cnn": "depth: 1\n",
    "model/vit": "depth: 2\nheads: 1\n",
}
VAIN = {
    "fixed again": ("opt.lr=interval(0,1)", "++opt.lr=0.1"),
    "the other way round": ("++opt.lr=interval(0,1)", "opt.lr=0.1"),
    "as part of a dict": ("opt.lr=1,2", "opt={lr:0.5}"),
    "deleted": ("opt.lr=1,2", "~opt.lr"),
    "deleted with all around it": ("opt.lr=1,2", "~opt"),
    "a list": ("layers=[1],[2,3]", "++layers=[5]"),
    "an element of a list": ("layers.0=1,2", "++layers=[5]"),
    "a text": ("note=a,b", "++note='c d'"),
    "ints": ("opt.steps=range(1,9)", "++opt.steps=3"),
    "in an option": ("model.depth=1,2", "++model.depth=7"),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app_in(tmp_path_factory.mktemp("app"), CONFIGS) as app:
        yield app


@pytest.mark.parametrize(("swept", "fixed"), VAIN.values(), ids=VAIN)
def test_what_another_override_decides_is_not_tuned(app: App, swept: str, fixed: str) -> None:
    key = swept.partition("=")[0]
    with pytest.raises(InvalidSweep) as caught:
        app.plan(swept, "other=1,2", fixed)
    (line,) = caught.value.mistakes
    assert line.startswith(f"{key}: has no effect: every trial has ")
    assert line.endswith(f", because {fixed} comes after it: keep one of them")


@pytest.mark.parametrize(
    "words",
    [
        ("++opt.lr=0.1", "opt.lr=interval(0,1)"),
        ("opt.lr=1,2", "opt={steps:5}"),
        ("opt.lr=1,2", "++opt.steps=5"),
        ("note=${other},b", "other=x"),
        ("note='1',1,1.0,true,null",),
        ("opt={lr:1},{lr:2}",),
        ("layers=[1,1],[2,2]", "++layers.0=5"),
        ("+opt.new=1,2",),
        ("model=cnn,vit", "++model.depth=4"),
        ("model=cnn,vit", "++model={depth:1},{depth:5}"),
        (
            "model=cnn,vit",
            r"hydra.sweeper.conditional={model\=vit: {params: {model.heads: '1,2'}}, model\=cnn: {params: {+model.w: '1,2'}}}",
        ),
    ],
    ids=" ".join,
)
def test_what_changes_something_is_tuned(app: App, words: tuple[str, ...]) -> None:
    app.plan(*words)


def test_a_conditional_parameter_is_looked_at_where_it_is_tuned(app: App) -> None:
    conditional = r"hydra.sweeper.conditional={model\=vit: {params: {model.heads: 'range(1,5)'}}}"
    with pytest.raises(InvalidSweep, match=r"model\.heads: has no effect: .*\(hydra\.sweeper\.conditional\.model=vit\)"):
        app.plan("model=cnn,vit", conditional, "++model.heads=3")


def test_an_option_that_is_chosen_later_is_not_what_decides_a_value(app: App) -> None:
    with pytest.raises(InvalidSweep, match=r"every trial has 7 there, because \+\+model\.depth=7 comes after it"):
        app.plan("model.depth=1,2", "++model.depth=7", "model=vit")


def test_one_key_is_not_swept_in_two_spellings(app: App) -> None:
    with pytest.raises(InvalidSweep, match=r"opt\.lr and \+\+opt\.lr are one key, swept twice: .*: keep one"):
        app.plan("opt.lr=0.1,0.2", "++opt.lr=0.3,0.4")


@pytest.mark.parametrize(
    ("words", "note"),
    [
        (
            ["note=a,b", "hydra.sweeper.max_trial_count=20"],
            "the search space has 2 points, and max_trial_count is 20: some are tried more than once",
        ),
        (["note=a,b", "opt.steps=range(0,20)"], None),
        (["note=a,b", "opt.lr=interval(0,1)"], None),
        (["note=a,b", "hydra.sweeper.algorithm=grid"], None),
        (
            ["note=a,b", "hydra.sweeper.algorithm=grid", "hydra.sweeper.max_trial_count=9"],
            "the search space has 2 points, and max_trial_count is 9: no more trials than points are to be expected",
        ),
    ],
)
def test_more_trials_than_there_are_points_are_noted(app: App, words: list[str], note: str | None) -> None:
    found = [line for line in app.plan(*words).notes if "points" in line]
    assert [line.startswith(note or "") for line in found] == ([True] if note else [])
