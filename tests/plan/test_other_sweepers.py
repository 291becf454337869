"""Those who come from other sweepers are answered with the words of this one, and the page that compares them is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Transformer
from omegaconf import OmegaConf

from tests.support import App, app_in
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.other_sweepers import API, WORDS, OtherSweepers
from vertex_sweeper.settings import Backend, Settings, read_settings, read_what_is_right
from vertex_sweeper.space.other_spaces import as_choice, as_expression, quoted
from vertex_sweeper.space.overrides import OverrideReader

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "coming-from.md").read_text(encoding="utf-8")
Row = tuple[str, list[str], list[str]]


def rows() -> Iterator[Row]:
    """Each row of the page's tables: the head of its second column, and the code in its first two cells."""
    head = ""
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        if cells and cells[0].startswith("---"):
            continue
        if not cells:
            head = ""
        elif not head:
            head = cells[1]
        else:
            yield head, re.findall(r"`([^`]+)`", cells[0]), re.findall(r"`([^`]+)`", cells[1])


ROWS = list(rows())
SPACES = [(there[0], here[0]) for head, there, here in ROWS if head == "in `params`"]
JOB = PAGE.partition("## YAML for gcloud")[2]
FIELDS = [(there[0], here[0]) for head, there, here in ROWS if head == "`hydra.sweeper`" and f"| `{there[0]}`" in JOB]
SETTINGS = [
    (there[0], here[0] if here else "")
    for head, there, here in ROWS
    if head in ("`hydra/sweeper=vertex`", "`hydra.sweeper`", "here") and there and f"| `{there[0]}`" not in JOB
]
WORDS_SHOWN = [(there, here) for there, here in SETTINGS if there.partition(":")[0] in WORDS]


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


def parsed(text: str) -> tuple[str, Any]:
    """`a.b: [1]`, as the page writes it, as path and value."""
    path, _, value = text.partition(": ")
    return path, yaml.safe_load(value)


def mistakes_in(section: dict[str, Any]) -> list[str]:
    return list(read_what_is_right({"backend": "local", **section}, Settings, foreign=OtherSweepers()).mistakes)


def test_the_page_shows_every_word_and_nothing_was_missed_in_reading_it() -> None:
    assert {there.partition(":")[0] for there, _ in WORDS_SHOWN} == {word for word in WORDS if API not in WORDS[word].sweepers}
    assert len(SETTINGS) - len(WORDS_SHOWN) == 4  # the shell script's
    assert len(FIELDS) == 23
    assert len(SPACES) == 26


@pytest.mark.parametrize(("there", "here"), WORDS_SHOWN)
def test_a_word_of_another_sweeper_is_answered_as_the_page_says(there: str, here: str) -> None:
    path, value = parsed(there)
    (line,) = mistakes_in(nested(path, value))
    if not here:
        assert line.startswith(f"hydra.sweeper.{path}: is a setting of ")
        assert "nothing here takes its place" in line
        return
    setting, ours = parsed(here) if ": " in here else (here, None)
    name = setting if setting.startswith("hydra.") else f"hydra.sweeper.{setting}"
    assert re.search(rf"^hydra\.sweeper\.{re.escape(path)}: is a setting of [\w&' ]+: here it is {re.escape(name)}\b", line)
    if ours is not None:
        # What the line says can be copied to the command line, and is what the page shows.
        said = line.partition("here it is ")[2].partition(" (")[0].partition(" and ")[0]
        override = OverridesParser.create().parse_override(said)
        assert override.value() == ours
        settings = read_settings({"backend": "local", **nested(setting, ours)})
        assert settings.backend is Backend.LOCAL


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_answered_whatever_its_value_is(word: str) -> None:
    for value in (None, 3, "text", "a b=c", [], ["x"], {"a": 1}, True, 0.5):
        assert any(line.startswith(f"hydra.sweeper.{word}: is a setting of ") for line in mistakes_in(nested(word, value)))


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_ours_exists(word: str) -> None:
    ours = WORDS[word].ours
    if ours in ("", "hydra.sweep.dir", "params", "conditional"):
        return
    lines = mistakes_in(nested(ours, object()))
    assert [line for line in lines if "unknown setting" in line or "is a setting of" in line] == []
    assert lines


