"""Texts of other hands on a screen: shown where they stand, whatever they hold, and never obeyed by the terminal."""

from __future__ import annotations

import csv
import io
import json
import logging
import shlex
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.support import app_in
from vertex_sweeper import errors
from vertex_sweeper.api import Goal, JobState, TrialState
from vertex_sweeper.cli.common import aligned, write_lines
from vertex_sweeper.log_tail import log_tail
from vertex_sweeper.messages import attach_command, cancel_command, one_line, printable, shell_line
from vertex_sweeper.plan.dry_run import dry_run_text
from vertex_sweeper.results.outcome import Outcome, TrialResult, read_outcome
from vertex_sweeper.results.tables import trials_table
from vertex_sweeper.services.address import Address
from vertex_sweeper.settings import Backend
from vertex_sweeper.terminal import lines, next_steps
from vertex_sweeper_runtime.contract import Contract

HOSTILE = {
    "a colour": "\x1b[31m",
    "a title": "\x1b]0;owned\x07",
    "the clipboard": "\x1b]52;c;cm0gLXJm\a",
    "an 8-bit sequence": "\x9b2J",
    "a carriage return": "good\rbad",
    "a line feed": "one\ntwo",
    "a backspace": "bad\x08\x08\x08good",
    "a tab": "a\tb",
    "a bell": "\a",
    "NUL": "\0",
    "DEL": "\x7f",
    "a vertical tab": "\v",
    "a form feed": "\f",
    "a file separator": "\x1c",
    "a next line": "\x85",
    "a line separator": "\u2028",
    "a paragraph separator": "\u2029",
    "writing turned round": "\u202egpj.exe",
    "isolated writing": "\u2066a\u2069",
    "a mark of direction": "\u200f",
    "nothing to see": "a\u200bb",
    "a byte order mark": "\ufeff",
    "a soft hyphen": "\xad",
    "hidden tags": "\U000e0041\U000e007f",
    "half a pair": "\ud83d",
    "a byte that is no text": "\udcff",
}
SHOWN = (
    "plain",
    "lr=1e-5",
    "größe",
    "学习率",
    "ключ",
    "שלום",
    "مرحبا",
    "e\u0301",
    "🚀",
    "a\u00a0b",
    "a\u3000b",
    "\\x1b",
    "'\"$`",
    "",
)


@pytest.fixture(params=list(HOSTILE.values()), ids=list(HOSTILE))
def hostile(request: pytest.FixtureRequest) -> str:
    return f"x{request.param}y"


def harmless(line: str) -> bool:
    """Whether a terminal shows the whole line in one row, from the left to the right, and does nothing else."""
    unseen = {letter for text in HOSTILE.values() for letter in text if not letter.isprintable()}
    return not unseen & set(line) and len(line.splitlines()) <= 1


def test_what_a_terminal_would_not_show_is_written_out(hostile: str) -> None:
    line = printable(hostile)

    assert harmless(line)
    assert line.startswith("x")
    assert line.endswith("y")
    assert printable(line) == line
    assert line.encode("latin-1", "backslashreplace").decode("unicode_escape") == hostile  # nothing is lost


@pytest.mark.parametrize("text", SHOWN)
def test_what_a_terminal_shows_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_a_message_of_several_lines_is_one() -> None:
    assert one_line(ValueError("no\n    such\x85file: \x1b[1m")) == "no such file: \\x1b[1m"


@pytest.mark.parametrize("text", SHOWN)
def test_a_command_to_copy_means_the_same_to_a_shell(text: str) -> None:
    assert shlex.split(shell_line([text])) == [text] or "$'" in shell_line([text])


def hostile_outcome(hostile: str) -> Outcome:
    trial = TrialResult(
        number=1,
        state=TrialState.SUCCEEDED,
        literals={f"k{hostile}": f"'{hostile}'"},
        overrides=(f"k{hostile}='{hostile}'",),
        metrics={f"m{hostile}": 1.0},
        started="2026-11-24T10:00:00Z",
        reason=hostile,
        job=hostile,
        device=hostile,
    )
    failed = replace(trial, number=2, state=TrialState.INFEASIBLE, metrics={})
    odd = replace(trial, number=3, state=None, metrics={})
    running = replace(trial, number=4, state=TrialState.ACTIVE, metrics={})
    return Outcome(JobState.FAILED, (trial, failed, odd, running), {f"m{hostile}": Goal.MAXIMIZE}, error=hostile, planned=4)


def test_every_line_about_a_sweep_is_harmless(hostile: str) -> None:
    outcome = hostile_outcome(hostile)
    directory = Path("/") / hostile
    address = Address(Backend.VERTEX, "projects/p/locations/europe-west4")
    name = f"{address.parent}/hyperparameterTuningJobs/1"
    said = [
        *(lines.trial_line(trial, outcome, ended=1) for trial in outcome.trials),
        *lines.table_lines(outcome, now=datetime.now(timezone.utc)),
        *lines.summary_lines(outcome, directory, [directory / "trials.csv"], again=shell_line(["python", hostile])),
        *lines.failure_lines(outcome, lambda trial: next_steps.log_command(address, name, trial, directory)),
        attach_command(directory),
        cancel_command(hostile),
        *aligned([["name", "text"], [hostile, hostile]], widest=5),
    ]

    assert [line for line in said if not harmless(line)] == []


