"""What trials are given to try: within bounds, each grid point once, repeatable, and only what is active."""

from __future__ import annotations

import itertools
import json
import logging
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertex_sweeper.services.local.parameter_tree import read_parameter_specs
from vertex_sweeper.services.local.suggest.grid import iterate_points
from vertex_sweeper.services.local.suggest.optuna import Algorithm, OptunaSuggester
from vertex_sweeper.services.local.suggest.tried_points import TriedPoints

ROOT = Path(__file__).parents[3]


def child(condition: str, values: list[Any], spec: dict[str, Any]) -> dict[str, Any]:
    return {condition: {"values": values}, "parameterSpec": spec}


def integer(id: str, low: int, high: int, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    bounds = {"minValue": str(low), "maxValue": str(high)}
    return {"parameterId": id, "integerValueSpec": bounds, "conditionalParameterSpecs": list(children), **more}


def categorical(id: str, values: str, *children: dict[str, Any]) -> dict[str, Any]:
    spec = {"values": values.split()}
    return {"parameterId": id, "categoricalValueSpec": spec, "conditionalParameterSpecs": list(children)}


NESTED = [
    categorical(
        "model",
        "linear svm net",
        child("parentCategoricalValues", ["svm", "net"], integer("k", 1, 2)),
        child(
            "parentCategoricalValues",
            ["net"],
            integer(
                "layers", 1, 2, child("parentIntValues", ["2"], {"parameterId": "w", "discreteValueSpec": {"values": [8, 16]}})
            ),
        ),
    ),
    categorical("last", "p q"),
]


def test_a_grid_has_each_active_combination_once() -> None:
    points = [" ".join(str(choice.value) for choice in point) for point in iterate_points(read_parameter_specs(NESTED))]
    heads = ["linear", "svm 1", "svm 2", *(f"net {k} {rest}" for k in (1, 2) for rest in ("1", "2 8.0", "2 16.0"))]
    assert points == [f"{head} {last}" for head in heads for last in "pq"]


def test_a_grid_far_larger_than_the_number_of_trials_costs_nothing() -> None:
    points = iterate_points(read_parameter_specs([integer("a", 1, 2**62), integer("b", 1, 2**62)]))
    assert [[choice.value for choice in point] for point in itertools.islice(points, 2)] == [[1, 1], [1, 2]]


def suggester(parameters: list[Any], *, seed: int = 1, algorithm: Algorithm = Algorithm.BAYESIAN) -> OptunaSuggester:
    return OptunaSuggester(read_parameter_specs(parameters), metrics={"acc": True}, algorithm=algorithm, seed=seed)


SCALES = ["UNIT_LINEAR_SCALE", "UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE"]


@pytest.mark.parametrize("scale", SCALES)
@given(bounds=st.tuples(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12)), seed=st.integers(0, 2**64))
def test_a_double_stays_within_its_bounds(scale: str, bounds: tuple[float, float], seed: int) -> None:
    low, high = sorted(bounds)
    parameter = {"parameterId": "x", "doubleValueSpec": {"minValue": low, "maxValue": high}, "scaleType": scale}
    (choice,) = suggester([parameter], seed=seed).suggest(1)
    assert isinstance(choice.value, float)
    assert low <= choice.value <= high


@pytest.mark.parametrize("scale", SCALES)
@given(bounds=st.tuples(st.integers(1, 2**62), st.integers(1, 2**62)), seed=st.integers(0, 2**64))
def test_an_integer_stays_whole_and_within_its_bounds(scale: str, bounds: tuple[int, int], seed: int) -> None:
    low, high = sorted(bounds)
    (choice,) = suggester([integer("n", low, high, scaleType=scale)], seed=seed).suggest(1)
    assert isinstance(choice.value, int)
    assert low <= choice.value <= high


@pytest.mark.parametrize(("scale", "dense"), [("UNIT_LOG_SCALE", "low"), ("UNIT_REVERSE_LOG_SCALE", "high")])
def test_a_log_scale_is_dense_at_its_lower_bound_and_a_reverse_one_at_its_upper(scale: str, dense: str) -> None:
    random = suggester([integer("n", 1, 1001, scaleType=scale)], algorithm=Algorithm.RANDOM)
    values = [int(random.suggest(number)[0].value) for number in range(1, 41)]
    below = sum(value < 501 for value in values)
    assert below > 30 if dense == "low" else below < 10
    assert len(set(values)) > 20


