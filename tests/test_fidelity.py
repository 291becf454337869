"""The config in a trial is the one that Hydra composes for the same values: proven over hostile values and hostile renderings.

The oracle is Hydra: what its parser and printer make of an element, and what it composes from the literal overrides.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from support import App, app_in

from vertex_sweeper.entries import EntryReader, merge
from vertex_sweeper.local.nodes import Choice
from vertex_sweeper.local.rendering import HostileRendering
from vertex_sweeper.space import build_space
from vertex_sweeper_runtime import contract as contracts
from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, ServiceValue
from vertex_sweeper_runtime.flags import trial_overrides

KEYS = 20
PARSER = OverridesParser.create()
COMMAND = ("python", "train.py", "--config-name", "x")

HOSTILE = st.text(st.sampled_from(list("ab1.-+~=,:;@#%*?/\\'\"()[]{}$ \t_é\u4e16&|<>!`^")), max_size=8)
QUOTED = st.builds(
    lambda text, quote: QuotedString(text=text, quote=quote).with_quotes(),
    HOSTILE,
    st.sampled_from([Quote.single, Quote.double]),
)
NUMBERS = st.one_of(
    st.integers(-10, 10).map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.sampled_from(["1_000", "1e3", "1E-5", "-0.0", "00.5", "1.", ".5", "inf", "-inf", "nan", "1e400"]),
)
WORDS = st.sampled_from(
    [
        "abc",
        "true",
        "False",
        "null",
        "NULL",
        "a-b",
        "-x",
        "--flag",
        "a.b",
        "*.txt",
        "/a/b",
        "a b",
        "${k0}",
        "${oc.env:HOME}",
        "x@y",
        "a:b",
    ]
)
SCALARS = st.one_of(
    QUOTED, QUOTED, NUMBERS, WORDS, st.sampled_from(["'1'", "'null'", "'true'", "''", "' '", "'$(HOME)'", "'a=b'"])
)
ELEMENTS = st.one_of(
    SCALARS,
    SCALARS,
    st.lists(SCALARS, max_size=3).map(lambda items: f"[{','.join(items)}]"),
    st.lists(SCALARS, max_size=2).map(lambda items: f"{{a:{items[0] if items else 1},b:[{','.join(items)}]}}"),
)
CHOICES = st.lists(ELEMENTS, min_size=1, max_size=4).map(lambda items: f"choice({','.join(items)})")
NUMERIC = st.lists(st.integers(-50, 50).map(str) | st.floats(-1e3, 1e3).map(repr), min_size=2, max_size=5, unique=True).map(
    ",".join
)
RANGES = st.builds(
    lambda start, count, step: f"range({start},{start + count * step},{step})",
    st.integers(-5, 5),
    st.integers(1, 6),
    st.sampled_from([1, 2, -1, 0.5]),
)
INTERVALS = st.builds(
    lambda low, width, form: form.format(low, low + width),
    st.integers(1, 9),
    st.integers(1, 90),
    st.sampled_from(
        ["interval({},{})", "int(interval({},{}))", "tag(log,interval({},{}))", "tag(reverse_log,int(interval({},{})))"]
    ),
)
EXPRESSIONS = st.one_of(ELEMENTS, CHOICES, CHOICES, NUMERIC, RANGES, INTERVALS)
PREFIXES = st.sampled_from(["k", "k", "k", "+n", "++m", "++k"])


def parses(line: str) -> bool:
    try:
        override = PARSER.parse_override(line)
        return not override.is_discrete_sweep() or all(
            PARSER.parse_override(f"x={text}") for text in override.sweep_string_iterator()
        )
    except HydraException:
        return False


LINES = st.lists(st.tuples(PREFIXES, EXPRESSIONS), min_size=KEYS, max_size=KEYS).map(
    lambda pairs: [line for number, (prefix, text) in enumerate(pairs) if parses(line := f"{prefix}{number}={text}")]
)


def chosen(data: st.DataObject, parameter: Parameter) -> tuple[ServiceValue, str]:
    """A value that a service might choose, and the text that Hydra prints for it."""
    if parameter.kind is Kind.DOUBLE:
        value = data.draw(st.floats(parameter.low, parameter.high) | st.sampled_from([parameter.low, parameter.high]))
        return value, repr(float(value))
    if parameter.kind is Kind.INTEGER:
        whole = data.draw(st.integers(int(parameter.low), int(parameter.high)))
        return whole, str(whole)
    place = data.draw(st.integers(0, len(parameter.values) - 1))
    return parameter.values[place], parameter.literals[place]


def trial(data: st.DataObject, lines: list[str], *, in_yaml: bool) -> tuple[list[str], list[str]]:
    """What the shim hands to Hydra for a random trial of this sweep, and what Hydra itself would have been given."""
    reader = EntryReader(None)
    params = dict(line.split("=", 1) for line in lines)
    entries, repeated = merge(reader.params(params), []) if in_yaml else merge([], reader.command_line(lines))
    assert (reader.mistakes, repeated) == ([], [])
    space = build_space(entries)
    sent = Contract(COMMAND, space.sequence, space.parameters, ("objective",))
    agreed = contracts.decode(contracts.encode(sent))
    values = {parameter.key: chosen(data, parameter) for parameter in agreed.parameters}
    choices = [Choice(parameter, values[parameter.key][0]) for parameter in agreed.parameters]
    fixed = [item for item in agreed.sequence if isinstance(item, str)]
    arguments = HostileRendering(data.draw(st.integers(0, 9999))).render(choices, fixed)
    return trial_overrides(agreed, [*COMMAND, *arguments]), [expected(line, values) for line in lines]


def expected(line: str, values: dict[str, tuple[ServiceValue, str]]) -> str:
    """The literal override: Hydra's print of the chosen element, or the line as it was given."""
    override = PARSER.parse_override(line)
    key = override.get_key_element()
    if not override.is_sweep_override():
        return line
    if override.is_interval_sweep():
        return f"{key}={values[key][1]}"
    texts = list(override.sweep_string_iterator())
    text = values[key][1] if key in values else texts[0]
    assert text in texts
    return f"{key}={text}"


