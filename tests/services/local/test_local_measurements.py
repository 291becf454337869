"""What the local service reads from a metric file, and which measurement of it counts."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vertex_sweeper.services.local.execute.metric_file import MetricFile
from vertex_sweeper.services.local.study.limits import Limits
from vertex_sweeper.services.local.study.measurement import Measurement, Selection, select_final, thin_out
from vertex_sweeper.services.local.study.trial_outcome import judge


def line(step: Any = 0, **metrics: Any) -> str:
    """A line as cloudml-hypertune writes it."""
    return json.dumps({"timestamp": 0.5, "trial": "1", **metrics, "global_step": step, "checkpoint_path": ""})


@pytest.mark.parametrize(
    ("lines", "measurements"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([line("3", acc="0.5")], [(3, {"acc": 0.5})], id="one"),
        pytest.param([line(3, acc=0.5)], [(3, {"acc": 0.5})], id="numbers instead of text"),
        pytest.param(
            [line("1", acc="0.5"), line("1", loss="2"), line("2", acc="0.6")],
            [(1, {"acc": 0.5, "loss": 2.0}), (2, {"acc": 0.6})],
            id="metrics of one step are one measurement",
        ),
        pytest.param(
            [line("1", acc="0.5"), line("2", acc="0.6"), line("1", loss="2")],
            [(1, {"acc": 0.5, "loss": 2.0}), (2, {"acc": 0.6})],
            id="also when they come late",
        ),
        pytest.param(
            [line("0", acc="0.5"), line("0", acc="0.6")],
            [(0, {"acc": 0.5}), (0, {"acc": 0.6})],
            id="a metric again at the same step is another measurement",
        ),
        pytest.param(
            [line("1", acc="nan"), line("2", acc="inf"), line("3", acc="-Infinity"), line("4", acc="1")],
            [(4, {"acc": 1.0})],
            id="what is not finite is passed over",
        ),
        pytest.param([line("1", acc="0.5"), line("2", acc="0.6")[:-30]], [(1, {"acc": 0.5})], id="torn line"),
        pytest.param(
            ["", "epoch 1", "7", "[1]", "null", '{"other": 1}', line("1", acc="0.5")], [(1, {"acc": 0.5})], id="foreign lines"
        ),
        pytest.param([line("1", acc=True), line("1", acc=None), line("1", acc="good")], [], id="no numbers"),
        pytest.param([line(None, acc="1"), line("x", acc="2")], [(0, {"acc": 1.0}), (0, {"acc": 2.0})], id="no step"),
        pytest.param(
            [line(-1, acc="1"), line("1e300", acc="2"), line(2**62, acc="3")],
            [(0, {"acc": 1.0}), (0, {"acc": 2.0}), (2**62, {"acc": 3.0})],
            id="no step that the api could show",
        ),
        pytest.param([line("1", other="0.5")], [], id="a metric that the study does not have"),
    ],
)
def test_a_metric_file_is_read_as_measurements(
    tmp_path: Path, lines: list[str], measurements: list[tuple[int, dict[str, float]]]
) -> None:
    path = tmp_path / "metrics"
    path.write_text("\n".join(lines))
    found = MetricFile(path, metrics=["acc", "loss"], begun=1.0, clock=lambda: 2.0).read()
    assert [(one.step, one.values) for one in found] == measurements


def test_bytes_that_are_no_text_spoil_their_own_line_only(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_bytes(b"\xff\xfe\x00\n" + line("1", acc="0.5").encode())
    assert len(MetricFile(path, metrics=["acc"], begun=1.0, clock=lambda: 2.0).read()) == 1


def test_a_missing_file_holds_nothing(tmp_path: Path) -> None:
    file = MetricFile(tmp_path / "absent", metrics=["acc"], begun=1.0, clock=lambda: 2.0)
    assert file.read() == file.read_new() == []


def test_what_hypertune_writes_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hypertune = pytest.importorskip("hypertune")
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(tmp_path / "metrics"))
    reporter = hypertune.HyperTune()
    for step, value in enumerate([0.25, 0.5]):
        reporter.report_hyperparameter_tuning_metric("acc", value, step)
    begun = time.time() - 1000
    found = MetricFile(tmp_path / "metrics", metrics=["acc"], begun=begun, clock=time.time).read()
    assert [(one.step, one.values) for one in found] == [(0, {"acc": 0.25}), (1, {"acc": 0.5})]
    assert [one.elapsed for one in found] == [stamp - begun for stamp in stamps(tmp_path / "metrics")]


def stamps(path: Path) -> list[float]:
    return [json.loads(line)["timestamp"] for line in path.read_text().splitlines()]


def test_a_measurement_is_as_old_as_its_latest_report(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_text("\n".join(line(step, **{metric: 1, "timestamp": at}) for step, metric, at in REPORTS))
    found = MetricFile(path, metrics=["acc", "loss"], begun=100.0, clock=lambda: 110.0).read()
    assert [(one.step, one.elapsed) for one in found] == [(1, 2.5), (2, 3.0), (3, None), (4, None), (5, None), (6, 10.0)]


REPORTS = [(1, "acc", 101.0), (1, "loss", 102.5), (2, "acc", 103), (3, "acc", 99), (4, "acc", "noon")]
REPORTS += [(5, "acc", 101_000.0), (6, "acc", 110.0)]
"""At step 3 the time is from before the trial began, at step 4 none, and at step 5 in milliseconds: from the future."""


def test_what_was_read_once_stays_reported_when_the_file_is_cut_short_or_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    lines = [line(step, acc=step / 10) for step in range(1, 6)]
    file = MetricFile(path, metrics=["acc"], begun=1.0, clock=lambda: 2.0)
    path.write_text("\n".join(lines[:3]))
    assert steps(file.read_new()) == [1, 2, 3]
    path.write_text("")  # it is just being rewritten
    assert steps(file.read_new()) == [1, 2, 3]
    path.write_text("\n".join([*lines[1:4], lines[4][:-20]]))  # a window of the last lines, the newest one torn
    assert steps(file.read_new()) == [1, 2, 3, 4]
    path.write_text("\n".join(lines[2:]))
    assert steps(file.read_new()) == steps(file.read()) == [1, 2, 3, 4, 5]
    path.unlink()
    assert steps(file.read_new()) == [1, 2, 3, 4, 5]


def test_a_look_reads_on_from_the_last_and_the_end_looks_at_all_of_it_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_text("".join(f"{line(step, acc=0.5)}\n" for step in range(1000)))
    file = MetricFile(path, metrics=["acc"], begun=1.0, clock=lambda: 2.0)
    assert len(file.read_new()) == 1000
    text = path.read_text()
    path.write_text(text.replace(line(500, acc=0.5), line(500, acc=0.7)) + line(1000, acc=0.5))
    assert steps(file.read_new()) == [*range(1001)]
    assert steps(file.read()) == [*range(1001), 500]  # an older line that has changed is one more report


def rewrite(path: Path, text: str) -> None:
    path.write_text(text)


def replace(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("write", [rewrite, replace])
@pytest.mark.parametrize(
    ("second", "found"),
    [
        pytest.param([line(1, acc=0.5), line(2, acc=0.7)], [0.5, 0.6, 0.7], id="the same size"),
        pytest.param([line(1, acc=0.5), line(2, acc=0.6)], [0.5, 0.6], id="the same text"),
        pytest.param([line(2, acc=0.6)], [0.5, 0.6], id="shorter"),
        pytest.param([line(2, acc=0.6), line(3, acc=0.7), line(4, acc=0.8)], [0.5, 0.6, 0.7, 0.8], id="the last lines"),
        pytest.param([line(1, acc=0.5), line(2, acc=0.6), line(3, acc=0.7)], [0.5, 0.6, 0.7], id="longer"),
    ],
)
def test_a_file_that_is_written_anew_is_read_anew(
    tmp_path: Path, write: Callable[[Path, str], None], second: list[str], found: list[float]
) -> None:
    path = tmp_path / "metrics"
    file = MetricFile(path, metrics=["acc"], begun=1.0, clock=lambda: 2.0)
    for moment, lines in enumerate([[line(1, acc=0.5), line(2, acc=0.6)], second]):
        write(path, "\n".join(lines) + "\n")
        os.utime(path, (moment, moment))  # files' times may have steps of milliseconds
        looked = [one.values["acc"] for one in file.read_new()]
    assert looked == [one.values["acc"] for one in file.read()] == found


def test_each_report_of_hypertune_counts_once_at_whatever_moment_the_file_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hypertune = pytest.importorskip("hypertune")
    source, path = tmp_path / "source", tmp_path / "metrics"
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(source))
    reporter = hypertune.HyperTune()
    file = MetricFile(path, metrics=["acc"], begun=1.0, clock=lambda: 2.0)
    chance = random.Random(1)  # noqa: S311 - always the same
    for step in range(250):  # it keeps the last 100 lines
        reporter.report_hyperparameter_tuning_metric("acc", step, step)
        if chance.random() < 0.2:
            whole = source.read_bytes()
            for size in (chance.randrange(len(whole)), len(whole)):  # just being written, and written
                path.write_bytes(whole[:size])
                file.read_new()
    path.write_bytes(source.read_bytes())
    assert sorted(steps(file.read())) == [*range(250)]


def test_more_reports_than_can_be_kept_are_a_problem_that_stays(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    file = MetricFile(path, metrics=["acc"], begun=1.0, clock=lambda: 2.0, most=3)
    for most, problem in [(3, ""), (4, "it reports more than 3 values"), (5, "it reports more than 3 values")]:
        path.write_text("".join(f"{line(step, acc=0.5)}\n" for step in range(most)))
        assert steps(file.read()) == [0, 1, 2]
        assert file.problem == problem


def test_what_goes_wrong_while_a_trial_is_judged_is_its_failure(tmp_path: Path) -> None:
    def tell_the_time() -> float:
        raise RuntimeError("no clock")

    file = MetricFile(tmp_path / "metrics", metrics=["acc"], begun=1.0, clock=tell_the_time)
    limits = Limits(most=1, parallel=1, failed=1, seconds=1.0, metrics={"acc": True}, selection=Selection.LAST)
    outcome = judge(0, file, limits=limits, stopped=None)
    assert (outcome.failed, outcome.reason) == (True, "Judging the trial failed: RuntimeError('no clock').")


def test_equal_lines_are_as_many_measurements_as_the_file_has(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    file = MetricFile(path, metrics=["acc"], begun=1.0, clock=lambda: 2.0)
    for count in (1, 2, 3):
        path.write_text("\n".join([line(1, acc=0.5)] * count))
        assert len(file.read_new()) == len(file.read()) == count


def steps(measurements: Sequence[Measurement]) -> list[int]:
    return [one.step for one in measurements]


def one(step: int, **values: float) -> Measurement:
    return Measurement(step, values)


TWO = {"acc": True, "loss": False}


@pytest.mark.parametrize(
    ("measurements", "metrics", "selection", "final"),
    [
        pytest.param([], {"acc": True}, Selection.LAST, None, id="nothing"),
        pytest.param([one(1, acc=3), one(2, acc=1)], {"acc": True}, Selection.LAST, one(2, acc=1), id="last"),
        pytest.param([one(1, acc=3), one(2, acc=1)], {"acc": True}, Selection.BEST, one(1, acc=3), id="largest"),
        pytest.param([one(1, acc=3), one(2, acc=1)], {"acc": False}, Selection.BEST, one(2, acc=1), id="smallest"),
        pytest.param(
            [one(1, acc=1, loss=1), one(2, acc=2, loss=2)],
            TWO,
            Selection.BEST,
            one(2, acc=2, loss=2),
            id="first metric decides",
        ),
        pytest.param(
            [one(1, acc=1, loss=1), one(2, acc=2)], TWO, Selection.LAST, one(1, acc=1, loss=1), id="last complete one"
        ),
        pytest.param([one(1, acc=1), one(2, acc=2)], TWO, Selection.BEST, None, id="a metric is missing"),
        pytest.param(
            [one(1, acc=1), one(2, acc=2), one(9, loss=7)], TWO, Selection.LAST, one(9, acc=2, loss=7), id="never at one step"
        ),
        pytest.param(
            [one(0, acc=1, loss=7), one(1, acc=3), one(2, acc=2)],
            TWO,
            Selection.LAST,
            one(2, acc=2, loss=7),
            id="complete only before the training, last",
        ),
        pytest.param(
            [one(0, acc=1, loss=7), one(1, acc=3), one(2, acc=2)],
            TWO,
            Selection.BEST,
            one(1, acc=3, loss=7),
            id="complete only before the training, best",
        ),
        pytest.param(
            [one(0, acc=1), one(1, acc=3), one(2, acc=2, loss=7)],
            TWO,
            Selection.BEST,
            one(2, acc=2, loss=7),
            id="before a metric was known nothing is the best",
        ),
        pytest.param(
            [one(0, acc=1, loss=7), one(1, acc=2), one(2, acc=3, loss=6), one(3, acc=4)],
            TWO,
            Selection.LAST,
            one(3, acc=4, loss=6),
            id="one in every second step",
        ),
        pytest.param(
            [one(0, acc=2, loss=7), one(1, acc=2, loss=5)], TWO, Selection.BEST, one(0, acc=2, loss=7), id="the first of equals"
        ),
        pytest.param(
            [one(0, acc=1, loss=1), one(1, acc=2, loss=2), one(2, acc=9)],
            TWO,
            Selection.BEST,
            one(1, acc=2, loss=2),
            id="ended in the midst of a step",
        ),
    ],
)
def test_the_final_measurement_is_selected(
    measurements: list[Measurement], metrics: dict[str, bool], selection: Selection, final: Measurement | None
) -> None:
    assert select_final(measurements, metrics=metrics, selection=selection) == final


@pytest.mark.parametrize(
    ("count", "kept"),
    [
        (0, []),
        (1, [0]),
        (4, [0, 1, 2, 3]),
        (5, [0, 2, 4]),
        (8, [1, 3, 5, 7]),
        (9, [2, 5, 8]),
    ],
)
def test_of_very_many_measurements_some_are_kept_and_the_last(count: int, kept: list[int]) -> None:
    assert steps(thin_out([one(step, acc=1) for step in range(count)], most=4)) == kept


def test_zeros_are_left_out_as_the_service_does() -> None:
    assert one(0, acc=0.0).to_json() == {"metrics": [{"metricId": "acc"}]}


@pytest.mark.parametrize(
    ("elapsed", "written"),
    [(0.0, "0s"), (0.5, "0.500s"), (3.0, "3s"), (3000.0, "3000s"), (1.000001, "1.000001s"), (86400.25, "86400.250s")],
)
def test_the_time_of_a_measurement_is_written_as_the_service_does_and_read_again(elapsed: float, written: str) -> None:
    measurement = Measurement(2, {"acc": 0.5}, elapsed)
    assert measurement.to_json()["elapsedDuration"] == written
    assert Measurement.from_json(measurement.to_json()) == measurement
