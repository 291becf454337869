"""A job as data and as the client's message."""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytest

pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")

from vertex_sweeper.errors import InvalidJob
from vertex_sweeper.services.vertex.message import parse


def test_a_whole_job_survives_the_way_into_the_message_and_back(spec: dict[str, Any]) -> None:
    assert parse(spec) == spec


def test_a_whole_custom_job_survives_the_way_into_the_message_and_back(custom_spec: dict[str, Any]) -> None:
    assert parse(custom_spec) == custom_spec


def test_parsing_does_not_touch_the_specification(spec: dict[str, Any]) -> None:
    before = copy.deepcopy(spec)
    parse(spec)
    assert spec == before


@pytest.mark.parametrize(
    "number", [0.1, 1e-5, 0.010000000000000002, 1 / 3, -1e300, sys.float_info.max, sys.float_info.min, 5e-324, 2.0**53 + 2]
)
def test_doubles_keep_every_bit(number: float) -> None:
    spec = {"studySpec": {"parameters": [{"parameterId": "x", "doubleValueSpec": {"minValue": number, "maxValue": number}}]}}
    assert repr(parse(spec)) == repr(spec)


@pytest.mark.parametrize(
    ("spec", "normal"),
    [
        ({"max_trial_count": 3}, {"maxTrialCount": 3}),
        ({"maxTrialCount": 0}, {}),
        ({"trialJobSpec": {"scheduling": {"timeout": "90s", "maxWaitDuration": "0s"}}}, None),
        ({"studySpec": {"parameters": [{"integerValueSpec": {"maxValue": 8}}]}},
         {"studySpec": {"parameters": [{"integerValueSpec": {"maxValue": "8"}}]}}),
        ({"labels": {"any_key": "v", "other-key": "w"}}, None),
    ],
    ids=["snake case", "zero is left out", "durations", "64 bits are text", "labels keep their keys"],
)  # fmt: skip
def test_parse_gives_the_form_of_the_api(spec: dict[str, Any], normal: dict[str, Any] | None) -> None:
    assert parse(spec) == (spec if normal is None else normal)


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"studySpek": {}}, {"studySpek": "not a field of HyperparameterTuningJob (did you mean studySpec?)"}),
        (
            {"trialJobSpec": {"workerPoolSpecs": [{}, {"machineSpec": {"machine": "n1"}}]}, "zzzz": 1},
            {
                "trialJobSpec.workerPoolSpecs[1].machineSpec.machine": "not a field of MachineSpec (did you mean machineType?)",
                "zzzz": "not a field of HyperparameterTuningJob",
            },
        ),
        (
            {"studySpec": {"parameters": {"parameterId": "x"}, "metrics": ["acc"]}, "trialJobSpec": []},
            {
                "studySpec.parameters": "a list of ParameterSpec, but got {'parameterId': 'x'}",
                "studySpec.metrics[0]": "a MetricSpec is written as a mapping, but got 'acc'",
                "trialJobSpec": "a CustomJobSpec is written as a mapping, but got []",
            },
        ),
        (
            {"jobSpec": {"workerPoolSpec": []}, "maxTrialCount": 2},
            {
                "jobSpec.workerPoolSpec": "not a field of CustomJobSpec (did you mean workerPoolSpecs?)",
                "maxTrialCount": "not a field of CustomJob",
            },
        ),
    ],
    ids=["at the top", "several, in a list", "wrong shapes", "a custom job that counts trials"],
)
def test_all_unknown_and_misshapen_fields_are_named_with_their_path(spec: dict[str, Any], fields: dict[str, str]) -> None:
    with pytest.raises(InvalidJob) as caught:
        parse(spec)
    assert dict(caught.value.fields) == fields
    assert caught.value.acted is False
    for path, mistake in fields.items():
        assert f"{path}: {mistake}" in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"maxTrialCount": "many"}, "maxTrialCount"),
        ({"studySpec": {"algorithm": "MAGIC"}}, "MAGIC"),
        ({"trialJobSpec": {"scheduling": {"timeout": "an hour"}}}, "timeout"),
        ({"jobSpec": {"scheduling": {"timeout": "an hour"}}}, "timeout"),
        ({"studySpec": {"parameters": [{"doubleValueSpec": {}, "integerValueSpec": {}}]}}, "parameters"),
    ],
    ids=["number", "enum", "duration", "of a custom job", "two of a kind"],
)
def test_a_value_of_a_wrong_type_is_refused_on_one_line(spec: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidJob, match=named) as caught:
        parse(spec)
    assert "\n" not in str(caught.value)
