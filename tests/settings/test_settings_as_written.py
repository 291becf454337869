"""What the settings are made of: texts exactly as written, times in units, and no mistake that is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hydra_plugins.vertex_sweeper.config import SETTINGS
from tests.support import LOCAL, App, app_in, start_of
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.own_settings import read_own_settings, unused_to_attach, valid_settings
from vertex_sweeper.plan.plan import make_plan
from vertex_sweeper.settings import SEARCH_SPACE_KEYS, Settings, read_settings, read_what_is_right
from vertex_sweeper.settings.durations import LONGEST, read_seconds

SWEPT = "lr=interval(0,1)"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    config = "n: 7\nx: 1.5\nlr: 0.1\nhydra: {sweeper: {trial: {env: {%s}}}}\n"
    configs = {
        "config": "n: 7\nx: 1.5\nlr: 0.1\n",
        "sweep": "defaults: [{override hydra/sweeper: vertex}, _self_]\n" + config % "N: 4, BIG: 010, K: '1.10'",
        "fraction": "defaults: [{override hydra/sweeper: vertex}, _self_]\n" + config % "F: 1.10",
        "bool": "defaults: [{override hydra/sweeper: vertex}, _self_]\n" + config % "F: yes",
        "gap": "defaults: [{override hydra/sweeper: vertex}, _self_]\n" + config % "F: ",
        "name": "defaults: [{override hydra/sweeper: vertex}, _self_]\n" + config % "true: a",
    }
    with app_in(tmp_path_factory.mktemp("as written"), configs) as app:
        yield app


def settings_of(app: App, *overrides: str) -> Settings:
    return valid_settings(app.multirun([*LOCAL, *overrides]))


WRITTEN = ["4", "1234", "1.10", "1e3", "0x10", "1_000", "007", "true", "True", "FALSE", "null", "-1", "+5", "nan", "1.0", "v1"]


@pytest.mark.parametrize("form", ["{}.{}={}", "+{}.{}={}", "++{}.{}={}", "{}.{}= {} "])
def test_a_text_on_the_command_line_is_what_was_typed(app: App, form: str) -> None:
    texts = {f"N{place}": text for place, text in enumerate(WRITTEN)}
    settings = settings_of(app, *(form.format("hydra.sweeper.trial.env", name, text) for name, text in texts.items()))
    assert settings.trial.env == texts


@pytest.mark.parametrize(
    ("override", "path", "text"),
    [
        ("hydra.sweeper.labels.cost=1234", "labels", {"cost": "1234"}),
        ("hydra.sweeper.labels.v=1_0", "labels", {"v": "1_0"}),
        ("hydra.sweeper.display_name=2026", "display_name", "2026"),
        ("hydra.sweeper.display_name=1.10", "display_name", "1.10"),
        ("hydra.sweeper.vertex.project=123456789012", "vertex.project", "123456789012"),
        ("hydra.sweeper.trial.persistent_resource_id=0123", "trial.persistent_resource_id", "0123"),
        ("hydra.sweeper.trial.command=[python,train.py,3]", "trial.command", ("python", "train.py", "3")),
    ],
)
def test_every_setting_that_is_a_text_takes_a_number(app: App, override: str, path: str, text: Any) -> None:
    found: Any = settings_of(app, override)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == text


def test_what_a_later_override_sets_is_not_what_an_earlier_one_said(app: App) -> None:
    env = "hydra.sweeper.trial.env"
    plan = app.plan(SWEPT, f"{env}.A=1_0", f"{env}.B=1_0", f"{env}={{A: 10}}", f"{env}.C=1", f"{env}.C=2.50")
    assert plan.settings.trial.env == {"A": "10", "B": "1_0", "C": "2.50"}
    assert (
        "numbers that are used as texts: hydra.sweeper.trial.env.A='10'; quote what should be written otherwise" in plan.notes
    )


def test_a_number_in_a_config_is_a_text_and_is_told(app: App) -> None:
    plan = app.plan(SWEPT, "hydra.sweeper.trial.env.M=${n}", config_name="sweep")
    assert plan.settings.trial.env == {"N": "4", "BIG": "8", "K": "1.10", "M": "7"}
    (note,) = [line for line in plan.notes if "used as texts" in line]
    assert "env.BIG='8'" in note
    assert "env.M='7'" in note
    assert "env.K" not in note


@pytest.mark.parametrize(
    ("config", "override", "line"),
    [
        ("fraction", "n=7", "hydra.sweeper.trial.env.F: 1.1 must be a string: quote it"),
        ("bool", "n=7", "hydra.sweeper.trial.env.F: True must be a string: quote it"),
        ("gap", "n=7", "hydra.sweeper.trial.env.F: None must be a string: quote it"),
        ("name", "n=7", "hydra.sweeper.trial.env.True: its name True must be a string: quote it"),
        ("config", "hydra.sweeper.trial.env={F: 1.10}", "hydra.sweeper.trial.env.F: 1.1 must be a string: quote it"),
        ("config", "hydra.sweeper.trial.env.F=${x}", "hydra.sweeper.trial.env.F: 1.5 must be a string: quote it"),
        ("config", "hydra.sweeper.trial.env.F=[1]", "hydra.sweeper.trial.env.F: [1] must be a string: quote it"),
        ("config", "hydra.sweeper.trial.command=[python, 1.5]", "hydra.sweeper.trial.command: 1.5 must be a string: quote it"),
    ],
)
def test_what_may_have_been_written_otherwise_is_refused(app: App, config: str, override: str, line: str) -> None:
    assert read_own_settings(app.multirun([*LOCAL, override], config)).mistakes == (line,)


TIMES = {
    3600: 3600,
    0: 0,
    -5: -5,
    "45s": 45,
    "90m": 5400,
    "12h": 43_200,
    "7d": 604_800,
    "1h30m": 5400,
    "1d12h": 129_600,
    "1d2h3m4s": 93_784,
    "0s": 0,
    "090m": 5400,
}
TIME_SETTINGS = [
    "trial.timeout",
    "trial.keep_alive",
    "study_stopping_config.minimum_runtime_constraint",
    "study_stopping_config.maximum_runtime_constraint",
    "study_stopping_config.max_duration_no_progress",
]


@pytest.mark.parametrize("written", TIMES)
def test_a_time_is_whole_seconds(written: Any) -> None:
    assert read_seconds(written) == TIMES[written]


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("", "45s, 90m, 12h, 7d"),
        ("h", "90m"),
        ("-5m", "90m"),
        ("1.5h", "90m"),
        ("90 m", "write 90m"),
        ("12H", "write 12h"),
        ("1 h 30 m", "write 1h30m"),
        ("30m1h", "1h30m"),
        ("1h1h", "1h30m"),
        ("1w", "7d"),
        ("90min", "90m"),
        ("2 hours", "12h"),
        ("PT1H", "12h"),
        ("01:30:00", "1h30m"),
        ("٣m", "90m"),
        ("3600", "write it without quotes, 3600"),
        (3600.0, "a whole number of seconds"),
        (True, "a whole number of seconds"),
        ([1], "a whole number of seconds"),
        (LONGEST + 1, "the longest time"),
        (f"{LONGEST}d", f"{LONGEST}d is more than"),
    ],
)
def test_what_is_no_time_is_told_how_one_is_written(written: Any, remedy: str) -> None:
    with pytest.raises(ValueError, match=re.escape(remedy)):
        read_seconds(written)


@pytest.mark.parametrize("name", TIME_SETTINGS)
def test_every_time_among_the_settings_takes_units(app: App, name: str) -> None:
    found: Any = settings_of(app, f"hydra.sweeper.{name}=90m")
    for part in name.split("."):
        found = getattr(found, part)
    assert found == 5400
    with pytest.raises(InvalidSweep, match=rf"^hydra.sweeper.{name}: 0h must be 1 or more$"):
        settings_of(app, f"hydra.sweeper.{name}=0h")


def test_a_time_is_seconds_in_the_job_and_as_written_in_messages(app: App) -> None:
    queue = ["hydra.sweeper.trial.strategy=flex_start", "hydra.sweeper.trial.accelerator_type=NVIDIA_L4"]
    job = app.plan(SWEPT, *queue, "hydra.sweeper.trial.timeout=7d", "hydra.sweeper.trial.max_wait_duration=0s").job
    assert job["trialJobSpec"]["scheduling"] == {"timeout": "604800s", "strategy": "FLEX_START", "maxWaitDuration": "0s"}
    with pytest.raises(InvalidSweep, match=r"trial\.timeout: 7d1s must be at most 7 days"):
        app.plan(SWEPT, *queue, "hydra.sweeper.trial.timeout=7d1s")


RICH: dict[str, Any] = {
    "backend": "vertex",
    "metrics": {"acc": "maximize"},
    "max_trial_count": 30,
    "parallel_trial_count": 25,
    "max_failed_trial_count": 28,
    "algorithm": "random",
    "measurement_selection": "best",
    "median_automated_stopping_spec": {"use_elapsed_duration": True},
    "study_stopping_config": {
        "should_stop_asap": True,
        "minimum_runtime_constraint": "1h",
        "maximum_runtime_constraint": "9h",
        "min_num_trials": 3,
        "max_num_trials": 20,
        "max_num_trials_no_progress": 5,
        "max_duration_no_progress": "1h",
    },
    "display_name": "digits",
    "labels": {"team": "a"},
    "prices": {"a2-highgpu-1g": 2.5, "NVIDIA_TESLA_A100": 3},
    "dry_run": True,
    "wait": False,
    "on_interrupt": "cancel",
    "trial": {
        "command": ["python", "train.py"],
        "image": "europe-west4-docker.pkg.dev/p/train/app:1",
        "code": ".",
        "requirements": ["einops", "timm"],
        "wheels": "gs://b/wheels",
        "env": {"HF_TOKEN": "abcdefgh1234"},
        "allow_secrets": True,
        "machine_type": "a2-highgpu-1g",
        "accelerator_type": "NVIDIA_TESLA_A100",
        "accelerator_count": 2,
        "disk_type": "pd-ssd",
        "disk_size_gb": 100,
        "replica_count": 1,
        "worker_pools": [
            {
                "machine_type": "a2-highgpu-1g",
                "accelerator_type": "NVIDIA_TESLA_A100",
                "accelerator_count": 2,
                "replica_count": 3,
            }
        ],
        "timeout": "12h",
        "strategy": "flex_start",
        "max_wait_duration": "1d",
        "persistent_resource_id": "mine",
        "keep_alive": "5m",
        "drift": "error",
        "enable_web_access": True,
    },
    "vertex": {
        "project": "my-project",
        "location": "europe-west4",
        "endpoint": "https://europe-west4-aiplatform.googleapis.com",
        "impersonate_service_account": "me@p.iam.gserviceaccount.com",
        "service_account": "it@p.iam.gserviceaccount.com",
        "network": "projects/1/global/networks/vpc",
        "kms_key_name": "projects/p/locations/europe-west4/keyRings/r/cryptoKeys/k",
        "base_output_directory": "gs://bucket/sweeps",
        "staging": "gs://b/staging",
        "tensorboard": "projects/p/locations/europe-west4/tensorboards/1",
    },
    "local": {"seed": 1, "devices": ["0,1"]},
    "spec_overrides": {"displayName": "x"},
}
"""Settings of which many lean on one another, and all are right."""


HELD_AS_THEY_ARE = {("trial", "command"), ("trial", "requirements"), ("spec_overrides",), ("trial", "worker_pools")}


def _leaves(section: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every setting of it, sections and their items included."""
    if path:
        yield path
    items = section.items() if isinstance(section, dict) else enumerate(section) if isinstance(section, list) else ()
    for key, item in items:
        if path not in {
            ("trial", "command"),
            ("trial", "requirements"),
            ("spec_overrides",),
            ("trial", "worker_pools"),
        } or isinstance(item, dict):
            yield from _leaves(item, (*path, key))


