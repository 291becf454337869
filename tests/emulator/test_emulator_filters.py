"""The filter of a list: what it lets through, and what it refuses."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from vertex_sweeper.emulator.api_error import ApiError
from vertex_sweeper.emulator.filters import parse_filter

A: dict[str, Any] = {
    "displayName": "my_job_1",
    "state": "JOB_STATE_SUCCEEDED",
    "createTime": datetime(2026, 5, 18, 12, tzinfo=timezone.utc),
    "labels": {"team": "vision", "sweep-id": "a1"},
}
B: dict[str, Any] = {
    "displayName": 'other "job"',
    "state": "JOB_STATE_FAILED",
    "createTime": datetime(2026, 6, 1, tzinfo=timezone.utc),
    "labels": {"team": "text"},
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "AB"),
        ("  ", "AB"),
        ('state="JOB_STATE_SUCCEEDED"', "A"),
        ("state=JOB_STATE_SUCCEEDED", "A"),
        ("state != JOB_STATE_SUCCEEDED", "B"),
        ('display_name="my_job_1"', "A"),
        ('displayName="my_job_1"', "A"),
        ('display_name!="my_job_1"', "B"),
        ('display_name:"my_job_*"', "A"),
        ('display_name:"*job*"', "AB"),
        ('display_name:"job"', ""),
        ('display_name:"my.job.1"', ""),
        (r'display_name="other \"job\""', "B"),
        ("labels.team=vision", "A"),
        ('labels.team="vision"', "A"),
        ("labels.sweep-id:*", "A"),
        ("labels.nothing:*", ""),
        ('create_time>"2026-05-18T12:00:00Z"', "B"),
        ('create_time>="2026-05-18T14:00:00+02:00"', "AB"),
        ('createTime<"2026-05-20"', "A"),
        ('createTime<="2026-05-18T12:00:00Z" AND labels.team=vision', "A"),
        ('NOT display_name="my_job_1"', "B"),
        ("NOT NOT labels.team=vision", "A"),
        ("labels.team=vision OR labels.team=text", "AB"),
        ("labels.team=vision AND labels.team=text", ""),
        ("labels.team=vision labels.sweep-id=a1", "A"),
        ("labels.team=text AND labels.team=text OR labels.team=vision", "B"),  # OR binds closer
        ("(labels.team=text AND labels.team=text) OR labels.team=vision", "AB"),
        ("NOT (labels.team=text OR labels.nothing:*)", "A"),
    ],
)
def test_a_filter_lets_through_what_it_says(text: str, found: str) -> None:
    matches = parse_filter(text)
    assert [name for name, job in (("A", A), ("B", B)) if matches(job)] == list(found)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("colour=red", "'colour' is not a field"),
        ('parent="x"', "display_name, state, create_time, labels.KEY"),
        ("state>JOB_STATE_FAILED", "state supports =, != and not '>'"),
        ('state:"JOB*"', "state supports"),
        ("state=SUCCEEDED", "'SUCCEEDED' is not a state"),
        ("create_time>yesterday", "'yesterday' is not a time"),
        ("labels.a!=b", "labels.a=VALUE or labels.a:*"),
        ("labels.a:b", "labels.a=VALUE or labels.a:*"),
        ("state", "ends where a comparison is expected"),
        ("state=", "ends where a value is expected"),
        ("NOT", "ends where a field is expected"),
        ("labels.a=b AND", "ends where a field is expected"),
        ("(labels.a=b", "not closed"),
        ("labels.a=b)", "')' is not expected"),
        ('"state"=x', "not understood"),
        ('display_name="open', "not understood"),
        ("= state x", "not understood"),
    ],
)
def test_a_filter_that_is_not_understood_is_refused_and_said_whole(text: str, why: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_filter(text)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert why in caught.value.message
    assert repr(text) in caught.value.message
