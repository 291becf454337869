"""A trial's command is derived only from a process that was started with this sweep's own words."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import hydra
import pytest

from tests.support import LOCAL, App, app_in, start_of
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.plan import make_plan
from vertex_sweeper.plan.process_arguments import CommandLine, host_of, hydra_flags, split_command_line

SWEPT = "lr=interval(0, 1)"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("python train.py -m lr=1,2", ((), ("train.py",), ("-m", "lr=1,2")), id="a script"),
        pytest.param("python -m pkg.train -m lr=1", ((), ("-m", "pkg.train"), ("-m", "lr=1")), id="a module"),
        pytest.param("python -mpkg -m", ((), ("-m", "pkg"), ("-m",)), id="a module, glued"),
        pytest.param("python -Im pkg -m", (("-I",), ("-m", "pkg"), ("-m",)), id="an option glued to -m"),
        pytest.param("python -Impkg -m", (("-I",), ("-m", "pkg"), ("-m",)), id="all glued"),
        pytest.param("python -O -X dev t.py a", (("-O", "-X", "dev"), ("t.py",), ("a",)), id="options"),
        pytest.param("python -OXdev -Wignore t.py -m", (("-OX", "dev", "-W", "ignore"), ("t.py",), ("-m",)), id="glued values"),
        pytest.param("python -uW error t.py", (("-uW", "error"), ("t.py",), ()), id="the last of several takes the next word"),
        pytest.param("python -c code -m x", ((), ("-c", "code"), ("-m", "x")), id="-c"),
        pytest.param("python -bc code -m", (("-b",), ("-c", "code"), ("-m",)), id="-c, glued"),
        pytest.param("python - -m x", ((), ("-",), ("-m", "x")), id="stdin"),
        pytest.param("python -- -m.py -m", ((), ("-m.py",), ("-m",)), id="a script behind --"),
        pytest.param(
            "python --check-hash-based-pycs never t.py a",
            (("--check-hash-based-pycs", "never"), ("t.py",), ("a",)),
            id="a long one",
        ),
        pytest.param("python", ((), (), ()), id="nothing"),
        pytest.param("python -m", ((), ("-m",), ()), id="cut off"),
        pytest.param("", ((), (), ()), id="not known"),
    ],
)
def test_a_command_line_is_read_as_the_interpreter_reads_it(words: str, expected: tuple[tuple[str, ...], ...]) -> None:
    assert split_command_line(words.split()) == CommandLine(*expected)


@pytest.mark.parametrize(
    ("program", "host"),
    [
        (("/usr/bin/pytest",), "pytest"),
        (("/opt/py.test",), "pytest"),
        (("-m", "pytest"), "pytest"),
        (("-m", "unittest"), "unittest"),
        (("-m", "unittest.__main__"), "unittest"),
        (("-m", "ipykernel_launcher"), "a notebook"),
        (("/x/site-packages/ipykernel_launcher.py",), "a notebook"),
        (("-m", "ipykernel"), "a notebook"),
        (("/x/colab_kernel_launcher.py",), "a notebook"),
        (("/usr/bin/ipython3",), "IPython"),
        (("train.py",), ""),
        (("-m", "my_pytest.train"), ""),
        (("-m",), ""),
        ((), ""),
    ],
)
def test_a_program_that_would_not_start_the_app_is_known(
    program: Sequence[str], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST", raising=False)
    monkeypatch.delenv("PYTEST_VERSION", raising=False)
    assert host_of(program) == host


def test_this_process_is_one_of_pytest() -> None:
    assert host_of(("train.py",)) == "pytest"


@pytest.mark.parametrize(
    "words", [["--co"], ["-c", "pytest.ini"], ["--version"], ["--config-name"], ["-f", "/run/kernel.json"]]
)
def test_flags_of_another_program_are_none_of_hydras_and_nothing_is_said_of_them(
    words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    found = hydra_flags(words)
    assert (found.config_name, found.multirun) == (None, False)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    configs = {
        "config": "lr: 0.1\nbatch: 8\nname: a\n",
        "multi": "lr: 0.1\nhydra: {mode: MULTIRUN}\n",
        "aliases": "model: {lr: 0.1}\nhydra: {aliases: {lr: model.lr}}\n",
    }
    with app_in(tmp_path, configs) as app:
        yield app


def refused(app: App, given: Sequence[str], words: Sequence[str], *, config: str = "config", host: str = "") -> tuple[str, ...]:
    """The mistakes of a sweep with these overrides in a process that was started with these words; none when it was planned."""
    composed = app.multirun([*LOCAL, *given], config)
    start = start_of(app.folder, *words)
    tasks = [str(line) for line in composed.hydra.overrides.task]
    command = type(start)(start.argv, start.original, None, start.executable, app.folder, host)
    try:
        plan = make_plan(SweepContext.of(tasks, config=composed, config_loader=app.loader, start=command))
    except InvalidSweep as error:
        return error.mistakes
    assert plan.contract.command == ("python", "train.py")
    return ()


@pytest.mark.parametrize(
    ("given", "words", "config"),
    [
        pytest.param([SWEPT], ["-m", *LOCAL, SWEPT], "config", id="-m"),
        pytest.param([SWEPT], [*LOCAL, SWEPT, "--multirun"], "config", id="--multirun, behind"),
        pytest.param([SWEPT], ["--multi", SWEPT], "config", id="shortened, and the sweeper chosen by the script"),
        pytest.param([SWEPT, "batch=4"], ["-m", "batch=4", SWEPT], "config", id="in another order"),
        pytest.param([SWEPT, "name='a b'"], ["-m", SWEPT, "name='a b'"], "config", id="quoted"),
        pytest.param([SWEPT, "hydra.mode=MULTIRUN"], ["hydra.mode=MULTIRUN", *LOCAL, SWEPT], "config", id="hydra.mode"),
        pytest.param([SWEPT], [*LOCAL, SWEPT], "multi", id="the app's config says it"),
        pytest.param([SWEPT], ["-m", *LOCAL, SWEPT, "--data", "x", "--gpu=1"], "config", id="words that the script took away"),
    ],
)
def test_a_sweep_whose_words_started_the_process_has_a_command(
    app: App, given: list[str], words: list[str], config: str
) -> None:
    assert refused(app, given, words, config=config) == ()


@pytest.mark.parametrize(
    ("given", "words", "config", "lack"),
    [
        pytest.param([SWEPT], [], "config", "--multirun (-m), lr", id="nothing"),
        pytest.param([SWEPT], [SWEPT], "config", "--multirun (-m)", id="no flag"),
        pytest.param([SWEPT, "hydra.mode=MULTIRUN"], [SWEPT], "config", "--multirun (-m)", id="the mode is the script's"),
        pytest.param([SWEPT], ["-m"], "config", "lr", id="no override"),
        pytest.param([SWEPT], [], "multi", "lr", id="the config says it, the override is the script's"),
        pytest.param([SWEPT, "batch=4"], ["-m", SWEPT, "batch=5"], "config", "batch", id="another value"),
        pytest.param([SWEPT, "batch=4", "batch=4"], ["-m", SWEPT, "batch=4"], "config", "batch", id="once, and used twice"),
        pytest.param([SWEPT], ["-m", "lr=interval(0,1)"], "config", "lr", id="another spelling"),
        pytest.param([SWEPT, "batch=4", "name=b", "+a=1", "+b=2"], ["-m"], "config", "lr, batch, name and 2 more", id="many"),
    ],
)
def test_a_sweep_that_a_script_made_up_has_none_and_the_line_names_what_to_set(
    app: App, given: list[str], words: list[str], config: str, lack: str
) -> None:
    said = "a trial's command cannot be derived, as the arguments that started this process lack"
    expected = f"{said} {lack}: set hydra.sweeper.trial.command, as in [python, train.py]"
    assert refused(app, given, words, config=config) == (expected,)
    assert refused(app, [*given, "hydra.sweeper.trial.command=[python,train.py]"], words, config=config) == ()


@pytest.mark.skipif(hydra.__version__.startswith("1.3."), reason="Hydra 1.3 has no aliases")
def test_an_alias_on_the_command_line_is_the_override_that_it_stands_for(app: App) -> None:
    assert refused(app, [SWEPT], ["-m", *LOCAL, SWEPT], config="aliases") == ()
    assert "lack model.lr:" in refused(app, [SWEPT], ["-m", *LOCAL], config="aliases")[0]


@pytest.mark.parametrize("host", ["pytest", "a notebook"])
def test_inside_another_program_the_command_must_be_set(app: App, host: str) -> None:
    (line,) = refused(app, [SWEPT], ["-m", *LOCAL, SWEPT], host=host)
    assert line.startswith(f"this sweep was started inside {host}, ")
    assert "hydra.sweeper.trial.command" in line
    assert refused(app, [SWEPT, "hydra.sweeper.trial.command=[python,train.py]"], [], host=host) == ()


# Real processes.

PROGRAM = """
import os, sys
import hydra

