"""`make fuzz`: every property test with new examples; then drawn sweeps composed both ways, until enough was compared.

    python -m tests.fidelity.fuzz [--parameters 200000] [--seed SEED] [--workers 2]

Without a seed it draws one, and prints it: the same seed draws the same again. Every drawn sweep has a seed of its own,
`<seed>/<number>`, so that one of them can be looked at (`--case`). Exits with 1 where a property test failed or on the first
difference, and prints the smallest sweep that still shows it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import secrets
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from random import Random

from tests.fidelity.drawn import CONFIGS, KEYS, Case, Drawing
from tests.fidelity.oracle import SHIMS_OWN, check_elements_keep_their_values, composed, differences, draw_trial, planned
from tests.fidelity.rerun import draw_hydra_overrides, rerun_differences
from tests.support import App, app_in

ROOT = Path(__file__).parents[2]
CHUNK = 20
"""How many cases a worker composes before it says so."""

RERUNS = 0.25
"""The part of the trials that are run again by the command for the best one; each takes three more compositions."""


def failure(app: App, case: Case, seed: str, *, compose: bool) -> str:
    """What differs between the trial and what Hydra reads, or composes; nothing when they agree."""
    try:
        sweep = planned(case, app.loader)
        trial = draw_trial(sweep, Random(f"{seed} trial"))  # noqa: S311 - variety, not secrecy
    except AssertionError as error:
        return f"{error}"
    if len(trial.found) != len(trial.wanted):
        return f"{trial.found} and not {trial.wanted}"
    found = differences(trial) + check_elements_keep_their_values(case)
    if found or not compose:
        return "; ".join(found)
    ours, theirs = composed(app, [*trial.found, *SHIMS_OWN]), composed(app, trial.wanted)
    if ours != theirs:
        return f"{ours} and not {theirs}"
    dice = Random(f"{seed} rerun")  # noqa: S311
    if dice.random() > RERUNS:
        return ""
    overrides = [*draw_hydra_overrides(dice), *trial.found]
    return rerun_differences(app.folder / "conf", app.folder / "the sweep", sweep.agreed, overrides)


def smallest(app: App, case: Case, seed: str, *, compose: bool) -> Case:
    """The case less every override without which it still fails."""
    for written in case.written:
        fewer = case.without(written.line)
        if fewer.written and failure(app, fewer, seed, compose=compose):
            case = fewer
    return case


def compare(seeds: list[str]) -> tuple[int, str]:
    """How many overrides were compared, and the report of a failure."""
    warnings.simplefilter("ignore")  # Hydra 1.4 warns of what it will drop
    count = 0
    with tempfile.TemporaryDirectory() as folder, app_in(Path(folder), CONFIGS) as app:
        for seed in seeds:
            for compose in (True, False):
                # What Hydra reads and cannot compose is drawn where nothing is composed.
                case = Drawing(Random(seed), half=not compose).case()  # noqa: S311
                if failure(app, case, seed, compose=compose):
                    least = smallest(app, case, seed, compose=compose)
                    return count, f"case {seed}: {failure(app, least, seed, compose=compose)}\n{least!r}"
                count += len(case.written) if compose else 0
    return count, ""


def main() -> int:
    """Runs until enough was compared; 1 on a difference."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parameters", type=int, default=200_000)
    options.add_argument("--seed", default="")
    options.add_argument("--tests", default="tests", help="where the property tests are")
    options.add_argument("--workers", type=int, default=multiprocessing.cpu_count())
    options.add_argument("--case", help="the seed of one case, as a failure names it")
    given = options.parse_args()
    if given.case:
        _, report = compare([given.case])
        print(report or "no difference")
        return 1 if report else 0
    seed = given.seed or str(secrets.randbelow(10**9))
    print(f"seed {seed}; the same examples again: make fuzz SEED={seed}", flush=True)
    print("every property test, with new examples", flush=True)
    words = [*properties(seed, given.workers), given.tests]
    tested = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, check=False)
    code = compare_drawn(given.parameters, seed, given.workers) or int(tested.returncode != 0)
    if code:
        print(f"seed {seed} failed; the same examples again: make fuzz SEED={seed}", flush=True)
    return code


def properties(seed: str, workers: int) -> list[str]:
    """Pytest's arguments: all tests with drawn examples, and those that `make test` leaves out; drawn sweeps come below."""
    drawn = ["-m", "hypothesis or thorough", "--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}"]
    return [*drawn, "--quiet", f"--numprocesses={workers}", "--ignore=tests/fidelity/test_drawn_sweeps.py"]


def compare_drawn(parameters: int, seed: str, workers: int) -> int:
    """Compares so many overrides; 1 on a difference."""
    print(f"{parameters} overrides of drawn sweeps, on {workers} cores", flush=True)
    done, started = 0, time.monotonic()
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for count, report in pool.imap_unordered(compare, chunks(parameters, seed)):
            if report:
                print(f"\n{report}", flush=True)
                return 1
            done += count
            seconds = time.monotonic() - started
            print(f"\r{done} of {parameters} overrides compared, no difference, {seconds:.0f} s", end="", flush=True)
            if done >= parameters:
                break
    print()
    return 0


def chunks(parameters: int, seed: str) -> list[list[str]]:
    """The seeds of enough cases for so many overrides, in bundles for the workers."""
    bundles = -(-parameters // (CHUNK * KEYS))
    return [[f"{seed}/{CHUNK * bundle + number}" for number in range(CHUNK)] for bundle in range(bundles)]


if __name__ == "__main__":
    sys.exit(main())
