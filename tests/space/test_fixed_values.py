"""YAML values in `params` stay what they are; a sweep that hides in one is refused, with a remedy that works."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from vertex_sweeper.space.overrides import OverrideReader

EXPRESSIONS = [
    "1,2",
    "1, 2, 3",
    "0.1 , 1e-3",
    "a,b",
    "adam, sgd",
    "Adam, SGD",
    "relu,gelu",
    "true, false",
    "null,1",
    "'a','b'",
    '"Hello, world", "Bye"',
    "[64,64],[128]",
    "{a: 1}, {a: 2}",
    "${x},${y}",
    "path/a,path/b",
    "choice(a, b)",
    "choice(1)",
    "  range(1, 3)",
    "interval(0, 1)",
    "interval (0, 1)",
    "int(interval(1, 8))",
    "int(1,2)",
    "float(range(1, 4))",
    "str(choice(1, 2))",
    "glob(*)",
    "glob([a*], exclude=ab)",
    "tag(log, interval(1e-4, 1e-1))",
    "shuffle(1,2,3)",
    "shuffle(range(1, 4))",
    "shuffle([1, 2])",
    "sort(3,1,2)",
    "[choice(1, 2)]",
    "{a: range(1, 3)}",
]

TEXTS = [
    "Hello, world",
    "Dear Sir, as you asked, the answer",
    "a photo of a cat, high quality",
    "Hello, world!",
    "'1,2'",
    '"a,b"',
    "f(x)",
    "f(a, b)",
    "lr=1,wd=2",
    "1,2\n3,4",
    "a,",
    ",",
    "(1, 2)",
    "[1, 2]",
    "{a: 1}",
    "range",
    "1",
    "true",
    "${x}",
    "",
    "it's choice(a, b)",
]


def read(params: dict[str, Any]) -> tuple[list[str], OverrideReader]:
    reader = OverrideReader(None)
    return [entry.line for entry in reader.params(params)], reader


@pytest.mark.parametrize("text", EXPRESSIONS)
@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"n": "TEXT", "m": 1}, "opt.n"),
        ({"deep": {"n": "TEXT"}}, "opt.deep.n"),
        (["TEXT", 3], None),
        ({"a": [{"n": "TEXT"}]}, None),
    ],
    ids=["in a mapping", "deeper", "in a list", "in a list of a mapping"],
)
def test_an_expression_inside_a_fixed_value_is_refused_and_both_remedies_work(text: str, value: Any, key: str | None) -> None:
    value = json.loads(json.dumps(value).replace('"TEXT"', json.dumps(text)))
    lines, reader = read({"opt": value})
    assert lines == []
    (mistake,) = reader.mistakes
    assert mistake.startswith(f"hydra.sweeper.params.opt: {text!r} stands inside a fixed value")
    if key is None:
        assert "side by side" in mistake
    else:
        swept = re.search(r"its own dotted key, (.*?); if", mistake)
        assert swept is not None
        assert yaml.safe_load(swept[1]) == {key: text}
    # What a text is quoted with stands at the end, ready to be copied into a config.
    (again,) = OverrideReader(None).params(yaml.safe_load(mistake.partition("say so: ")[2]))
    assert repr(again.override.value()) == repr(value)


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_inside_a_fixed_value_stays_that_text(text: str) -> None:
    value = {"prompt": text, "all": [text, {"x": text}]}
    reader = OverrideReader(None)
    (entry,) = reader.params({"opt": value})
    assert reader.mistakes == reader.notes == []
    assert repr(entry.override.value()) == repr(value)


def test_conditions_and_long_values_are_refused_alike() -> None:
    reader = OverrideReader(None)
    reader.conditional({"model=vit": {"params": {"opt": {"n": "1,2", "text": 200 * "x"}}}})
    (mistake,) = reader.mistakes
    assert mistake.startswith("hydra.sweeper.conditional.model=vit.opt: '1,2' stands inside")
    assert mistake.endswith("""opt: "{name: 'a,b'}\"""")


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ([16, 32, 64], "16,32,64"),
        (["adam", "sgd"], "adam,sgd"),
        (["two words", "1", "true", "a,b", "é"], "'two words','1','true','a,b','é'"),
        ([True, None, 1.5], "true,null,1.5"),
        ([[64, 64], [128]], "[64,64],[128]"),
        ([{"a": 1}, {"a": "b"}], "{a:1},{a:'b'}"),
    ],
)
def test_a_fixed_list_gets_a_line_with_a_choice_of_its_elements(value: list[Any], expression: str) -> None:
    _, reader = read({"n": value})
    assert reader.notes == [f"hydra.sweeper.params.n: a fixed list; to sweep, write `{expression}`"]
    (entry,) = OverrideReader(None).params({"n": expression})
    parser = OverridesParser.create()
    chosen = [parser.parse_override(f"n={text}").value() for text in entry.override.sweep_string_iterator()]
    assert repr(chosen) == repr(value)


@pytest.mark.parametrize("value", [[], [64], ["a"], 3, None, "a,b"])
def test_nothing_is_said_about_what_is_no_choice(value: Any) -> None:
    assert read({"n": value})[1].notes == []
