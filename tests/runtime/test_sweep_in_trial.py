"""A trial never starts a sweep: it ends at the first one, with an exit code of its own, whatever stands in between."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.runtime.trials import FLAGS, TrialRunner, sweep
from vertex_sweeper_runtime.errors import SweepInTrialError
from vertex_sweeper_runtime.inside_trial import refuse_sweep
from vertex_sweeper_runtime.trial_environment import trial_variable

CODE = SweepInTrialError.exit_code
SWEEP = ["hydra/sweeper=vertex", "hydra.sweeper.backend=local", "hydra.sweeper.max_trial_count=1", "++lr=interval(0,1)"]

# Every program says that it has begun: `started` counts how deep the sweeps go.
BEGIN = f"""
import os, subprocess, sys
with open("started", "a") as file:
    file.write("one\\n")
SWEEP = {SWEEP}
"""
APP = f"""{BEGIN}
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    return 0.5
"""
SWEEPS = {
    "words put into sys.argv": f"{APP}\nsys.argv[1:1] = ['-m', *SWEEP]\nmain()",
    "a dry run": f"{APP}\nsys.argv[1:1] = ['-m', *SWEEP, 'hydra.sweeper.dry_run=true']\nmain()",
    "attach": f"{APP}\nsys.argv[1:1] = ['-m', *SWEEP, 'hydra.sweeper.attach=elsewhere']\nmain()",
    "settings that nobody can read": f"{APP}\nsys.argv[1:1] = ['-m', *SWEEP, 'hydra.sweeper.nonsense=1']\nmain()",
    "another mode, last": f"{APP}\nsys.argv += [*SWEEP, 'hydra.mode=MULTIRUN']\nmain()",
    "SystemExit is caught": f"{APP}\nsys.argv[1:1] = ['-m', *SWEEP]\ntry:\n    main()\nexcept SystemExit:\n    pass",
    "a thread": f"""{APP}
import threading
sys.argv[1:1] = ["-m", *SWEEP]
thread = threading.Thread(target=main)
thread.start()
thread.join()
""",
    "a launcher that knows two exit codes": f"""{BEGIN}
if "child" not in os.environ:
    sys.exit(1 if subprocess.run([sys.executable, *sys.argv], env={{**os.environ, "child": "1"}}).returncode else 0)
import hydra
sys.argv[1:1] = ["-m", *SWEEP]
hydra.main(version_base="1.3", config_path=None)(lambda cfg: 0.5)()
""",
    "a process whose end nobody minds": f"""{APP}
if "--multirun" not in sys.argv:
    subprocess.run([sys.executable, sys.argv[0], "--multirun", *SWEEP])
main()
""",
    "hydra-zen": f"""{BEGIN}
