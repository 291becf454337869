"""32 trials on 4 slots: backend local beside Hydra's Optuna sweeper with its joblib launcher, in the same run.

Once the trials are empty, so that what is measured is what a sweep costs beside its trials: starting them, reporting, and
refilling slots. Once the app imports scikit-learn, as an app does, and returns. Prints the medians of the whole commands' wall
times in seconds, and the ratios; needs hydra-optuna-sweeper, hydra-joblib-launcher and scikit-learn.

    python bench/trials.py [rounds]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from _figures import in_turn, tell_ratio

TRIALS, SLOTS = 32, 4
APP = """
import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    return cfg.x

if __name__ == "__main__":
    main()
"""
LEARNS = f"import sklearn.datasets, sklearn.linear_model, sklearn.model_selection, sklearn.svm\n{APP}"
OURS = [
    "hydra/sweeper=vertex",
    "hydra.sweeper.backend=local",
    f"hydra.sweeper.max_trial_count={TRIALS}",
    f"hydra.sweeper.parallel_trial_count={SLOTS}",
    "hydra.sweeper.local.devices=none",
]
THEIRS = [
    "hydra/sweeper=optuna",
    "hydra/launcher=joblib",
    f"hydra.sweeper.n_trials={TRIALS}",
    f"hydra.sweeper.n_jobs={SLOTS}",
    f"hydra.launcher.n_jobs={SLOTS}",
]


def seconds(script: Path, words: list[str]) -> float:
    """The wall time of one sweep; a sweep that fails ends the script."""
    began = time.perf_counter()
    directory = script.parent / str(time.time_ns())
    sweep = [sys.executable, str(script), "-m", "+x=interval(0, 1)", f"hydra.sweep.dir={directory}", *words]
    done = subprocess.run(sweep, cwd=script.parent, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        sys.exit(f"{' '.join(sweep)} failed:\n{done.stderr}")
    return time.perf_counter() - began


def compare(what: str, app: str, *, rounds: int, goal: float) -> None:
    """Has both sweep the app in turn, after a sweep of each that does not count: bytecode, and what the disk keeps ready."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "app.py")
        script.write_text(app, encoding="utf-8")
        words = {"vertex, backend local": OURS, "optuna with joblib": THEIRS}
        sweeps = {name: partial(seconds, script, settings) for name, settings in words.items()}
        in_turn(1, sweeps)
        tell_ratio(what, in_turn(rounds, sweeps), goal=goal)


def main(rounds: int) -> None:
    """Both apps."""
    compare(f"{TRIALS} empty trials, {SLOTS} at a time", APP, rounds=rounds, goal=0.6)
    compare(f"{TRIALS} trials that import scikit-learn, {SLOTS} at a time", LEARNS, rounds=rounds, goal=0.7)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
