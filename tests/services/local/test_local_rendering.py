"""How values become arguments; whatever the rendering does, the contract reads back what the service chose."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertex_sweeper.services.local.execute.flag_rendering import PLAIN
from vertex_sweeper.services.local.parameter_tree import Choice
from vertex_sweeper.testing import HostileRendering
from vertex_sweeper_runtime.contract import Kind, Parameter, Scale

DOUBLE = Parameter("x", "x", Kind.DOUBLE, low=1e-5, high=0.1, scale=Scale.LOG)
INTEGER = Parameter("n", "n", Kind.INTEGER, low=-(2**62), high=2**62)
DISCRETE = Parameter(
    "d",
    "d",
    Kind.DISCRETE,
    values=(0.1, 32.0, 128.0, 128.0 + 2e-10, 1e9, sys.float_info.max),
    literals=("0.1", "32", "128", "e", "f", "max"),
)
CATEGORICAL = Parameter("c", "c", Kind.CATEGORICAL, values=("a", "-b", "--c"), literals=("a", "b", "c"))

CHOICES = (Choice(DOUBLE, 1e-5), Choice(INTEGER, 3), Choice(DISCRETE, 32.0), Choice(CATEGORICAL, "a"))

drawn = st.tuples(
    st.builds(Choice, st.just(DOUBLE), st.sampled_from([1e-5, 0.1]) | st.floats(1e-5, 0.1)),
    st.builds(Choice, st.just(INTEGER), st.integers(-(2**62), 2**62) | st.integers(-300, 300)),
    st.builds(Choice, st.just(DISCRETE), st.sampled_from(DISCRETE.values)),
    st.builds(Choice, st.just(CATEGORICAL), st.sampled_from(CATEGORICAL.values)),
)


def test_the_plain_rendering_is_one_token_a_parameter_behind_the_arguments() -> None:
    assert PLAIN.render(CHOICES, ["seed=1"]) == ["seed=1", "--x=1e-05", "--n=3", "--d=32.0", "--c=a"]


def read(argv: list[str]) -> tuple[dict[str, str], list[str]]:
    """The flags, in either form, and all other arguments."""
    flags: dict[str, str] = {}
    others = []
    tokens = iter(argv)
    for token in tokens:
        id, equals, value = token.removeprefix("--").partition("=")
        if token.startswith("--"):
            assert id not in flags
            flags[id] = value if equals else next(tokens)
        else:
            others.append(token)
    return flags, others


@given(choices=drawn, seed=st.integers())
def test_a_hostile_rendering_changes_no_value_and_no_argument(choices: tuple[Choice, ...], seed: int) -> None:
    flags, others = read(HostileRendering(seed).render(choices, ["a=1", "b=2"]))
    assert others == ["a=1", "b=2"]
    for choice in choices:
        assert isinstance(choice.parameter, Parameter)
        decoded = choice.parameter.decode(flags.pop(choice.parameter.id))
        assert decoded == choice.value
        assert type(decoded) is type(choice.value)
    assert not flags


def test_a_hostile_rendering_repeats_itself() -> None:
    assert HostileRendering(1).render(CHOICES, ["a=1"]) == HostileRendering(1).render(CHOICES, ["a=1"])


def spellings(choice: Choice) -> set[str]:
    return {read(HostileRendering(seed).render([choice], []))[0][choice.parameter.id] for seed in range(200)}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param(Choice(INTEGER, 128), {"128", "128.0", "1.28E2", "1.28E+2"}, id="INTEGER"),
        pytest.param(Choice(INTEGER, 2**60), {str(2**60)}, id="INTEGER beyond a double"),
        pytest.param(Choice(CATEGORICAL, "--c"), {"--c"}, id="CATEGORICAL"),
        pytest.param(Choice(DOUBLE, 0.01), {"0.01", "1E-2"}, id="DOUBLE inside its bounds"),
    ],
)
def test_a_number_has_all_its_spellings(choice: Choice, expected: set[str]) -> None:
    assert spellings(choice) == expected


@pytest.mark.parametrize(
    "choice", [Choice(DISCRETE, 32.0), Choice(DOUBLE, 1e-5), Choice(DOUBLE, 0.1)], ids=["DISCRETE", "low", "high"]
)
def test_round_off_comes_at_bounds_and_at_discrete_values(choice: Choice) -> None:
    off = {float(text) - float(choice.value) for text in spellings(choice)} - {0.0}
    assert off
    assert all(abs(difference) <= 2e-12 * float(choice.value) for difference in off)
    if choice.parameter is DOUBLE:
        assert all((difference < 0) == (choice.value == DOUBLE.low) for difference in off)


def test_flags_stand_in_every_place_and_form() -> None:
    shapes = set()
    for seed in range(200):
        argv = HostileRendering(seed).render(CHOICES, ["a=1", "b=2"])
        before, behind = argv[: argv.index("a=1")], argv[argv.index("b=2") + 1 :]
        shapes.add(("before" if before else "") + ("behind" if behind else ""))
        shapes.add("two tokens" if "--n" in argv else "one token")
        shapes.add(f"first: {next(token[2] for token in argv if token.startswith('--'))}")
    assert shapes == {
        "before",
        "behind",
        "beforebehind",
        "one token",
        "two tokens",
        "first: x",
        "first: n",
        "first: d",
        "first: c",
    }
