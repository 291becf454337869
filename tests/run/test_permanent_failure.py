"""A mistake that hits every trial is paid for once: the job is cancelled when all that have ended failed so, and never else."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.run.test_watch import DENIED, GONE, NAME, Look, Sweep, job
from tests.support import App as Configs
from tests.support import app_in
from tests.test_sweep import App
from vertex_sweeper.api import Goal, JobState, TrialState
from vertex_sweeper.errors import SweepFailed
from vertex_sweeper.results.exit_codes import exit_code
from vertex_sweeper.results.outcome import Outcome, TrialResult
from vertex_sweeper.run.attach import go_on
from vertex_sweeper.run.permanent_failure import permanent_failure
from vertex_sweeper.run.target import read_target
from vertex_sweeper.settings import OnInterrupt
from vertex_sweeper.sweep import _create_and_follow
from vertex_sweeper_runtime import trial as shim
from vertex_sweeper_runtime.code_archive import EXIT_CODES
from vertex_sweeper_runtime.errors import PERMANENT, TrialError

ROOT = Path(__file__).parents[2]


def test_every_exit_code_of_the_shim_is_permanent_and_vertex_repeats_none_of_them() -> None:
    codes = {error.exit_code for error in TrialError.__subclasses__()} | {shim._NOT_STARTED, shim._NOT_FOUND}
    codes |= set(EXIT_CODES)
    assert set(PERMANENT) == codes
    assert not codes & {0, 1, 2, 6, 11, 134, 139}


REASONS = {
    "The replica workerpool0-0 exited with a non-zero status of 65.": 65,
    "The replica workerpool0-0 exited with a non-zero status of 65. To find out more about why your job exited, see logs": 65,
    "exit code 65": 65,
    "exit code: 65": 65,
    "Exit status: 127.": 127,
    "exit status 126 (not executable)": 126,
    "exited with code 65": 65,
    "Exited with status code 66, after 3 attempts": 66,
    "The container exited with non-zero exit code 64": 64,
    "terminated with exit_code=65": 65,
    '{"exitCode": 65, "reason": "Error"}': 65,
    "Command returned non-zero exit status 65": 65,
    "Trial 64 failed: exit code was 127": 127,
    "NON-ZERO STATUS OF 65": 65,
    "exit code\n65": 65,
    "exit code 65; the replica exited with a status of 65": 65,
    "exited with a non-zero status of 1.": 1,
    "exited with a non-zero status of 137 (SIGKILL).": 137,
    "exit code 3 in trial 65": 3,
    # Nothing is read into these.
    "": None,
    "trial 65": None,
    "Trial 65 failed.": None,
    "65": None,
    "65 GB": None,
    "out of memory: 65 GB": None,
    "exit: 65 GB were used": None,
    "status: 65% done": None,
    "The status of trial 65 is unknown": None,
    "exit code of replica workerpool0-65 is unknown": None,
    "status 65.5": None,
    "exit code 6500": None,
    "exit code 65535": None,
    "exit code -65": None,
    "exit code 65,000": None,
    "unicode 65": None,
    "decode65": None,
    "exit code x65": None,
    "status 65th": None,
    "timeout after 65 s, status unknown": None,
    "exited with status 65; another replica exited with status 137": None,
    "The job was cancelled.": None,
}


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason[:40] or "empty")
def test_an_exit_code_is_read_only_where_a_reason_names_one(reason: str) -> None:
    assert exit_code(reason) == REASONS[reason]


def outcome(
    ends: Sequence[int | str], *, parallel: int | None = 2, planned: int | None = 20, state: JobState | None = JobState.RUNNING
) -> Outcome:
    """A sweep whose trials ended with these exit codes, or `good`, `NaN`, `cancelled` or not yet (`runs`)."""
    states = {"good": TrialState.SUCCEEDED, "runs": TrialState.ACTIVE, "asked": TrialState.STOPPING, "unknown": None}
    trials = [
        TrialResult(
            number,
            states[str(end)] if end in states else TrialState.INFEASIBLE,
            {},
            (),
            {"acc": 1.0} if end == "good" else {},
            exit_code=end if isinstance(end, int) else None,
        )
        for number, end in enumerate(ends, 1)
    ]
    return Outcome(state, tuple(trials), {"acc": Goal.MAXIMIZE}, planned=planned, parallel=parallel)


HOPELESS = {
    "two of two": outcome([65, 65]),
    "and two that run": outcome([65, 65, "runs", "runs"]),
    "in any order": outcome(["runs", 127, "asked", 127]),
    "more than a batch": outcome([66, 66, 66]),
    "four at a time": outcome([64] * 4, parallel=4),
    "one at a time": outcome([65, 65], parallel=1),
    "nobody says how many at a time": outcome([126, 126], parallel=None),
    "nobody says how many": outcome([65, 65], planned=None),
    "the job waits": outcome([65, 65], state=JobState.PAUSED),
    "all have begun, and one runs": outcome([65, 65, "runs"], planned=3),
}
HOPEFUL = {
    "none has ended": outcome(["runs", "runs"]),
    "one": outcome([65, "runs"]),
    "one of one at a time": outcome([65], parallel=1),
    "three of four at a time": outcome([65] * 3 + ["runs"], parallel=4),
    "one with a result": outcome([65, 65, 65, "good"]),
    "a first with a result": outcome(["good", 65, 65, 65]),
    "one without a finite value": outcome([65, 65, "NaN"]),
    "two codes": outcome([65, 66, 65]),
    "the app's own code": outcome([1, 1, 1]),
    "killed": outcome([137, 137]),
    "no code named": outcome(["NaN", "NaN"]),
    "nothing left to save": outcome([65, 65], planned=2),
    "being cancelled": outcome([65, 65], state=JobState.CANCELLING),
    "over": outcome([65, 65], state=JobState.FAILED),
    "a state that is not known": outcome([65, 65], state=None),
}


@pytest.mark.parametrize("case", HOPELESS)
def test_a_batch_that_failed_in_one_permanent_way_is_hopeless(case: str) -> None:
    ended = [trial for trial in HOPELESS[case].trials if trial.ended]
    assert permanent_failure(HOPELESS[case]).startswith(f"each of the {len(ended)} trials that have ended failed with ")


@pytest.mark.parametrize("case", HOPEFUL)
def test_anything_else_is_not(case: str) -> None:
    assert permanent_failure(HOPEFUL[case]) == ""


@pytest.mark.parametrize(
    ("failing", "calls", "said"),
    [([], 1, 1), ([GONE], 2, 2), ([GONE, GONE], 3, 3), ([DENIED], 1, 2)],
    ids=["at once", "once the service answers", "later", "never"],
)
def test_a_hopeless_job_is_cancelled_once(failing: list[Look], calls: int, said: int, caplog: pytest.LogCaptureFixture) -> None:
    class Watched(Sweep):
        def why_to_cancel(self) -> str:
            return "nothing can come of it" if len(self.reported) > 1 else ""

    sweep = Watched(*[job()] * 6, job("JOB_STATE_CANCELLED"))
    answers = iter(failing)
    plainly = sweep.service.cancel

    def cancel(name: str) -> None:
        plainly(name)
        error = next(answers, None)
        if isinstance(error, Exception):
            raise error

    sweep.service.cancel = cancel  # type: ignore[method-assign]
    assert sweep.run() == job("JOB_STATE_CANCELLED")
    assert sweep.service.cancelled == [NAME] * calls
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warned == ["nothing can come of it: cancelling the job", *map(str, failing)]
    assert len(warned) == said


# Sweeps of 300 trials whose command is fast, run to their end: what is not cancelled in time shows.
SWEEP = ("+x=range(0,300)", "hydra.sweeper.algorithm=grid", "hydra.sweeper.metrics={acc: maximize}")
MANY = ("hydra.sweeper.max_failed_trial_count=300",)


class Program:
    """An app in the working directory, whose trials run another command."""

    def __init__(self, app: Configs, folder: Path) -> None:
        self.app = app
        self.folder = folder
        self.directory = folder / "sweep"

    def run(self, *words: str) -> Outcome:
        """A whole local sweep. Raises SweepFailed where it ends badly."""
        plan = self.app.plan(*SWEEP, *words, f"hydra.sweep.dir='{self.directory}'")
        return _create_and_follow(plan, self.app.multirun([]))

    def rows(self) -> list[dict[str, str]]:
        with (self.directory / "trials.csv").open(newline="", encoding="utf-8") as lines:
            return list(csv.DictReader(lines))


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[Program]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}")
    caplog.set_level("INFO")
    (tmp_path / "data").touch()
    with app_in(tmp_path, {"config": "a: 1\n"}) as app:
        yield Program(app, tmp_path)


CANCELLED = {
    # The command, the exit code of its trials, and at least how many of them end before anything is concluded.
    "no metric": ("true", 65, 2, ()),
    "no such command": ("no-such-program", 127, 2, ()),
    "a command that cannot be started": ("./data", 126, 2, ()),
    "four at a time": ("true", 65, 4, ("hydra.sweeper.parallel_trial_count=4",)),
    "one at a time": ("true", 65, 2, ("hydra.sweeper.parallel_trial_count=1",)),
}


@pytest.mark.parametrize("case", CANCELLED)
def test_a_sweep_of_which_nothing_can_come_is_cancelled(program: Program, case: str, caplog: pytest.LogCaptureFixture) -> None:
    command, code, least, words = CANCELLED[case]
    with pytest.raises(SweepFailed, match=rf"^the job ended CANCELLED: each of the \d+ trials .* exit code {code} \("):
        program.run(*MANY, f"hydra.sweeper.trial.command=['{command}']", *words)
    (said,) = [record.getMessage() for record in caplog.records if "cancelling" in record.getMessage()]
    assert re.fullmatch(
        rf"each of the \d+ trials that have ended failed with exit code {code} \({re.escape(PERMANENT[code])}\), "
        r"and so would every other \(\d+ of 300 trials do not begin\): cancelling the job",
        said,
    )
    failed = [row for row in program.rows() if str(code) in row["reason"]]
    assert least <= len(failed) <= len(program.rows()) < 200
    assert not (program.directory / "best.yaml").exists()


REPORT = """
report() { printf '{"timestamp": 9e9, "trial": "1", "acc": "%s", "global_step": "1"}\\n' "$1" >>"$CLOUD_ML_HP_METRIC_FILE"; }
case " $* " in
"""
GOES_ON = {
    # By the number x of the trial, what it does; and whether the sweep has a result.
    "one has a result": ("*x=0*) report 1 ;; *) ;;", True),
    "one without a finite value": ("*x=0*) report nan ;; *) ;;", False),
    "an error of the app": ("*x=1*) exit 3 ;; *) ;;", False),
    "an error of the app in all": ("*) exit 1 ;;", False),
}


@pytest.mark.parametrize("case", GOES_ON)
def test_where_one_trial_ended_otherwise_nothing_is_cancelled(
    program: Program, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    does, good = GOES_ON[case]
    (program.folder / "run.sh").write_text(f"{REPORT}{does}\nesac\n")
    counts = ["hydra.sweeper.max_trial_count=3", "hydra.sweeper.max_failed_trial_count=3"]
    one = ["hydra.sweeper.trial.command=[sh,run.sh]", "hydra.sweeper.parallel_trial_count=1"]
    with nullcontext() if good else pytest.raises(SweepFailed):
        program.run(*counts, *one)
    assert "cancelling" not in caplog.text
    assert len(program.rows()) == 3


def test_a_lower_limit_of_failures_comes_first(program: Program, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SweepFailed, match="the job ended FAILED"):
        program.run("hydra.sweeper.trial.command=['true']", "hydra.sweeper.max_failed_trial_count=1")
    assert "cancelling" not in caplog.text


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


def test_a_metric_that_no_trial_returns_is_paid_for_two_or_three_times(app: App) -> None:
    app.write_body("return {'loss': 1.0}")
    output = app.sweep(*SWEEP, *MANY, code=1)
    assert f"failed with exit code 65 ({PERMANENT[65]}), and so would every other" in output
    assert len(app.rows()) < 20


def test_a_requirement_that_only_the_trials_lack(app: App) -> None:
    script = app.folder / "train.py"
    script.write_text(f"import os\nif 'CLOUD_ML_TRIAL_ID' in os.environ:\n    import no_such_module\n{script.read_text()}")
    output = app.sweep(*SWEEP, *MANY, code=1)
    assert "ModuleNotFoundError: No module named 'no_such_module'" in output
    assert f"failed with exit code 69 ({PERMANENT[69]}), and so would every other" in output
    assert len(app.rows()) < 20


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_whoever_comes_back_to_a_hopeless_job_on_vertex_cancels_it(
    program: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from vertex_sweeper.emulator import Emulator

    with Emulator() as emulator:
        monkeypatch.setenv("VERTEX_EMULATOR_HOST", emulator.address)
        words = ["hydra.sweeper.backend=vertex", "hydra.sweeper.trial.command=['true']", "hydra.sweeper.wait=false"]
        where = ["hydra.sweeper.vertex={project: p, location: l}", "hydra.sweeper.trial.image=image"]
        program.run(*MANY, *words, *where)
        assert "cancelling" not in caplog.text
        monkeypatch.delenv("VERTEX_EMULATOR_HOST")
        with pytest.raises(SweepFailed, match="the job ended CANCELLED: each of the "):
            go_on(read_target(str(program.directory)), None, on_interrupt=OnInterrupt.DETACH)
    assert caplog.text.count("cancelling the job") == 1
    assert 2 <= sum("65" in row["reason"] for row in program.rows()) < 300
