"""Whole sweeps on this machine: a real Hydra app, the real plugin, real child processes, and what they leave behind."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.support import thorough
from vertex_sweeper.services.local.execute.threads import count_cores

pytest.importorskip("optuna", reason="backend local needs the extra [local]")

ROOT = Path(__file__).parent.parent
APP = """
    import os, sys, time
    from pathlib import Path
    import hydra

    @hydra.main(version_base="1.3", config_path="conf", config_name="config")
    def main(cfg):
        {body}

    if __name__ == "__main__":
        main()
"""
LOCAL = ("hydra/sweeper=vertex", "hydra.sweeper.backend=local")
CONFIG = "defaults: [{model: linear}, _self_]\nlr: 0.1\nbatch: 8\nname: abc\n"


class App:
    """An app in a folder of its own, whose name has a space.

    Attributes:
        environment: What its processes have beside this process's variables.
        paths: Where its processes import from.
    """

    def __init__(self, folder: Path) -> None:
        self.environment: dict[str, str] = {}
        self.paths = [ROOT / "src", ROOT]
        self.folder = folder / "my äpp"
        (self.folder / "conf" / "model").mkdir(parents=True)
        for name in ("linear", "svm"):
            (self.folder / "conf" / "model" / f"{name}.yaml").write_text(f"kind: {name}\n")
        self.write_config(CONFIG)
        self.write_body("return (cfg.lr - 0.3) ** 2 + cfg.batch / 1000")

    def write_config(self, text: str) -> None:
        (self.folder / "conf" / "config.yaml").write_text(text)

    def write_body(self, body: str) -> None:
        source = textwrap.dedent(APP).replace("{body}", textwrap.indent(textwrap.dedent(body), "    ").strip())
        (self.folder / "train.py").write_text(source)

    def start(self, *words: str, program: Sequence[str] = ("train.py",), terminal: int | None = None) -> subprocess.Popen[str]:
        """A process with pipes or, in a session of its own, on a terminal."""
        environment = {**self.own_environment(), "TERM": "xterm"}
        return subprocess.Popen(
            [sys.executable, *program, *words],
            cwd=self.folder,
            env=environment,
            text=True,
            stdin=terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=None if terminal is None else lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )

    def own_environment(self) -> dict[str, str]:
        """What its processes have."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, self.paths)), **self.environment}

    def sweep(self, *words: str, code: int = 0) -> str:
        """Runs `train.py -m` with backend local into `sweep/`, and returns what it printed."""
        process = self.start("-m", *LOCAL, "hydra.sweeper.local.seed=0", "hydra.sweep.dir=sweep", *words)
        output, _ = process.communicate()
        assert process.returncode == code, output
        return output

    @property
    def directory(self) -> Path:
        return self.folder / "sweep"

    def rows(self) -> list[dict[str, str]]:
        with (self.directory / "trials.csv").open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def processes_in(folder: Path) -> dict[int, str]:
    """All processes that run in this folder, with their command lines."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder.resolve():
                found[int(process.name)] = (process / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return found


def test_a_sweep_without_optuna_says_what_to_install_and_leaves_nothing(app: App) -> None:
    source = app.folder / "train.py"
    source.write_text(f"import sys\nsys.modules['optuna'] = None\n{source.read_text()}")
    assert "backend local needs an extra: pip install 'hydra-vertex-sweeper[local]'" in app.sweep("lr=0.1,0.2", code=1)
    assert not app.directory.exists()


def test_a_sweep_tunes_the_app_and_leaves_everything_behind(app: App) -> None:
    output = app.sweep("lr=interval(0, 1)", "batch=16,32", "model=linear,svm", "hydra.sweeper.max_trial_count=4")
    names = {path.relative_to(app.directory).as_posix() for path in app.directory.rglob("*") if path.is_file()}
    expected = {"multirun.yaml", "job.json", "trials.csv", "optimization_results.yaml", "best.yaml", "best/best.yaml"}
    assert expected <= names
    assert {f"logs/{number}.log" for number in range(1, 5)} <= names
    assert {f"{number}/.hydra/config.yaml" for number in range(1, 5)} <= names
    assert [row["number"] for row in app.rows()] == ["1", "2", "3", "4"]
    assert {row["batch"] for row in app.rows()} <= {"16", "32"}
    for number in range(1, 5):
        assert re.search(rf"trial {number} \([1-4] of 4 ended\)", output)
    assert str(app.directory) in output


def test_what_a_trial_saw_is_what_the_table_says(app: App) -> None:
    app.sweep("lr=interval(0, 1)", "batch=16,32", "model=linear,svm", "hydra.sweeper.max_trial_count=3", "name='x y'")
    for row in app.rows():
        config = yaml.safe_load((app.directory / row["number"] / ".hydra" / "config.yaml").read_text())
        assert config == {
            "lr": float(row["lr"]),
            "batch": int(row["batch"]),
            "model": {"kind": row["model"]},
            "name": "x y",
        }
        assert float(row["objective"]) == pytest.approx((config["lr"] - 0.3) ** 2 + config["batch"] / 1000, abs=1e-12)


def test_an_option_brings_its_search_space_to_trials_that_chose_it_and_to_no_others(app: App) -> None:
    (app.folder / "conf" / "search_space" / "model").mkdir(parents=True)
    (app.folder / "conf" / "search_space" / "model" / "svm.yaml").write_text("+gamma: 1,2\nkind: rbf\n")
    output = app.sweep("model=linear,svm", "hydra.sweeper.algorithm=grid")
    assert "model=svm brings search_space/model/svm.yaml: +model.gamma, model.kind" in output
    configs = [yaml.safe_load((app.directory / row["number"] / ".hydra" / "config.yaml").read_text()) for row in app.rows()]
    models = [{"kind": "linear"}, {"kind": "rbf", "gamma": 1}, {"kind": "rbf", "gamma": 2}]
    assert sorted((config["model"] for config in configs), key=str) == sorted(models, key=str)


def test_each_trial_at_a_time_sees_the_devices_of_its_slot_and_the_table_names_them(app: App) -> None:
    app.write_body("print('sees', os.environ['CUDA_VISIBLE_DEVICES'], os.environ['OMP_NUM_THREADS'])\nreturn cfg.lr")
    app.sweep("lr=0.1,0.2,0.3", "hydra.sweeper.local.devices=['0,1',2]")
    assert {row["device"] for row in app.rows()} == {"0,1", "2"}
    threads = max(1, count_cores() // 2)
    for row in app.rows():
        assert f"sees {row['device']} {threads}\n" in (app.directory / "logs" / f"{row['number']}.log").read_text()
    assert {row["lr"] for row in app.rows()} == {"0.1", "0.2", "0.3"}


def test_the_best_config_runs_the_best_trial_again(app: App) -> None:
    app.write_body("print('config', cfg)\nreturn cfg.lr")
    app.sweep("lr=0.1,0.2", "model=svm,linear", "batch=choice(64)", "hydra.sweeper.algorithm=grid")
    best = yaml.safe_load((app.directory / "best.yaml").read_text())
    again = app.start("--config-dir", "sweep", "+best=best")
    printed, _ = again.communicate()
    assert f"config {{'model': {{'kind': '{best['overrides'][1].partition('=')[2]}'}}, 'lr': 0.1, 'batch': 64" in printed


def test_an_app_without_a_config_file_is_tuned_too(app: App) -> None:
    source = (app.folder / "train.py").read_text()
    (app.folder / "train.py").write_text(source.replace('config_path="conf", config_name="config"', "config_path=None"))
    output = app.sweep("+lr=0.1,0.2", "+batch=4", "hydra.sweeper.algorithm=grid")
    assert "best: trial" in output
    assert [row["+lr"] for row in app.rows()] == ["0.1", "0.2"]


def test_an_app_started_as_a_module_is_tuned_as_a_module(app: App) -> None:
    (app.folder / "train.py").rename(app.folder / "conf" / "train.py")
    (app.folder / "conf").rename(app.folder / "pkg")
    (app.folder / "pkg" / "conf").mkdir()
    for name in ("config.yaml", "model"):
        (app.folder / "pkg" / name).rename(app.folder / "pkg" / "conf" / name)
    (app.folder / "pkg" / "__init__.py").touch()
    words = ["hydra/sweeper=vertex", "hydra.sweeper.backend=local", "hydra.sweep.dir=sweep", "hydra.sweeper.algorithm=grid"]
    process = app.start("-m", *words, "lr=0.1,0.2", program=["-O", "-m", "pkg.train"])
    output, _ = process.communicate()
    assert process.returncode == 0, output
    container = json.loads((app.directory / "job.json").read_text())["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    assert container["command"] == ["vertex-trial", "python", "-O", "-m", "pkg.train"]
    assert [row["state"] for row in app.rows()] == ["SUCCEEDED", "SUCCEEDED"]


@pytest.mark.thorough
def test_a_grid_runs_each_point_once(app: App) -> None:
    app.sweep("lr=0.1,0.2,0.3", "model=linear,svm", "hydra.sweeper.algorithm=grid", "hydra.sweeper.parallel_trial_count=3")
    points = [(row["lr"], row["model"]) for row in app.rows()]
    assert sorted(points) == [(lr, model) for lr in ("0.1", "0.2", "0.3") for model in ("linear", "svm")]


@pytest.mark.thorough
def test_the_same_seed_suggests_the_same_values(app: App) -> None:
    common = ["lr=interval(0, 1)", "hydra.sweeper.max_trial_count=2", "hydra.sweeper.parallel_trial_count=1"]
    app.sweep(*common, "hydra.sweeper.local.seed=7")
    first = [row["lr"] for row in app.rows()]
    app.directory.rename(app.folder / "first")
    app.sweep(*common, "hydra.sweeper.local.seed=7")
    assert [row["lr"] for row in app.rows()] == first


def test_params_and_the_command_line_together_make_the_search_space(app: App) -> None:
    app.write_config(
        "defaults: [{model: linear}, _self_, {override hydra/sweeper: vertex}]\nlr: 0.1\nbatch: 8\nname: abc\n"
        "hydra:\n  sweeper:\n    backend: local\n    metrics: {loss: minimize}\n    max_trial_count: 2\n"
        "    params: {lr: 'tag(log, interval(1e-3, 1e-1))', batch: '4,8', name: fixed}\n"
    )
    process = app.start("-m", "batch=16,32", "hydra.sweep.dir=sweep")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    overrides = yaml.safe_load((app.directory / "1" / ".hydra" / "overrides.yaml").read_text())
    assert [line.partition("=")[0] for line in overrides] == ["lr", "batch", "name"]
    assert overrides[1] in ("batch=16", "batch=32")
    assert "loss" in app.rows()[0]


def test_a_plain_run_is_a_plain_run(app: App) -> None:
    app.write_body(
        "heavy = ('vertex_sweeper.', 'optuna', 'google.cloud.')\nprint([name for name in sys.modules if name.startswith(heavy)])"  # noqa: E501
    )
    process = app.start("lr=0.5")
    output, _ = process.communicate()
    assert process.returncode == 0
    assert output.splitlines()[-1] == "[]"


def test_a_failing_trial_is_shown_with_the_end_of_its_log_and_the_others_go_on(app: App) -> None:
    app.write_body("if cfg.batch == 1:\n    raise RuntimeError('out of luck')\nreturn cfg.batch")
    output = app.sweep("batch=1,2,3", "hydra.sweeper.algorithm=grid", "hydra.sweeper.parallel_trial_count=1")
    failed = next(row for row in app.rows() if row["batch"] == "1")
    assert "out of luck" in output
    assert f"logs/{failed['number']}.log" in output
    assert (failed["state"], failed["reason"]) == ("INFEASIBLE", "RuntimeError: out of luck (exit code 1)")
    assert f"trial {failed['number']} failed: RuntimeError: out of luck (exit code 1)" in output
    assert not any(word in output for word in ("INFEASIBLE", "replica", "projects/local"))
    assert sorted(row["state"] for row in app.rows()) == ["INFEASIBLE", "SUCCEEDED", "SUCCEEDED"]


@pytest.mark.thorough
def test_too_many_failures_end_the_job_with_exit_code_1_and_the_results_so_far(app: App) -> None:
    app.write_body("raise RuntimeError('broken image')")
    counts = ["hydra.sweeper.max_failed_trial_count=3", "hydra.sweeper.max_trial_count=40"]
    output = app.sweep("batch=range(1, 50)", *counts, code=1)
    assert "Traceback" not in output.replace("broken image", "").rpartition("sweep directory")[2]
    assert 3 <= len(app.rows()) <= 5
    assert not (app.directory / "best.yaml").exists()


@pytest.mark.thorough
def test_a_value_that_is_not_finite_is_no_failure(app: App) -> None:
    app.write_body("return float('nan') if cfg.batch == 1 else cfg.batch")
    output = app.sweep("batch=1,2", "hydra.sweeper.algorithm=grid", "hydra.sweeper.max_failed_trial_count=1")
    assert "no result: The trial ended without a final measurement" in output
    assert "2 trials: 1 succeeded, 1 without a result" in output
    assert sorted(row["state"] for row in app.rows()) == ["INFEASIBLE", "SUCCEEDED"]


@pytest.mark.thorough
def test_a_trial_over_its_time_is_ended(app: App) -> None:
    app.write_body("time.sleep(600)")  # both: one second is no time in which another one would be sure to end
    limits = ["hydra.sweeper.trial.timeout=1", "hydra.sweeper.max_failed_trial_count=3"]
    app.sweep("batch=1,2", "hydra.sweeper.algorithm=grid", *limits, code=1)
    assert [row["state"] for row in app.rows()] == ["INFEASIBLE", "INFEASIBLE"]
    assert all(float(row["seconds"]) >= 1 for row in app.rows())
    assert not processes_in(app.folder)


def test_bad_input_ends_in_lines_and_no_traceback_and_starts_nothing(app: App) -> None:
    output = app.sweep("lr=interval(1, 0)", "hydra.sweeper.max_trial_cout=3", "model=linear,svn", code=1)
    assert "Traceback" not in output
    assert "did you mean max_trial_count?" in output
    assert "1.0 to 0.0" in output
    assert not app.directory.exists()


def test_a_dry_run_shows_what_trials_would_be_given_and_starts_nothing(app: App) -> None:
    output = app.sweep("batch=16,32", "name='x y'", "hydra.sweeper.algorithm=grid", "hydra.sweeper.dry_run=true")
    job, end = json.JSONDecoder().raw_decode(output[output.index("{\n") :])
    assert (job["maxTrialCount"], job["displayName"]) == (2, "train")
    trials = output[output.index("{\n") + end :].splitlines()
    assert "  overrides:  batch=16 \"name='x y'\"" in trials
    assert "  container:  vertex-trial python train.py \"name='x y'\" --batch=32.0" in trials
    assert not app.directory.exists()


@pytest.mark.thorough
def test_a_sweep_directory_with_a_job_is_left_as_it_is(app: App) -> None:
    app.directory.mkdir()
    for name in ("job.json", "sweep.json"):
        (app.directory / name).write_text("{}")
    output = app.sweep("lr=interval(0, 1)", code=1)
    assert "already holds a job" in output
    assert "Traceback" not in output
    assert (app.directory / "job.json").read_text() == "{}"


def test_another_launcher_is_named_as_not_used(app: App) -> None:
    (app.folder / "conf" / "hydra" / "launcher").mkdir(parents=True)
    (app.folder / "conf" / "hydra" / "launcher" / "mine.yaml").write_text(
        "_target_: hydra._internal.core_plugins.basic_launcher.BasicLauncher\n"
    )
    output = app.sweep("lr=interval(0, 1)", "hydra/launcher=mine", "hydra.sweeper.max_trial_count=1")
    assert "hydra/launcher=mine is not used: parallel_trial_count decides" in output


HANGING = """
    import signal, subprocess
    signal.signal(signal.SIGTERM, HANDLER)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    if cfg.batch > 1:
        with open(READY, "a") as ready:
            ready.write("x")
        time.sleep(600)
    return 1