@hydra.main(version_base="1.3", config_path=os.path.abspath("conf"))
def main(cfg):
    return cfg.lr
"""
MAIN = """
if __name__ == "__main__":
    main()
"""
WORDS = ["hydra/sweeper=vertex", "hydra.sweeper.backend=local", "hydra.sweeper.dry_run=true", "+lr=interval(0,1)"]
PARSED = (
    "{}"
    if hydra.__version__.startswith("1.3.")
    else f"{{'parsed_overrides': app.config_loader.parse_overrides(None, {WORDS})}}"
)
BY_ITSELF = {
    "words put into sys.argv": f"{PROGRAM}\nsys.argv += {['-m', *WORDS]}\nmain()\n",
    "Hydra's own classes": f"""
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, run_and_report
app = Hydra.create_main_hydra2("app", create_config_search_path(None))
more = {PARSED}
run_and_report(lambda: app.multirun(None, lambda cfg: cfg.lr, {WORDS}, **more))
""",
    "a process of multiprocessing": f"""{PROGRAM}
import multiprocessing
def begin():
    sys.argv = ["train.py", "-m", *{WORDS}]
    main()
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=begin)
    child.start()
    child.join()
    sys.exit(child.exitcode)
""",
    "hydra-zen": f"""
from hydra._internal.utils import run_and_report
from hydra_zen import launch, make_config
run_and_report(lambda: launch(make_config(), lambda cfg: cfg.lr, overrides={WORDS}, multirun=True, version_base="1.3"))
""",
}


def start(folder: Path, *command: str) -> tuple[int, str, str]:
    """Runs Python with these words, outside of what makes this process one of pytest's."""
    (folder / "conf").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("script", BY_ITSELF)
