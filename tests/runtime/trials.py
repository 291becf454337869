"""Real trials: the shim as a process, before real commands, in a folder with an awkward name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vertex_sweeper_runtime import contract, contract_document
from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, Slot

SOURCES = Path(__file__).parents[2] / "src"
SHIM = (sys.executable, "-m", "vertex_sweeper_runtime")
PATIENCE = 60

HYDRA_APP = """
import hydra, json, logging, math, os, sys
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

@hydra.main(version_base=None, config_path=None)
def main(cfg):
{task}

if __name__ == "__main__":
    main()
"""


class TrialRunner:
    """A folder to run trials in, and the environment that Vertex would give them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metric_file = folder / "metrics" / "output.metrics"
        self.sweep_directory = folder / "multirun of today"
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(SOURCES),
            "HOME": str(folder),
            "CLOUD_ML_TRIAL_ID": "3",
            "CLOUD_ML_JOB_ID": "4711",
            "CLOUD_ML_HP_METRIC_FILE": str(self.metric_file),
            "VERTEX_SWEEPER_SWEEP_DIR": str(self.sweep_directory),
        }
        self.started: list[subprocess.Popen[str]] = []

    def script(self, code: str, *, name: str = "train.py") -> Path:
        """Writes a plain Python script."""
        path = self.folder / name
        path.write_text(textwrap.dedent(code), encoding="utf-8")
        return path

    def app(self, task: str, *, name: str = "train.py") -> Path:
        """Writes a Hydra app whose task is this code."""
        return self.script(HYDRA_APP.format(task=textwrap.indent(textwrap.dedent(task), "    ")), name=name)

    def start(
        self, *arguments: object, agreed: Contract | None = None, environment: Mapping[str, str] | None = None, **more: Any
    ) -> subprocess.Popen[str]:
        """Starts the shim with these arguments."""
        complete = {**self.environment, **(environment or {})}
        if agreed is not None:
            complete[contract.VARIABLE] = contract_document.encode(agreed)
        shim = more.pop("shim", SHIM)
        process = subprocess.Popen(
            [*shim, *map(str, arguments)],
            cwd=self.folder,
            env=complete,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            **more,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: object, **settings: Any) -> tuple[int, str, list[str]]:
        """Runs the shim to its end: exit code, standard output, and the shim's own lines."""
        process = self.start(*arguments, **settings)
        output, errors = process.communicate(timeout=PATIENCE)
        self.errors = errors
        prefix = "vertex-trial: "
        return (
            process.returncode,
            output,
            [line.removeprefix(prefix) for line in errors.splitlines() if line.startswith(prefix)],
        )

    def metrics(self) -> list[dict[str, Any]]:
        """The metric file's lines."""
        return [json.loads(line) for line in self.metric_file.read_text(encoding="utf-8").splitlines()]


def sweep(*command: object, metrics: tuple[str, ...] = ("val_acc",), **more: Any) -> Contract:
    """A contract with one parameter of each kind, one of them conditional, between two fixed overrides."""
    return Contract(
        command=tuple(map(str, command)),
        sequence=("+seed=1", Slot("lr"), Slot("layers"), Slot("batch"), Slot("optimizer"), Slot("momentum"), "+name='a b'"),
        parameters=(
            Parameter(id="lr", key="+lr", kind=Kind.DOUBLE, low=1e-5, high=0.1),
            Parameter(id="layers", key="+layers", kind=Kind.INTEGER, low=1, high=8),
            Parameter(id="batch", key="+batch", kind=Kind.DISCRETE, values=(16, 32), literals=("16", "32")),
            Parameter(
                id="optimizer", key="+optimizer", kind=Kind.CATEGORICAL, values=("sgd", "adam"), literals=("sgd", "'adam, w'")
            ),
            Parameter(
                id="momentum",
                key="+momentum",
                kind=Kind.DOUBLE,
                low=0.0,
                high=1.0,
                when=contract.Condition(parent="optimizer", values=("sgd",)),
            ),
        ),
        metrics=metrics,
        **more,
    )


FIXED = ("+seed=1", "+name='a b'")
FLAGS = ("--lr=0.01", "--layers=3.0", "--batch=32.0", "--optimizer=adam")
OVERRIDES = ["+seed=1", "+lr=0.01", "+layers=3", "+batch=32", "+optimizer='adam, w'", "+name='a b'"]
