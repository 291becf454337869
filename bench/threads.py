"""Trials that compute with BLAS, 4 at a time: with the threads that backend local gives them, and with one for each core.

Each trial fits random forests on the principal components of a matrix: LAPACK and products of matrices, as scikit-learn has
them everywhere. Without `OMP_NUM_THREADS` a trial is told cores ÷ slots; with it set to the number of cores, a trial starts as
many threads as it would by itself. Prints the medians of the whole sweeps' wall times, and the ratio.

    python bench/threads.py [rounds]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from _figures import in_turn, tell_ratio

TRIALS, SLOTS = 8, 4
APP = """
import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    import numpy
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline

    random = numpy.random.default_rng(0)
    images, labels = random.normal(size=(1500, 900)), random.integers(0, 10, 1500)
    for seed in range(4):
        model = make_pipeline(PCA(200, svd_solver="full"), RandomForestClassifier(5, random_state=seed))
        model.fit(images, labels)
    return float(model.score(images, labels)) + cfg.x

if __name__ == "__main__":
    main()
"""


def sweep(script: Path, limits: dict[str, str]) -> float:
    """The wall time of one sweep."""
    words = [
        "hydra/sweeper=vertex",
        "hydra.sweeper.backend=local",
        f"hydra.sweeper.max_trial_count={TRIALS}",
        f"hydra.sweeper.parallel_trial_count={SLOTS}",
        "hydra.sweeper.local.devices=none",
        "+x=interval(0, 1)",
        f"hydra.sweep.dir={script.parent / str(time.time_ns())}",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")} | limits
    began = time.perf_counter()
    command = [sys.executable, str(script), "-m", *words]
    done = subprocess.run(command, cwd=script.parent, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        sys.exit(f"the sweep failed:\n{done.stderr}")
    return time.perf_counter() - began


def main(rounds: int) -> None:
    """Both in turn, after one of each that does not count."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "app.py")
        script.write_text(APP, encoding="utf-8")
        sweeps = {
            "cores ÷ slots threads each": partial(sweep, script, {}),
            "a thread for each core": partial(sweep, script, {"OMP_NUM_THREADS": str(cores)}),
        }
        in_turn(1, sweeps)
        tell_ratio(f"{TRIALS} trials with BLAS, {SLOTS} at a time on {cores} cores", in_turn(rounds, sweeps))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