def test_a_script_that_sweeps_by_itself_is_no_trials_command(tmp_path: Path, script: str) -> None:
    if script == "hydra-zen" and importlib.util.find_spec("hydra_zen") is None:
        pytest.skip("needs hydra-zen, which is not installed")
    (tmp_path / "train.py").write_text(BY_ITSELF[script])
    code, output, errors = start(tmp_path, "train.py")
    assert (code, output) == (1, ""), errors
    lines = [line for line in errors.splitlines() if "hydra.sweeper.trial.command" in line]
    assert [line.partition(" lack ")[2].partition(":")[0] for line in lines] == ["--multirun (-m), +lr"], errors


@pytest.mark.parametrize(
    ("words", "command"),
    [
        pytest.param(["-sm", "pkg.train"], ["python", "-s", "-m", "pkg.train"], id="a module, glued"),
        pytest.param(["-m", "pdb", "-c", "continue", "train.py"], ["python", "train.py"], id="a debugger"),
        pytest.param(["-m", "cProfile", "-o", "profile", "train.py"], ["python", "train.py"], id="a profiler"),
        pytest.param(["folder"], ["python", "folder"], id="a folder"),
    ],
)
def test_a_process_tells_its_command(tmp_path: Path, words: list[str], command: list[str]) -> None:
    for name in ("train.py", "pkg/train.py", "pkg/__init__.py", "folder/__main__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(PROGRAM + MAIN)
    code, output, errors = start(tmp_path, *words, "-m", *WORDS)
    assert code == 0, errors
    job, _ = json.JSONDecoder().raw_decode(output[output.index("{") :])
    found = job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["command"]
    assert found == ["vertex-trial", *command]


IN_PROCESS = f"""{PROGRAM}
def test_it(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *{WORDS}])
    main()
"""


@pytest.mark.parametrize(
    "words", [["-m", "pytest", "-q", "test_it.py"], ["run.py", "test_it.py"]], ids=["pytest", "a program that runs pytest"]
)
def test_a_sweep_in_a_test_is_started_inside_pytest(tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "test_it.py").write_text(IN_PROCESS)
    (tmp_path / "run.py").write_text("import sys, pytest\nsys.exit(pytest.main(sys.argv[1:]))\n")
    code, output, _ = start(tmp_path, *words, "-p", "no:cacheprovider")
    assert code == 1
    assert (
        "this sweep was started inside pytest, and its trials cannot be started so: set hydra.sweeper.trial.command" in output
    )
