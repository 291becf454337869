"""The example app is an ordinary Hydra app: it runs without us and does not know us."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode

from tests.support import App, thorough

APP = Path(__file__).resolve().parents[1] / "example_app"

needs_sklearn = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="needs scikit-learn")


def run_app(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "HYDRA"))}
    command = [sys.executable, "-W", "ignore", str(APP / "train.py"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@needs_sklearn
@pytest.mark.parametrize(
    ("arguments", "low", "high"),
    [
        pytest.param(["model=mlp"], 0.93, 0.999, id="mlp"),
        thorough(pytest.param(["model=linear"], 0.90, 0.99, id="linear")),
        thorough(pytest.param(["model=svm"], 0.95, 1.0, id="svm")),
        thorough(pytest.param(["model=svm", "model.gamma=100"], 0.05, 0.40, id="svm that is set badly")),
    ],
)
def test_a_plain_run_learns_to_read_digits(arguments: list[str], low: float, high: float, tmp_path: Path) -> None:
    result = run_app(*arguments, folder=tmp_path)
    assert result.returncode == 0, result.stderr
    found = re.search(r"validation accuracy (\d\.\d+)", result.stdout)
    assert found, result.stdout
    assert low < float(found[1]) < high


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> App:
    """Its configs and its schema, without the app itself."""
    monkeypatch.syspath_prepend(str(APP))
    importlib.import_module("schema").register_schema()
    GlobalHydra.instance().clear()
    loader = Hydra.create_main_hydra2("train", create_config_search_path(str(APP / "conf"))).config_loader
    GlobalHydra.instance().clear()
    return App(loader, tmp_path)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        pytest.param("model.lr=fast", "could not be converted to Float", id="a type"),
        pytest.param("data.scaling=log", "expected one of [none, minmax, standard]", id="an option of an enum"),
        pytest.param("model.gamma=1", "Key 'gamma' not in 'Mlp'", id="a key of another model"),
        pytest.param("model=forest", "Could not find 'model/forest'", id="a model that there is none of"),
    ],
)
def test_the_schema_refuses_what_the_model_cannot_take(app: App, override: str, complaint: str) -> None:
    with pytest.raises(HydraException) as caught:
        app.run([override])
    assert complaint in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("path", sorted(APP.glob("*.py")), ids=lambda path: path.name)
def test_its_code_has_nothing_of_ours(path: Path) -> None:
    assert "vertex" not in path.read_text(encoding="utf-8").lower()


@pytest.mark.parametrize(
    ("config_name", "overrides"),
    [
        pytest.param("sweep", [], id="the sweep config"),
        pytest.param("config", ["hparams_search=vertex"], id="the form of lightning-hydra-template"),
    ],
)
def test_a_sweep_config_selects_the_sweeper_and_multirun(app: App, config_name: str, overrides: list[str]) -> None:
    config = app.loader.load_configuration(config_name, overrides, run_mode=RunMode.RUN, from_shell=True)
    assert config.hydra.sweeper._target_ == "hydra_plugins.vertex_sweeper.sweeper.VertexSweeper"
    assert config.hydra.mode == RunMode.MULTIRUN
    assert config.hydra.sweeper.metrics == {"val_acc": "maximize"}


def test_each_model_brings_its_own_search_space(app: App) -> None:
    plan = app.plan(config_name="sweep")
    options = plan.contract.parameter("model").literals
    assert options == ("linear", "svm", "mlp")
    brought = {when.values[0] for parameter in plan.contract.parameters if (when := parameter.when) and when.parent == "model"}
    assert brought == set(options)
    assert "model.gamma" in {parameter.key for parameter in plan.contract.parameters}
    assert [item for item in plan.contract.sequence if isinstance(item, str)] == []
