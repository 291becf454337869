"""Trials that write what nobody expects into their metric files and logs: each is judged by itself, and no other is hurt."""

from __future__ import annotations

import os
import textwrap
from functools import partial
from pathlib import Path

import pytest

from vertex_sweeper.api import Job
from vertex_sweeper.services.local import LocalService
from vertex_sweeper.testing.gate import PARENT, Gate, make_job, trials_of, wait_for, wait_for_end

GOOD = 0.5
NOTHING = "no finite value of acc"
UNREADABLE = "The trial's metric file cannot be read: "
CASES: dict[str, tuple[str, float | str]] = {
    "as usual": ("write(line(0.5))", GOOD),
    "nothing": ("", NOTHING),
    "a directory": ("os.mkdir(path)", f"{UNREADABLE}not a regular file but a directory."),
    "a named pipe": ("os.mkfifo(path)", f"{UNREADABLE}not a regular file but a named pipe."),
    "a socket": (
        "import socket; os.chdir(os.path.dirname(path)); socket.socket(socket.AF_UNIX).bind(os.path.basename(path))",
        f"{UNREADABLE}not a regular file but a socket.",
    ),
    "a link to a device without end": ("os.symlink('/dev/zero', path)", f"{UNREADABLE}not a regular file but a device."),
    "a link to /dev/null": ("os.symlink('/dev/null', path)", f"{UNREADABLE}not a regular file but a device."),
    "a link to itself": ("os.symlink(path, path)", f"{UNREADABLE}Too many levels of symbolic links."),
    "a link to nothing": ("os.symlink(path + '.absent', path)", NOTHING),
    "a link to a regular file": ("os.symlink(path + '.there', path); write(line(0.5))", GOOD),
    "of ten gigabytes": ("write(line(0.5)); os.truncate(path, 10 << 30)", f"{UNREADABLE}larger than 256 MiB."),
    "deep lists": ("write('[' * 60_000, line(0.5), '[' * 60_000 + ']' * 60_000)", GOOD),
    "deep objects": ("write('{\"acc\":' * 9_000, line(0.5))", GOOD),
    "a deep value beside the metric": ('write(line(0.5), \'{"acc": "9", "x": \' + "[" * 5000 + "]" * 5000 + "}")', GOOD),
    "a long line": ("write('x' * 5_000_000, line(0.5), 'x' * 5_000_000)", GOOD),
    "only a long line": ("write('{\"x\": \"' + 'x' * 70_000 + '\", \"acc\": 1}')", "(lines of more than 64 KiB are not read)"),
    "zero bytes": ("write('\\0' * 100_000, line(0.5), '\\0')", GOOD),
    "no text": ("open(path, 'wb').write(bytes(range(256)) * 9 + b'\\n' + line(0.5).encode())", GOOD),
    "a number of 5000 digits": ("write(line(0.5), '{\"acc\": ' + '9' * 5000 + '}', line('9' * 5000), line('1e999'))", GOOD),
    "a step of 5000 digits": ("write(line(0.5, step='9' * 5000))", GOOD),
    "a time of 5000 digits": ("write(line(0.5, time='9' * 5000))", GOOD),
    "no numbers": ("write(line(True), line(None), line([]), line({}), line('good'), line(''))", NOTHING),
    "no finite numbers": ("write(line('nan'), line('inf'), '{\"acc\": NaN}', '{\"acc\": -Infinity}')", NOTHING),
    "the same key twice": ('write(\'{"acc": "0.1", "acc": "0.5"}\')', GOOD),
    "lines that end otherwise": ("open(path, 'w', newline='').write(line(0.1) + '\\r\\n' + line(0.5) + '\\r')", GOOD),
    "a torn last line": ("write(line(0.5), line(0.9)[:-4])", GOOD),
    "a log that is no text": ("write(line(0.5)); os.write(1, bytes(range(256)) * 999)", GOOD),
    "the next trial's log is a pipe": ("write(line(0.5)); os.mkfifo(beside(1, 'log'))", GOOD),
    "the next trial's metric file is a link": ("write(line(0.5)); os.symlink('/dev/zero', beside(1, 'metrics'))", GOOD),
    "as usual, in the end": ("write(line(0.5))", GOOD),
}
PROGRAM = """
import json, os, sys

path = os.environ["CLOUD_ML_HP_METRIC_FILE"]

def line(acc, step=1, time=1.0):
    return json.dumps({"timestamp": time, "trial": "1", "acc": acc, "global_step": step})

def write(*lines):
    with open(path, "a") as file:
        file.write("\\n".join(lines))

def beside(places, kind):
    return os.path.join(os.path.dirname(path), f"{int(os.environ['CLOUD_ML_TRIAL_ID']) + places}.{kind}")

exec(CASES[int(os.environ["CLOUD_ML_TRIAL_ID"]) - 1])
"""


