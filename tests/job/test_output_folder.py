"""The folder below `vertex.base_output_directory` that is one sweep's own, as everybody finds it who has the job."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.jobs import EVERYWHERE, LR, recording_app, settings
from tests.support import App
from vertex_sweeper.api import Job
from vertex_sweeper.job import SWEEP_LABEL, identify_anew
from vertex_sweeper.job.identity import identify
from vertex_sweeper.results.folders import output_of
from vertex_sweeper_runtime.trial_environment import container_of

ID = "0123456789abcdef"

FOLDERS = {
    "a folder": ("gs://bucket/digits", "train", f"gs://bucket/digits/train-{ID}"),
    "a bucket alone": ("gs://bucket", "train", f"gs://bucket/train-{ID}"),
    "a bucket and a slash": ("gs://bucket/", "train", f"gs://bucket/train-{ID}"),
    "slashes at the end": ("gs://bucket/a/b//", "train", f"gs://bucket/a/b/train-{ID}"),
    "a deep folder": ("gs://bucket/a/b/c.d/e-f", "train", f"gs://bucket/a/b/c.d/e-f/train-{ID}"),
    "a number for a folder": ("gs://bucket/3", "train", f"gs://bucket/3/train-{ID}"),
    "a folder called model": ("gs://bucket/model", "train", f"gs://bucket/model/train-{ID}"),
    "a commit in the name": ("gs://b/x", "train 1a2b3c4-dirty", f"gs://b/x/train-1a2b3c4-dirty-{ID}"),
    "words": ("gs://b/x", "Digits again", f"gs://b/x/Digits-again-{ID}"),
    "a path": ("gs://b/x", "../../other sweeps/1", f"gs://b/x/other-sweeps-1-{ID}"),
    "no ASCII at all": ("gs://b/x", "日本語", f"gs://b/x/{ID}"),
    "what a shell or gsutil would read": ("gs://b/x", "a*[b]?$(c)\n'd'", f"gs://b/x/a-b-c-d-{ID}"),
    "a long name": ("gs://b/x", "n" * 128, f"gs://b/x/{'n' * 40}-{ID}"),
}


@pytest.mark.parametrize(("base", "name", "folder"), FOLDERS.values(), ids=FOLDERS)
def test_the_folder_is_plain_and_directly_below_the_base(base: str, name: str, folder: str) -> None:
    job: Job = {"displayName": name}
    identify(job, ID, base_output_directory=base)
    assert job["trialJobSpec"] == {"baseOutputDirectory": {"outputUriPrefix": folder}}
    assert job["labels"] == {SWEEP_LABEL: ID}


@pytest.mark.parametrize("folder", [folder for *_, folder in FOLDERS.values()], ids=FOLDERS)
def test_the_container_finds_it_in_what_vertex_sets(folder: str) -> None:
    # Vertex: AIP_MODEL_DIR is <prefix>/<trial id>/model/, and gs://bucket/x is /gcs/bucket/x in the container.
    for trial in ("1", "3", "12"):
        environment = {"CLOUD_ML_TRIAL_ID": trial, "AIP_MODEL_DIR": f"{folder}/{trial}/model/"}
        assert container_of(environment).sweep_directory == folder.replace("gs://", "/gcs/")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with recording_app(tmp_path_factory.mktemp("output folder")) as app:
        yield app


@pytest.mark.parametrize("backend", ["vertex", "local"])
def test_two_sweeps_with_one_base_output_directory_have_no_folder_in_common(app: App, backend: str) -> None:
    words = [*EVERYWHERE, f"hydra.sweeper.backend={backend}", LR, *settings(vertex__base_output_directory="gs://bucket/x/")]
    first, second = (app.plan(*words).job for _ in range(2))
    prefixes = [job["trialJobSpec"]["baseOutputDirectory"]["outputUriPrefix"] for job in (first, second)]
    assert prefixes == [f"gs://bucket/x/train-{job['labels'][SWEEP_LABEL]}" for job in (first, second)]
    assert prefixes[0] != prefixes[1]


def test_everybody_reads_it_from_the_job(app: App) -> None:
    plan = app.plan(*EVERYWHERE, LR, *settings(vertex__base_output_directory="gs://bucket/x"))
    prefix = f"gs://bucket/x/train-{plan.job['labels'][SWEEP_LABEL]}"
    assert output_of(plan.address, plan.job, plan.directory) == prefix
    assert output_of(plan.address, {**plan.job, "name": "n", "state": "JOB_STATE_RUNNING"}, app.folder) == prefix


def test_without_a_base_output_directory_nothing_outlives_the_container_and_a_line_says_so(app: App) -> None:
    plan = app.plan(*EVERYWHERE, LR)
    assert output_of(plan.address, plan.job, plan.directory) is None
    assert "baseOutputDirectory" not in plan.job["trialJobSpec"]
    assert [note for note in plan.notes if "base_output_directory is not set" in note]


def test_a_sweep_on_this_machine_has_its_trials_in_its_own_directory(app: App) -> None:
    plan = app.plan(LR, *settings(vertex__base_output_directory="gs://bucket/x"))
    assert output_of(plan.address, plan.job, plan.directory) == str(plan.directory)


ANEW = {
    "its folder": ("gs://b/x/train-old", "gs://b/x/train-new"),
    "its folder, and a slash": ("gs://b/x/train-old/", "gs://b/x/train-old/new"),
    "a folder that others have, too": ("gs://b/x", "gs://b/x/new"),
    "no folder": (None, None),
}


@pytest.mark.parametrize(("before", "after"), ANEW.values(), ids=ANEW)
def test_a_job_that_is_created_once_more_has_a_label_and_a_folder_of_its_own(before: str | None, after: str | None) -> None:
    job = cast("Job", job_with(before, "old"))
    identify_anew(job, "new")
    assert job == job_with(after, "new")


def job_with(prefix: str | None, label: str) -> dict[str, Any]:
    place = {} if prefix is None else {"baseOutputDirectory": {"outputUriPrefix": prefix}}
    return copy.deepcopy({"labels": {"team": "a", SWEEP_LABEL: label}, "trialJobSpec": {"network": "n", **place}})
