"""A `hydra.sweep.subdir` that is the same in all trials puts them into one folder, and a line says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jobs import EVERYWHERE, settings
from tests.support import App, app_in
from vertex_sweeper.plan.plan import Plan
from vertex_sweeper.plan.trial_folders import TrialFolders

CONFIGS = {
    "config": "defaults: [{model: cnn}, _self_]\nlr: 0.1\nname: abc\nother: ${lr}\nnumber: ${hydra:job.num}\ntime: ${now:%S}\n",
    "model/cnn": "title: cnn\n",
    "model/vit": "title: vit\n",
    "dated": "defaults: [config, _self_]\nhydra: {sweep: {subdir: all}}\n",
}
SWEEP = ("lr=interval(0,1)", "model=cnn,vit")

SHARED = {
    "a word": ("x", "x"),
    "a path": ("a/b", "a/b"),
    "the sweep's own folder": (".", "."),
    "nothing": ("''", "."),
    "a number": ("1", "1"),
    "a key that is fixed": ("${name}", "abc"),
    "the job's name": ("${hydra.job.name}", "train"),
    "Hydra's own resolver": ("'${hydra:job.name}'", "train"),
    "the number, left again": ("${hydra.job.num}/../all", "all"),
    "two ways to one folder": ("'./a//b'", "a/b"),
    "what is chosen and not swept": ("${hydra.runtime.choices.hydra/output}", "default"),
}

OWN = {
    "Hydra's default": None,
    "the number": "${hydra.job.num}",
    "the number, by Hydra's resolver": "'${hydra:job.num}'",
    "the number, through a key": "${number}",
    "the id": "${hydra.job.id}",
    "the number among words": "a/trial_${hydra.job.num}/x",
    "what is swept": "${lr}",
    "what is swept, through a key": "${other}",
    "an option that is swept": "'${hydra:runtime.choices.model}'",
    "a key of an option": "${model.title}",
    "all overrides": "${hydra.job.override_dirname}",
    "the time": "'${now:%H-%M-%S}'",
    "the time, through a key": "${time}",
    "a variable of the trial": "${oc.env:CLOUD_ML_TRIAL_ID}",
    "a variable of the trial, or a word": "'${oc.env:CLOUD_ML_TRIAL_ID,x}'",
    "a key that is not there": "${nope}",
}

BACKENDS = {"local": [], "vertex": [*EVERYWHERE, *settings(vertex__base_output_directory="gs://bucket/x")]}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app_in(tmp_path_factory.mktemp("folders"), CONFIGS) as app:
        yield app


def lines(plan: Plan) -> list[str]:
    return [note for note in plan.notes if "hydra.sweep.subdir" in note]


TRIALS = (["lr=0.1", "model=cnn"], ["lr=0.2", "model=vit"])


def shared(app: App, *given: str) -> set[str | None]:
    """The one folder of these trials, as it is seen for each backend."""
    found = {container: TrialFolders(container=container) for container in (False, True)}
    for trial in TRIALS:
        config = app.run([*trial, *given])
        for folders in found.values():
            folders.record(config)
    return {folders.shared for folders in found.values()}


@pytest.mark.parametrize(("subdir", "folder"), SHARED.values(), ids=SHARED)
def test_one_folder_for_all_trials_is_seen(app: App, subdir: str, folder: str) -> None:
    assert shared(app, f"hydra.sweep.subdir={subdir}") == {folder}


@pytest.mark.parametrize("subdir", OWN.values(), ids=OWN)
def test_folders_that_differ_and_those_that_only_trials_know_are_not_shared(app: App, subdir: str | None) -> None:
    assert shared(app, *([] if subdir is None else [f"hydra.sweep.subdir={subdir}"])) == {None}


@pytest.mark.parametrize("words", BACKENDS.values(), ids=BACKENDS)
def test_the_sweep_says_so_in_one_line(app: App, words: list[str]) -> None:
    (line,) = lines(app.plan(*words, *SWEEP, "hydra.sweep.subdir=x"))
    assert line.startswith("hydra.sweep.subdir is the same in all trials (x)")
    assert lines(app.plan(*words, *SWEEP, "hydra.sweep.subdir=${lr}")) == []


def test_the_sweeps_own_folder_is_called_that(app: App) -> None:
    (line,) = lines(app.plan(*SWEEP, "hydra.sweep.subdir=."))
    assert "(the sweep's own)" in line


def test_what_the_apps_config_says_counts_alike(app: App) -> None:
    (line,) = lines(app.plan(*SWEEP, config_name="dated"))
    assert "(all)" in line


def test_a_key_that_the_sweep_does_not_tune_is_the_same_in_all_trials(app: App) -> None:
    (line,) = lines(app.plan("model=cnn,vit", "lr=0.5", "hydra.sweep.subdir=${other}"))
    assert "(0.5)" in line


@pytest.mark.parametrize(("value", "count"), [("${oc.env:SUITE}", 1), ("${oc.env:NOT_SET}", 0)])
def test_a_variable_is_known_where_trials_have_this_environment(
    app: App, value: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUITE", "nightly")
    found = {name: lines(app.plan(*words, *SWEEP, f"hydra.sweep.subdir={value}")) for name, words in BACKENDS.items()}
    assert {name: len(notes) for name, notes in found.items()} == {"local": count, "vertex": 0}


def test_one_trial_shares_its_folder_with_nobody(app: App) -> None:
    assert lines(app.plan(*SWEEP, "hydra.sweep.subdir=x", *settings(max_trial_count=1))) == []


def test_where_output_ends_with_the_container_there_is_no_folder_to_share(app: App) -> None:
    assert lines(app.plan(*EVERYWHERE, *SWEEP, "hydra.sweep.subdir=x")) == []
