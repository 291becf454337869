"""The live table at the foot of a terminal."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from vertex_sweeper.api import Goal, JobState, TrialState
from vertex_sweeper.results.outcome import Outcome, TrialResult
from vertex_sweeper.terminal.lines import table_lines
from vertex_sweeper.terminal.live_table import LiveTable, table_of_terminal


class Terminal(io.StringIO):
    """Keeps what a terminal would show: it knows the two sequences that the table uses."""

    def lines(self) -> list[str]:
        shown: list[str] = []
        for part in self.getvalue().replace("\x1b[J", "").split("\x1b["):
            up, found, text = part.partition("F")
            if found and up.isdigit():
                del shown[len(shown) - int(up) :]
            else:
                text = part
            shown += text.splitlines()
        return shown


def size() -> tuple[int, int]:
    return 20, 4


def test_new_lines_take_the_place_of_the_last_ones() -> None:
    terminal = Terminal()
    table = LiveTable(terminal, size=size)
    terminal.write("before\n")
    table.draw(["one", "two"])
    table.draw(["three"])
    assert terminal.lines() == ["before", "three"]
    table.clear()
    table.clear()
    assert terminal.lines() == ["before"]


def test_lines_are_cut_so_that_none_is_wrapped_and_none_scrolls_away() -> None:
    terminal = Terminal()
    table = LiveTable(terminal, size=size)
    table.draw(["a" * 30, "漢字" * 10, "c", "d", "e"])
    assert terminal.lines() == ["a" * 18 + "…", "漢字漢字漢字漢字漢…", "c"]


def test_a_line_of_the_log_stands_above_the_table() -> None:
    terminal = Terminal()
    table = LiveTable(terminal, size=size)
    printer = logging.StreamHandler(terminal)
    logging.getLogger().addHandler(printer)
    try:
        with table.below_the_log():
            table.draw(["table"])
            logging.getLogger("vertex_sweeper.services.local.job").warning("trial 1")
            table.draw(["table again"])
            assert terminal.lines() == ["trial 1", "table again"]
    finally:
        logging.getLogger().removeHandler(printer)
    assert terminal.lines() == ["trial 1"]
    assert logging.getLogger("vertex_sweeper").handlers == []


@pytest.mark.parametrize(("terminal", "term", "drawn"), [(True, "xterm", True), (True, "dumb", False), (False, "xterm", False)])
def test_nothing_is_drawn_where_lines_cannot_be_drawn_over(
    monkeypatch: pytest.MonkeyPatch, *, terminal: bool, term: str, drawn: bool
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", term)
    assert (table_of_terminal() is not None) is drawn


def test_the_table_says_how_far_the_sweep_is_and_what_runs() -> None:
    done = TrialResult(1, TrialState.SUCCEEDED, {"lr": "0.1"}, ("lr=0.1",), {"acc": 0.9})
    runs = replace(done, number=2, state=TrialState.ACTIVE, metrics={}, started="2026-11-24T10:00:00.123456789Z")
    waits = TrialResult(3, TrialState.REQUESTED, {}, (), {}, device="0,1")
    outcome = Outcome(JobState.RUNNING, (done, runs, waits), {"acc": Goal.MAXIMIZE}, planned=8)
    assert table_lines(outcome, now=datetime(2026, 11, 24, 10, 2, 5, 200000, tzinfo=timezone.utc)) == [
        "3 of 8 trials: 1 succeeded, 2 unfinished; best acc 0.9 (#1)",
        "  #2  active  2 min 05 s  lr=0.1",
        "  #3  requested  device 0,1",
    ]
