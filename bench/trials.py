"""32 empty trials on 4 slots: backend local beside Hydra's Optuna sweeper with its joblib launcher, in the same run.

What is measured is what a sweep costs beside its trials: starting them, reporting, and refilling slots. Prints the medians of
the whole commands' wall times in seconds, and the ratio. `python bench/trials.py [rounds]`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRIALS, SLOTS = 32, 4
APP = """
import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    return cfg.x

main()
"""
OURS = [
    "hydra/sweeper=vertex",
    "hydra.sweeper.backend=local",
    f"hydra.sweeper.max_trial_count={TRIALS}",
    f"hydra.sweeper.parallel_trial_count={SLOTS}",
]
THEIRS = [
    "hydra/sweeper=optuna",
    "hydra/launcher=joblib",
    f"hydra.sweeper.n_trials={TRIALS}",
    f"hydra.sweeper.n_jobs={SLOTS}",
    f"hydra.launcher.n_jobs={SLOTS}",
]


def seconds(folder: Path, words: list[str]) -> float:
    """The wall time of one sweep; a sweep that fails ends the bench."""
    began = time.perf_counter()
    sweep = [sys.executable, "app.py", "-m", "+x=interval(0, 1)", f"hydra.sweep.dir={folder / str(time.time_ns())}", *words]
    done = subprocess.run(sweep, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        sys.exit(f"{' '.join(sweep)} failed:\n{done.stderr}")
    return time.perf_counter() - began


def main(rounds: int) -> None:
    """Alternate between the two, so that a noisy neighbour meets both."""
    times: dict[str, list[float]] = {"vertex, backend local": [], "optuna with joblib": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "app.py").write_text(APP, encoding="utf-8")
        for _ in range(rounds):
            for (_, found), words in zip(times.items(), (OURS, THEIRS), strict=True):
                found.append(seconds(folder, words))
    medians = [statistics.median(found) for found in times.values()]
    for label, median in zip(times, medians, strict=True):
        print(f"{label:24} {median:6.2f} s for {TRIALS} empty trials, {SLOTS} at a time")
    print(f"ratio {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