from hydra_zen import launch, make_config
launch(make_config(), lambda cfg: cfg.lr, overrides=SWEEP, multirun=True, version_base="1.3")
""",
}


def started(folder: Path) -> int:
    return len((folder / "started").read_text().splitlines())


@pytest.mark.parametrize(
    ("script", "by_hand"),
    [(script, False) for script in SWEEPS] + [("a thread", True), ("a process whose end nobody minds", True)],
)
def test_a_trial_ends_where_a_sweep_would_begin(runner: TrialRunner, script: str, *, by_hand: bool) -> None:
    if script == "hydra-zen" and importlib.util.find_spec("hydra_zen") is None:
        pytest.skip("needs hydra-zen, which is not installed")
    runner.script(SWEEPS[script])
    flags, agreed = ((), None) if by_hand else (FLAGS, sweep("python", "train.py"))
    code, _, lines = runner.run("python", "train.py", *flags, agreed=agreed)
    assert (code, len(lines)) == (CODE, 1), runner.errors
    assert lines[0].startswith("no sweep starts inside a trial (CLOUD_ML_TRIAL_ID is set)")
    assert lines[0] in [line.strip() for line in runner.errors.splitlines()]  # said where it happened, too
    assert "Traceback" not in runner.errors
    assert started(runner.folder) == 1 + ("launcher" in script or "process" in script)


def test_the_attempt_after_it_is_not_taken_for_one(runner: TrialRunner) -> None:
    runner.script(SWEEPS["a thread"])
    assert runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))[0] == CODE
    runner.app("return 0.5")
    assert runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))[0] == 0


def test_a_metric_file_that_cannot_be_written_beside_keeps_the_exit_code(runner: TrialRunner) -> None:
    runner.script(SWEEPS["words put into sys.argv"])
    (runner.folder / "file").touch()
    code, _, lines = runner.run("python", "train.py", environment={"CLOUD_ML_HP_METRIC_FILE": "file/metrics"})
    assert (code, lines) == (CODE, []), runner.errors
    assert "no sweep starts inside a trial" in runner.errors


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_multirun_of_hydras_own_runs_inside_a_trial(runner: TrialRunner, launcher: str) -> None:
    if launcher == "joblib" and importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        pytest.skip("needs hydra-joblib-launcher, which is not installed")
    inner = f"subprocess.run([sys.executable, 'inner.py', '-m', '+lr=1,2', 'hydra/launcher={launcher}'], check=True)"
    runner.app(f"import subprocess\n{inner}\nreturn 0.5")
    runner.app("open(f'ran-{cfg.lr}', 'w')", name="inner.py")
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))
    assert (code, lines) == (0, []), runner.errors
    assert sorted(path.name for path in runner.folder.glob("**/ran-*")) == ["ran-1", "ran-2"]


@pytest.mark.parametrize("script", ["words put into sys.argv", "hydra-zen"])
def test_a_whole_sweep_of_such_a_script_ends_at_its_first_level(tmp_path: Path, script: str) -> None:
    pytest.importorskip("optuna", reason="backend local needs the extra [local]")
    if script == "hydra-zen":
        pytest.importorskip("hydra_zen", reason="hydra-zen is not installed")
    code = SWEEPS[script].replace(
        "SWEEP = [", "SWEEP = ['hydra.sweeper.trial.command=[python,train.py]', 'hydra.sweep.dir=sweep', "
    )
    (tmp_path / "train.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert started(tmp_path) == 2
    with (tmp_path / "sweep" / "trials.csv").open(encoding="utf-8") as rows:
        (row,) = csv.DictReader(rows)
    assert row["state"] == "INFEASIBLE"
    assert row["reason"].startswith("vertex-trial: no sweep start")
    assert row["reason"].endswith(f" (exit code {CODE})")
    assert "…" not in row["reason"]  # the remedy stands at its end
    assert row["reason"] in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        pytest.param({}, None, id="nowhere"),
        pytest.param({"CLOUD_ML_TRIAL_ID": "3"}, "CLOUD_ML_TRIAL_ID", id="a trial of Vertex"),
        pytest.param({"CLOUD_ML_TRIAL_ID": ""}, None, id="an empty id"),
        pytest.param({"CLOUD_ML_JOB_ID": "9", "AIP_MODEL_DIR": "gs://b/model"}, None, id="a custom job"),
        pytest.param({"VERTEX_SWEEPER_CONTRACT": ""}, "VERTEX_SWEEPER_CONTRACT", id="a contract"),
        pytest.param({"VERTEX_SWEEPER_SWEEP_DIR": "/x"}, "VERTEX_SWEEPER_SWEEP_DIR", id="the local service"),
        pytest.param({"VERTEX_SWEEPER_MARK_0f": "a 1"}, "VERTEX_SWEEPER_MARK_0f", id="its mark"),
        pytest.param({"VERTEX_SWEEPER_EARLIER_METRICS": ""}, "VERTEX_SWEEPER_EARLIER_METRICS", id="the shim"),
        pytest.param({"VERTEX_TRIAL_METRIC": "a", "VERTEX_EMULATOR_HOST": "b"}, None, id="what users set"),
        *(
            pytest.param({"CLUSTER_SPEC": json.dumps({"task": task})}, variable, id=f"CLUSTER_SPEC {task}")
            for task, variable in [
                ({"type": "workerpool0", "index": 0, "trial": "1"}, "CLUSTER_SPEC"),
                ({"trial": 7}, "CLUSTER_SPEC"),
                ({"type": "workerpool0", "index": 0, "trial": ""}, None),
                ({"type": "workerpool0", "index": 0}, None),
                ({"trial": None}, None),
                ({"trial": ["1"]}, None),
                ("x", None),
            ]
        ),
        pytest.param({"CLUSTER_SPEC": "{"}, None, id="CLUSTER_SPEC of garbage"),
    ],
)
def test_a_trial_is_known_by_its_environment(environment: Mapping[str, str], variable: str | None) -> None:
    assert trial_variable(environment) == variable
    if variable is None:
        refuse_sweep(environment)


def test_the_exit_code_is_permanent() -> None:
    assert CODE not in {6, 11, 134, 139}  # after these Vertex would run the container again
