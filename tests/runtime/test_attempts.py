"""A container that is run again: which lines of the metric file are this attempt's, whatever the clocks say."""

from __future__ import annotations

import pytest

from tests.runtime.trials import FLAGS, TrialRunner, sweep

PLAIN = """
import json, os, sys, time

path = os.environ["CLOUD_ML_HP_METRIC_FILE"]

def write(text, mode="a"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, mode) as file:
        file.write(text)

def line(value=0.5, **more):
    return json.dumps({"val_acc": str(value), "global_step": "1", **more}) + "\\n"

def replace(text):
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)

def tune(*steps, at=None):
    import hypertune
    if at is not None:
        time.time = lambda: at
    reporter = hypertune.HyperTune()
    for step in steps:
        reporter.report_hyperparameter_tuning_metric("val_acc", 0.5, step)
"""
FIRST = "write(line() + line(timestamp=2e9))"
"""What an earlier attempt wrote, with a time of the year 2033."""

SECOND = {
    "appended": (FIRST, "write(line(0.7))", 0),
    "appended at a time from before": (FIRST, "write(line(0.7, timestamp=1.0))", 0),
    "appended at a time in milliseconds": (FIRST, "write(line(0.7, timestamp=1.7e12))", 0),
    "appended at no time": (FIRST, "write(line(0.7, timestamp='noon'))", 0),
    "appended behind a torn line": (FIRST + "; write('{\"val_acc\": ')", "write('\\n' + line(0.7))", 0),
    "the same text appended": (FIRST, FIRST, 0),
    "the same text instead": (FIRST, "write(line() + line(timestamp=2e9), 'w')", 0),
    "the same text in another file": (FIRST, "replace(line() + line(timestamp=2e9))", 0),
    "less": (FIRST, "write(line(), 'w')", 0),
    "a later part of it": (FIRST, "write(line(timestamp=2e9), 'w')", 0),
    "hypertune": ("tune(1, 2, 3)", "tune(1, 2, 3)", 0),
    "hypertune with the clock set back": ("tune(1, 2, 3)", "tune(1, at=5.0)", 0),
    "hypertune with a clock that stands still": ("tune(1, 2, 3, at=5.0)", "tune(1, 2, 3, at=5.0)", 0),
    "nothing": (FIRST, "", 65),
    "nothing, after hypertune": ("tune(1, 2, 3)", "", 65),
    "read only": (FIRST, "open(path).read()", 65),
    "opened to append, and left": (FIRST, "open(path, 'a').close()", 65),
    "emptied": (FIRST, "write('', 'w')", 65),
    "removed": (FIRST, "os.remove(path)", 65),
    "another metric": (FIRST, "write(json.dumps({'other': 1}))", 65),
    "torn": (FIRST, "write(line()[:-4])", 65),
    "no number": (FIRST, "write(line('good'))", 65),
    "nan": (FIRST, "write(line('nan'))", 0),
}


@pytest.mark.parametrize(("first", "second", "code"), SECOND.values(), ids=SECOND)
def test_a_metric_counts_that_this_attempt_has_reported(runner: TrialRunner, first: str, second: str, code: int) -> None:
    agreed = sweep("python", "train.py")
    for program, expected in ((first, 0), (second, code)):
        runner.script(f"{PLAIN}\n{program}\n")
        assert runner.run("python", "train.py", *FLAGS, agreed=agreed)[0] == expected, runner.errors


def test_the_step_of_an_earlier_attempt_is_not_the_last_and_its_metric_not_reported(runner: TrialRunner) -> None:
    agreed = sweep("python", "train.py", metrics=("val_acc", "loss"))
    runner.script(f"{PLAIN}\nwrite(line(0.1, global_step='9', loss=1, timestamp=2e9))\n")
    assert runner.run("python", "train.py", *FLAGS, agreed=agreed)[0] == 0, runner.errors
    runner.app(
        """
        import hypertune, time
        time.time = lambda: 5.0  # as with a clock that was set back, or is faked
        with open(os.environ["CLOUD_ML_HP_METRIC_FILE"], "a") as file:
            file.write(json.dumps({"val_acc": "0.7", "global_step": "3"}) + "\\n")
        return {"val_acc": 0.9, "loss": 0.25}
        """
    )
    assert runner.run("python", "train.py", *FLAGS, agreed=agreed)[0] == 0, runner.errors
    added = runner.metrics()[1:]
    assert [(line.get("val_acc"), line.get("loss"), line["global_step"]) for line in added] == [
        ("0.7", None, "3"),
        (None, "0.25", "3"),
    ]


HOSTILE = {
    "a named pipe": ("os.mkfifo(path)", "not a regular file but a named pipe"),
    "a link to a device": ("os.symlink('/dev/zero', path)", "not a regular file but a device"),
    "a huge file": ("write(''); os.truncate(path, 10 << 30)", "larger than 256 MiB"),
}


@pytest.mark.parametrize(("program", "why"), HOSTILE.values(), ids=HOSTILE)
def test_a_metric_file_that_cannot_be_read_is_65_and_says_why(runner: TrialRunner, program: str, why: str) -> None:
    runner.metric_file.parent.mkdir()
    runner.script(f"{PLAIN}\n{program}\n")
    for _ in range(1 if "mkfifo" in program or "symlink" in program else 2):
        code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))
        assert (code, lines[0]) == (65, f"{runner.metric_file} cannot be read: {why}"), runner.errors


@pytest.mark.parametrize("text", ["[" * 60_000, '{"val_acc": ' * 9_000, '{"val_acc": ' + "9" * 5000 + "}"], ids=len)
def test_a_line_that_is_no_report_is_passed_over(runner: TrialRunner, text: str) -> None:
    runner.metric_file.parent.mkdir()
    runner.script(f"{PLAIN}\nwrite({text!r} + '\\n' + line())\n")
    assert runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))[0] == 0, runner.errors


@pytest.mark.parametrize("program", ["os.mkfifo(path + '.outcome')", "open(path + '.outcome', 'w').write('[' * 60_000)"])
def test_a_status_file_of_another_kind_says_nothing(runner: TrialRunner, program: str) -> None:
    runner.metric_file.parent.mkdir()
    runner.script(f"{PLAIN}\n{program}\n")
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))
    assert (code, len(lines)) == (65, 1)
    assert f"{runner.metric_file}.outcome cannot be read (" in lines[0]
