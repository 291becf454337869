"""The launcher's settings as Hydra hands them over, and what users bring along from other launchers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from tests.support import App, app_in
from vertex_sweeper.plan.other_launchers import WORDS, OtherLaunchers
from vertex_sweeper.plan.own_settings import read_launch_settings
from vertex_sweeper.settings import (
    SEARCH_SPACE_KEYS,
    Backend,
    JobSettings,
    LaunchSettings,
    OnRefusal,
    Settings,
    TrialSettings,
    VertexSettings,
)
from vertex_sweeper.settings import in_launcher_words as in_words

LOCAL = ("hydra/launcher=vertex", "hydra.launcher.backend=local")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app_in(tmp_path_factory.mktemp("launched"), {"config": "lr: 0.1\nn: 3\n"}) as app:
        yield app


def mistakes(app: App, *overrides: str) -> list[str]:
    """What is wrong with `hydra.launcher`, in the words that users read."""
    reading = read_launch_settings(app.multirun([*LOCAL, *overrides]))
    return [in_words(line) for line in reading.mistakes]


def test_the_launchers_settings_are_read_as_they_were_typed(app: App) -> None:
    given = ["parallel=4", "allow_many=true", "on_refusal=keep", "trial.env.V=1.10", "labels.run=${n}", "trial.timeout=90m"]
    reading = read_launch_settings(app.multirun([*LOCAL, *(f"hydra.launcher.{line}" for line in given)]))
    settings = reading.settings
    assert reading.mistakes == ()
    assert (settings.backend, settings.parallel, settings.allow_many) == (Backend.LOCAL, 4, True)
    assert settings.on_refusal is OnRefusal.KEEP
    assert settings.trial.env == {"V": "1.10"}
    assert (settings.labels, settings.trial.timeout) == ({"run": "3"}, 5400)


def test_what_is_not_set_is_the_default_and_the_sweepers_settings_are_another_matter(app: App) -> None:
    reading = read_launch_settings(app.multirun([*LOCAL, "hydra/sweeper=vertex", "hydra.sweeper.max_trial_count=0"]))
    assert (reading.settings, reading.mistakes) == (LaunchSettings(backend=Backend.LOCAL), ())


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("parallel=0", "hydra.launcher.parallel: 0 must be 1 or more"),
        ("parallel=many", "hydra.launcher.parallel: 'many' must be a whole number"),
        ("paralel=2", "hydra.launcher.paralel: unknown setting (did you mean parallel?)"),
        ("on_refusal=stop", "hydra.launcher.on_refusal: 'stop' must be one of cancel, keep"),
        ("wait=false", "hydra.launcher.wait: false must not be used with backend=local: trials end with this process"),
        ("trial.image=${nowhere}", "hydra.launcher.trial.image: Interpolation key 'nowhere' not found"),
        ("trial.env.T=[1]", "hydra.launcher.trial.env.T: [1] must be a string: quote it"),
        ("machine_type=a", "hydra.launcher.machine_type: unknown setting (did you mean trial.machine_type?)"),
        ("n_jobs=4", "hydra.launcher.n_jobs: is a setting of Joblib's launcher: here it is hydra.launcher.parallel=4 (left"),
        ("n_jobs=-1", "hydra.launcher.n_jobs: is a setting of Joblib's launcher: here it is hydra.launcher.parallel (left"),
        (
            "timeout_min=60",
            "hydra.launcher.timeout_min: is a setting of Submitit's launcher: here it is hydra.launcher.trial.timeout=60m",
        ),
        (
            "gpus_per_node=2",
            "hydra.launcher.gpus_per_node: is a setting of Submitit's launcher: here it is hydra.launcher.trial.accelerator",
        ),
        ("prefer=threads", "hydra.launcher.prefer: is a setting of Joblib's launcher, and nothing here takes its place"),
        ("_target_=hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher", "hydra.launcher._target_: hydra_plu"),
        ("attach=multirun/x", "hydra.launcher.attach: a setting of hydra/sweeper=vertex: vertex-sweeper attach comes back"),
    ],
)
def test_a_mistake_names_the_setting_under_the_launcher(app: App, override: str, line: str) -> None:
    (said,) = mistakes(app, f"hydra.launcher.{override}")
    assert said.startswith(line)


STUDY = {field.name for field in fields(Settings)} - {field.name for field in fields(JobSettings)} | {*SEARCH_SPACE_KEYS}


@pytest.mark.parametrize("name", sorted(STUDY - {"attach"}))
def test_a_setting_of_the_study_is_told_from_an_unknown_one(app: App, name: str) -> None:
    where = f"hydra.launcher.{name}"
    assert mistakes(app, f"{where}=1") == [
        f"{where}: a setting of hydra/sweeper=vertex: a launched job is not tuned, so leave it out"
    ]


def test_on_vertex_what_is_missing_is_told_with_the_launchers_names(app: App) -> None:
    lines = mistakes(app, "hydra.launcher.backend=vertex")
    assert [line.partition(":")[0] for line in lines] == [
        f"hydra.launcher.{name}" for name in ("vertex.project", "vertex.location", "trial.image")
    ]
    assert all(line.endswith("to try on this machine: hydra.launcher.backend=local") for line in lines)


def test_what_is_said_instead_of_anothers_setting_is_a_setting() -> None:
    sections = {"trial": TrialSettings, "vertex": VertexSettings}
    known = {f"{section}.{field.name}" for section, cls in sections.items() for field in fields(cls)}
    known |= {field.name for field in fields(LaunchSettings)} | {"", "hydra.sweep.dir"}
    assert {word.ours for word in WORDS.values()} <= known


PAGE = (Path(__file__).parents[2] / "docs" / "coming-from.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| `(\w+)(?:: [^`]+)?` \| `([\w.]+)", PAGE.partition("## Another launcher")[2].partition("\n## ")[0], re.MULTILINE
)


def test_the_page_says_the_same_as_the_answers() -> None:
    assert len(ROWS) == 10
    assert {there: WORDS[there].ours for there, _ in ROWS} == dict(ROWS)


def test_no_setting_of_another_launcher_has_a_name_of_ours() -> None:
    assert set(OtherLaunchers().names()) & {field.name for field in fields(LaunchSettings)} == set()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "hydra.sweeper.trial.image: set hydra.sweeper.backend=local",
            "hydra.launcher.trial.image: set hydra.launcher.backend=local",
        ),
        ("hydra.sweeper.worker[0].x: no", "hydra.launcher.worker[0].x: no"),
        ("the sweeper has hydra.sweeper.n_trials=8", "the sweeper has hydra.sweeper.n_trials=8"),
        ("hydra.sweeper.n_trials=8: is the sweeper's", "hydra.sweeper.n_trials=8: is the sweeper's"),
        ("a setting of hydra/sweeper=vertex", "a setting of hydra/sweeper=vertex"),
        ("hydra.sweep.dir: hydra.sweeper.parallelism", "hydra.sweep.dir: hydra.sweeper.parallelism"),
    ],
)
def test_only_the_launchers_settings_are_renamed(line: str, said: str) -> None:
    assert in_words(line) == said
