"""What a trial gets for a value at a bound, or off it by a rounding: the same whatever the service writes, and read back alike.

A value inside the bounds stays what it is, one beyond a bound by a rounding is that bound, and zero has no sign. The elements
of a choice are the user's own texts: there `-0.0` stays `-0.0`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertex_sweeper.plan.composition import _candidates
from vertex_sweeper.results.outcome import read_outcome
from vertex_sweeper.services.local.execute.flag_rendering import PLAIN
from vertex_sweeper.services.local.parameter_tree import Choice
from vertex_sweeper.space.overrides import OverrideReader
from vertex_sweeper.space.search_space import build_space
from vertex_sweeper.testing import HostileRendering
from vertex_sweeper_runtime import contract_document
from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, Scale
from vertex_sweeper_runtime.errors import FlagError
from vertex_sweeper_runtime.flags import trial_overrides

LARGEST, LEAST = sys.float_info.max, math.ulp(0.0)


def agreed(line: str) -> Contract:
    """The contract of a sweep over one key, as the container reads it."""
    space = build_space(OverrideReader(None).command_line([line]))
    return contract_document.decode(contract_document.encode(Contract(("app",), space.sequence, space.parameters, ())))


def both_ways(contract: Contract, text: str) -> list[str]:
    """The trial's override, with its flag in one token and in two; without the key."""
    found = [trial_overrides(contract, ["app", f"--x={text}"]), trial_overrides(contract, ["app", "--x", text])]
    return [override.removeprefix("x=") for (override,) in found]


def read_back(contract: Contract, value: float) -> str:
    """The override that the results have for what the API reports."""
    parameters = [{"parameterId": "x", "value": value}]
    (trial,) = read_outcome({"trials": [{"id": "1", "state": "SUCCEEDED", "parameters": parameters}]}, contract).trials
    assert trial.overrides == (f"x={trial.literals['x']}",)
    return trial.literals["x"]


ZEROS = "0 0.0 -0.0 -0 +0 0.0000 -0.0000 0E-7 -0e5 00.0 .0 -1e-400"
TABLE = [
    # What was swept, what a service may write, what the trial gets.
    ("interval(-1e-3, 0)", ZEROS, "0.0"),
    ("interval(-1e-3, 0)", "1e-320 5e-324 1e-16", "0.0"),
    ("interval(-1e-3, 0)", "-1e-320", "-1e-320"),
    ("interval(-1e-3, 0)", "-0.001 -1e-3 -1E-03 -0.0010000000000000002 -0.00100000000000001", "-0.001"),
    ("interval(-1e-3, 0)", "-0.0009999999999999998", "-0.0009999999999999998"),
    ("interval(0, 1)", ZEROS + " -1e-320 -5e-324 -1e-13", "0.0"),
    ("interval(0, 1)", "1 1.0 1.0000000000000002 1E0 1.0000", "1.0"),
    ("interval(0.0, 1)", "-0.0", "0.0"),
    ("interval(-0.0, 1)", ZEROS + " -1e-320", "0.0"),
    ("interval(-1, -0.0)", ZEROS + " 1e-320", "0.0"),
    ("interval(-1, 1)", ZEROS, "0.0"),
    ("interval(-1, 1)", "-1 -1.0 -1.0000000000000002", "-1.0"),
    ("interval(-1.7976931348623157e308, 1.7976931348623157e308)", ZEROS, "0.0"),
    ("interval(-1.7976931348623157e308, 1.7976931348623157e308)", "1.7976931348623157E308", "1.7976931348623157e+308"),
    ("interval(0, 1e308)", "1e308 1.0000000000000002e308 1.00000000001e308", "1e+308"),
    ("interval(0, 5e-324)", ZEROS + " -5e-324", "0.0"),
    ("interval(0, 5e-324)", "5e-324 4.94e-324 1e-323", "5e-324"),
    ("tag(log, interval(5e-324, 1e-320))", "5e-324 0 -0.0", "5e-324"),
    ("tag(log, interval(1e-320, 1e-310))", "1e-320 9.995e-321", "1e-320"),
    ("tag(log, interval(1e-5, 1e-1))", "0.00001 1e-5 1E-05 9.999999999999999e-06 9.99999999999e-6", "1e-05"),
    ("tag(log, interval(1e-5, 1e-1))", "1.0000000000000003e-05", "1.0000000000000003e-05"),
    ("tag(log, interval(1e-5, 1e-1))", "0.1 0.10000000000000002 0.1000 1E-1", "0.1"),
    ("tag(reverse_log, interval(1e-12, 1e3))", "1e-12 0 -0.0 -1e-10 -1e-320", "1e-12"),
    ("tag(reverse_log, interval(1e-12, 1e3))", "1000 1e3 1000.0000000000001", "1000.0"),
    ("int(interval(-3, 0))", ZEROS + " -1e-320", "0"),
    ("range(0, 3)", ZEROS + " 1e-320 -1e-13", "0"),
    ("range(-2, 1)", ZEROS, "0"),
    ("range(0, 3)", "2 2.0 2E0 1.9999999999999998 2.0000000000000004", "2"),
    ("choice(-0.0, 0.5)", ZEROS + " -1e-320", "-0.0"),
    ("0.5,-0.0", ZEROS, "-0.0"),
    ("choice(0, 0.5)", ZEROS, "0"),
    ("choice(-0, 0.5)", ZEROS, "0"),
    ("choice(0.0, 1)", ZEROS, "0.0"),
    ("choice(-1, 0.00)", ZEROS, "0.0"),
    ("range(-0.5, 1, 0.5)", ZEROS, "0.0"),
    ("0.5,-0.0", "0.5 5E-1 0.5000000000000001", "0.5"),
]
CASES = [(sweep, text, wanted) for sweep, texts, wanted in TABLE for text in texts.split()]


