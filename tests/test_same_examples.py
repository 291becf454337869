"""`make test` draws the same examples in every run, whatever ran before; `make fuzz` new ones, and the same for its seed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from tests.fidelity import fuzz

ROOT = Path(__file__).parents[1]


def drawn(profile: str = "same", start: int | None = None) -> list[tuple[object, ...]]:
    """What a property test of this profile sees; `start` as pytest's `--hypothesis-seed` sets it."""
    seen: list[tuple[object, ...]] = []

    @settings(parent=settings.get_profile(profile), max_examples=200)
    @given(st.floats(), st.integers(), st.text(), st.randoms(use_true_random=False))
    def probe(one: float, two: int, three: str, dice: Random) -> None:
        seen.append((repr(one), two, three, dice.random()))

    (probe if start is None else seed(start)(probe))()
    return seen


def test_a_module_that_was_loaded_meanwhile_changes_no_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = drawn()
    constants = "\n".join(f"c{number} = ({number}.25, {number}777, 'text {number}')" for number in range(1000, 1200))
    (tmp_path / "full_of_constants.py").write_text(constants)
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("full_of_constants")
    assert drawn() == before


def test_another_process_draws_the_same_examples() -> None:
    code = "import conftest, test_same_examples as here; print(here.drawn(), sorted(dir(here)))"
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0].startswith(str(drawn()))


def test_fuzzing_draws_by_its_seed() -> None:
    assert drawn("fuzz", 1) == drawn("fuzz", 1)
    assert drawn("fuzz", 1) != drawn("fuzz", 2)
    assert drawn("fuzz") != drawn("fuzz")


def test_where_it_runs_changes_no_profile() -> None:
    """Hypothesis reads the variables of CI services when it is imported, and changes what profiles inherit."""
    code = "import conftest, hypothesis; print([repr(hypothesis.settings.get_profile(each)) for each in ('same', 'fuzz')])"
    plain = {name: value for name, value in os.environ.items() if name not in {"CI", "GITHUB_ACTIONS", "TF_BUILD"}}
    here, there = (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        for environment in (
            {**plain, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])},
            {
                **plain,
                "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)]),
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "TF_BUILD": "true",
            },
        )
    )
    assert here == there
    assert "derandomize=True" in here
    assert "derandomize=False" in here


def test_fuzzing_says_how_to_draw_the_same_again(tmp_path: Path) -> None:
    # A folder of its own, where no test can be this one: pytest fails where it finds none.
    program = [sys.executable, "-m", "tests.fidelity.fuzz", "--parameters=0", "--workers=1", f"--tests={tmp_path}"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}"}
    ran = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    first, *_, last = ran.stdout.splitlines()
    (number,) = set(re.findall(r"SEED=(\d+)", ran.stdout))
    assert first == f"seed {number}; the same examples again: make fuzz SEED={number}"
    assert last == f"seed {number} failed; the same examples again: make fuzz SEED={number}"
    assert f"--hypothesis-seed={number}" in fuzz.properties(number, workers=1)
