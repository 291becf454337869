"""Every row of the table of expressions: what a Hydra sweep expression becomes, and what a trial then gets."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from vertex_sweeper.space.expressions import Element, ParameterDomain, categorical, domain_of, unique_aliases
from vertex_sweeper_runtime.contract import Kind, Scale


def read(expression: str) -> ParameterDomain | Element:
    return domain_of(OverridesParser.create().parse_override(f"x={expression}"))


def double(low: float, high: float, scale: Scale | None = None) -> ParameterDomain:
    return ParameterDomain(Kind.DOUBLE, low=low, high=high, scale=scale)


def integer(low: int, high: int, scale: Scale | None = None) -> ParameterDomain:
    return ParameterDomain(Kind.INTEGER, low=low, high=high, scale=scale)


def discrete(values: list[float], literals: list[str], scale: Scale | None = None) -> ParameterDomain:
    return ParameterDomain(Kind.DISCRETE, values=tuple(values), literals=tuple(literals), scale=scale)


def labelled(**literals: str) -> ParameterDomain:
    return ParameterDomain(Kind.CATEGORICAL, values=tuple(literals), literals=tuple(literals.values()))


CASES = {
    "interval(0, 1)": double(0.0, 1.0),
    "interval(1e-5, 1e-1)": double(1e-5, 0.1),
    "tag(log, interval(1e-5, 1e-1))": double(1e-5, 0.1, Scale.LOG),
    "tag(reverse_log, interval(1, 2))": double(1.0, 2.0, Scale.REVERSE_LOG),
    "int(interval(1, 5))": integer(1, 5),
    "tag(log, int(interval(1, 500)))": integer(1, 500, Scale.LOG),
    "range(1, 3)": integer(1, 2),
    "range(5)": integer(0, 4),
    "range(0, 1000000)": integer(0, 999_999),
    "shuffle(range(1, 9))": integer(1, 8),
    "range(0, 10, 5)": discrete([0, 5], ["0", "5"]),
    "range(5, 1, -2)": discrete([3, 5], ["3", "5"]),
    "range(1.0, 3)": discrete([1.0, 2.0], ["1.0", "2.0"]),
    "float(range(1, 3))": discrete([1.0, 2.0], ["1.0", "2.0"]),
    "16,32,64": discrete([16, 32, 64], ["16", "32", "64"]),
    "64,16,32": discrete([16, 32, 64], ["16", "32", "64"]),
    "choice(0.5, 1, 2e3)": discrete([0.5, 1, 2000.0], ["0.5", "1", "2000.0"]),
    "1_000,2_000": discrete([1000, 2000], ["1000", "2000"]),
    "tag(log, choice(1, 10, 100))": discrete([1, 10, 100], ["1", "10", "100"], Scale.LOG),
    "sort(3, 1, 2)": discrete([1, 2, 3], ["1", "2", "3"]),
    "1,1.0": labelled(**{"1": "1", "1.0": "1.0"}),
    "9007199254740993,2": labelled(**{"9007199254740993": "9007199254740993", "2": "2"}),
    "1,1.00000000001": labelled(**{"1": "1", "1.00000000001": "1.00000000001"}),
    "a,b": labelled(a="a", b="b"),
    "true,false": labelled(True_="True", False_="False"),
    "null,1": labelled(null="null", **{"1": "1"}),
    "'1','2'": labelled(**{"1": "'1'", "2": "'2'"}),
    "1,nan": labelled(**{"1": "1", "nan": "nan"}),
    "1,-inf": labelled(**{"1": "1", "inf": "-inf"}),
    "[1,2],[3]": labelled(**{"1_2": "[1,2]", "3": "[3]"}),
    "{a:1},{a:2}": labelled(a_1="{a:1}", a_2="{a:2}"),
    "'',a": labelled(value="''", a="a"),
    "tag(categorical, choice(16, 32))": labelled(**{"16": "16", "32": "32"}),
    "tag(categorical, range(1, 3))": labelled(**{"1": "1", "2": "2"}),
    "choice(3)": Element(3, "3"),
    "1,1": Element(1, "1"),
    "range(1, 2)": Element(1, "1"),
}


@pytest.mark.parametrize("expression", CASES)
def test_an_expression_becomes_the_kind_of_parameter_that_loses_nothing(expression: str) -> None:
    found, expected = read(expression), CASES[expression]
    if isinstance(expected, ParameterDomain) and expected.kind is Kind.CATEGORICAL:
        expected = categorical(expected.literals)
    assert found == expected
    if isinstance(found, ParameterDomain) and isinstance(expected, ParameterDomain):
        assert [type(value) for value in found.values] == [type(value) for value in expected.values]
        assert (type(found.low), type(found.high)) == (type(expected.low), type(expected.high))


def test_hydra_iterates_a_range_and_not_we() -> None:
    override = OverridesParser.create().parse_override("x=range(1e-4, 1e-3, 3e-4)")
    found = domain_of(override)
    assert isinstance(found, ParameterDomain)
    assert list(found.literals) == list(
        OverridesParser.create().parse_override("x=range(1e-4, 1e-3, 3e-4)").sweep_string_iterator()
    )


def test_labels_are_plain_unique_and_readable() -> None:
    labels = unique_aliases(["adam", "a b", "a_b", "'a b'", "-1", "", "=", "a-b"], fallback="value")
    assert labels == ["adam", "a_b_2", "a_b", "a_b_3", "1", "value", "value_2", "a-b"]