@pytest.mark.parametrize(("there", "here"), SPACES)
def test_a_search_space_of_another_tool_is_the_expression_that_the_page_shows(there: str, here: str) -> None:
    value = yaml.safe_load(there)
    assert (as_choice(value) if isinstance(value, list) else as_expression(value)) == here
    reader = OverrideReader(None)
    reader.params({"lr": value})
    if "value:" not in there:
        assert reader.mistakes == []
        (note,) = reader.notes
        assert note.endswith(f"to sweep, write `{here}`")
    assert OverrideReader(None).params({"lr": here})[0].override.is_sweep_override() == (here != "3")


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ({"min": 1e-5, "max": "1e-1", "distribution": "uniform"}, "interval(1e-05, 0.1)"),
        ({"low": 0, "high": 1.5}, "interval(0, 1.5)"),
        ({"start": 0, "stop": 10, "step": 2}, "range(0, 10, 2)"),
        ({"values": ["a b", None, True, "1", 1]}, "'a b',null,true,'1',1"),
        ({"values": [[1, 2], {"a": "b"}]}, "[1,2],{a:'b'}"),
        ({"type": "range", "bounds": [1, 8], "value_type": "float"}, "interval(1, 8)"),
    ],
)
def test_other_forms_are_read_too(value: dict[str, Any], expression: str) -> None:
    assert as_expression(value) == expression


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": "Hello, world"},
        {"min": 0},
        {"min": 0, "max": 1, "unit": "s"},
        {"min": 1, "max": 0},
        {"min": "a", "max": "b"},
        {"min": True, "max": 3},
        {"min": 0, "max": float("inf")},
        {"values": 3},
        {"values": []},
        {"value": 3},
        {"type": "adam", "lr": 0.1},
        {"type": "range", "bounds": [1, 2, 3]},
        {"_target_": "torch.nn.ReLU"},
        {"name": "adam"},
        {1: 2},
        {},
    ],
)
def test_any_other_mapping_is_a_value_without_a_word(value: dict[Any, Any]) -> None:
    reader = OverrideReader(None)
    (entry,) = reader.params({"opt": value})
    assert reader.mistakes == reader.notes == []
    assert repr(entry.override.value()) == repr(value)


def test_a_mapping_within_a_mapping_is_named_by_its_dotted_key() -> None:
    reader = OverrideReader(None)
    reader.params({"optim": {"name": "adam", "lr": {"min": 0.1, "max": 1}}})
    assert reader.notes == ["hydra.sweeper.params.optim.lr: a fixed mapping; to sweep, write `interval(0.1, 1)`"]


SECTIONS = {
    "optim": {"budget": 80, "num_workers": 4, "colour": "red"},
    "ax_config": {
        "max_trials": 3,
        "experiment": {"minimize": False, "x": 1},
        "params": {"lr": {"type": "range", "bounds": [0.1, 1]}},
    },
    "wandb_sweep_config": {"method": "random", "metric": {"name": "loss"}},
}


def test_a_section_of_another_sweeper_is_answered_key_by_key() -> None:
    assert mistakes_in(SECTIONS) == [
        "hydra.sweeper.optim.budget: is a setting of Nevergrad: here it is hydra.sweeper.max_trial_count=80",
        "hydra.sweeper.optim.num_workers: is a setting of Nevergrad: here it is hydra.sweeper.parallel_trial_count=4",
        "hydra.sweeper.optim.colour: is another sweeper's, and unknown here: leave it out",
        "hydra.sweeper.ax_config.max_trials: is a setting of Ax: here it is hydra.sweeper.max_trial_count=3",
        (
            "hydra.sweeper.ax_config.experiment.minimize: is a setting of Ax: here it is "
            "hydra.sweeper.metrics={objective: maximize} (`objective` is what the task returns; of several, name each)"
        ),
        "hydra.sweeper.ax_config.experiment.x: is another sweeper's, and unknown here: leave it out",
        "hydra.sweeper.ax_config.params: is a setting of Ax: here it is hydra.sweeper.params, with lr: interval(0.1, 1)",
        "hydra.sweeper.wandb_sweep_config.method: is a setting of W&B sweeps: here it is hydra.sweeper.algorithm=random",
        (
            "hydra.sweeper.wandb_sweep_config.metric: is a setting of W&B sweeps and Ray Tune: here it is "
            "hydra.sweeper.metrics={loss: minimize}"
        ),
    ]


@pytest.mark.parametrize(
    ("section", "meant"),
    [
        ({"image": "x"}, "hydra.sweeper.image: unknown setting (did you mean trial.image?)"),
        ({"project": "p"}, "hydra.sweeper.project: unknown setting (did you mean vertex.project?)"),
        (
            {"trial": {"max_trial_count": 3}},
            "hydra.sweeper.trial.max_trial_count: unknown setting (did you mean max_trial_count?)",
        ),
        ({"maxTrialCount": 3}, "hydra.sweeper.maxTrialCount: unknown setting (did you mean max_trial_count?)"),
        ({"max_trial_cuont": 3}, "hydra.sweeper.max_trial_cuont: unknown setting (did you mean max_trial_count?)"),
        ({"trial": {"count": 3}}, "hydra.sweeper.trial.count: unknown setting (did you mean replica_count?)"),
        (
            {"n_trial": 3},
            (
                "hydra.sweeper.n_trial: unknown setting; n_trials is a setting of Optuna's sweeper: here it is "
                "hydra.sweeper.max_trial_count=3"
            ),
        ),
        ({"metrcs": {"a": "maximize"}}, "hydra.sweeper.metrcs: unknown setting (did you mean metrics?)"),
        ({"algoritm": "grid"}, "hydra.sweeper.algoritm: unknown setting (did you mean algorithm?)"),
        ({"lables": {}}, "hydra.sweeper.lables: unknown setting (did you mean labels?)"),
        ({"zzz": 3}, "hydra.sweeper.zzz: unknown setting"),
        (
            {"optim": None},
            "hydra.sweeper.optim: is a section of another sweeper's settings: leave it out (docs/coming-from.md)",
        ),
    ],
)
def test_other_unknown_settings_are_answered_with_what_was_meant(section: dict[str, Any], meant: str) -> None:
    assert mistakes_in(section) == [meant]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app_in(tmp_path_factory.mktemp("other sweepers"), {"config": "lr: 0.1\nn: 3\nopt: {a: 1}\n"}) as app:
        yield app


