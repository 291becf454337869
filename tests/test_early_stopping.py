"""The page's example of an app that reports while it trains: a whole sweep here that stops a trial early."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

MODEL = """
import signal

def train_epoch(cfg, epoch):
    if cfg.lr > 0.5 and epoch > 1:
        signal.pause()  # only a signal ends this training
    return 1 - (cfg.lr - 0.3) ** 2 - 1 / epoch
"""


def blocks(language: str) -> list[str]:
    section = PAGE.partition("\n## Early stopping\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def test_the_example_stops_the_trial_that_falls_behind_and_keeps_what_it_had_reported(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="backend local needs the extra [local]")
    pytest.importorskip("hypertune")
    (program,), (settings,) = blocks("python"), blocks("yaml")
    (tmp_path / "train.py").write_text(program)
    (tmp_path / "model.py").write_text(MODEL)
    section = "".join(f"    {line}\n" for line in settings.splitlines())
    config = f"defaults: [{{override hydra/sweeper: vertex}}, _self_]\nlr: 0.1\nepochs: 3\nhydra:\n  sweeper:\n{section}"
    (tmp_path / "config.yaml").write_text(config)
    words = ["hydra.sweeper.backend=local", "hydra.sweeper.algorithm=grid", "hydra.sweeper.parallel_trial_count=1"]
    words += ["hydra.sweeper.max_failed_trial_count=1", "hydra.sweep.dir=sweep", "lr=0.3,0.9,0.4"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "train.py", "-m", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    with (tmp_path / "sweep" / "trials.csv").open(newline="", encoding="utf-8") as lines:
        rows = {row["lr"]: row for row in csv.DictReader(lines)}
    assert {lr: row["state"] for lr, row in rows.items()} == dict.fromkeys(["0.3", "0.4", "0.9"], "SUCCEEDED")
    assert float(rows["0.9"]["accuracy"]) == 1 - (0.9 - 0.3) ** 2 - 1
    assert float(rows["0.3"]["accuracy"]) == 1 - 1 / 3
    assert "Trial 3 is stopped early: its best accuracy so far is -0.36, the median" in done.stdout