def _without(section: Any, path: tuple[Any, ...]) -> Any:
    """The settings with nonsense at one place."""
    if not path:
        return [[1]]
    if isinstance(section, list):
        return [_without(item, path[1:]) if place == path[0] else item for place, item in enumerate(section)]
    return {**section, path[0]: _without(section[path[0]], path[1:])}


FIELDS_OF_SETTINGS = list(_leaves(RICH))


def test_the_rich_settings_are_right_and_hold_every_setting() -> None:
    read_settings(RICH)
    (pool,) = RICH["trial"]["worker_pools"]
    left_out = {("attach",), ("trial", "build")} | {("trial", "worker_pools", 0, key) for key in pool}
    known = {path for path in _leaves({key: item for key, item in SETTINGS.items() if isinstance(item, dict)}) if len(path) > 1}
    assert known - {("params",), ("conditional",)} - set(FIELDS_OF_SETTINGS) - left_out == set()
    assert {key for key in SETTINGS if key[0] != "_"} - {*SEARCH_SPACE_KEYS, "attach"} == set(RICH)


@pytest.mark.parametrize("path", FIELDS_OF_SETTINGS, ids=lambda path: ".".join(map(str, path)))
def test_one_mistake_in_the_settings_is_one_line(path: tuple[Any, ...]) -> None:
    reading = read_what_is_right(_without(RICH, path), Settings)
    (line,) = reading.mistakes
    assert line.startswith("hydra.sweeper." + ".".join(map(str, path)).replace(".0", "[0]"))


