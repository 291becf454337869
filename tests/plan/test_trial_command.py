"""A trial's command is derived from how the sweep was started, and is a list of words that mean the same in a container."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.trial_command import Start, derive_command, trial_command


def started(folder: Path, argv: Sequence[str], *, options: Sequence[str] = (), module: str = "") -> Start:
    """`python OPTIONS ARGV…` in this folder, or `python OPTIONS -m MODULE …`."""
    main = ModuleType("__main__")
    main.__spec__ = ModuleSpec(module, None) if module else None
    program = ["-m", module.removesuffix(".__main__")] if module else argv[:1]
    return Start(list(argv), [sys.executable, *options, *program, *argv[1:]], main, sys.executable, folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "my app"
    for name in ("train.py", "src/train.py", "../outside.py"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


SWEEP = ["-m", "lr=1,2"]
CASES = {
    "script": (["train.py", *SWEEP], {}, ["python", "train.py"]),
    "script in a folder": (["src/train.py", *SWEEP], {}, ["python", "src/train.py"]),
    "script with a dot": (["./train.py", *SWEEP], {}, ["python", "train.py"]),
    "module": (["/x/pkg/train.py", *SWEEP], {"module": "pkg.train"}, ["python", "-m", "pkg.train"]),
    "package": (["/x/pkg/__main__.py", *SWEEP], {"module": "pkg.__main__"}, ["python", "-m", "pkg"]),
    "interpreter options": (["train.py", *SWEEP], {"options": ["-O", "-X", "dev"]}, ["python", "-O", "-X", "dev", "train.py"]),
    "config name": (["train.py", "--config-name", "sweep", *SWEEP], {}, ["python", "train.py", "--config-name", "sweep"]),
    "short config name": (["train.py", "-cn=sweep", *SWEEP], {}, ["python", "train.py", "--config-name", "sweep"]),
    "config path": (["train.py", "--config-path=../conf", *SWEEP], {}, ["python", "train.py", "--config-path", "../conf"]),
    "config dir": (["train.py", *SWEEP, "-cd", "./more"], {}, ["python", "train.py", "--config-dir", "more"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_command_is_what_started_the_sweep(folder: Path, case: str) -> None:
    argv, how, expected = CASES[case]
    start = started(folder, argv, **how)  # type: ignore[arg-type]  # a table of keyword arguments
    assert list(derive_command(start, portable=True)) == expected


def test_a_console_entry_point_is_called_by_its_name(folder: Path) -> None:
    script = folder / "bin" / "tune"
    script.parent.mkdir()
    script.touch()
    start = Start([str(script), *SWEEP], [sys.executable, str(script), *SWEEP], None, str(folder / "bin" / "python"), folder)
    assert derive_command(start, portable=True) == ("tune",)


def test_an_absolute_path_inside_the_working_directory_becomes_relative(folder: Path) -> None:
    assert derive_command(started(folder, [str(folder / "train.py")]), portable=True) == ("python", "train.py")


def test_a_script_outside_the_working_directory_stays_absolute_here_and_is_refused_for_a_container(folder: Path) -> None:
    start = started(folder, ["../outside.py"])
    assert derive_command(start, portable=False) == ("python", str((folder / "../outside.py").resolve()))
    with pytest.raises(InvalidSweep, match=r"outside the working directory.*trial\.command"):
        derive_command(start, portable=True)


@pytest.mark.parametrize("flag", ["--config-path=/etc/conf", "--config-dir=/etc/conf"])
def test_a_config_folder_elsewhere_is_refused_for_a_container(folder: Path, flag: str) -> None:
    with pytest.raises(InvalidSweep, match="/etc/conf is outside"):
        derive_command(started(folder, ["train.py", flag]), portable=True)


@pytest.mark.parametrize("argv", [[""], [], ["-c"]], ids=["notebook", "nothing", "python -c"])
def test_where_there_is_nothing_to_start_the_command_must_be_set(folder: Path, argv: list[str]) -> None:
    with pytest.raises(InvalidSweep, match=r"hydra\.sweeper\.trial\.command"):
        derive_command(started(folder, argv), portable=False)


FLAGGED = ["train.py", "--config-name=sweep", "-cp", "../conf", *SWEEP]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(None, "python train.py --config-path ../conf --config-name sweep", id="derived"),
        pytest.param("torchrun train.py", "torchrun train.py --config-path ../conf --config-name sweep", id="set"),
        pytest.param("python a.py -cn x", "python a.py -cn x --config-path ../conf", id="set, with its own config name"),
        pytest.param("python -m a", "python -m a --config-path ../conf --config-name sweep", id="set, a module"),
        pytest.param("a --config-path=y --config-name z", "a --config-path=y --config-name z", id="set, with both of its own"),
    ],
)
def test_the_flags_that_chose_the_config_stand_behind_any_command(folder: Path, given: str | None, expected: str) -> None:
    command = trial_command(given.split() if given else None, started(folder, FLAGGED), portable=True)
    assert " ".join(command) == expected


@pytest.mark.parametrize(
    "given", ["python train.py -m", "torchrun train.py --multirun", "tune --multirun", "python -m pkg --multirun"]
)
def test_a_command_that_would_sweep_in_each_trial_is_refused(folder: Path, given: str) -> None:
    with pytest.raises(InvalidSweep, match=r"hydra\.sweeper\.trial\.command: .* starts a sweep, and a trial is one run"):
        trial_command(given.split(), started(folder, ["train.py", *SWEEP]), portable=True)


def test_a_notebook_needs_a_command_and_takes_it_as_it_is(folder: Path) -> None:
    notebook = started(folder, ["/x/ipykernel_launcher.py", "-f", "/run/kernel.json"])
    assert trial_command(["python", "train.py"], notebook, portable=True) == ("python", "train.py")