def test_the_yaml_for_gcloud_is_the_job_that_the_settings_make(app: App) -> None:
    section = OmegaConf.create({})
    for _, here in FIELDS:
        path, value = parsed(here)
        OmegaConf.update(section, path, value)
    plain = OmegaConf.to_container(section)
    assert isinstance(plain, dict)
    overrides = [f"hydra.sweeper.{key!s}={Transformer.str(quoted(value))}" for key, value in plain.items()]
    plan = app.plan("lr=0.1,0.2", "hydra.sweeper.vertex={project: p, location: l}", *overrides)

    for there, _ in FIELDS:
        path, value = parsed(there)
        found: Any = plan.job
        for name in path.split("."):
            found = found[int(name)] if isinstance(found, list) else found[name]
        if path.endswith(".outputUriPrefix"):  # below it each sweep has a folder of its own
            found = found.rpartition("/")[0]
        assert found == value, path


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        ([], ["nothing to tune: sweep at least one key, as in lr='interval(1e-4, 1e-1)' or model=cnn,vit"]),
        (["lr=1", "n=2"], ["nothing to tune: fixed are lr=1, n=2: sweep at least one key"]),
        (["lr=choice(1)"], ["nothing to tune: fixed are lr=1: sweep"]),
        (
            ["hydra.sweeper.params={lr: {min: 0.1, max: 1.0}, n: [1, 2]}"],
            [
                "nothing to tune: fixed are lr={min:0.1,max:1.0}, n=[1,2]: sweep",
                "hydra.sweeper.params.lr: a fixed mapping; to sweep, write `interval(0.1, 1)`",
                "hydra.sweeper.params.n: a fixed list; to sweep, write `1,2`",
            ],
        ),
        ([f"n=hf_{30 * 'a'}", "lr=1", "hydra.sweeper.trial.allow_secrets=true"], ["nothing to tune: fixed are n, lr=1: sweep"]),
        ([f"n={100 * 'x'}"], [f"nothing to tune: fixed are n={60 * 'x'}…: sweep"]),
        ([f"+k{place}=1" for place in range(9)], ["fixed are +k0=1, +k1=1, +k2=1, +k3=1, +k4=1, +k5=1 and 3 more: sweep"]),
    ],
)
def test_nothing_to_tune_names_what_is_fixed(app: App, overrides: list[str], lines: list[str]) -> None:
    with pytest.raises(InvalidSweep) as caught:
        app.plan(*overrides)
    assert len(caught.value.mistakes) == len(lines)
    assert [line for line, said in zip(lines, caught.value.mistakes, strict=True) if line not in said] == []


def test_a_search_space_where_optuna_had_it_is_answered(app: App) -> None:
    with pytest.raises(InvalidSweep) as caught:
        app.plan("hydra.sweeper.search_space={lr: {type: float, low: 0.1, high: 1}}")
    assert str(caught.value).endswith(
        "or null for none: what Optuna's sweeper has there is hydra.sweeper.params here, with lr: interval(0.1, 1)"
    )


TEMPLATE = """
defaults: [{override hydra/sweeper: vertex}, _self_]
lr: 0.1
hydra:
  mode: MULTIRUN
  sweeper:
    _target_: hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper
    backend: local
    n_trials: 20
    sampler: {_target_: optuna.samplers.NoSuchSampler, seed: 1234}
    params: {lr: "interval(0.0001, 0.1)"}
"""
SCRIPT = """
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    return cfg.lr

main()
"""


def test_a_config_that_still_names_another_sweeper_is_answered_in_lines(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "config.yaml").write_text(TEMPLATE)
    (tmp_path / "train.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "train.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line]
    assert said[:3] == [
        (
            "hydra.sweeper._target_: hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper is another sweeper: "
            "leave it out, hydra/sweeper=vertex has its own"
        ),
        "hydra.sweeper.n_trials: is a setting of Optuna's sweeper: here it is hydra.sweeper.max_trial_count=20",
        (
            "hydra.sweeper.sampler: is a setting of Optuna's sweeper: here it is hydra.sweeper.algorithm=bayesian and "
            "hydra.sweeper.local.seed=1234"
        ),
    ]
    assert said[3:] in ([], ["Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace."])
    assert done.stdout == ""
