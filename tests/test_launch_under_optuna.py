"""Hydra's Optuna sweeper above our launcher: it chooses values here, and its trials are custom jobs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from tests.emulated import OUTPUT, VERTEX, emulated
from tests.test_launch import LaunchedApp

SWEEPERS = Path(sys.prefix) / "sweepers"
pytestmark = pytest.mark.skipif(
    not (SWEEPERS / "hydra_plugins" / "hydra_optuna_sweeper").is_dir(),
    reason=f"hydra-optuna-sweeper is not in {SWEEPERS}, where `make` puts it",
)
OPTUNA = ("hydra/sweeper=optuna", "hydra.sweeper.sampler.seed=1")
EIGHT = ("hydra.sweeper.n_trials=8", "hydra.sweeper.n_jobs=4", "lr=interval(0.0,1.0)", "batch=8,16")


@pytest.fixture
def app(tmp_path: Path) -> LaunchedApp:
    app = LaunchedApp(tmp_path)
    app.paths.append(SWEEPERS)
    return app


def check_eight(app: LaunchedApp) -> None:
    """Optuna's best is the best of what the eight jobs returned for what they were given."""
    jobs = app.jobs()
    assert list(jobs) == list(range(8))
    assert {row["state"] for row in jobs.values()} == {"SUCCEEDED"}
    returned = {number: json.loads(row["returned"]) for number, row in jobs.items()}
    best = min(returned, key=lambda number: returned[number])
    found = yaml.safe_load((app.directory / "optimization_results.yaml").read_text())
    assert found["best_value"] == returned[best]
    given = jobs[best]["overrides"]
    assert all(f"{name}={value}" in given for name, value in found["best_params"].items())


def test_eight_trials_on_this_machine(app: LaunchedApp) -> None:
    app.launch(*OPTUNA, *EIGHT)
    check_eight(app)


def test_eight_trials_on_the_emulator(app: LaunchedApp, monkeypatch: pytest.MonkeyPatch) -> None:
    with emulated(app, monkeypatch):
        app.launch(*OPTUNA, *EIGHT, OUTPUT, to=VERTEX)
    check_eight(app)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_job_that_fails_is_a_failed_trial_and_the_sweep_ends_above_the_rate(app: LaunchedApp, rate: float) -> None:
    app.write_body(
        """
        from hydra.core.hydra_config import HydraConfig
        if HydraConfig.get().job.num == 1: raise ValueError("no such lr")
        return cfg.lr
        """
    )
    two_by_two = ["hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2", f"hydra.sweeper.max_failure_rate={rate}"]
    output = app.launch(*OPTUNA, *two_by_two, "lr=interval(0.0,1.0)", code=0 if rate else 1)
    assert "Failed experiment: job 1: ValueError: no such lr" in output
    assert list(app.jobs()) == list(range(4 if rate else 2))
    assert (app.directory / "optimization_results.yaml").exists() == bool(rate)


def test_without_a_place_for_values_it_is_refused_in_one_line(app: LaunchedApp) -> None:
    output = app.launch(*OPTUNA, "lr=interval(0.0,1.0)", to=VERTEX, code=1)
    line = (
        "hydra.launcher.vertex.base_output_directory: hydra/sweeper=optuna needs what the jobs return, and that comes back by "
        "way of a gs:// folder: set one"
    )
    assert line in output
    assert "Traceback" not in output
    assert not (app.directory / "jobs").exists()