@pytest.mark.parametrize(
    "section",
    [
        {"image": "app:1", "vertex": {"project": "p", "location": "l"}},
        {"trial": {"img": "app:1"}, "vertex": {"project": "p", "location": "l"}},
        {"trial": {"image": "app:1"}, "vertex": {"project": "p", "region": "l", "location": "l"}},
        {"trial": {"image": "app:1"}, "vertex": {"projct": "p", "location": "l"}},
        {"trial": {"image": "app:1"}, "project": "p", "vertex": {"location": "l"}},
    ],
)
def test_what_stands_under_another_name_is_not_missing(section: dict[str, Any]) -> None:
    (line,) = read_what_is_right(section, Settings).mistakes
    assert "unknown setting" in line


def test_a_near_spelling_hides_no_mistake_in_what_is_set() -> None:
    mistakes = read_what_is_right({"backend": "local", "max_trial_cuont": 3, "max_trial_count": 0}, Settings).mistakes
    assert [line.partition(":")[0] for line in mistakes] == ["hydra.sweeper.max_trial_cuont", "hydra.sweeper.max_trial_count"]


@pytest.mark.parametrize("path", [("strategy", "sport"), ("metrics", {"a": "maximise", "b": "minimise"})], ids=str)
def test_several_wrong_words_are_several_lines(path: tuple[str, Any]) -> None:
    name, value = path
    section = {"backend": "local", "trial": {"strategy": value}} if name == "strategy" else {"backend": "local", name: value}
    assert len(read_what_is_right(section, Settings).mistakes) == (2 if name == "metrics" else 1)


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        (["hydra.sweeper.backend=lokal", "hydra.searchpath=[file:///]"], ["hydra.sweeper.backend"]),
        (["hydra.sweeper.backend=[1]"], ["hydra.sweeper.backend"]),
        (["hydra.sweeper.backend=local", "hydra.sweeper.trial.command=python"], ["hydra.sweeper.trial.command"]),
        (
            ["hydra.sweeper.backend=local", "hydra.sweeper.trial.allow_secrets=ja", f"lr=hf_{30 * 'a'}", "n=1,2"],
            ["hydra.sweeper.trial.allow_secrets"],
        ),
        (
            [
                "hydra.sweeper.backend=vertex",
                "hydra.sweeper.trial={command: [python, train.py], image: '${nowhere}'}",
                "hydra.sweeper.vertex={project: p, location: l}",
            ],
            ["hydra.sweeper.trial.image"],
        ),
        (["hydra.sweeper.backend=local", "hydra.sweeper.trial.env={A: '${nowhere}', B: 1.5}"], ["trial.env.A", "trial.env.B"]),
    ],
    ids=["backend", "backend of a wrong type", "command", "allow_secrets", "interpolation", "interpolation among others"],
)
def test_the_rest_is_planned_with_what_could_be_read(app: App, tmp_path: Path, overrides: list[str], keys: list[str]) -> None:
    """The script is outside the working directory, where no container would find it, and there is nothing to start."""
    swept = [] if any(override.startswith("lr=") for override in overrides) else [SWEPT]
    config = app.multirun(["hydra/sweeper=vertex", *swept, *overrides])
    start = replace(start_of(tmp_path, "--multirun", *swept, *overrides), directory=app.folder)
    if "trial.command" in keys[0]:
        start = replace(start, argv=[""])
    with pytest.raises(InvalidSweep) as caught:
        make_plan(SweepContext.of(list(config.hydra.overrides.task), config=config, config_loader=app.loader, start=start))
    assert [key for key in keys if key not in str(caught.value)] == []
    assert len(caught.value.mistakes) == len(keys), caught.value


