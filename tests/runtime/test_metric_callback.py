"""What counts as a measurement, and how lines get into the metric file."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from vertex_sweeper_runtime.metric_callback import measurements
from vertex_sweeper_runtime.metrics import append_metrics, metric_path


class Tensor:
    """As array libraries have it: `__float__` always, a length only with dimensions."""

    def __init__(self, *items: float, dimensions: int = 1) -> None:
        self.items = items
        self.dimensions = dimensions

    def __float__(self) -> float:
        if len(self.items) != 1:
            raise TypeError("only one element can be converted")
        return self.items[0]

    def __len__(self) -> int:
        if not self.dimensions:
            raise TypeError("no dimensions")
        return len(self.items)

    def __getitem__(self, index: int) -> Tensor:
        return Tensor(self.items[index], dimensions=0)


class bool_:  # noqa: N801 - numpy's name
    def __float__(self) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        pytest.param(0.5, {"a": 0.5}, id="a float"),
        pytest.param(3, {"a": 3.0}, id="an int"),
        pytest.param(Decimal("0.25"), {"a": 0.25}, id="a decimal"),
        pytest.param(Fraction(1, 4), {"a": 0.25}, id="a fraction"),
        pytest.param(Tensor(0.5, dimensions=0), {"a": 0.5}, id="a tensor without dimensions"),
        pytest.param(Tensor(0.5), {"a": 0.5}, id="a tensor of one element"),
        pytest.param((0.5,), {"a": 0.5}, id="a tuple of one"),
        pytest.param({"a": Tensor(0.5, dimensions=0), "more": "x"}, {"a": 0.5}, id="a dict with other keys"),
        pytest.param(OmegaConf.create({"a": 0.5}), {"a": 0.5}, id="a config"),
    ],
)
def test_one_metric_takes_any_number(value: Any, numbers: dict[str, float]) -> None:
    assert measurements(value, ["a"]) == (numbers, {})


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        pytest.param([1, 2.5], {"a": 1.0, "b": 2.5}, id="a list"),
        pytest.param(OmegaConf.create([1, 2.5]), {"a": 1.0, "b": 2.5}, id="a list of OmegaConf's"),
        pytest.param(Tensor(1.0, 2.5), {"a": 1.0, "b": 2.5}, id="a tensor"),
        pytest.param({"b": 2.5, "a": 1}, {"a": 1.0, "b": 2.5}, id="a dict"),
    ],
)
def test_two_metrics_take_a_dict_or_a_sequence_in_their_order(value: Any, numbers: dict[str, float]) -> None:
    assert measurements(value, ["a", "b"]) == (numbers, {})


@pytest.mark.parametrize(
    ("value", "metrics", "missing"),
    [
        pytest.param(None, ["a"], {"a": "returned None, not a number"}, id="nothing"),
        pytest.param(True, ["a"], {"a": "returned True, not a number"}, id="a bool"),
        pytest.param(bool_(), ["a"], {"a": "returned a bool_, not a number"}, id="a bool of numpy's"),
        pytest.param("0.5", ["a"], {"a": "returned a str, not a number"}, id="a text"),
        pytest.param(1j, ["a"], {"a": "returned a complex, not a number"}, id="a complex number"),
        pytest.param(10**400, ["a"], {"a": "no single number"}, id="a number beyond floats"),
        pytest.param([], ["a"], {"a": "returned 0 values for 1 metrics"}, id="an empty list"),
        pytest.param(Tensor(1.0, 2.0), ["a"], {"a": "returned 2 values for 1 metrics"}, id="too many values"),
        pytest.param({"b": 1, "c": 2}, ["a"], {"a": "a dict without it (its keys: b, c)"}, id="a dict with other keys"),
        pytest.param({}, ["a"], {"a": "its keys: none"}, id="an empty dict"),
        pytest.param({"a": None, "b": 1}, ["a", "b"], {"a": "returned for it None, not a number"}, id="None in a dict"),
        pytest.param({"a": {"x": 1}}, ["a"], {"a": "returned for it a dict, not a number"}, id="a nested dict"),
        pytest.param(0.5, ["a", "b"], {"a": "a float for 2 metrics", "b": "a float for 2 metrics"}, id="one number for two"),
    ],
)
def test_what_is_no_measurement_gets_its_reason(value: Any, metrics: list[str], missing: dict[str, str]) -> None:
    numbers, why = measurements(value, metrics)
    assert why.keys() == missing.keys()
    assert set(numbers) | set(why) == set(metrics)
    assert [part for metric, part in missing.items() if part not in why[metric]] == []


@pytest.fixture
def metric_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "new" / "output.metrics"
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(path))
    monkeypatch.setenv("CLOUD_ML_TRIAL_ID", "3")
    return path


def test_a_line_is_as_cloudml_hypertune_writes_it(metric_file: Path) -> None:
    from hypertune import HyperTune

    append_metrics(str(metric_file), {"a": 0.1})
    ours = json.loads(metric_file.read_text())
    HyperTune().report_hyperparameter_tuning_metric("a", 0.1)
    theirs = json.loads(metric_file.read_text())
    assert {**ours, "timestamp": 0} == {**theirs, "timestamp": 0}
    assert ours["trial"] == "3"


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        pytest.param("", "", id="an empty file"),
        pytest.param('{"a": "1"}\n' * 300, '{"a": "1"}\n' * 300, id="more lines than hypertune keeps"),
        pytest.param('{"a": "1"}\n{"tor', '{"a": "1"}\n{"tor\n', id="a torn line"),
    ],
)
def test_lines_of_others_stay_where_a_line_is_added(metric_file: Path, before: str, kept: str) -> None:
    metric_file.parent.mkdir()
    metric_file.write_text(before)
    append_metrics(str(metric_file), {"b": 2.0, "c": 3.0})
    text = metric_file.read_text()
    assert text.startswith(kept)
    assert [key for line in text.removeprefix(kept).splitlines() for key in json.loads(line) if len(key) == 1] == ["b", "c"]


@pytest.mark.parametrize("name", [None, ""])
def test_without_a_path_metrics_go_where_hypertune_would_put_them(name: str | None) -> None:
    environment = {} if name is None else {"CLOUD_ML_HP_METRIC_FILE": name}
    assert metric_path(environment) == "/tmp/hypertune/output.metrics"  # noqa: S108
