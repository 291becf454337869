"""What we write is what Hydra reads: our few rules against Hydra's own parser and OmegaConf."""

from __future__ import annotations

import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vertex_sweeper_runtime import quoting

PARSER = OverridesParser.create()
AWKWARD = st.text(alphabet=st.sampled_from(list("\\'\"${}()[],=:. \t\n-+_~@/ab01eEx9é")), max_size=14)
TEXTS = AWKWARD | st.text(max_size=10) | st.from_regex(r"\A[+-]?[0-9_.]*([eE][+-]?[0-9_]*)?\Z", fullmatch=True)


@settings(max_examples=300)
@given(text=TEXTS)
@example("\\")
@example("'")
@example("\\'")
@example("a\\\\'b\\")
@example("")
def test_a_quoted_text_is_read_as_that_text(text: str) -> None:
    override = PARSER.parse_override(f"key={quoting.quote(text)}")
    assert not override.is_sweep_override()
    assert override.value() == text


@settings(max_examples=300)
@given(text=TEXTS | st.lists(st.sampled_from(["${", "\\", "}", "x", "'", "$"]), max_size=8).map("".join))
@example("\\${x}")
@example("\\\\${x}\\")
@example("${oc.env:HOME}")
def test_a_literal_ends_in_the_config_as_that_text(text: str) -> None:
    value = PARSER.parse_override(f"key={quoting.literal(text)}").value()
    config = OmegaConf.create({"key": None, "other": "${key}/3"})
    OmegaConf.update(config, "key", value)
    if text != "???":  # OmegaConf's own mark of a missing value, however it is quoted
        assert config.key == text
        assert config.other == f"{text}/3"


@settings(max_examples=500)
@given(
    text=TEXTS
    | st.sampled_from(["true", "NULL", "nan", "-Inf", "1_000", "1__0", "01", "1.", ".5", "1e5", "inf-1", "true_", "a-b"])
)
def test_a_flags_value_is_a_plain_number_bool_null_or_the_very_text_and_never_a_sweep(text: str) -> None:
    override = PARSER.parse_override(f"key={quoting.value(text)}")
    value = override.value()
    assert not override.is_sweep_override()
    if isinstance(value, str):
        assert value == text
    elif value is None or isinstance(value, bool):
        assert text.lower() == {None: "null", True: "true", False: "false"}[value]
    else:
        assert isinstance(value, (int, float))
        number = int(text) if isinstance(value, int) else float(text)  # Python reads the same number
        assert value == number or (math.isnan(value) and math.isnan(number))


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.1", 0.1), ("-3", -3), ("+1e-5", 1e-5), ("1_000", 1000), ("True", True), ("null", None), ("adam", "adam")],
)
def test_what_hydra_reads_as_plain_is_not_quoted(text: str, value: object) -> None:
    assert quoting.value(text) == text
    assert PARSER.parse_override(f"key={text}").value() == value