"""
CALLBACK = """
    from pathlib import Path
    from hydra.experimental.callback import Callback

    class Ended(Callback):
        def on_multirun_end(self, config, **kwargs):
            with open("callback", "a") as calls:
                calls.write("x")
"""


def write_hanging(app: App, *, on_term: str) -> None:
    body = HANGING.replace("READY", repr(str(app.folder / "ready"))).replace("HANDLER", on_term)
    app.write_body(textwrap.dedent(body).strip())


@pytest.fixture
def hanging(app: App) -> Iterator[App]:
    write_hanging(app, on_term="signal.SIG_DFL")
    (app.folder / "ended.py").write_text(textwrap.dedent(CALLBACK))
    os.mkfifo(app.folder / "ready")
    yield app
    for pid in processes_in(app.folder):
        os.kill(pid, signal.SIGKILL)


WORDS = ["batch=1,2,3", "hydra.sweeper.algorithm=grid", "hydra.sweeper.parallel_trial_count=2", "hydra.sweep.dir=sweep"]


def started(app: App, *words: str, terminal: int | None = None) -> subprocess.Popen[str]:
    """A sweep one of whose trials has ended and two hang; each wrote to the pipe when it did."""
    process = app.start("-m", "hydra/sweeper=vertex", "hydra.sweeper.backend=local", *WORDS, *words, terminal=terminal)
    ready = os.open(app.folder / "ready", os.O_RDWR)  # with a writer of its own, it never sees an end
    try:
        assert os.read(ready, 1) + os.read(ready, 1) == b"xx"
    finally:
        os.close(ready)
    return process


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, thorough(signal.SIGTERM), signal.SIGHUP], ids=lambda number: number.name)
def test_one_signal_ends_every_child_and_still_writes_the_results(hanging: App, number: signal.Signals) -> None:
    process = started(hanging, "+hydra.callbacks.ended._target_=ended.Ended")
    process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert not processes_in(hanging.folder)
    # A terminal that closes cancels nothing: what ran may go on another day.
    others = "ACTIVE" if number is signal.SIGHUP else "INFEASIBLE"
    assert {row["batch"]: row["state"] for row in hanging.rows()} == {"1": "SUCCEEDED", "2": others, "3": others}
    assert (hanging.folder / "callback").read_text() == "x"
    assert (hanging.directory / "best.yaml").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, thorough(signal.SIGTERM)], ids=lambda number: number.name)
def test_a_sweep_that_is_to_be_let_go_of_waits_to_go_on(hanging: App, number: signal.Signals) -> None:
    process = started(hanging, "hydra.sweeper.on_interrupt=detach")
    process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert not processes_in(hanging.folder)
    assert {row["batch"]: row["state"] for row in hanging.rows()} == {"1": "SUCCEEDED", "2": "ACTIVE", "3": "ACTIVE"}


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.thorough
def test_a_closing_terminal_sends_several_hang_ups_and_the_results_are_written(hanging: App) -> None:
    process = started(hanging)
    for _ in range(3):
        process.send_signal(signal.SIGHUP)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert not processes_in(hanging.folder)
    assert "the job waits for somebody who runs it; go on with `vertex-sweeper attach" in output
    assert (hanging.directory / "best.yaml").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_when_the_terminal_is_gone_the_results_are_written(hanging: App) -> None:
    ours, its = pty.openpty()
    process = started(hanging, terminal=its)
    os.close(its)
    os.close(ours)  # the system sends a hang-up, and there is nothing any more that could be written to
    assert process.wait() == 130
    assert not processes_in(hanging.folder)
    assert (hanging.directory / "best.yaml").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_two_signals_end_everything_at_once(hanging: App, until: Callable[[Callable[[], bool]], None]) -> None:
    write_hanging(hanging, on_term="signal.SIG_IGN")
    process = started(hanging)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    for line in process.stdout:
        if "once more" in line:  # it has said what a second one would do
            break
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    until(lambda: not processes_in(hanging.folder))  # killed, and perhaps still being taken down by the system
    assert json.loads((hanging.directory / "job.json").read_text())["name"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_killed_sweep_leaves_nothing_running_and_loses_no_result(
    hanging: App, until: Callable[[Callable[[], bool]], None]
) -> None:
    process = started(hanging)
    until((hanging.directory / "trials.csv").exists)
    process.kill()
    process.communicate()  # returns when the last process that could write to the pipe is gone
    until(lambda: not processes_in(hanging.folder))
    assert {row["batch"]: row["state"] for row in hanging.rows()}["1"] == "SUCCEEDED"


GATED = """
    with open("begun", "a") as file:
        file.write(f"{HydraConfig.get().job.num} ")
    if HydraConfig.get().job.num == 3:
        open("ready", "w").close()  # a pipe: the test reads it
        open("gate").close()
    return (cfg.lr - 0.3) ** 2 + cfg.batch / 1000
