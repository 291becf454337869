"""The API's words: names, times and durations are read as they are written, and nothing of ours is behind them."""

from __future__ import annotations

import ast
import typing
from pathlib import Path
from typing import Any

import pytest

from vertex_sweeper import api, api_names
from vertex_sweeper.api import OUTPUT_FIELDS, Job, format_duration, format_time, parse_datetime, parse_duration, parse_time
from vertex_sweeper.api_names import CUSTOM_JOBS, JobName, format_job, format_parent, is_custom, parse_parent, split_job

PARENT = "projects/my-project/locations/europe-west4"
NAME = f"{PARENT}/hyperparameterTuningJobs/1"


@pytest.mark.parametrize("module", [api, api_names])
def test_the_words_import_the_standard_library_only(module: Any) -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= {"__future__", "collections.abc", "dataclasses", "datetime", "enum", "re", "typing"}


def test_the_fields_of_a_job_are_the_clients_own() -> None:
    types = pytest.importorskip("google.cloud.aiplatform_v1.types")

    def fields(message: Any) -> set[str]:
        return {field.json_name for field in message.pb().DESCRIPTOR.fields}

    for ours, theirs in (
        (api.StudySpec, types.StudySpec),
        (api.TrialJobSpec, types.CustomJobSpec),
        (api.WorkerPoolSpec, types.WorkerPoolSpec),
        (api.ContainerSpec, types.ContainerSpec),
    ):
        assert set(typing.get_type_hints(ours)) - fields(theirs) == set()
    kinds = fields(types.HyperparameterTuningJob) | fields(types.CustomJob)
    assert set(typing.get_type_hints(Job)) - kinds == set()
    assert set(OUTPUT_FIELDS) - kinds == set()
    assert set(api.VALUE_SPECS.values()) - fields(types.StudySpec.ParameterSpec) == set()
    assert set(api.PARENT_VALUES.values()) - fields(types.StudySpec.ParameterSpec.ConditionalParameterSpec) == set()


def test_a_job_name_is_read_and_written() -> None:
    name = JobName.parse(NAME)
    assert (name.project, name.location, name.id, name.parent, str(name)) == ("my-project", "europe-west4", "1", PARENT, NAME)
    assert name.console == (
        "https://console.cloud.google.com/agent-platform/locations/europe-west4/training/1?project=my-project"
    )
    assert format_job(format_parent(*parse_parent(PARENT)), "1") == NAME


def test_the_name_of_a_job_tells_its_kind() -> None:
    custom = format_job(PARENT, "1", collection=CUSTOM_JOBS)
    assert custom == f"{PARENT}/customJobs/1"
    assert str(JobName.parse(custom)) == custom
    assert split_job(custom) == split_job(NAME) == (PARENT, "1")
    assert (is_custom(custom), is_custom(NAME)) == (True, False)


def test_what_runs_stands_in_a_field_of_each_kind() -> None:
    spec: api.TrialJobSpec = {"enableWebAccess": True}
    assert api.container_job({"jobSpec": spec}) == api.container_job({"trialJobSpec": spec}) == spec
    assert api.is_custom_job({"jobSpec": spec})
    assert not api.is_custom_job({"trialJobSpec": spec})
    assert api.container_job({}) == {}


@pytest.mark.parametrize("text", ["", PARENT, format_job(PARENT, ""), f"{NAME}/trials/1", f"{NAME}\n"])
def test_what_is_no_job_name_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a tuning job"):
        JobName.parse(text)
    assert split_job(text) is None


def test_the_emulators_jobs_may_be_below_any_project() -> None:
    name = "projects/My_Project/locations/HERE/hyperparameterTuningJobs/7"
    assert split_job(name) == ("projects/My_Project/locations/HERE", "7")
    with pytest.raises(ValueError, match="is not the name of a tuning job"):
        JobName.parse(name)


@pytest.mark.parametrize("text", ["2026-01-31T12:00:00.5Z", "2026-01-31T13:00:00.500000000+01:00", "2026-01-31t12:00:00.500z"])
def test_times_have_any_number_of_digits_and_any_zone(text: str) -> None:
    assert format_time(parse_time(text)) == "2026-01-31T12:00:00.500000Z"
    assert parse_datetime(text).timestamp() == parse_time(text)


@pytest.mark.parametrize("text", ["", "2026-01-31", "2026-01-31T12:00:00", "2026-02-31T12:00:00Z", None, 5])
def test_what_is_no_time_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match="Must be a time"):
        parse_time(text)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (3600, "3600s"), (1.5, "1.500s"), (0.000001, "0.000001s")])
def test_durations_are_read_as_they_are_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "-1s", "1 s", "1m", None])
def test_what_is_no_duration_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match="Must be a number of seconds"):
        parse_duration(text)