def test_a_metric_file_is_its_own_trials_matter(service: LocalService, tmp_path: Path) -> None:
    script = tmp_path / "case.py"
    script.write_text(f"CASES = {[case for case, _ in CASES.values()]!r}\n{textwrap.dedent(PROGRAM)}")
    job = make_job(command=["python", str(script)], most=len(CASES), failed=len(CASES), algorithm="RANDOM_SEARCH")
    ended = wait_for_end(service, service.create(PARENT, job)["name"])
    assert ended["state"] == "JOB_STATE_SUCCEEDED", ended["error"]
    trials = trials_of(ended)
    for number, (name, (_, expected)) in enumerate(CASES.items(), start=1):
        trial = trials[str(number)]
        if isinstance(expected, str):
            assert expected in trial["infeasibleReason"], name
        else:
            assert trial.get("finalMeasurement", {}).get("metrics") == [{"metricId": "acc", "value": expected}], name


def has_ended(job: Job, count: int) -> bool:
    """Whether so many trials have a result."""
    return sum("finalMeasurement" in trial for trial in job["trials"]) == count


def test_a_running_trials_file_is_looked_at_whatever_it_is(service: LocalService, gate: Gate) -> None:
    ways = {
        "a named pipe": "os.mkfifo(path)",
        "a device": "os.symlink('/dev/zero', path)",
        "deep": "open(path, 'w').write('[' * 60_000)",
        "a directory": "os.mkdir(path)",
    }
    job = gate.job(most=len(ways) + 1, parallel=2, failed=1, medianAutomatedStoppingSpec={})
    name = service.create(PARENT, job)["name"]
    odd, other = gate.next(), gate.next()
    odd.do("path = os.environ['CLOUD_ML_HP_METRIC_FILE']")
    for number, way in enumerate(ways.values(), start=1):
        assert odd.ask(f"({way}, 0)[1]") == 0
        other.finish(acc=0.5)  # which makes the service look at those that run
        wait_for(service, name, partial(has_ended, count=number))
        other = gate.next() if number < len(ways) else other
        odd.do("os.rmdir(path) if os.path.isdir(path) else os.remove(path)")
    odd.finish(acc=0.25)
    ended = wait_for_end(service, name)
    finals = [trial["finalMeasurement"]["metrics"][0]["value"] for trial in ended["trials"]]
    assert sorted(finals) == [0.25, *[0.5] * len(ways)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_fails_its_trial(service: LocalService) -> None:
    job = make_job(command=["sh", "-c", 'echo \'{"acc": 1}\' > "$CLOUD_ML_HP_METRIC_FILE"; chmod 0 "$CLOUD_ML_HP_METRIC_FILE"'])
    ended = wait_for_end(service, service.create(PARENT, {**job, "maxFailedTrialCount": 1})["name"])
    assert f"{UNREADABLE}Permission denied." in ended["trials"][0]["infeasibleReason"]