@pytest.mark.parametrize("most", [None, 1])
def test_counts_above_the_number_of_trials_are_no_mistake(most: int | None) -> None:
    section = {"backend": "local", "max_trial_count": most, "parallel_trial_count": 40, "max_failed_trial_count": 30}
    assert read_what_is_right(section, Settings).mistakes == ()


@pytest.mark.parametrize(
    ("overrides", "unused"),
    [
        ([], []),
        (["hydra.sweeper.wait=false", "hydra.sweeper.on_interrupt=cancel", "hydra.sweeper.vertex.endpoint=http://x"], []),
        (["hydra.sweeper.max_trial_count=4"], ["max_trial_count"]),
        (["hydra.sweeper.backend=vertex"], ["backend"]),
        (["hydra.sweeper.trial.env.A=1", "hydra.sweeper.labels={a: b}"], ["labels", "trial.env"]),
        (["hydra.sweeper.params={lr: '1,2'}"], ["params"]),
        (["hydra.sweeper.params.lr='1,2'"], ["params"]),
        (["hydra.sweeper.conditional={n\\=7: {}}", "hydra.sweeper.search_space=null"], ["conditional", "search_space"]),
        (["hydra.sweeper.vertex.project=p", "hydra.sweeper.vertex.endpoint=http://x"], ["vertex.project"]),
        (["hydra.sweeper.study_stopping_config={max_num_trials: 3}"], ["study_stopping_config"]),
        (["hydra.sweeper.max_trial_count=null"], ["max_trial_count"]),
        (["hydra.sweeper.local.seed=3", "hydra.sweeper.spec_overrides={displayName: x}"], ["spec_overrides", "local.seed"]),
    ],
)
def test_attach_names_what_it_does_not_use(app: App, overrides: list[str], unused: list[str]) -> None:
    config = app.multirun(["hydra/sweeper=vertex", "hydra.sweeper.attach=sweep", *overrides])
    reading = read_own_settings(config)
    assert reading.mistakes == ()
    found = unused_to_attach(config, reading.settings, own_directory=True)
    assert found == [f"hydra.sweeper.{name}" for name in unused]


def test_a_sweep_directory_beside_another_one_is_not_used(app: App) -> None:
    config = app.multirun(["hydra/sweeper=vertex", "hydra.sweeper.attach=sweep", "hydra.sweep.dir=other"])
    assert unused_to_attach(config, Settings(), own_directory=True) == ["hydra.sweep.dir=other"]
    assert unused_to_attach(config, Settings(), own_directory=False) == []
