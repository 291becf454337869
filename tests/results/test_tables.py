"""The files that a sweep leaves in its directory."""

from __future__ import annotations

import csv
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from vertex_sweeper.api import Goal, JobState, TrialState
from vertex_sweeper.atomic_files import write_text
from vertex_sweeper.results.outcome import Outcome, TrialResult
from vertex_sweeper.results.tables import trials_table, write_results
from vertex_sweeper.results.yaml_text import yaml_text

GOOD = TrialResult(
    number=3,
    state=TrialState.SUCCEEDED,
    literals={"model": "svm", "model.C": "1e-05", "batch": "3_2", "tag": "'1'", "sizes": "[1,a]"},
    overrides=("seed=1", "model=svm", "model.C=1e-05", "tag='1'", "x=${a.b}"),
    metrics={"acc": 0.1 + 0.2},
    started="2026-11-24T10:00:00Z",
    seconds=1.23456,
)
BAD = TrialResult(
    number=4,
    state=TrialState.INFEASIBLE,
    literals={"model": "linear", "batch": "16", "tag": "'a,\n\"b'", "sizes": "[]"},
    overrides=("seed=1",),
    metrics={},
    reason='exit code 1, "really"',
)
GOALS = {"acc": Goal.MAXIMIZE}
KEYS = ("model", "model.C", "batch", "tag", "sizes")


def outcome(*trials: TrialResult, goals: dict[str, Goal] = GOALS, keys: tuple[str, ...] = KEYS) -> Outcome:
    return Outcome(state=JobState.SUCCEEDED, trials=trials, goals=goals, keys=keys)


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(text.splitlines(keepends=True)))


def test_the_table_has_one_row_a_trial_with_the_parameters_as_the_user_wrote_them() -> None:
    assert rows(trials_table(outcome(GOOD, BAD))) == [
        ["number", "state", *KEYS, "acc", "started", "seconds", "reason"],
        ["3", "SUCCEEDED", "svm", "1e-05", "3_2", "'1'", "[1,a]", "0.30000000000000004", "2026-11-24T10:00:00Z", "1.235", ""],
        ["4", "INFEASIBLE", "linear", "", "16", "'a,\n\"b'", "[]", "", "", "", 'exit code 1, "really"'],
    ]


def test_columns_of_the_same_name_are_told_apart() -> None:
    trial = TrialResult(1, TrialState.SUCCEEDED, {"state": "on", "acc": "1"}, (), {"acc": 1.0, "seconds": 2.0, "loss": 3.0})

    assert rows(trials_table(outcome(trial, keys=("state", "acc"))))[0] == [
        *("number", "state", "parameter.state", "acc", "metric.acc", "metric.seconds", "loss", "started", "seconds", "reason")
    ]


def test_devices_have_a_column_where_a_trial_has_some() -> None:
    first = TrialResult(1, None, {"device": "cpu"}, (), {}, device="0,1")
    second = TrialResult(2, None, {"device": "cuda"}, (), {})

    assert rows(trials_table(outcome(first, second, keys=("device",)))) == [
        ["number", "state", "parameter.device", "acc", "started", "seconds", "device", "reason"],
        ["1", "", "cpu", "", "", "", "0,1", ""],
        ["2", "", "cuda", "", "", "", "", ""],
    ]
    assert rows(trials_table(outcome(second, keys=("device",))))[0] == [
        *("number", "state", "device", "acc", "started", "seconds", "reason")
    ]


def test_a_sweep_without_trials_has_a_table_with_its_head() -> None:
    assert rows(trials_table(outcome())) == [["number", "state", *KEYS, "acc", "started", "seconds", "reason"]]


def test_parameters_that_the_sweep_does_not_know_have_a_column_too() -> None:
    trial = TrialResult(1, None, {"alien": "7"}, (), {})

    assert rows(trials_table(outcome(trial, keys=("model",))))[1] == ["1", "", "", "7", "", "", "", ""]


def test_a_sweep_with_a_result_leaves_all_its_files(tmp_path: Path) -> None:
    files = write_results(tmp_path / "ä b", outcome(GOOD, BAD), best_config="# @package _global_\n", folder="3")

    names = ["trials.csv", "optimization_results.yaml", "best.yaml", "best/best.yaml"]
    assert files == [tmp_path / "ä b" / name for name in names]
    assert sorted(path for path in (tmp_path / "ä b").rglob("*") if path.is_file()) == sorted(files)
    assert yaml.safe_load(files[2].read_text(encoding="utf-8")) == {
        "number": 3,
        "folder": "3",
        "metrics": {"acc": 0.1 + 0.2},
        "overrides": list(GOOD.overrides),
    }
    assert files[3].read_text(encoding="utf-8") == "# @package _global_\n"


def test_the_results_have_the_shape_of_hydras_other_sweepers(tmp_path: Path) -> None:
    write_results(tmp_path, outcome(GOOD, BAD), best_config=None, folder=None)

    assert OmegaConf.to_container(OmegaConf.load(tmp_path / "optimization_results.yaml")) == {
        "name": "vertex",
        "best_params": {"model": "svm", "model.C": 1e-05, "batch": 32, "tag": "1", "sizes": [1, "a"]},
        "best_value": 0.1 + 0.2,
    }