def read(line: str) -> tuple[str, Any, str]:
    override = PARSER.parse_override(line)
    # repr tells 1 from 1.0 and True, and nan from nothing.
    return override.get_key_element(), repr(override.value()), line


@given(data=st.data(), lines=LINES, in_yaml=st.booleans())
@settings(max_examples=520, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_every_override_survives_every_rendering(data: st.DataObject, lines: list[str], *, in_yaml: bool) -> None:
    assume(lines)
    found, wanted = trial(data, lines, in_yaml=in_yaml)
    assert [read(line) for line in found] == [read(line) for line in wanted]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    keys = "\n".join(f"k{number}: null" for number in range(KEYS))
    with app_in(tmp_path_factory.mktemp("fidelity"), {"config": keys}) as app:
        yield app


def composed(app: App, overrides: list[str]) -> tuple[str, ...]:
    """The config without `hydra`, and Hydra's own record of the overrides; or Hydra's refusal, and of which override."""
    try:
        config = app.run(overrides)
    except HydraException as refusal:  # `'${'` is a text that Hydra's grammar takes and OmegaConf's does not
        return (str(refusal),)
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    del plain["hydra"]
    return repr(plain), repr(config.hydra.overrides.task), config.hydra.job.override_dirname


@given(data=st.data(), lines=LINES)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_the_composed_config_and_hydras_own_record_are_the_same(app: App, data: st.DataObject, lines: list[str]) -> None:
    assume(lines)
    found, wanted = trial(data, lines, in_yaml=False)
    assert composed(app, found) == composed(app, wanted)


def test_a_text_that_is_half_an_interpolation_is_refused_as_hydra_refuses_it(app: App) -> None:
    (refusal,) = composed(app, ["++k5=';${`1=<>'"])
    assert refusal == "Error merging override ++k5=';${`1=<>'"


ODD = [
    "k1='1','null','true'",
    "k2=[1,'2',null],[]",
    "k3={a:{b:[1,{c:d}]}},{}",
    "k4=true,false,null",
    "k5=' ',''",
    "k6='it\\'s \"x\"',\"it's\"",
    "+new.key=1.0,2",
    "++k7=a,b",
    "k10=${k1},abc",
]


def test_a_grid_gives_the_same_overrides_as_hydras_basic_sweeper() -> None:
    lines = ODD
    reader = EntryReader(None)
    space = build_space(merge([], reader.command_line(lines))[0])
    agreed = Contract(COMMAND, space.sequence, space.parameters, ("objective",))
    ids = [parameter.id for parameter in agreed.parameters]
    grid = itertools.product(*(parameter.values for parameter in agreed.parameters))
    ours = {tuple(agreed.overrides(dict(zip(ids, point, strict=True)))) for point in grid}
    parsed = [PARSER.parse_override(line) for line in lines]
    lists = [[f"{entry.get_key_element()}={text}" for text in entry.sweep_string_iterator()] for entry in parsed]
    assert ours == set(itertools.product(*lists))


def test_order_and_deletions_are_kept(tmp_path: Path) -> None:
    with app_in(tmp_path, {"config": "a: 1\nd: {a: 0}\ngone: 1\n"}) as app:
        plan = app.plan("d.a=5", "~gone", "d={a:9}", "a=1,2")
        overrides = plan.contract.overrides({"a": 2})
        assert overrides == ["d.a=5", "~gone", "d={a:9}", "a=2"]
        assert OmegaConf.to_container(app.run(overrides).d) == {"a": 9}
