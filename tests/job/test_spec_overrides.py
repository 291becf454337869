"""`spec_overrides`: how they merge, what they cannot change, and which fields they may name."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.spec_overrides import apply_overrides
from vertex_sweeper.services.vertex import find_mistakes


def job() -> dict[str, Any]:
    container = {
        "imageUri": "image",
        "command": ["vertex-trial", "python", "train.py"],
        "args": ["seed=1"],
        "env": [{"name": "A", "value": "b"}, {"name": "VERTEX_SWEEPER_CONTRACT", "value": "abc"}],
    }
    return {
        "displayName": "name",
        "labels": {"team": "vision", "hydra-vertex-sweeper": "0123"},
        "maxTrialCount": 20,
        "studySpec": {
            "metrics": [{"metricId": "val_acc", "goal": "MAXIMIZE"}],
            "parameters": [{"parameterId": "lr", "doubleValueSpec": {"minValue": 0.0, "maxValue": 1.0}}],
        },
        "trialJobSpec": {
            "workerPoolSpecs": [{"machineSpec": {"machineType": "n1-standard-4"}, "containerSpec": container}],
            "scheduling": {"timeout": "60s"},
        },
    }


POOL = {"machineSpec": {"machineType": "n1-highcpu-16"}, "containerSpec": {"imageUri": "server"}, "replicaCount": "2"}

MERGES: dict[str, tuple[dict[str, Any], str, Any]] = {
    "a field": ({"displayName": "other"}, "displayName", "other"),
    "a new mapping": ({"encryptionSpec": {"kmsKeyName": "k"}}, "encryptionSpec", {"kmsKeyName": "k"}),
    "into a mapping": (
        {"trialJobSpec": {"scheduling": {"disableRetries": True}}},
        "trialJobSpec.scheduling",
        {"timeout": "60s", "disableRetries": True},
    ),
    "null takes away": ({"trialJobSpec": {"scheduling": {"timeout": None}}}, "trialJobSpec.scheduling", {}),
    "null of nothing": ({"trialJobSpec": {"network": None}}, "trialJobSpec.scheduling", {"timeout": "60s"}),
    "null in a new mapping": (
        {"trialJobSpec": {"pscInterfaceConfig": {"networkAttachment": None}}},
        "trialJobSpec.pscInterfaceConfig",
        {},
    ),
    "a list by position": (
        {"trialJobSpec": {"workerPoolSpecs": {0: {"machineSpec": {"tpuTopology": "x"}}}}},
        "trialJobSpec.workerPoolSpecs.0.machineSpec",
        {"machineType": "n1-standard-4", "tpuTopology": "x"},
    ),
    "a list by position, as text": (
        {"studySpec": {"metrics": {"0": {"safetyConfig": {"safetyThreshold": 0.5}}}}},
        "studySpec.metrics",
        [{"metricId": "val_acc", "goal": "MAXIMIZE", "safetyConfig": {"safetyThreshold": 0.5}}],
    ),
    "an item more": ({"trialJobSpec": {"workerPoolSpecs": {2: POOL, 1: {}}}}, "trialJobSpec.workerPoolSpecs.2", POOL),
    "a whole list": ({"trialJobSpec": {"reservedIpRanges": ["a", "b"]}}, "trialJobSpec.reservedIpRanges", ["a", "b"]),
    "a list where none was, by position": ({"trialJobSpec": {"models": {0: "m"}}}, "trialJobSpec.models", ["m"]),
    "a label": ({"labels": {"cost_centre": "7"}}, "labels.cost_centre", "7"),
}


def at(data: Any, path: str) -> Any:
    for part in path.split("."):
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data


@pytest.mark.parametrize("case", MERGES)
def test_overrides_merge_into_the_job_and_leave_the_rest(case: str) -> None:
    overrides, path, expected = MERGES[case]
    before = copy.deepcopy(overrides)
    given = job()
    merged = apply_overrides(given, overrides)
    assert at(merged, path) == expected
    assert given == job()
    assert overrides == before
    others = [name for name in job() if name != path.partition(".")[0]]
    assert [value for name, value in merged.items() if name in others] == [given[name] for name in others]


FIRST = "trialJobSpec.workerPoolSpecs"

REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the sweep's label": ({"labels": {"hydra-vertex-sweeper": "mine"}}, ["labels.hydra-vertex-sweeper", "leave it out"]),
    "all labels": ({"labels": None}, ["labels.hydra-vertex-sweeper"]),
    "parameters": ({"studySpec": {"parameters": []}}, ["studySpec.parameters", "hydra.sweeper.params"]),
    "a parameter": ({"studySpec": {"parameters": {0: {"scaleType": "UNIT_LOG_SCALE"}}}}, ["studySpec.parameters"]),
    "a metric more": ({"studySpec": {"metrics": {1: {"metricId": "loss", "goal": "MINIMIZE"}}}}, ["hydra.sweeper.metrics"]),
    "a goal": ({"studySpec": {"metrics": {0: {"goal": "MINIMIZE"}}}}, ["studySpec.metrics", "hydra.sweeper.metrics"]),
    "the output": (
        {"trialJobSpec": {"baseOutputDirectory": {"outputUriPrefix": "gs://b"}}},
        ["baseOutputDirectory", "hydra.sweeper.vertex.base_output_directory"],
    ),
    "the command": (
        {"trialJobSpec": {"workerPoolSpecs": {0: {"containerSpec": {"command": ["sh"]}}}}},
        [f"{FIRST}[0].containerSpec.command", "hydra.sweeper.trial.command"],
    ),
    "the arguments": (
        {"trialJobSpec": {"workerPoolSpecs": {0: {"containerSpec": {"args": None}}}}},
        [f"{FIRST}[0].containerSpec.args", "command line"],
    ),
    "the contract": (
        {"trialJobSpec": {"workerPoolSpecs": {0: {"containerSpec": {"env": []}}}}},
        ["VERTEX_SWEEPER_CONTRACT", "hydra.sweeper.trial.env"],
    ),
    "the container": (
        {"trialJobSpec": {"workerPoolSpecs": {0: {"containerSpec": None}}}},
        [f"{FIRST}[0].containerSpec: must stay"],
    ),
    "the pools": ({"trialJobSpec": {"workerPoolSpecs": [{}]}}, [f"{FIRST}[0].containerSpec: must stay"]),
    "no pools": ({"trialJobSpec": {"workerPoolSpecs": []}}, [f"{FIRST}[0].containerSpec: must stay"]),
    "no trial job": ({"trialJobSpec": None}, [f"{FIRST}[0].containerSpec: must stay"]),
    "words for pools": ({"trialJobSpec": {"workerPoolSpecs": ["x"]}}, [f"{FIRST}[0].containerSpec: must stay"]),
    "words for variables": (
        {"trialJobSpec": {"workerPoolSpecs": {0: {"containerSpec": {"env": ["x"]}}}}},
        ["VERTEX_SWEEPER_CONTRACT"],
    ),
    "a contract that stands twice": (
        {
            "trialJobSpec": {
                "workerPoolSpecs": {0: {"containerSpec": {"env": {2: {"name": "VERTEX_SWEEPER_CONTRACT", "value": "x"}}}}}
            }
        },
        ["VERTEX_SWEEPER_CONTRACT"],
    ),
    "what the service writes": ({"state": "JOB_STATE_SUCCEEDED"}, ["spec_overrides.state", "written by the service"]),
    "a mapping replaced by a word": ({"studySpec": "x"}, ["spec_overrides.studySpec", "'x'", "a mapping"]),
    "snake case": ({"display_name": "x"}, ["spec_overrides.display_name", "did you mean displayName?"]),
    "snake case, deep": (
        {"trialJobSpec": {"scheduling": {"disable_retries": True}}},
        [".trialJobSpec.scheduling.disable_retries", "disableRetries?"],
    ),
    "snake case, in a whole list": (
        {"trialJobSpec": {"workerPoolSpecs": {0: {"nfsMounts": [{"mount_point": "data"}]}}}},
        [f"{FIRST}[0].nfsMounts[0].mount_point", "mountPoint?"],
    ),
    "a gap in a list": ({"trialJobSpec": {"workerPoolSpecs": {3: {}}}}, [f"{FIRST}.3", "the next position is 1"]),
    "an item taken away": ({"trialJobSpec": {"workerPoolSpecs": {0: None}}}, [f"{FIRST}.0", "write the whole list"]),
    "a name in a list": ({"trialJobSpec": {"workerPoolSpecs": {"machineSpec": {}}}}, [".machineSpec", "a list stands here"]),
    "a credential": (
        {"trialJobSpec": {"workerPoolSpecs": {1: {"containerSpec": {"env": [{"name": "HF_TOKEN", "value": "abc"}]}}}}},
        ["spec_overrides (env).HF_TOKEN", "allow_secrets"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_container_relies_on_cannot_be_changed_and_mistakes_are_named(case: str) -> None:
    overrides, fragments = REFUSED[case]
    with pytest.raises(InvalidSweep) as caught:
        apply_overrides(job(), overrides)
    assert len(caught.value.mistakes) == 1
    assert [fragment for fragment in fragments if fragment not in str(caught.value)] == []


def test_without_overrides_the_job_is_the_same() -> None:
    assert apply_overrides(job(), {}) == job()


UNKNOWN = {
    "near match": ({"displayNam": "x"}, ("displayNam", "did you mean displayName?")),
    "deep": ({"trialJobSpec": {"scheduling": {"timeuot": "60s"}}}, ("trialJobSpec.scheduling.timeuot", "timeout?")),
    "in a list": (
        {"trialJobSpec": {"workerPoolSpecs": {0: {"nfsMount": []}}}},
        ("trialJobSpec.workerPoolSpecs[0].nfsMount", "nfsMounts?"),
    ),
    "enumerator": (
        {"trialJobSpec": {"workerPoolSpecs": {0: {"machineSpec": {"acceleratorType": "NVIDIA_T4"}}}}},
        ("trialJobSpec.workerPoolSpecs[0].machineSpec.acceleratorType", "NVIDIA_TESLA_T4"),
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_field_that_the_api_does_not_have_is_refused_by_name(case: str) -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    overrides, (field, hint) = UNKNOWN[case]
    assert isinstance(overrides, dict)
    ((found, mistake),) = find_mistakes(apply_overrides(job(), overrides))
    assert found == field
    assert hint in mistake