"""
SEEDED = [
    "lr=interval(0,1)",
    "batch=1,2,3",
    "hydra.sweeper.max_trial_count=4",
    "hydra.sweeper.parallel_trial_count=1",
    "hydra.sweeper.local.seed=1",
]


@pytest.fixture
def gated(app: App) -> Iterator[App]:
    """An app whose third trial says that it runs, and waits until it may go on."""
    app.write_body("from hydra.core.hydra_config import HydraConfig\n" + textwrap.dedent(GATED).strip())
    for pipe in ("ready", "gate"):
        os.mkfifo(app.folder / pipe)
    yield app
    for pid in processes_in(app.folder):
        os.kill(pid, signal.SIGKILL)


def wait_for_third(app: App) -> None:
    (app.folder / "ready").open().close()


def let_third_end(app: App) -> None:
    (app.folder / "gate").open("w").close()


def results(app: App) -> tuple[list[dict[str, str]], str]:
    rows = [{**row, "started": "", "seconds": ""} for row in app.rows()]
    return rows, (app.directory / "best.yaml").read_text()


def vertex_sweeper(*words: str) -> subprocess.Popen[str]:
    """The command, in another folder than any app's."""
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from vertex_sweeper.cli.main import main; sys.exit(main())", *words],
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.thorough
def test_a_killed_sweep_goes_on_as_if_nothing_had_happened(gated: App, until: Callable[[Callable[[], bool]], None]) -> None:
    undisturbed = gated.start("-m", "hydra/sweeper=vertex", "hydra.sweeper.backend=local", "hydra.sweep.dir=sweep", *SEEDED)
    wait_for_third(gated)
    let_third_end(gated)
    assert undisturbed.communicate()[0]
    expected = results(gated)
    gated.directory.rename(gated.folder / "undisturbed")
    (gated.folder / "begun").unlink()

    killed = gated.start("-m", "hydra/sweeper=vertex", "hydra.sweeper.backend=local", "hydra.sweep.dir=sweep", *SEEDED)
    by_the_app = ["-m", "hydra/sweeper=vertex", "hydra.sweeper.backend=local", "hydra.sweeper.attach=sweep"]
    for go_on in (lambda: gated.start(*by_the_app), lambda: vertex_sweeper("attach", str(gated.directory))):
        wait_for_third(gated)
        killed.kill()
        killed.communicate()
        until(lambda: not processes_in(gated.folder))  # a trial that is about to die would be taken for the next one
        killed = go_on()
    wait_for_third(gated)
    let_third_end(gated)
    output, _ = killed.communicate()
    assert killed.returncode == 0, output
    assert (gated.folder / "begun").read_text() == "1 2 3 3 3 4 "
    assert results(gated) == expected
    until(lambda: not processes_in(gated.folder))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_running_sweep_can_be_followed_from_elsewhere_and_cancelled(gated: App) -> None:
    process = gated.start("-m", "hydra/sweeper=vertex", "hydra.sweeper.backend=local", "hydra.sweep.dir=sweep", *SEEDED)
    wait_for_third(gated)
    follower = vertex_sweeper("attach", str(gated.directory))
    assert follower.stdout is not None
    seen = [follower.stdout.readline() for _ in range(3)]
    assert seen[1].startswith("trial 1 (1 of 4 ended)  objective")
    assert seen[2].startswith("trial 2 (2 of 4 ended)  objective")

    shown, _ = vertex_sweeper("list", str(gated.folder)).communicate()
    assert shown.splitlines()[1].split()[:3] == ["RUNNING", "local", "3/4"]
    cancelled, _ = vertex_sweeper("cancel", str(gated.directory)).communicate()
    assert "was asked to end" in cancelled

    output, _ = process.communicate()
    assert process.returncode == 130, output
    rest, _ = follower.communicate()
    assert follower.returncode == 1
    assert "the job ended CANCELLED" in rest
    assert not processes_in(gated.folder)
    assert [row["state"] for row in gated.rows()] == ["SUCCEEDED", "SUCCEEDED", "INFEASIBLE"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.thorough
def test_a_follower_says_that_the_sweep_was_killed_and_how_to_go_on(gated: App) -> None:
    process = gated.start("-m", "hydra/sweeper=vertex", "hydra.sweeper.backend=local", "hydra.sweep.dir=sweep", *SEEDED)
    wait_for_third(gated)
    follower = vertex_sweeper("attach", str(gated.directory))
    assert follower.stdout is not None
    follower.stdout.readline()
    process.kill()
    process.communicate()
    output, _ = follower.communicate()
    assert follower.returncode == 1
    assert "the process that ran the job is gone" in output
    assert "vertex-sweeper attach" in output.splitlines()[-1]
    assert (gated.directory / "best.yaml").exists()
