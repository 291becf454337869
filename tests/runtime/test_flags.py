"""Arguments under a contract: every rendering gives the same overrides, and everything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.trials import FIXED, FLAGS, OVERRIDES, sweep
from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, Scale, Slot
from vertex_sweeper_runtime.errors import FlagError
from vertex_sweeper_runtime.flags import trial_overrides

COMMAND = ("torchrun", "--nproc_per_node=4", "train.py", "--config-name", "other")
SWEEP = sweep(*COMMAND)


@given(
    groups=st.permutations([*((text,) for text in FIXED), *FLAGS]),
    split=st.lists(st.booleans(), min_size=len(FLAGS), max_size=len(FLAGS)),
    with_fixed=st.booleans(),
)
def test_any_order_and_either_form_give_the_overrides_in_the_users_order(
    groups: list[str | tuple[str]], split: list[bool], *, with_fixed: bool
) -> None:
    twofold = iter(split)
    arguments: list[str] = []
    for group in groups:
        if isinstance(group, tuple):
            arguments += group if with_fixed else ()
        else:
            arguments += group.split("=", 1) if next(twofold) else [group]
    assert trial_overrides(SWEEP, [*COMMAND, *arguments]) == OVERRIDES


@pytest.mark.parametrize(
    ("flag", "override"),
    [
        pytest.param("--layers=8.000000000000001", "+layers=8", id="an integer with round-off"),
        pytest.param("--layers=0.3E1", "+layers=3", id="an integer with an exponent"),
        pytest.param("--batch=1.6E1", "+batch=16", id="a discrete value with an exponent"),
        pytest.param("--batch=31.999999999999996", "+batch=32", id="a discrete value with round-off"),
        pytest.param("--lr=0.10000000000000002", "+lr=0.1", id="a bound with round-off"),
        pytest.param("--lr=1E-05", "+lr=1e-05", id="a double with an exponent"),
    ],
)
def test_a_number_is_taken_for_what_was_meant(flag: str, override: str) -> None:
    id = flag.partition("=")[0]
    others = [text for text in FLAGS if not text.startswith(f"{id}=")]
    assert override in trial_overrides(SWEEP, [*COMMAND, *FIXED, *others, flag])


@pytest.mark.parametrize(
    ("low", "high", "scale", "rendered", "literal"),
    [
        pytest.param(0.0, 1.0, None, "-1e-17", "0.0", id="round-off of a linear scale at 0"),
        pytest.param(1e-12, 1e-3, Scale.LOG, "9.999999999999999e-13", "1e-12", id="round-off of a small bound"),
        pytest.param(1e-12, 1e-3, Scale.LOG, "5e-13", None, id="half of a small bound"),
        pytest.param(0.0, 1e-12, None, "-1e-13", None, id="a tenth of a small range"),
        pytest.param(-1.0, 1.0, None, "1.0000001", None, id="more than round-off"),
        pytest.param(0.9999999999, 1.0, None, "1.0000000000000002", "1.0", id="bounds nearer to each other than round-off"),
        pytest.param(-1e308, 1.7e308, None, "1.7000000000000002e308", "1.7e+308", id="a range longer than the largest double"),
        pytest.param(-1e308, 1.7e308, None, "1.75e308", None, id="outside a range longer than the largest double"),
    ],
)
def test_what_is_round_off_depends_on_the_range(
    low: float, high: float, scale: Scale | None, rendered: str, literal: str | None
) -> None:
    parameter = Parameter(id="x", key="x", kind=Kind.DOUBLE, low=low, high=high, scale=scale)
    if literal is None:
        with pytest.raises(ValueError, match="outside"):
            parameter.literal(rendered)
    else:
        assert parameter.literal(rendered) == literal


@pytest.mark.parametrize("rendered", ["3999999999", "4000000003", "4000000003.0", "4.000000003E9", "4000000001.4"])
def test_large_whole_numbers_are_never_taken_for_their_neighbours(rendered: str) -> None:
    parameter = Parameter(id="n", key="n", kind=Kind.INTEGER, low=4_000_000_000, high=4_000_000_002)
    with pytest.raises(ValueError, match=r"outside|whole"):
        parameter.literal(rendered)


@pytest.mark.parametrize("value", ["-1", "--", "--layers=2", "+seed=1", "", "a b", "x=y", "$(HOME)"])
def test_what_stands_behind_a_flag_of_two_tokens_is_its_value_whatever_it_looks_like(value: str) -> None:
    label = Parameter(id="x", key="x", kind=Kind.CATEGORICAL, values=(value,), literals=("meant",))
    agreed = Contract(command=("app",), sequence=("+seed=1", Slot("x")), parameters=(label,), metrics=())
    assert trial_overrides(agreed, ["app", "--x", value, "+seed=1"]) == ["+seed=1", "x=meant"]


@pytest.mark.parametrize("given_", ["out=$(HOME)/x $$(A)", "out=/root/x $(A)", "out=/x $$(A)", "out=/root/x $A"])
def test_a_fixed_override_with_an_expansion_matches_expanded_or_not(given_: str) -> None:
    meant = "out=$(HOME)/x $$(A)"
    agreed = Contract(command=("app", "$(DIR)/train.py"), sequence=(meant, "a=1"), parameters=(), metrics=())
    assert trial_overrides(agreed, ["app", "/d/train.py", "a=1", given_]) == [meant, "a=1"]


def without(*prefixes: str) -> list[str]:
    return [text for text in (*FIXED, *FLAGS) if not text.startswith(prefixes)]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        pytest.param([*without(), "--lrr=1"], ["'lrr'"], id="an unknown id"),
        pytest.param([*without(), "--lrr", "1"], ["'lrr'"], id="an unknown id in two tokens"),
        pytest.param([*without(), "+seed=2"], ["+seed=2: neither"], id="an override that is not the sweep's"),
        pytest.param([*without(), "+seed=1"], ["+seed=1: neither"], id="a fixed override twice"),
        pytest.param([*without(), "--"], ["--"], id="bare dashes"),
        pytest.param([*without(), "--lr=0.02"], ["lr: given twice"], id="a flag twice"),
        pytest.param([*without("--lr"), "--lr"], ["--lr: no value", "lr: no value given"], id="a flag without its value"),
        pytest.param(without("--lr"), ["lr: no value given"], id="a parameter missing"),
        pytest.param(list(FIXED), ["none of the 5 parameters was given"], id="no flags at all"),
        pytest.param(without("+seed"), ["+seed=1: an override of this sweep"], id="one fixed override missing"),
        pytest.param([*without("--lr"), "--lr=1"], ["lr: 1 is outside [1e-05, 0.1]"], id="above the domain"),
        pytest.param([*without("--lr"), "--lr=nan"], ["lr: 'nan' is not a finite"], id="not a number"),
        pytest.param([*without("--lr"), "--lr="], ["lr: '' is not a number"], id="empty"),
        pytest.param([*without("--layers"), "--layers=2.5"], ["layers: '2.5' is not a whole"], id="a half"),
        pytest.param([*without("--batch"), "--batch=24"], ["batch: 24 is none of"], id="between the values"),
        pytest.param([*without("--opt"), "--optimizer=sg"], ["optimizer: 'sg' is none of"], id="an unknown label"),
        pytest.param(
            [*without(), "--momentum=0.5"], ["momentum: given, but optimizer"], id="a child without its parent's value"
        ),
        pytest.param([*without("--opt"), "--optimizer=sgd"], ["momentum: no value given"], id="a child missing"),
        pytest.param(
            ["--lr=7", "--layers=x", "--foo=1", "bar", "--optimizer=adam", "+seed=1"],
            ["lr: 7", "layers: 'x'", "'foo'", "bar: neither", "batch: no value", "+name='a b': an override"],
            id="all mistakes together",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_one_line_for_each_mistake(arguments: list[str], parts: list[str]) -> None:
    with pytest.raises(FlagError) as caught:
        trial_overrides(SWEEP, [*COMMAND, *arguments])
    lines = str(caught.value).split("\n")
    assert len(lines) == len(parts)
    for part in parts:
        assert [line for line in lines if part in line], part


@pytest.mark.parametrize("command", [(), COMMAND[:3], ("python", *COMMAND[1:])], ids=["none", "cut", "another"])
def test_another_command_than_the_contracts_is_refused(command: tuple[str, ...]) -> None:
    with pytest.raises(FlagError, match="the command must begin with"):
        trial_overrides(SWEEP, [*command, *FIXED, *FLAGS])
