"""Hydra 1.4's execution whitelist: an app that does not allow our callback hears of it before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import hydra
import pytest

ROOT = Path(__file__).parents[2]
CALLBACK = "vertex_sweeper_runtime.metric_callback.ReportMetrics"

pytestmark = pytest.mark.skipif(hydra.__version__.startswith("1.3."), reason="Hydra 1.3 has no execution whitelist")


def sweep(folder: Path, whitelist: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("optuna", reason="backend local needs the extra [local]")
    (folder / "train.py").write_text(
        "import hydra\n\n"
        f"@hydra.main(version_base=None, config_path=None, execution_whitelist={whitelist})\n"
        "def main(cfg):\n    return cfg.x\n\nmain()\n"
    )
    words = ["-m", "hydra/sweeper=vertex", "hydra.sweeper.backend=local", "+x=1,2", "hydra.sweeper.algorithm=grid"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    return subprocess.run(
        [sys.executable, "train.py", *words, "hydra.sweep.dir=sweep"],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )


def test_a_whitelist_without_our_callback_is_refused_with_what_to_add(tmp_path: Path) -> None:
    done = sweep(tmp_path, "['pathlib.Path']")
    assert done.returncode == 1
    assert f"add '{CALLBACK}' to @hydra.main(execution_whitelist=" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "sweep").exists()


def test_a_whitelist_with_our_callback_lets_the_metric_through(tmp_path: Path) -> None:
    done = sweep(tmp_path, f"['{CALLBACK}']")
    assert done.returncode == 0, done.stderr + done.stdout
    assert (tmp_path / "sweep" / "best.yaml").exists()
