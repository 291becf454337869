"""When a whole study stops: conditions over what it has come to, and mistakes in them."""

from __future__ import annotations

from typing import Any

import pytest

from vertex_sweeper.api import format_time, parse_time
from vertex_sweeper.services.local.study.study_stopping import Progress, interrupts, why_to_stop
from vertex_sweeper.services.local.validation import find_local_mistakes
from vertex_sweeper.testing.gate import make_job

CREATED = 1_000_000.0

RISING = [(10.0, 1.0), (20.0, 2.0), (30.0, 3.0)]
STUCK = [(10.0, 1.0), (20.0, 3.0), (30.0, 2.0), (40.0, 3.0)]
"""Seconds since the creation, and values. The second trial brought the best, and was not surpassed."""


@pytest.mark.parametrize(
    ("config", "now", "trials", "values", "condition"),
    [
        pytest.param({"maxNumTrials": 3}, 50, 3, RISING, None, id="as many trials as there may be"),
        pytest.param({"maxNumTrials": 3}, 50, 4, RISING, "maxNumTrials", id="more than that"),
        pytest.param({"maxNumTrials": "3"}, 50, 4, [], "maxNumTrials", id="running ones count"),
        pytest.param({"maxNumTrials": 3, "minNumTrials": 4}, 50, 5, RISING, None, id="not before so many are complete"),
        pytest.param({"maxNumTrials": 3, "minNumTrials": 3}, 50, 5, RISING, "maxNumTrials", id="then"),
        pytest.param({"maximumRuntimeConstraint": {"maxDuration": "60s"}}, 59.9, 1, [], None, id="time is left"),
        pytest.param({"maximumRuntimeConstraint": {"maxDuration": "60s"}}, 60, 1, [], "maximumRuntime", id="time is over"),
        pytest.param(
            {"maximumRuntimeConstraint": {"endTime": format_time(CREATED + 60)}}, 59, 1, [], None, id="before the end time"
        ),
        pytest.param(
            {"maximumRuntimeConstraint": {"endTime": format_time(CREATED + 60)}}, 60, 1, [], "maximumRuntime", id="after it"
        ),
        pytest.param(
            {"minimumRuntimeConstraint": {"maxDuration": "60s"}, "maxNumTrials": 1}, 59, 5, [], None, id="not before a time"
        ),
        pytest.param(
            {"minimumRuntimeConstraint": {"maxDuration": "60s"}, "maxNumTrials": 1}, 60, 5, [], "maxNumTrials", id="but then"
        ),
        pytest.param(
            {"minNumTrials": 5, "maximumRuntimeConstraint": {"maxDuration": "1s"}},
            99,
            4,
            RISING,
            None,
            id="time may be over and too few trials complete",
        ),
        pytest.param({"maxNumTrialsNoProgress": 1}, 50, 3, RISING, None, id="each better than the one before"),
        pytest.param({"maxNumTrialsNoProgress": 3}, 50, 4, STUCK, None, id="two in a row are not three"),
        pytest.param({"maxNumTrialsNoProgress": 2}, 50, 4, STUCK, "maxNumTrialsNoProgress", id="as good is not better"),
        pytest.param({"maxNumTrialsNoProgress": 1}, 50, 9, [], None, id="nothing is complete"),
        pytest.param({"maxDurationNoProgress": "30s"}, 49, 4, STUCK, None, id="progress is recent"),
        pytest.param({"maxDurationNoProgress": "30s"}, 50, 4, STUCK, "maxDurationNoProgress", id="progress is long ago"),
        pytest.param({"maxDurationNoProgress": "0.5s"}, 99, 1, [], None, id="no value that could have improved"),
        pytest.param({}, 99, 9, STUCK, None, id="no condition"),
        pytest.param({"minNumTrials": 1}, 99, 9, STUCK, None, id="only a condition that forbids"),
    ],
)
def test_a_study_stops_when_a_condition_is_met_and_none_forbids_it(
    config: dict[str, Any], now: float, trials: int, values: list[tuple[float, float]], condition: str | None
) -> None:
    progress = Progress(CREATED, CREATED + now, trials, [(CREATED + time, value) for time, value in values])
    why = why_to_stop(config, progress)
    assert condition in why if condition else why == ""


def test_running_trials_are_interrupted_only_where_that_is_asked_for() -> None:
    assert interrupts({"shouldStopAsap": True})
    assert not interrupts({"shouldStopAsap": False})
    assert not interrupts({})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02T00:00:00Z", 86400.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456),
        ("1970-01-01T01:00:00+01:00", 0.0),
    ],
)
def test_a_time_of_the_api_is_read(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds
    assert parse_time(format_time(seconds)) == seconds


@pytest.mark.parametrize(
    ("config", "field", "message"),
    [
        ({"maxNumTrials": 0}, "max_num_trials", "at least 1, got 0"),
        ({"minNumTrials": -1}, "min_num_trials", "at least 1, got -1"),
        ({"maxDurationNoProgress": "soon"}, "max_duration_no_progress", "Must be a number of seconds like 3600s, got 'soon'."),
        ({"maxNumTrials": "many"}, "max_num_trials", "whole number of at least 1, got 'many'"),
        ({"maxDurationNoProgress": 5}, "max_duration_no_progress", "Must be a number of seconds like 3600s, got 5."),
        ({"minimumRuntimeConstraint": 5}, "minimum_runtime_constraint", "Exactly one of max_duration and end_time"),
        ({"minimumRuntimeConstraint": {}}, "minimum_runtime_constraint", "Exactly one of max_duration and end_time"),
        ({"maximumRuntimeConstraint": {"maxDuration": "-5s"}}, "maximum_runtime_constraint", "Must be a number of seconds"),
        ({"maximumRuntimeConstraint": {"endTime": "2026-01-31"}}, "maximum_runtime_constraint", "Must be a time like"),
        (
            {"maximumRuntimeConstraint": {"endTime": "2026-02-30T00:00:00Z"}},
            "maximum_runtime_constraint",
            "Must be a time like",
        ),
    ],
)
def test_a_condition_with_a_mistake_is_refused(config: dict[str, Any], field: str, message: str) -> None:
    ((where, what),) = find_local_mistakes(make_job(command=["true"], studyStoppingConfig=config))
    assert where == f"study_spec.study_stopping_config.{field}"
    assert message in what


def test_progress_needs_one_metric_and_trials_have_one_rule() -> None:
    metrics = [{"metricId": "a"}, {"metricId": "b"}]
    rules: dict[str, Any] = {"medianAutomatedStoppingSpec": {}, "decayCurveStoppingSpec": {}}
    config = {"maxNumTrialsNoProgress": 3, "maxDurationNoProgress": "5s", "maxNumTrials": 9}
    job = make_job(command=["true"], metrics=metrics, studyStoppingConfig=config, **rules)
    assert [where.rpartition(".")[2] for where, _ in find_local_mistakes(job)] == [
        "study_spec",
        "max_num_trials_no_progress",
        "max_duration_no_progress",
    ]


@pytest.mark.parametrize("field", ["studyStoppingConfig", "medianAutomatedStoppingSpec"])
def test_what_is_no_mapping_is_refused(field: str) -> None:
    wrong: dict[str, Any] = {field: 5}
    ((where, what),) = find_local_mistakes(make_job(command=["true"], **wrong))
    assert (where.replace("_", ""), what) == (f"study_spec.{field}".lower().replace("_", ""), "Must be a mapping, got 5.")
