"""The lines that a sweep shows."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vertex_sweeper.api import Goal, JobState, TrialState
from vertex_sweeper.log_tail import log_tail
from vertex_sweeper.results.outcome import Outcome, TrialResult
from vertex_sweeper.terminal.lines import summary_lines, trial_line

THIRD = TrialResult(
    number=3,
    state=TrialState.SUCCEEDED,
    literals={"model": "svm", "model.C": "0.5"},
    overrides=("seed=1", "model=svm", "name='a b'"),
    metrics={"val_acc": 0.97777777},
    seconds=2.0,
)
SEVENTH = replace(THIRD, number=7, literals={"model": "svm", "model.C": "0.31"}, metrics={"val_acc": 0.9722}, seconds=1.44)
FAILED = replace(THIRD, number=8, state=TrialState.INFEASIBLE, metrics={}, reason="exit code 1", literals={"model": "mlp"})
OUTCOME = Outcome(JobState.SUCCEEDED, (THIRD, SEVENTH, FAILED), {"val_acc": Goal.MAXIMIZE}, planned=20)

LINES = {
    "a result": (SEVENTH, "trial 7 (2 of 20 ended)  val_acc 0.9722  best 0.977778 (#3)  1.4 s  model=svm model.C=0.31"),
    "the best": (THIRD, "trial 3 (2 of 20 ended)  val_acc 0.977778  best 0.977778 (#3)  2.0 s  model=svm model.C=0.5"),
    "a failure": (FAILED, "trial 8 (2 of 20 ended)  failed: exit code 1  2.0 s  model=mlp"),
    "a failure, no one knows why": (replace(FAILED, reason="", seconds=None), "trial 8 (2 of 20 ended)  failed  model=mlp"),
    "no metrics": (replace(SEVENTH, metrics={}, literals={}), "trial 7 (2 of 20 ended)  no result  best 0.977778 (#3)  1.4 s"),
    "NaN, as the local service says it": (
        replace(FAILED, reason="The trial ended without a final measurement: no finite value of val_acc.", literals={}),
        "trial 8 (2 of 20 ended)  no result: The trial ended without a final measurement: no finite value of val_acc.  2.0 s",
    ),
    "no value of the metric that decides": (
        replace(SEVENTH, metrics={"ms": 2.0}, reason="val_acc is -inf, which is no result", literals={}),
        "trial 7 (2 of 20 ended)  no result: val_acc is -inf, which is no result  ms 2  best 0.977778 (#3)  1.4 s",
    ),
    "running": (replace(SEVENTH, state=TrialState.ACTIVE, seconds=None, literals={}), "trial 7 (2 of 20 ended)  active"),
    "of no known state": (replace(SEVENTH, state=None, seconds=None, literals={}), "trial 7 (2 of 20 ended)  state unknown"),
    "large and small": (
        replace(SEVENTH, metrics={"val_acc": 12345678.9, "ms": 1.5e-7, "n": 3.0}, literals={}, seconds=None),
        "trial 7 (2 of 20 ended)  val_acc 1.23457e+07  ms 1.5e-07  n 3  best 0.977778 (#3)",
    ),
    "hostile text": (
        replace(FAILED, reason="a\r\x1b[31mb", literals={"x": "'a\nb'"}),
        "trial 8 (2 of 20 ended)  failed: a\\r\\x1b[31mb  2.0 s  x='a\\nb'",
    ),
    "a long value": (
        replace(FAILED, literals={"x": "[" + "1," * 100 + "1]"}),
        "trial 8 (2 of 20 ended)  failed: exit code 1  2.0 s  x=[" + "1," * 29 + "…",
    ),
}


@pytest.mark.parametrize(("trial", "line"), LINES.values(), ids=LINES)
def test_a_trial_is_one_line(trial: TrialResult, line: str) -> None:
    assert trial_line(trial, OUTCOME, ended=2) == line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125.4, "2 min 05 s"),
        (3599.7, "1 h 00 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_a_duration_is_said_in_the_unit_that_fits(seconds: float, text: str) -> None:
    trial = replace(FAILED, seconds=seconds, literals={})

    assert trial_line(trial, OUTCOME, ended=2) == f"trial 8 (2 of 20 ended)  failed: exit code 1  {text}"


def test_a_sweep_of_unknown_length_numbers_its_trials_all_the_same() -> None:
    assert trial_line(FAILED, replace(OUTCOME, planned=None), ended=2).startswith("trial 8  failed")


def test_the_summary_names_counts_the_best_trial_how_to_run_it_and_the_files() -> None:
    directory = Path("/data/my sweep")
    files = [directory / name for name in ("trials.csv", "best.yaml", "best/best.yaml")]
    empty = replace(SEVENTH, number=9, metrics={})
    running = replace(SEVENTH, number=10, state=TrialState.ACTIVE)
    outcome = replace(OUTCOME, trials=(*OUTCOME.trials, empty, running))

    again = "python train.py --config-dir '/data/my sweep' +best=best '~a.b'"
    assert summary_lines(outcome, directory, files, again=again) == [
        "5 of 20 trials: 2 succeeded, 1 without a result, 1 failed, 1 unfinished",
        "best: trial 3  val_acc 0.977778",
        "  seed=1 model=svm \"name='a b'\"",
        "run it again: python train.py --config-dir '/data/my sweep' +best=best '~a.b'",
        "results: trials.csv, best.yaml, best/best.yaml",
        "sweep directory: /data/my sweep",
    ]


def test_the_summary_of_a_failed_job_says_why_and_what_there_is() -> None:
    outcome = Outcome(JobState.FAILED, (FAILED,), {"val_acc": Goal.MAXIMIZE}, error="too many failures", planned=1)

    assert summary_lines(outcome, Path("s"), [Path("s/trials.csv")]) == [
        "1 trial: 1 failed",
        "job: failed: too many failures",
        "no trial has a result",
        "results: trials.csv",
        "sweep directory: s",
    ]


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (JobState.CANCELLED, "job: cancelled"),
        (JobState.PARTIALLY_SUCCEEDED, "job: partially succeeded"),
        (None, "job: state unknown"),
    ],
)
def test_the_summary_says_how_the_job_ended_unless_it_succeeded(state: JobState | None, line: str) -> None:
    assert summary_lines(replace(OUTCOME, state=state), Path("s"), [])[1] == line


def test_the_summary_names_no_command_where_there_is_no_config_for_it() -> None:
    assert not any("again" in line for line in summary_lines(OUTCOME, Path("s"), [Path("s/trials.csv")]))


def test_the_summary_of_several_metrics_names_the_pareto_front() -> None:
    goals = {"val_acc": Goal.MAXIMIZE, "ms": Goal.MINIMIZE}
    trials = tuple(replace(THIRD, number=n, metrics={"val_acc": a, "ms": float(n)}) for n, a in ((1, 0.5), (2, 0.9), (3, 0.7)))

    lines = summary_lines(replace(OUTCOME, goals=goals, trials=trials), Path("s"), [])

    assert "best: trial 2  val_acc 0.9  ms 2" in lines
    assert "no trial is better in every metric than: #1, #2" in lines


TAILS = {
    "short": (b"one\ntwo\n", ["one", "two"]),
    "no last line break": (b"one\ntwo", ["one", "two"]),
    "empty": (b"", []),
    "blank ends": (b"\n\none\n\n\n", ["", "", "one"]),
    "long": (b"".join(b"line %d\n" % n for n in range(100)), [f"line {n}" for n in range(85, 100)]),
    "windows": (b"one\r\ntwo\r\n", ["one", "two"]),
    "a progress bar": (b" 10%\r 50%\r100%\ndone\n", ["100%", "done"]),
    "a progress bar cut short": (b" 10%\r 50%\r", [" 50%"]),
    "colours": (b"\x1b[1;31mError\x1b[0m: \x1b]8;;http://x\x07link\x1b]8;;\x07\x1b[K\n", ["Error: link"]),
    "broken text": (b"caf\xe9 \x00\x07bell\tend\n", ["caf\ufffd bell    end"]),
}


@pytest.mark.parametrize(("content", "lines"), TAILS.values(), ids=TAILS)
def test_the_tail_of_a_log_is_its_last_lines_as_plain_text(tmp_path: Path, content: bytes, lines: list[str]) -> None:
    (tmp_path / "1.log").write_bytes(content)

    assert log_tail(tmp_path / "1.log") == lines


def test_the_tail_of_a_large_log_begins_with_a_whole_line(tmp_path: Path) -> None:
    line = "é" * 10_000
    (tmp_path / "1.log").write_text(f"{line}\n" * 20, encoding="utf-8")

    assert log_tail(tmp_path / "1.log", lines=50) == [line] * 3


def test_the_tail_of_a_huge_log_is_read_without_its_beginning(tmp_path: Path) -> None:
    with (tmp_path / "1.log").open("wb") as file:
        file.seek(2**36)  # sparse: reading all of it would never end
        file.write(b"\nlast\n")

    assert log_tail(tmp_path / "1.log", lines=1) == ["last"]


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, link_to_a_device])
def test_what_is_no_regular_file_has_no_tail(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "1.log")
    assert log_tail(tmp_path / "1.log") == []


def test_a_log_that_does_not_exist_has_no_tail(tmp_path: Path) -> None:
    assert log_tail(tmp_path / "1.log") == []