@pytest.mark.parametrize(("sweep", "text", "wanted"), CASES, ids=[f"{sweep} {text}" for sweep, text, _ in CASES])
def test_a_trial_gets_one_value_for_all_that_a_service_may_write_for_it(sweep: str, text: str, wanted: str) -> None:
    contract = agreed(f"x={sweep}")
    assert both_ways(contract, text) == [wanted, wanted]
    assert read_back(contract, float(text)) == wanted


@pytest.mark.parametrize(
    ("sweep", "text"),
    [
        ("interval(0, 1)", "-1e-8"),
        ("interval(0, 1)", "1.0001"),
        ("interval(-1e-3, 0)", "1e-12"),
        ("interval(0, 1e-300)", "-1e-305"),
        ("tag(log, interval(1e-5, 1e-1))", "9.99e-6"),
        ("tag(log, interval(1e-5, 1e-1))", "0"),
        ("tag(log, interval(1e-300, 1))", "-0.0"),
        ("choice(-0.0, 0.5)", "1e-9"),
        ("range(0, 3)", "-1"),
        ("range(1, 3)", "-0.0"),
        ("interval(0, 1)", "1e400"),
    ],
)
def test_what_is_further_off_than_a_rounding_is_refused(sweep: str, text: str) -> None:
    with pytest.raises(FlagError):
        both_ways(agreed(f"x={sweep}"), text)


def test_both_zeros_as_elements_are_two_values() -> None:
    contract = agreed("x=0.0,-0.0,1.0")
    (parameter,) = contract.parameters
    assert parameter.kind is Kind.CATEGORICAL
    assert {both_ways(contract, str(label))[0] for label in parameter.values} == {"0.0", "-0.0", "1.0"}


def test_a_zero_that_the_apis_json_leaves_out_is_read_back() -> None:
    job = {"trials": [{"id": "1", "state": "SUCCEEDED", "parameters": [{"parameterId": "x"}]}]}
    found = {
        sweep: read_outcome(job, agreed(f"x={sweep}")).trials[0].overrides
        for sweep in ("interval(0, 1)", "range(0, 3)", "choice(-0.0, 1)")
    }
    assert found == {"interval(0, 1)": ("x=0.0",), "range(0, 3)": ("x=0",), "choice(-0.0, 1)": ("x=-0.0",)}


FINITE = st.floats(allow_nan=False, allow_infinity=False)
BOUNDS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-3, -1e-3, LEAST, -LEAST, LARGEST, -LARGEST, 1e-300, 1e300]) | FINITE
SCALES = {Scale.LOG: "tag(log, {})", Scale.REVERSE_LOG: "tag(reverse_log, {})", None: "{}"}


