"""32 uneven trials on 4 slots, beside their total work divided by the slots, which no schedule could beat.

The trials sleep for 0.05 to 2.7 s, most of them for a short time: the cubes of evenly spaced numbers, in a fixed order that is
drawn once. A slot that waits for the slowest of a batch shows here, and what each trial costs beside its work.

    python bench/uneven.py [rounds]
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _figures import in_turn, tell_ratio

TRIALS, SLOTS = 32, 4
SHORTEST, LONGEST = 0.05, 2.7
APP = """
import time
import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    time.sleep(cfg.work)
    return cfg.work

if __name__ == "__main__":
    main()
"""


def draw_work() -> list[float]:
    """The seconds that each trial works, in the order of the trials."""
    spread = LONGEST - SHORTEST
    work = [round(SHORTEST + spread * (number / (TRIALS - 1)) ** 3, 4) for number in range(TRIALS)]
    random.Random(15).shuffle(work)  # noqa: S311 - an order, no secret
    return work


def sweep(script: Path, work: list[float]) -> float:
    """The wall time of one sweep. A grid goes through the work in its order."""
    words = [
        "hydra/sweeper=vertex",
        "hydra.sweeper.backend=local",
        "hydra.sweeper.algorithm=grid",
        f"hydra.sweeper.parallel_trial_count={SLOTS}",
        "hydra.sweeper.local.devices=none",
        f"+work=tag(categorical, choice({','.join(map(str, work))}))",
        f"hydra.sweep.dir={script.parent / str(time.time_ns())}",
    ]
    began = time.perf_counter()
    command = [sys.executable, str(script), "-m", *words]
    done = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return time.perf_counter() - began


def main(rounds: int) -> None:
    """The total is known; only the sweep is measured."""
    work = draw_work()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "app.py")
        script.write_text(APP, encoding="utf-8")
        found = in_turn(rounds, {"vertex, backend local": lambda: sweep(script, work)})
    found["total work ÷ slots"] = [sum(work) / SLOTS]
    tell_ratio(f"{TRIALS} uneven trials, {SLOTS} at a time", found, goal=1.4)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
