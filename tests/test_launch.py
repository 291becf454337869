"""Whole launches on this machine: a real Hydra app, the real plugin, real child processes, and what comes back."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from tests.test_sweep import App, processes_in

ROOT = Path(__file__).parent.parent
LOCAL = ("hydra/launcher=vertex", "hydra.launcher.backend=local", "hydra.sweep.dir=sweep")


class LaunchedApp(App):
    """An app that is launched into `sweep/`."""

    def launch(self, *words: str, code: int = 0, to: Sequence[str] = LOCAL) -> str:
        process = self.start("-m", *to, *words)
        output, _ = process.communicate()
        assert process.returncode == code, output
        return output

    def command(self, *words: str, code: int = 0) -> str:
        """Runs `vertex-sweeper`."""
        program = [sys.executable, "-c", "from vertex_sweeper.cli.main import main; raise SystemExit(main())", *words]
        ran = subprocess.run(
            program,
            cwd=self.folder,
            env=self.own_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ran.returncode == code, ran.stdout
        return ran.stdout

    def jobs(self) -> dict[int, dict[str, str]]:
        with (self.directory / "jobs.csv").open(newline="", encoding="utf-8") as lines:
            return {int(row["number"]): row for row in csv.DictReader(lines)}


@pytest.fixture
def app(tmp_path: Path) -> LaunchedApp:
    return LaunchedApp(tmp_path)


def test_a_single_run_is_a_multirun_with_nothing_swept(app: LaunchedApp) -> None:
    output = app.launch("lr=0.5")
    assert "1 job, in " in output
    assert re.search(r"\[1/1\] #0 succeeded after [\d.]+ s and returned 0\.048", output)
    job = json.loads((app.directory / "jobs" / "0" / "job.json").read_text())
    assert job["name"].startswith("projects/local/locations/local/customJobs/")
    assert yaml.safe_load((app.directory / "0" / ".hydra" / "overrides.yaml").read_text()) == ["lr=0.5"]
    assert not processes_in(app.folder)


def test_each_job_is_the_one_that_hydras_own_launcher_would_run(app: LaunchedApp) -> None:
    app.write_body(
        """
        from hydra.core.hydra_config import HydraConfig
        own = HydraConfig.get()
        print("printed by", own.job.num)
        return [own.job.num, own.job.id, os.environ.get("GIVEN"), Path.cwd().name, list(own.overrides.task)]
        """
    )
    words = ("lr=1e-3,'0.10'", "model=svm,linear", "+job.name='a b'", "hydra.job.chdir=true", "+hydra.job.env_set.GIVEN=yes")
    app.launch(*words)
    jobs = app.jobs()
    returned = {number: json.loads(row["returned"]) for number, row in jobs.items()}
    assert [value[4][:2] for value in returned.values()] == [
        ["lr=0.001", "model=svm"],
        ["lr=0.001", "model=linear"],
        ["lr='0.10'", "model=svm"],
        ["lr='0.10'", "model=linear"],
    ]
    assert [value[:4] for value in returned.values()] == [[number, str(number), "yes", str(number)] for number in range(4)]
    assert (app.directory / "jobs" / "3" / "logs" / "1.log").read_text().splitlines()[-1] == "printed by 3"
    # Hydra's own launcher, for the same words: the configs are the same.
    process = app.start("-m", "hydra.sweep.dir=plain", *words)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    for number in range(4):
        own, plain = (
            (app.folder / folder / str(number) / ".hydra" / "config.yaml").read_text() for folder in ("sweep", "plain")
        )
        assert own == plain


def test_a_failed_job_stops_no_other_and_its_traceback_comes_back(app: LaunchedApp) -> None:
    app.write_body("if cfg.batch == 2: raise RuntimeError('too small: ü')\nreturn cfg.batch")
    output = app.launch("batch=1,2,3", "hydra.launcher.parallel=1", code=1)
    assert [row["state"] for row in app.jobs().values()] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert app.jobs()[1]["error"] == "RuntimeError: too small: ü"
    assert "job 1: RuntimeError: too small: ü" in output
    assert "if cfg.batch == 2: raise RuntimeError('too small: ü')" in output  # the line of the app, from the traceback
    assert "vertex_sweeper/launch.py" not in output


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("return {'model': object()}", "the task returned"),
        ("sys.exit(0)", "no task returned under Hydra"),
        ("sys.exit(3)", "exited with code 3"),
        ("os._exit(5)", "exited with code 5"),
    ],
)
def test_only_what_completed_is_completed(app: LaunchedApp, body: str, error: str) -> None:
    app.write_body(body)
    assert error in app.launch(code=1)


def test_so_many_run_at_a_time_and_returns_are_in_the_order_of_the_overrides(app: LaunchedApp) -> None:
    # Each job waits for the next one to begin, and the last for nobody: with two at a time all end in the opposite order.
    app.write_body(
        """
        begun = Path(os.environ["BEGUN"])
        (begun / str(cfg.batch)).touch()
        while cfg.batch % 2 and not (begun / str(cfg.batch + 1)).exists():
            time.sleep(0.01)
        at_once = len(list(begun.iterdir())) - len(list(begun.glob("*.ended")))
        (begun / f"{cfg.batch}.ended").touch()
        return cfg.batch
        """
    )
    begun = app.folder / "begun"
    begun.mkdir()
    os.environ["BEGUN"] = str(begun)
    try:
        app.launch("batch=1,2,3,4", "hydra.launcher.parallel=2")
    finally:
        del os.environ["BEGUN"]
    assert [row["returned"] for row in app.jobs().values()] == ["1", "2", "3", "4"]


def wait_for(path: Path, until: Callable[[Callable[[], bool]], None]) -> None:
    until(path.exists)


def test_a_killed_launch_is_gone_on_with(app: LaunchedApp, until: Callable[[Callable[[], bool]], None]) -> None:
    app.write_body(
        """
        runs = Path(f"run-{cfg.batch}-{time.time_ns()}")
        runs.touch()
        while cfg.batch == 2 and not Path("go").exists():
            time.sleep(0.01)
        return cfg.batch
        """
    )
    process = app.start("-m", *LOCAL, "batch=1,2,3", "hydra.launcher.parallel=1")
    until(lambda: any(app.folder.glob("run-2-*")))
    process.kill()
    process.communicate()
    until(lambda: not processes_in(app.folder))
    shown = app.command("show", "sweep")
    assert re.search(r"^0 +SUCCEEDED", shown, re.MULTILINE)
    assert re.search(r"^2 +PLANNED", shown, re.MULTILINE)
    assert "1/3" in app.command("list", ".")
    (app.folder / "go").touch()
    output = app.command("attach", "sweep")
    assert [row["returned"] for row in app.jobs().values()] == ["1", "2", "3"], output
    assert len(list(app.folder.glob("run-1-*"))) == 1  # what had ended did not run again
    assert len(list(app.folder.glob("run-2-*"))) == 2
    assert "3/3" in app.command("list", ".")
    assert app.command("logs", "sweep", "1") == (app.directory / "jobs" / "1" / "logs" / "1.log").read_text()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda sent: sent.name)
def test_a_signal_cancels_what_runs_and_launches_no_more(
    app: LaunchedApp, until: Callable[[Callable[[], bool]], None], sent: signal.Signals
) -> None:
    app.write_body("Path('began').touch()\nwhile True: time.sleep(0.05)")
    process = app.start("-m", *LOCAL, "batch=1,2", "hydra.launcher.parallel=1")
    until((app.folder / "began").exists)
    process.send_signal(sent)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert app.jobs()[0]["state"] == "CANCELLED"
    assert not (app.directory / "jobs" / "1" / "job.json").exists()
    assert not processes_in(app.folder)


def test_a_launch_that_is_let_go_of_waits_for_attach_or_cancel(
    app: LaunchedApp, until: Callable[[Callable[[], bool]], None]
) -> None:
    app.write_body("Path('began').touch()\nwhile not Path('go').exists(): time.sleep(0.05)")
    process = app.start("-m", *LOCAL, "batch=1,2", "hydra.launcher.parallel=1", "hydra.launcher.on_interrupt=detach")
    until((app.folder / "began").exists)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert "vertex-sweeper attach" in output
    output = app.command("cancel", "sweep")
    assert "#1 was not launched yet, and will not be" in output
    assert re.search(r"^0 +CANCELLED", app.command("show", "sweep"), re.MULTILINE)


def test_a_directory_that_holds_jobs_is_left_as_it_is(app: LaunchedApp) -> None:
    app.launch("batch=1")
    before = (app.directory / "jobs" / "0" / "job.json").read_text()
    assert "already holds the launched job 0" in app.launch("batch=1", code=1)
    assert (app.directory / "jobs" / "0" / "job.json").read_text() == before


def bad(words: Sequence[str], line: str) -> object:
    return pytest.param(words, line, id=line)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        bad(["hydra.launcher.parallel=0"], "hydra.launcher.parallel: 0 must be 1 or more"),
        bad(["hydra.launcher.parallell=2"], "hydra.launcher.parallell: unknown setting (did you mean parallel?)"),
        bad(["hydra.launcher.metrics={a: maximize}"], "hydra.launcher.metrics: a setting of hydra/sweeper=vertex"),
        bad(["+hydra.launcher.n_jobs=2"], "hydra.launcher.parallel"),
        bad(["hydra.launcher.backend=vertex"], "hydra.launcher.vertex.project: must be set"),
        bad(["hydra.launcher.wait=false"], "hydra.launcher.wait: false must not be used with backend=local"),
        bad(["batch=range(0,101)"], "hydra.launcher.parallel: 101 jobs would be launched at once"),
        bad(["hydra.launcher.trial.command=[]"], "hydra.launcher.trial.command"),
        bad(["hydra.launcher.spec_overrides={jobSpec: {workerPoolSpecs: []}}"], "hydra.launcher.spec_overrides.jobSpec"),
    ],
)
def test_bad_input_is_lines_before_anything_starts(app: LaunchedApp, words: Sequence[str], line: str) -> None:
    output = app.launch(*words, code=1)
    assert line in output
    assert "Traceback" not in output
    assert "hydra.sweeper." not in output
    assert not (app.directory / "jobs").exists()


def test_several_mistakes_come_together(app: LaunchedApp) -> None:
    output = app.launch("hydra.launcher.parallel=0", "hydra.launcher.trial.timeout=-1", "hydra.launcher.bakend=local", code=1)
    assert sum(f"hydra.launcher.{name}" in output for name in ("parallel", "trial.timeout", "bakend")) == 3


def test_a_dry_run_shows_the_job_and_leaves_nothing(app: LaunchedApp) -> None:
    output = app.launch("batch=1,2", "hydra.launcher.dry_run=true")
    assert '"jobSpec"' in output
    assert "job 1, one of 2" in output
    assert "Nothing was created" in output
    assert not (app.directory / "jobs").exists()


def test_a_launch_inside_a_launched_job_is_refused(app: LaunchedApp) -> None:
    app.write_body(
        """
        import subprocess
        words = [sys.executable, "train.py", "-m", "hydra/launcher=vertex", "hydra.launcher.backend=local"]
        ran = subprocess.run(words, capture_output=True, text=True)
        print(ran.stderr)
        return ran.returncode
        """
    )
    app.launch(code=1)
    assert "inside a" in (app.directory / "jobs" / "0" / "logs" / "1.log").read_text()
