"""How many trials a sweep has, how many run at a time, how many may fail: as the user says, and where that is left open."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import App, app_in
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.counts import count_trials
from vertex_sweeper.job.study import build_study, grid_size
from vertex_sweeper.services.local.parameter_tree import read_parameter_specs
from vertex_sweeper.services.local.suggest.grid import iterate_points
from vertex_sweeper.settings import SearchAlgorithm, Settings
from vertex_sweeper.space.overrides import OverrideReader, merge
from vertex_sweeper.space.search_space import SearchSpace, build_space

KEYS = "abcdefghi"
CONDITIONS = {
    "config": "{}",
    "nested": """{
        model=vit: {params: {model.heads: "range(1, 4)"}, conditional: {model.heads=2: {params: {a: "x,y"}}}},
        model=cnn: {params: {b: "1,2"}},
    }""",
    "interval": "{a=1: {params: {b: 'interval(0,1)'}}}",
    "fixed": "{a=1: {params: {b: 7}}}",
}
"""`hydra.sweeper.conditional` in each of the app's configs."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    values = "\n".join(f"{key}: null" for key in KEYS)
    configs = {f"model/{name}": f"kind: {name}\nheads: 1\n" for name in ("cnn", "vit")}
    for name, conditional in CONDITIONS.items():
        sweeper = f"hydra: {{sweeper: {{conditional: {conditional}}}}}"
        configs[name] = f"defaults: [model: cnn, override hydra/sweeper: vertex, _self_]\n{values}\n{sweeper}\n"
    with app_in(tmp_path_factory.mktemp("counts"), configs) as app:
        yield app


GRID, RANDOM = "hydra.sweeper.algorithm=grid", "hydra.sweeper.algorithm=random"
UNASKED = "hydra.sweeper.max_trial_count is left out"
COUNTED = {
    # The sweep; trials, at a time, failed at most; and how the lines about that begin.
    "two points": (["a=1,2"], (2, 2, 2), [f"{UNASKED}, and the search space has 2 points: 2 trials and not 20"]),
    "two points at random": (["a=x,y", RANDOM], (2, 2, 2), [f"{UNASKED}, and the search space has 2 points"]),
    "six points": (["a=1,2", "b=range(0,3)"], (6, 2, 5), [f"{UNASKED}, and the search space has 6 points: 6 trials"]),
    "nineteen points": (["a=range(0,19)"], (19, 2, 5), [f"{UNASKED}, and the search space has 19 points"]),
    "twenty points": (["a=range(0,20)"], (20, 2, 5), []),
    "many points": (["a=int(interval(0, 1000000))"], (20, 2, 5), []),
    "an interval": (["a=interval(0,1)", "b=1,2"], (20, 2, 5), []),
    "an interval in one branch": (["@interval", "a=1,2"], (20, 2, 5), []),
    "conditions": (["@nested", "model=cnn,vit"], (6, 2, 5), [f"{UNASKED}, and the search space has 6 points"]),
    "conditions in a grid": (["@nested", "model=cnn,vit", GRID], (6, 2, 5), [f"{UNASKED}: 6 trials, one for each point"]),
    "a condition of one value": (["@fixed", "a=1,2"], (2, 2, 2), [f"{UNASKED}, and the search space has 2 points"]),
    "equal elements": (["a=1,1,2"], (2, 2, 2), [f"{UNASKED}, and the search space has 2 points"]),
    "a whole grid": (["a=1,2,3", "b=range(0,5)", GRID], (15, 2, 5), [f"{UNASKED}: 15 trials, one for each point of the grid"]),
    "a grid of a thousand": (["a=range(0,1000)", GRID], (1000, 2, 5), [f"{UNASKED}: 1,000 trials, one for each"]),
    "the others follow": (
        ["a=1,2", "hydra.sweeper.parallel_trial_count=4", "hydra.sweeper.max_failed_trial_count=9"],
        (2, 2, 2),
        [UNASKED, "parallel_trial_count=4 and max_failed_trial_count=9 are lowered to 2: so many trials there are"],
    ),
    "the others follow a grid": (
        ["a=1,2", GRID, "hydra.sweeper.parallel_trial_count=4"],
        (2, 2, 2),
        [UNASKED, "parallel_trial_count=4 is lowered to 2"],
    ),
    "at a time, as many as there are": (["a=1,2,3", "hydra.sweeper.parallel_trial_count=3"], (3, 3, 3), [UNASKED]),
    "said, and more than points": (
        ["a=1,2", "hydra.sweeper.max_trial_count=9"],
        (9, 2, 5),
        ["the search space has 2 points, and max_trial_count is 9: some are tried more than once"],
    ),
    "said, and fewer": (["a=1,2,3", "hydra.sweeper.max_trial_count=2"], (2, 2, 2), []),
    "said, of a huge grid": (
        ["a=int(interval(1, 1000000000))", "b=int(interval(1, 1000000000))", GRID, "hydra.sweeper.max_trial_count=5"],
        (5, 2, 5),
        [],
    ),
    "said in spec_overrides": (["a=range(0,2000)", GRID, "hydra.sweeper.spec_overrides={maxTrialCount: 7}"], (7, 2, 5), []),
}


