"""Created once, left alone, come back to: sweeps with backend vertex and what happens to their processes, over real gRPC."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

import grpc  # noqa: E402
from google.cloud.aiplatform_v1.types import HyperparameterTuningJob  # noqa: E402
from google.protobuf.json_format import ParseDict  # noqa: E402

from tests.services.vertex.tuning import ROOT, TuningApi, make_app, run, start, words_of  # noqa: E402
from vertex_sweeper.cli.main import main  # noqa: E402

CREATE, CANCEL = "CreateHyperparameterTuningJob", "CancelHyperparameterTuningJob"
NAME = "projects/my-project/locations/europe-west4/hyperparameterTuningJobs/1"
RESULTS = ("trials.csv", "optimization_results.yaml", "best.yaml", "best/best.yaml")


@pytest.fixture
def api() -> Iterator[TuningApi]:
    with TuningApi() as api:
        yield api


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_app(tmp_path)


def results_in(directory: Path) -> dict[str, str]:
    return {name: (directory / name).read_text().replace(str(directory), "DIR") for name in RESULTS}


def specification(directory: Path) -> HyperparameterTuningJob:
    """What `job.json` says, in Google's own reading: zeros and numbers may be written in several ways."""
    return HyperparameterTuningJob(ParseDict(json.loads((directory / "job.json").read_text()), HyperparameterTuningJob()._pb))


INTERRUPTED = """
import os, runpy, signal, sys
from vertex_sweeper.results import sweep_directory

def claim(*arguments, claim=sweep_directory.claim, **more):
    claim(*arguments, **more)
    os.kill(os.getpid(), signal.SIGINT)

sweep_directory.claim = claim
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_an_interrupt_before_the_creation_creates_nothing_and_frees_the_directory(folder: Path, api: TuningApi) -> None:
    (folder / "interrupted.py").write_text(INTERRUPTED)
    process = run(folder, "interrupted.py", *words_of(api))
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert "SIGINT: nothing was created" in output
    assert "Traceback" not in output
    assert api.count(CREATE) == 0
    assert not (folder / "sweep" / "job.json").exists()


def test_a_job_whose_creation_was_never_answered_is_found_and_followed(folder: Path, api: TuningApi) -> None:
    api.lose(CREATE, grpc.StatusCode.DEADLINE_EXCEEDED)
    process = start(folder, api)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert f"found it: {NAME}" in output
    assert api.count(CREATE) == 1
    assert json.loads((folder / "sweep" / "job.json").read_text())["name"] == NAME
    assert "best: trial 2" in output
    # And from elsewhere, by the job's name alone, the same files.
    assert main(["attach", NAME, "--endpoint", f"http://{api.address}", "--sweep-dir", str(folder / "elsewhere")]) == 0
    assert results_in(folder / "elsewhere") == results_in(folder / "sweep")
    assert specification(folder / "elsewhere") == specification(folder / "sweep")


def test_a_sweep_killed_while_its_job_is_created_is_come_back_to(folder: Path, api: TuningApi) -> None:
    api.answers.clear()
    process = start(folder, api)
    assert api.created.wait(60)
    process.kill()
    process.communicate()
    api.answers.set()
    assert "name" not in json.loads((folder / "sweep" / "job.json").read_text())
    assert main(["attach", str(folder / "sweep")]) == 0
    assert api.count(CREATE) == 1
    assert json.loads((folder / "sweep" / "job.json").read_text())["name"] == NAME
    assert (folder / "sweep" / "best" / "best.yaml").exists()
    assert not list((folder / "sweep").glob(".*"))  # no file is half written


def test_a_sweep_that_does_not_wait_is_followed_by_the_app_later(folder: Path, api: TuningApi) -> None:
    process = start(folder, api, "hydra.sweeper.wait=false")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert f"vertex-sweeper attach {folder / 'sweep'}" in output
    assert not (folder / "sweep" / "trials.csv").exists()
    multirun = (folder / "sweep" / "multirun.yaml").read_text()
    app = run(folder, "train.py", "-m", "hydra/sweeper=vertex", "hydra.sweeper.attach=sweep", "lr=0.5")
    output, _ = app.communicate()
    assert app.returncode == 0, output
    assert "these are not used: lr=0.5" in output
    assert main(["attach", NAME, "--endpoint", f"http://{api.address}", "--sweep-dir", str(folder / "elsewhere")]) == 0
    assert results_in(folder / "elsewhere") == results_in(folder / "sweep")
    assert (folder / "sweep" / "multirun.yaml").read_text() == multirun  # that of the command that made the job


def test_a_hang_up_lets_go_of_the_job_whatever_the_setting(folder: Path, api: TuningApi) -> None:
    api.endless = True
    process = start(folder, api, "hydra.sweeper.on_interrupt=cancel")
    assert api.watched.wait(60)
    process.send_signal(signal.SIGHUP)
    output, _ = process.communicate()
    assert process.returncode == 130, output
    assert api.count(CANCEL) == 0
    assert f"vertex-sweeper attach {folder / 'sweep'}" in output
    assert json.loads((folder / "sweep" / "sweep.json").read_text())["state"] == "JOB_STATE_RUNNING"


# The first terminal that a session's leader opens becomes the session's own: Ctrl-C on it is a signal for the sweep.
OWN_TERMINAL = """
import os, sys
os.close(os.open(sys.argv[1], os.O_RDWR))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Terminal:
    """A sweep in the foreground of a terminal of its own."""

    def __init__(self, folder: Path, words: list[str]) -> None:
        self.shown = ""
        self._ours, theirs = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, os.ttyname(theirs), *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def wait_for(self, text: str) -> None:
        """Reads what is shown until this is."""
        while text not in self.shown:
            assert self._read(), self.shown

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def end(self) -> int:
        """Waits for the end; the exit code."""
        while self._read():
            pass
        os.close(self._ours)
        return self._process.wait()

    def _read(self) -> bool:
        try:
            text = os.read(self._ours, 4096).decode()
        except OSError:  # Linux: the other side is closed
            return False
        self.shown += text
        return bool(text)


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of this kind are POSIX")
@pytest.mark.parametrize(("answer", "cancelled"), [(b"c\n", 1), (b"\x03", 0)], ids=["cancel", "a second Ctrl-C"])
def test_ctrl_c_on_a_terminal_asks(folder: Path, api: TuningApi, answer: bytes, cancelled: int) -> None:
    api.endless = True
    terminal = Terminal(folder, words_of(api))
    assert api.watched.wait(60)
    terminal.type(b"\x03")
    terminal.wait_for("(w)ait on?")
    terminal.type(answer)
    assert terminal.end() == 130, terminal.shown
    assert api.count(CANCEL) == cancelled
    assert ("goes on without this process" in terminal.shown) is not bool(cancelled)


def test_a_dry_run_shows_the_job_and_some_trials_and_touches_nothing(folder: Path, api: TuningApi) -> None:
    before = sorted(folder.rglob("*"))
    process = start(folder, api, "hydra.sweeper.dry_run=true")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert (api.received, sorted(folder.rglob("*"))) == ([], before)
    job, end = json.JSONDecoder().raw_decode(output[output.index("{\n") :])
    assert (job["maxTrialCount"], job["studySpec"]["metrics"][0]["metricId"]) == (2, "val_acc")
    assert output.index("{\n") + end < output.index("A trial such as")
    assert "vertex-trial python train.py \"name='x y'\" --lr=0.0 --batch=16.0 --model=linear" in output
    assert "overrides:  lr=0.0 batch=16 model=linear \"name='x y'\"" in output
