"""Launched jobs: the shim before real Hydra apps, with a contract that has a number."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.runtime.trials import TrialRunner
from vertex_sweeper_runtime import return_value
from vertex_sweeper_runtime.contract import Contract

AGREED = Contract(("python", "train.py"), ("+a=1", "+b='x, y'"), (), (), number=4)
WORDS = ("python", "train.py", "+a=1", "+b='x, y'")


@pytest.fixture
def launched(runner: TrialRunner) -> TrialRunner:
    for name in ("CLOUD_ML_TRIAL_ID", "CLOUD_ML_JOB_ID", "CLOUD_ML_HP_METRIC_FILE"):
        del runner.environment[name]
    runner.environment |= {
        "VERTEX_SWEEPER_RETURN_VALUE": str(runner.folder / "out" / "return_value.json"),
        "CLOUD_ML_HP_METRIC_FILE": str(runner.metric_file),  # the default is the same for all tests
    }
    return runner


def returned(runner: TrialRunner) -> return_value.Returned | None:
    path = runner.folder / "out" / "return_value.json"
    return return_value.read_returned(path.read_bytes()) if path.exists() else None


def test_a_launched_job_is_the_run_that_hydra_would_have_made_and_brings_its_value_back(launched: TrialRunner) -> None:
    launched.app("""
    job = HydraConfig.get().job
    os.chdir("/")
    print("noise")
    return {"num": job.num, "id": job.id, "cfg": cfg, "dir": HydraConfig.get().runtime.output_dir, "nan": [math.inf]}
    """)
    code, _, lines = launched.run(*WORDS, agreed=AGREED)
    assert (code, lines) == (0, []), launched.errors
    value = {
        "num": 4,
        "id": "4",
        "cfg": {"a": 1, "b": "x, y"},
        "dir": str(launched.sweep_directory / "4"),
        "nan": [float("inf")],
    }
    assert returned(launched) == return_value.Returned("returned", value)
    assert not launched.metric_file.exists()


def test_what_the_task_raises_comes_back_with_its_traceback(launched: TrialRunner) -> None:
    launched.app("raise RuntimeError('no luck')")
    assert launched.run(*WORDS, agreed=AGREED)[0] == 1
    found = returned(launched)
    assert found is not None
    assert (found.status, found.type, found.message) == ("raised", "RuntimeError", "no luck")
    assert found.traceback.endswith("RuntimeError: no luck\n")
    assert "train.py" in found.traceback


def test_what_an_earlier_attempt_left_is_gone_when_the_app_leaves(launched: TrialRunner) -> None:
    path = launched.folder / "out" / "return_value.json"
    path.parent.mkdir()
    return_value.write_returned(str(path), 1)
    launched.app("sys.exit()")
    code, _, lines = launched.run(*WORDS, agreed=AGREED)
    assert (code, lines, returned(launched)) == (0, [], None), launched.errors


@pytest.mark.parametrize(("task", "line"), [("import absent_module", "for want of a module"), (None, "before its task began")])
def test_a_launched_job_that_cannot_run_is_69(launched: TrialRunner, task: str | None, line: str) -> None:
    if task is None:
        launched.script("import hydra, absent_module")
    else:
        launched.app(task)
    code, _, lines = launched.run(*WORDS, agreed=AGREED)
    assert code == 69, launched.errors
    assert line in lines[0]


def test_what_shim_and_callback_told_each_other_is_gone_and_what_the_app_left_is_not(launched: TrialRunner) -> None:
    where = "import os, pathlib; path = pathlib.Path(os.environ['CLOUD_ML_HP_METRIC_FILE'])"
    for own_file, left in (("None", False), ("(path.parent / 'mine').write_text('kept')", True)):
        launched.app(f"{where}; {own_file}; return str(path)")
        code, _, _ = launched.run(*WORDS, agreed=AGREED, environment={"CLOUD_ML_HP_METRIC_FILE": ""})
        found = returned(launched)
        assert (code, found is not None) == (0, True), launched.errors
        folder = Path(found.value).parent  # type: ignore[union-attr]
        assert folder.name.startswith("job-")
        assert [path.name for path in folder.glob("*")] == (["mine"] if left else [])
        assert folder.exists() == left
        shutil.rmtree(folder, ignore_errors=True)


def test_another_rank_writes_nothing(launched: TrialRunner) -> None:
    launched.app("return 1")
    assert launched.run(*WORDS, agreed=AGREED, environment={"RANK": "1"})[0] == 0
    assert returned(launched) is None


def test_a_sweep_is_refused_inside_a_launched_job(launched: TrialRunner) -> None:
    launched.script("from vertex_sweeper_runtime.inside_trial import refuse_sweep; refuse_sweep(what='launch')")
    code, _, lines = launched.run(*WORDS, agreed=AGREED)
    assert (code, len(lines)) == (67, 1), launched.errors
    assert lines[0].startswith("no launch starts inside a trial or launched job (VERTEX_SWEEPER_")
    assert json.dumps(lines[0])[1:-1] in (launched.metric_file.parent / "output.metrics.outcome").read_text()