def test_a_discrete_value_is_one_of_its_values_exactly() -> None:
    values = [0.1, 0.2, 0.30000000000000004, 1e10]
    random = suggester([{"parameterId": "d", "discreteValueSpec": {"values": values}}], algorithm=Algorithm.RANDOM)
    assert {random.suggest(number)[0].value for number in range(1, 41)} == set(values)


def test_children_come_with_their_parents_value_only() -> None:
    random = suggester(NESTED, algorithm=Algorithm.RANDOM)
    seen = set()
    for number in range(1, 61):
        values = {choice.parameter.id: choice.value for choice in random.suggest(number)}
        seen.add(frozenset(values))
        assert ("k" in values) == (values["model"] in ("svm", "net"))
        assert ("layers" in values) == (values["model"] == "net")
        assert ("w" in values) == (values.get("layers") == 2)
    assert len(seen) == 4


def test_one_id_under_disjoint_values_has_two_domains() -> None:
    low = child("parentCategoricalValues", ["a"], integer("n", 1, 5))
    high = child("parentCategoricalValues", ["b"], integer("n", 100, 105))
    random = suggester([categorical("m", "a b", low, high)], algorithm=Algorithm.RANDOM)
    for number in range(1, 31):
        values = {choice.parameter.id: choice.value for choice in random.suggest(number)}
        assert (int(values["n"]) >= 100) == (values["m"] == "b")


def test_suggestions_depend_on_seed_number_and_what_was_told_only() -> None:
    def suggestions(seed: int, *, infeasible: int) -> list[Any]:
        bayesian = suggester(NESTED, seed=seed)
        seen = []
        for number in range(1, 21):
            choices = bayesian.suggest(number)
            seen.append([choice.to_json() for choice in choices])
            bayesian.tell(number, None if number == infeasible else {"acc": float(number % 7)})
        return seen

    once = suggestions(3, infeasible=5)
    assert once == suggestions(3, infeasible=5)
    assert once != suggestions(4, infeasible=5)
    other = suggestions(3, infeasible=6)
    assert once[:10] == other[:10]  # random, to begin with
    assert once != other


FINITE = {
    "three values": [categorical("m", "a b c")],
    "conditional": NESTED,
    "whole numbers": [integer("n", 3, 9, scaleType="UNIT_REVERSE_LOG_SCALE"), integer("one", 4, 4)],
    "children of some numbers": [integer("n", -2, 4, child("parentIntValues", ["0", "3"], categorical("c", "x y")))],
    "discrete": [
        {"parameterId": "d", "discreteValueSpec": {"values": [0.1, 0.5, 64]}},
        {"parameterId": "same", "doubleValueSpec": {"minValue": 0.5, "maxValue": 0.5}},
        integer("log", 1, 4, scaleType="UNIT_LOG_SCALE"),
    ],
}


def try_points(parameters: list[Any], *, count: int, parallel: int, seed: int, algorithm: Algorithm) -> list[str]:
    """The points of so many trials, in order, of which some run at a time, end in any order, and are resumed half way."""
    order = random.Random(seed)  # noqa: S311 - an order, no secret
    ours = suggester(parameters, seed=seed, algorithm=algorithm)
    running: list[int] = []
    told: dict[int, Any] = {}
    drawn: dict[int, Any] = {}
    points = []
    for number in range(1, count + 1):
        if len(running) == parallel:
            ended = running.pop(order.randrange(parallel))
            told[ended] = None if ended % 5 == 4 else {"acc": float(ended % 3)}
            ours.tell(ended, told[ended])
        if number == count // 2 + 1:
            ours = suggester(parameters, seed=seed, algorithm=algorithm)
            for earlier, what in drawn.items():
                ours.recall(earlier, what)
                if earlier in told:
                    ours.tell(earlier, told[earlier])
        points.append(json.dumps([choice.to_json() for choice in ours.suggest(number)]))
        drawn[number] = json.loads(json.dumps(ours.drawn(number)))
        running.append(number)
    return points