def test_the_results_of_several_metrics_are_the_pareto_front(tmp_path: Path) -> None:
    goals = {"acc": Goal.MAXIMIZE, "ms": Goal.MINIMIZE}
    trials = [
        TrialResult(n, TrialState.SUCCEEDED, {"x": str(n)}, (), {"ms": n, "acc": a}) for n, a in ((1, 0.5), (2, 0.9), (3, 0.7))
    ]

    write_results(tmp_path, outcome(*trials, goals=goals), best_config=None, folder=None)

    assert OmegaConf.to_container(OmegaConf.load(tmp_path / "optimization_results.yaml")) == {
        "name": "vertex",
        "solutions": [{"params": {"x": 1}, "values": [0.5, 1]}, {"params": {"x": 2}, "values": [0.9, 2]}],
    }


@pytest.mark.parametrize("text", ["a{b", "'a", "1,2", "range(1,3)", "interval(0,1)"])
def test_a_value_that_is_no_literal_is_kept_as_text(tmp_path: Path, text: str) -> None:
    trial = TrialResult(1, TrialState.SUCCEEDED, {"x": text}, (), {"acc": 1.0})

    write_results(tmp_path, outcome(trial), best_config=None, folder=None)

    assert yaml.safe_load((tmp_path / "optimization_results.yaml").read_text(encoding="utf-8"))["best_params"] == {"x": text}


def test_without_a_result_only_the_table_is_left_and_nothing_from_before(tmp_path: Path) -> None:
    write_results(tmp_path, outcome(GOOD), best_config="x: 1\n", folder=None)
    (tmp_path / "best" / "mine.yaml").write_text("y: 2\n", encoding="utf-8")

    files = write_results(tmp_path, outcome(BAD), best_config="x: 1\n", folder=None)

    assert files == [tmp_path / "trials.csv"]
    assert [path for path in sorted(tmp_path.rglob("*")) if path.is_file()] == [
        tmp_path / "best" / "mine.yaml",
        tmp_path / "trials.csv",
    ]


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "grüße.txt"

    assert write_text(path, "long " * 1000) == path
    write_text(path, "größer\r\nals\n")

    assert path.read_bytes() == "größer\r\nals\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_as_readable_as_any_other_of_its_user(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("", encoding="utf-8")

    mode = stat.S_IMODE(write_text(tmp_path / "ours", "").stat().st_mode)

    assert mode == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_file_that_cannot_be_written_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "by a file").touch()

    with pytest.raises(OSError, match="taken"):
        write_text(tmp_path / "taken", "text")

    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_a_reader_never_sees_a_part_of_a_file(tmp_path: Path) -> None:
    path = write_text(tmp_path / "file", "0" * 100_000)
    finished = threading.Event()
    seen: set[tuple[int, int]] = set()

    def read() -> None:
        while not finished.is_set():
            text = path.read_text(encoding="utf-8")
            seen.add((len(text), len(set(text))))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(50):
        write_text(path, str(number % 10) * 100_000)
    finished.set()
    reader.join()

    assert seen == {(100_000, 1)}


def test_undecoded_bytes_of_a_command_line_are_written_back(tmp_path: Path) -> None:
    text = b"caf\xe9".decode("utf-8", errors="surrogateescape")

    assert write_text(tmp_path / "file", text).read_bytes() == b"caf\xe9"


TEXTS = [
    *(
        "",
        " ",
        "a",
        "a b",
        "true",
        "No",
        "y",
        "null",
        "~",
        "1",
        "1.0",
        "1e3",
        "1_0",
        "0x1f",
        "0b1",
        "0o7",
        "1:30",
        "2020-01-01",
    ),
    *(
        "nan",
        ".nan",
        "inf",
        "-.inf",
        "+1",
        "=",
        "<<",
        "- a",
        "a: b",
        "a #b",
        "a:",
        "?",
        "{",
        "[",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`",
    ),
    *(
        "'",
        '"',
        "\\",
        "a\nb",
        "a\r\nb\n",
        "\ta",
        "é",
        "日本",
        "🐍",
        "\x85",
        "\u2028",
        "\ufeff",
        "\x1b[0m",
        "x=${a.b}",
        "---",
        "...",
    ),
    *("model.lr=1e-3", "+a@b.c=d/e", "~a", "a  b", "a ", "x" * 500, "word " * 100),
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_text_in_a_document_is_that_text_for_both_readers(text: str) -> None:
    document = yaml_text({"value": [text], "key": {text: 1}})

    assert yaml.safe_load(document) == {"value": [text], "key": {text: 1}}
    assert OmegaConf.to_container(OmegaConf.create(document)) == {"value": [text], "key": {text: 1}}


VALUES: list[Any] = [1, 1.0, -0.0, 1e-05, 1e22, 5e-324, 10**30, True, None, [], {}, [[1, {"a": None}]], {1: "a", 1.5: "b"}]


@pytest.mark.parametrize("value", [*VALUES, float("inf"), float("-inf"), float("nan")], ids=repr)
def test_a_value_in_a_document_keeps_its_type_for_both_readers(value: Any) -> None:
    document = yaml_text({"value": value})

    assert repr(yaml.safe_load(document)) == repr({"value": value})
    assert repr(OmegaConf.to_container(OmegaConf.create(document))) == repr({"value": value})