@pytest.mark.parametrize("case", COUNTED)
def test_counts_follow_from_what_is_said_and_from_the_points(app: App, case: str) -> None:
    words, expected, beginnings = COUNTED[case]
    name = words[0].removeprefix("@") if words[0].startswith("@") else "config"
    plan = app.plan(*(word for word in words if not word.startswith("@")), config_name=name)
    assert (plan.job["maxTrialCount"], plan.job["parallelTrialCount"], plan.job["maxFailedTrialCount"]) == expected
    lines = [note for note in plan.notes if "_count" in note]
    assert [line[: len(beginning)] for line, beginning in itertools.zip_longest(lines, beginnings, fillvalue="")] == beginnings


def test_one_point_is_one_trial() -> None:
    (counts,) = {count_trials(Settings(algorithm=algorithm), SearchSpace((), ())) for algorithm in [SearchAlgorithm.GRID]}
    assert (counts.most, counts.parallel, counts.failed) == (1, 1, 1)
    assert counts.notes[0].endswith("1 trial, one for each point of the grid")


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Finite spaces of up to nine keys, each under a value of an earlier one or under none."""
    dice: Random = draw(st.randoms(use_true_random=False))
    params: dict[str, str] = {}
    conditional: dict[str, dict[str, object]] = {}
    for key in KEYS[: draw(st.integers(1, len(KEYS)))]:
        texts = draw(st.sampled_from(["1,2", "x,y,z", "range(0,3)", "-0.0,0.5", "true,null", "range(0,1,0.5)", "'a b',[1]"]))
        parents = [name for name in params if params[name] in ("1,2", "x,y,z", "range(0,3)")]
        if draw(st.booleans()) and parents:
            parent = dice.choice(parents)
            value = {"1,2": "1,2", "x,y,z": "x,z", "range(0,3)": "1"}[params[parent]]
            value = dice.choice([value, value.partition(",")[0]])
            conditional.setdefault(f"{parent}={value}", {"params": {}})["params"][key] = texts  # type: ignore[index]
        else:
            params[key] = texts
    reader = OverrideReader(None)
    entries, _ = merge(reader.params(params) + reader.conditional(conditional), [])
    assert reader.mistakes == []
    return build_space(entries)


@given(space=spaces())
def test_points_are_counted_as_a_grid_would_list_them(space: SearchSpace) -> None:
    points = iterate_points(read_parameter_specs(build_study(Settings(), space)["parameters"]))
    assert grid_size(space) == sum(1 for _ in points)


def test_a_grid_with_an_interval_is_refused_whatever_is_said_of_its_points(app: App) -> None:
    with pytest.raises(InvalidSweep, match=r"b: a grid cannot go through an interval"):
        app.plan("a=range(0,2000)", "b=interval(0,1)", GRID)