@pytest.mark.parametrize("algorithm", [Algorithm.BAYESIAN, Algorithm.RANDOM])
@pytest.mark.parametrize("space", FINITE)
def test_no_point_is_tried_twice_while_there_are_others(space: str, algorithm: Algorithm) -> None:
    grid = [json.dumps([one.to_json() for one in point]) for point in iterate_points(read_parameter_specs(FINITE[space]))]
    for seed, parallel in enumerate([*range(1, 9)] * (4 if len(grid) < 4 else 1)):
        points = try_points(FINITE[space], count=len(grid), parallel=parallel, seed=seed, algorithm=algorithm)
        assert sorted(points) == sorted(grid)


def test_when_every_point_was_tried_points_come_again() -> None:
    points = try_points(FINITE["three values"], count=12, parallel=2, seed=1, algorithm=Algorithm.BAYESIAN)
    assert len(set(points[:3])) == len(set(points)) == 3


def test_new_points_are_the_same_again_for_a_seed() -> None:
    def points(seed: int) -> list[str]:
        return try_points(NESTED, count=18, parallel=4, seed=seed, algorithm=Algorithm.BAYESIAN)

    assert points(5) == points(5) != points(6)


def test_a_finite_space_of_any_size_costs_nothing() -> None:
    vast = [integer("a", 1, 2**62, child("parentIntValues", ["7"], integer("b", 1, 2**62))), categorical("c", "x y")]
    assert len(set(try_points(vast, count=8, parallel=2, seed=1, algorithm=Algorithm.RANDOM))) == 8
    tried = TriedPoints(read_parameter_specs(vast))
    assert len({tuple(sorted(tried.pick_untried(seed).items())) for seed in range(8)}) == 8


REVERSE = {
    "parameterId": "r",
    "doubleValueSpec": {"minValue": 0.1, "maxValue": 0.9},
    "scaleType": "UNIT_REVERSE_LOG_SCALE",
}


@pytest.mark.parametrize("algorithm", [Algorithm.BAYESIAN, Algorithm.RANDOM])
@pytest.mark.parametrize("restarts", [{2}, {5, 11}, {12, 13, 20}, set(range(2, 25))], ids=str)
def test_after_a_restart_the_same_is_suggested(algorithm: Algorithm, restarts: set[int]) -> None:
    def suggestions(restarts: set[int]) -> list[Any]:
        ours = suggester([*NESTED, REVERSE], algorithm=algorithm)
        seen: list[Any] = []
        drawn: dict[int, Any] = {}
        values: dict[int, Any] = {}
        for number in range(1, 26):
            if number in restarts:
                ours = suggester([*NESTED, REVERSE], algorithm=algorithm)
                for earlier, what in json.loads(json.dumps(drawn)).items():
                    ours.recall(int(earlier), what)
                    ours.tell(int(earlier), values[int(earlier)])
            choices = ours.suggest(number)
            assert choices is not None
            drawn[number] = ours.drawn(number)
            values[number] = None if number % 9 == 4 else {"acc": float(choices[-1].value) + number % 3}
            ours.tell(number, values[number])
            seen.append([choice.to_json() for choice in choices])
        return seen

    assert suggestions(restarts) == suggestions(set())


def test_optunas_own_logging_stays_as_the_application_has_it() -> None:
    import optuna

    loggers = [logging.getLogger(name) for name in ("optuna", "optuna.storages", "optuna.storages._in_memory")]

    def configuration() -> list[Any]:
        return [(logger.level, logger.propagate, logger.disabled, list(logger.handlers)) for logger in loggers]

    before = (optuna.logging.get_verbosity(), configuration())
    suggester(NESTED).suggest(1)
    assert (optuna.logging.get_verbosity(), configuration()) == before


@pytest.mark.parametrize(
    ("before", "printed"),
    [
        pytest.param("", "quiet", id="installed"),
        pytest.param(
            "sys.modules['optuna'] = None",
            "backend local needs an extra: pip install 'hydra-vertex-sweeper[local]'",
            id="not installed",
        ),
    ],
)
def test_optuna_is_imported_by_the_first_suggester_and_a_missing_one_is_one_line(before: str, printed: str) -> None:
    code = f"""
import sys
from vertex_sweeper.errors import MissingExtra
from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.suggest.optuna import Algorithm, OptunaSuggester
from vertex_sweeper.services.local.suggest.tried_points import TriedPoints
assert "optuna" not in sys.modules
{before}
try:
    OptunaSuggester((), metrics={{"acc": True}}, algorithm=Algorithm.RANDOM, seed=1)
    print("quiet")
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"{printed}\n", "")