@st.composite
def intervals(draw: st.DrawFn) -> Contract:
    """A sweep over an interval of any size, on any scale."""
    low, high = sorted((draw(BOUNDS), draw(BOUNDS)))
    scales = list(SCALES) if low > 0 else [None]
    high = high if low < high else math.nextafter(low, math.inf)
    if not math.isfinite(high):
        low, high = math.nextafter(low, 0.0), low
    return agreed(f"x={SCALES[draw(st.sampled_from(scales))].format(f'interval({low!r}, {high!r})')}")


def off_by_a_rounding(domain: Parameter) -> Iterator[float]:
    """Numbers at the bounds and beside them, that a service may hand out for a value of this domain."""
    low, high = float(domain.low), float(domain.high)
    off = 0.0 if domain.scale is Scale.LOG else 1e-13 * (high / 2 - low / 2)
    yield from (low, high, math.nextafter(low, math.inf), math.nextafter(high, -math.inf))
    yield from (low - max(off, 1e-11 * abs(low), LEAST), high + max(off, 1e-11 * abs(high), LEAST))
    yield from (math.nextafter(low, -math.inf), math.nextafter(high, math.inf))
    yield from (zero for zero in (0.0, -0.0) if low <= 0 <= high)


def spelled(number: float, dice: Random) -> str:
    """The number in one of the ways in which programs write numbers, exactly."""
    return dice.choice((repr(number), f"{number:.17g}", f"{number:.16E}", f"{number:.16e}", f"{number:.1100f}"))


@given(contract=intervals(), dice=st.randoms(use_true_random=False), share=st.floats(0, 1))
def test_a_value_at_or_off_a_bound_is_one_value_in_every_spelling_and_read_back(
    contract: Contract, dice: Random, share: float
) -> None:
    (domain,) = contract.parameters
    inside = min(max(domain.low * (1 - share) + domain.high * share, domain.low), domain.high)
    for number in (inside, *off_by_a_rounding(domain)):
        if not math.isfinite(number):
            continue
        wanted = repr(min(max(number, float(domain.low)), float(domain.high)) + 0.0)
        assert both_ways(contract, spelled(number, dice)) == [wanted, wanted]
        assert read_back(contract, number) == wanted
        if domain.low <= number <= domain.high:
            # Whoever renders may write `-0.0` as `0`, or round outwards at a bound.
            for rendering in (PLAIN, HostileRendering(dice.randint(0, 10**6))):
                argv = rendering.render([Choice(domain, number)], [])
                assert trial_overrides(contract, ["app", *argv]) == [f"x={wanted}"]


@given(contract=intervals())
def test_what_is_composed_beforehand_is_what_a_trial_may_get(contract: Contract) -> None:
    (domain,) = contract.parameters
    literals = [domain.literal(value) for value in _candidates(domain)]
    assert "-0.0" not in literals
    assert all(domain.low <= float(literal) <= domain.high for literal in literals)


@given(contract=intervals(), seed=st.integers(0, 2**32), random=st.booleans())
def test_a_suggestion_is_the_value_that_its_trial_gets(contract: Contract, seed: int, random: bool) -> None:  # noqa: FBT001
    pytest.importorskip("optuna", reason="backend local needs the extra [local]")
    from vertex_sweeper.services.local.parameter_tree import ParameterSpec
    from vertex_sweeper.services.local.suggest.optuna import Algorithm, OptunaSuggester

    (domain,) = contract.parameters
    parameter = ParameterSpec("x", "x", Kind.DOUBLE, low=float(domain.low), high=float(domain.high), scale=domain.scale)
    algorithm = Algorithm.RANDOM if random else Algorithm.BAYESIAN
    suggester = OptunaSuggester([parameter], metrics={"acc": True}, algorithm=algorithm, seed=seed)
    for number in range(1, 13):  # from the eleventh on a model suggests
        choices = suggester.suggest(number)
        suggester.tell(number, {"acc": float(number)})
        for rendering in (PLAIN, HostileRendering(seed)):
            assert trial_overrides(contract, ["app", *rendering.render(choices, [])]) == [f"x={choices[0].value!r}"]
        assert read_back(contract, choices[0].to_json()["value"]) == repr(choices[0].value)