def test_a_command_prints_harmless_lines_only(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_lines([hostile, f"name  {hostile}"])

    lines = capsys.readouterr().out.split("\n")
    assert len(lines) == 3
    assert all(map(harmless, lines))


@pytest.mark.parametrize(
    "make",
    [
        errors.SweepError,
        errors.SweepDirectoryError,
        errors.SweepFailed,
        errors.ServiceError,
        errors.JobNotFound,
        errors.InvalidJob,
        lambda text: errors.InvalidSweep([text]),
        lambda text: errors.MissingExtra("local", text),
    ],
)
def test_an_error_is_harmless_lines(make: Any, hostile: str) -> None:
    text = str(make(hostile))

    assert text.startswith("x")
    assert all(map(harmless, text.split("\n")))


def test_a_mistake_is_one_line_whatever_is_quoted_in_it() -> None:
    assert str(errors.InvalidSweep(["tag=a\nb: wrong", "c: wrong"])) == "tag=a\\nb: wrong\nc: wrong"


def test_the_end_of_a_log_is_harmless(hostile: str, tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_bytes(hostile.encode("utf-8", "surrogatepass"))

    assert all(map(harmless, log_tail(log)))


def test_a_reason_is_one_harmless_line(hostile: str) -> None:
    contract = Contract(command=(), sequence=(), parameters=(), metrics=())
    job = {"trials": [{"id": "1", "state": "INFEASIBLE", "infeasibleReason": hostile}], "error": {"message": hostile}}

    outcome = read_outcome(job, contract)
    assert harmless(outcome.trials[0].reason)
    assert harmless(outcome.error)


@pytest.mark.parametrize("text", ["\x1b[31m", "\x85", "\u2028", "\u202e", "\f", "\x7f"])
def test_a_dry_run_shows_the_job_that_it_is(text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with app_in(tmp_path, {"config": "tag: a\nlr: 1.0\n"}) as app:
        plan = app.plan(f"tag='x{text}y'", "lr=interval(0,1)", "hydra.sweeper.display_name='größe'")
        shown = dry_run_text(plan)

    assert all(map(harmless, shown.split("\n")))
    assert "größe" in shown
    assert json.loads(shown[: shown.index("\n}\n") + 2]) == plan.job


FORMULAS = {
    "-foo": "-foo",
    "+A1": "+A1",
    "@SUM": "@SUM",
    "-1+A1": "-1+A1",
    "+1 2": "+1 2",
    "-a\\,b": "-a,b",
    "-": "-",
    "--flag": "--flag",
    "-${x}": "-${x}",
    "-5e": "-5e",
}
NUMBERS = ("-1", "+1", "-0.5", "-1e-05", "+1E5", "-.5", "-5.", "-inf", "-nan", "1e-05", "0", "-1_000")


def cells(trial: TrialResult) -> list[list[str]]:
    goals = dict.fromkeys(trial.metrics, Goal.MINIMIZE)
    return list(csv.reader(io.StringIO(trials_table(Outcome(JobState.SUCCEEDED, (trial,), goals)), newline="")))


def runs(cell: str) -> bool:
    """Whether a spreadsheet takes the cell for a formula, by OWASP's rule against CSV injection, and for no number."""
    try:
        float(cell)
    except ValueError:
        return cell.lstrip(" ")[:1] in tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
    return False


@pytest.mark.parametrize(("literal", "value"), FORMULAS.items())
def test_a_text_like_a_formula_stands_in_quotes_and_is_the_same_value(literal: str, value: str) -> None:
    titles, row = cells(TrialResult(1, TrialState.SUCCEEDED, {"k": literal}, (), {}))

    cell = row[titles.index("k")]
    assert not runs(cell)
    assert OverridesParser.create().parse_override(f"k={cell}").value() == value


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_stays_a_number(number: str) -> None:
    titles, row = cells(TrialResult(1, TrialState.SUCCEEDED, {"k": number}, (), {"m": -1e-05, "n": float("-inf")}))

    assert row[titles.index("k")] == number
    assert [row[titles.index(metric)] for metric in "mn"] == ["-1e-05", "-inf"]


@pytest.mark.parametrize(
    "text",
    ["=cmd|'c'!A0", "+1+cmd|'/c'!A0", "@SUM(1+1)", "-2+3", " =1", "\t=1", "\r=1", "\n-x", "\uff1d1", "=", "-", "= 'a\\'"],
)
def test_nothing_in_the_table_is_a_formula(text: str) -> None:
    trial = TrialResult(1, None, {text: text, "k": text}, (), {f"{text}m": 1.0}, started=text, reason=text)

    assert [cell for row in cells(trial) for cell in row if runs(cell)] == []


@pytest.mark.parametrize(
    "text", ["plain", "a=b", "a - b", "'=x'", "[-1,2]", "{a:-1}", "x@y", "1-2", "1 + 2", "RuntimeError: -1", ""]
)
def test_all_else_in_the_table_stays_as_it_is(text: str) -> None:
    titles, row = cells(TrialResult(1, None, {"k": text}, (), {}, reason=text))

    assert row[titles.index("k")] == row[titles.index("reason")] == text
