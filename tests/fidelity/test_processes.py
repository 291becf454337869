"""Drawn sweeps through real processes: the local service with a hostile rendering, the shim, and a real Hydra app."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support import app_in, every

pytest.importorskip("optuna", reason="backend local needs the extra [local]")

from tests.fidelity.drawn import CONFIGS, Drawing
from tests.fidelity.oracle import Sweep, composed, planned, wanted_overrides
from vertex_sweeper.api import Job, JobState
from vertex_sweeper.job import build_contract, build_job
from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.parameter_tree import Choice, walk
from vertex_sweeper.settings import SearchAlgorithm, Settings
from vertex_sweeper.space.search_space import SearchSpace
from vertex_sweeper.testing import HostileRendering

ROOT = Path(__file__).parents[2]
SWEEPS, TRIALS = 3, 8
APP = """
import json
import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    hydra_config = OmegaConf.to_container(HydraConfig.get(), resolve=False)
    seen = repr(OmegaConf.to_container(cfg)), repr(hydra_config["overrides"]["task"]), hydra_config["job"]["override_dirname"]
    with open(f"seen-{hydra_config['job']['num']}.json", "w") as file:
        json.dump(seen, file)
    return 1.0

if __name__ == "__main__":
    main()
"""


def job_of(sweep: Sweep, seed: int) -> Job:
    """The drawn sweep as a job that runs this app."""
    space = SearchSpace(sweep.agreed.parameters, sweep.agreed.sequence)
    how = Settings(algorithm=SearchAlgorithm.RANDOM, max_trial_count=TRIALS, parallel_trial_count=2)
    agreed = build_contract(how, space, command=["python", "train.py"])
    return build_job(how, space, agreed, display_name="drawn", sweep_id=str(seed))


@pytest.mark.parametrize("seed", every(SWEEPS, range(SWEEPS)))
def test_the_app_sees_what_hydra_composes_for_the_same_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    folder = tmp_path / "it's an app"
    folder.mkdir()
    (folder / "train.py").write_text(APP)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{ROOT}")
    with app_in(folder, CONFIGS) as app:
        sweep = planned(Drawing(Random(seed), half=False).case(), app.loader)  # noqa: S311 - variety, not secrecy
        job = ran(job_of(sweep, seed), tmp_path / "work", seed)
        assert job["state"] == JobState.SUCCEEDED.value, list(logs(tmp_path / "work"))
        for trial in job["trials"]:
            wanted = composed(app, wanted_overrides(sweep, choices_of(sweep, trial)))
            seen = json.loads((folder / f"seen-{trial['id']}.json").read_text())
            assert tuple(seen) == wanted


def ran(job: Job, folder: Path, seed: int) -> Job:
    """The job's last snapshot."""
    with LocalService(lambda _: folder, seed=seed, rendering=HostileRendering(seed)) as service:
        created = service.create("projects/p/locations/l", job)
        while not JobState(created["state"]).ended:
            service.wait_for_change(60)
            created = service.get(created["name"])
        return created


def choices_of(sweep: Sweep, trial: dict[str, Any]) -> dict[str, Choice]:
    """What the service says it chose, by parameter id."""
    parameters = {parameter.id: parameter for parameter in walk(sweep.parameters)}
    chosen = {entry["parameterId"]: entry["value"] for entry in trial["parameters"]}
    whole = {id: int(value) if parameters[id].kind.value == "INTEGER" else value for id, value in chosen.items()}
    return {id: Choice(parameters[id], value) for id, value in whole.items()}


def logs(folder: Path) -> list[str]:
    """What the trials printed."""
    return [path.read_text(errors="replace")[-1500:] for path in sorted(folder.glob("logs/*.log"))]
