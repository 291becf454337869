"""The examples of docs/search-space.md are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from vertex_sweeper.space.overrides import OverrideReader
from vertex_sweeper.space.search_space import build_space
from vertex_sweeper_runtime.contract import Contract
from vertex_sweeper_runtime.flags import trial_overrides

PAGE = (Path(__file__).parents[2] / "docs" / "search-space.md").read_text(encoding="utf-8")
EXAMPLES = [re.split(r"\s+->\s+", line) for line in PAGE.split("```text\n")[1].split("```")[0].splitlines()]
CONDITIONS = PAGE.split("```yaml\n")[1].split("```")[0]


@pytest.mark.parametrize("example", EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_a_flag_becomes_the_override_that_the_page_says(example: list[str]) -> None:
    sweep, flag, override = example
    space = build_space(OverrideReader(None).command_line([sweep]))
    agreed = Contract(("app",), space.sequence, space.parameters, ())
    assert trial_overrides(agreed, ["app", flag]) == [override]


def test_the_conditions_of_the_page_are_a_tree() -> None:
    written = yaml.safe_load(CONDITIONS)
    reader = OverrideReader(None)
    entries = reader.params(written["params"]) + reader.conditional(written["conditional"])
    assert reader.mistakes == []
    space = build_space(entries)
    parents = {parameter.id: parameter.when.parent for parameter in space.parameters if parameter.when}
    assert parents == {
        "model.heads": "model",
        "model.dropout": "model.heads",
        "momentum.sgd.rmsprop": "optimizer",
        "momentum.adam": "optimizer",
    }
    agreed = Contract(("app",), space.sequence, space.parameters, ())
    given: dict[str, float | str] = {
        "model": "vit",
        "optimizer": "adam",
        "model.heads": 8,
        "model.dropout": 0.25,
        "momentum.adam": 0.95,
    }
    assert agreed.overrides(given)[-1] == "momentum=0.95"
