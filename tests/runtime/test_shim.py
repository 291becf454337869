"""Whole trials: the shim before real commands and real Hydra apps."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from typing import Any

import pytest

from tests.runtime.trials import FIXED, FLAGS, OVERRIDES, TrialRunner, sweep
from tests.support import every
from vertex_sweeper_runtime import contract, contract_document

SHOW = """
hydra_config = HydraConfig.get()
print(json.dumps({
    "config": OmegaConf.to_container(cfg),
    "task": list(hydra_config.overrides.task),
    "num": hydra_config.job.num, "id": hydra_config.job.id, "mode": hydra_config.mode.name,
    "dir": hydra_config.runtime.output_dir,
}))
return 0.5
"""
CONFIG = {"seed": 1, "lr": 0.01, "layers": 3, "batch": 32, "optimizer": "adam, w", "name": "a b"}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([*FIXED, *FLAGS], id="one token each, behind the fixed overrides"),
        pytest.param(
            [part for flag in reversed(FLAGS) for part in flag.split("=")] + [*FIXED], id="two tokens each, before, reversed"
        ),
    ],
)
def test_a_trial_is_the_run_that_hydra_would_have_composed_in_its_numbered_folder(
    runner: TrialRunner, arguments: list[str]
) -> None:
    runner.app(SHOW)
    code, output, lines = runner.run("python", "train.py", *arguments, agreed=sweep("python", "train.py"))
    assert (code, lines) == (0, []), runner.errors
    shown = json.loads(output.splitlines()[0])
    assert shown == {
        "config": CONFIG,
        "task": OVERRIDES,
        "num": 3,
        "id": "4711_3",
        "mode": "RUN",
        "dir": str(runner.sweep_directory / "3"),
    }
    assert [(line["trial"], line["val_acc"]) for line in runner.metrics()] == [("3", "0.5")]
    assert "Reported val_acc=0.5" in (runner.sweep_directory / "3" / "train.log").read_text()


def test_an_app_whose_config_says_multirun_runs_once(runner: TrialRunner) -> None:
    runner.app(SHOW).write_text(
        runner.app(SHOW).read_text().replace("config_path=None", 'config_path=".", config_name="config"')
    )
    (runner.folder / "config.yaml").write_text("x: 1\nhydra: {mode: MULTIRUN, sweeper: {params: {x: '1,2,3'}}}\n")
    code, output, _ = runner.run("python", "train.py", *FIXED, *FLAGS, agreed=sweep("python", "train.py"))
    assert code == 0, runner.errors
    assert [json.loads(line)["config"]["x"] for line in output.splitlines() if line.startswith("{")] == [1]
    assert len(runner.metrics()) == 1


def test_without_a_contract_flags_become_overrides_and_the_return_value_is_the_objective(runner: TrialRunner) -> None:
    runner.app(SHOW)
    flags = ["--+lr=0.1", "--+text", "1,2", "--cfg=job"]
    code, output, _ = runner.run("python", "train.py", *flags)
    assert (code, output.rstrip() + "\n") == (0, "lr: 0.1\ntext: 1,2\n"), runner.errors
    code, output, _ = runner.run("python", "train.py", *flags[:3])
    assert json.loads(output.splitlines()[0])["config"] == {"lr": 0.1, "text": "1,2"}
    assert [line["objective"] for line in runner.metrics()] == ["0.5"]


@pytest.mark.parametrize(("task", "reported"), [("return 2", ["2.0"]), ("return None", [])])
def test_without_a_contract_a_metric_may_have_another_name_and_may_be_missing(
    runner: TrialRunner, task: str, reported: list[str]
) -> None:
    runner.app(task)
    code, _, lines = runner.run("python", "train.py", environment={"VERTEX_TRIAL_METRIC": "loss"})
    assert (code, lines) == (0, []), runner.errors
    assert [line["loss"] for line in (runner.metrics() if reported else [])] == reported
    assert runner.metric_file.exists() is bool(reported)


@pytest.mark.parametrize(
    ("task", "why"),
    every(
        2,
        [
            pytest.param("return None", "the task returned None, not a number", id="None"),
            pytest.param("return 'good'", "the task returned a str, not a number", id="a text"),
            pytest.param("return {'acc': 1}", "a dict without it (its keys: acc)", id="a dict without the metric"),
            pytest.param("sys.exit()", "did the app leave by sys.exit()", id="sys.exit"),
        ],
    ),
)
def test_a_command_that_ends_well_without_its_metric_is_65_and_says_why(runner: TrialRunner, task: str, why: str) -> None:
    runner.app(task)
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))
    assert code == 65, runner.errors
    assert len(lines) == 1
    assert lines[0].startswith("val_acc was not reported: ")
    assert why in lines[0]


def test_a_command_that_is_no_hydra_app_is_65_and_says_so_for_each_metric(runner: TrialRunner) -> None:
    agreed = sweep("true", metrics=("a", "b"))
    code, _, lines = runner.run("true", *FLAGS, agreed=agreed)
    assert code == 65
    assert [line.partition(" ")[0] for line in lines] == ["a", "b"]
    assert all("no Hydra app" in line for line in lines)


@pytest.mark.parametrize(
    ("reports", "named"),
    every(
        2,
        [
            ({"epoch_acc": 0.5}, ["epoch_acc"]),
            ({"epoch_acc": 0.5, "epoch_loss": float("nan")}, ["epoch_acc", "epoch_loss"]),
            ({"\x1b[31m" + "m" * 100: 1}, ["'\\x1b[31m" + "m" * 50 + "…"]),
            ({f"m{n}": n for n in range(100)}, ["m0", "m1", "m2", "m3", "m4"]),
        ],
    ),
    ids=["one", "two", "hostile", "many"],
)
def test_metrics_that_were_reported_under_another_name_are_named(
    runner: TrialRunner, reports: dict[str, float], named: list[str]
) -> None:
    runner.app(
        f"import hypertune\ntune = hypertune.HyperTune()\nfor name, value in {reports!r}.items():\n".replace(
            ": nan", ": math.nan"
        )
        + "    tune.report_hyperparameter_tuning_metric(name, value, global_step=1)"
    )
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))
    assert code == 65, runner.errors
    assert lines == [
        "val_acc was not reported: the task returned None, not a number",
        f"the app reported {', '.join(named)}: hydra.sweeper.metrics must name what it reports",
    ]


def test_a_report_that_fails_is_65_with_the_error(runner: TrialRunner) -> None:
    runner.app("return 1.0")
    runner.metric_file.mkdir(parents=True)
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))
    assert code == 65, runner.errors
    assert lines[0] == f"{runner.metric_file} cannot be read: not a regular file but a directory"
    assert [line[:53] for line in lines[1:]] == ["val_acc was not reported: reporting it failed: OSErro"]


@pytest.mark.parametrize("number", ["math.nan", "math.inf"])
def test_a_number_that_is_not_finite_is_not_reported_and_no_failure(runner: TrialRunner, number: str) -> None:
    runner.app(f"return {{'val_acc': {number}, 'loss': 1}}")
    agreed = sweep("python", "train.py", metrics=("val_acc", "loss"))
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=agreed)
    assert code == 0, runner.errors
    assert [line[:10] for line in lines] == ["val_acc is"]
    assert [set(line) & {"val_acc", "loss"} for line in runner.metrics()] == [{"loss"}]
    assert "val_acc is" in (runner.sweep_directory / "3" / "train.log").read_text()


REPORTS_ITSELF = """
import hypertune
tune = hypertune.HyperTune()
for step in range(1, 4):
    tune.report_hyperparameter_tuning_metric("val_acc", step / 10, global_step=step)
return {"val_acc": 9, "loss": 2}
"""


def test_an_app_that_reports_for_itself_keeps_its_lines_and_gets_only_what_is_missing(runner: TrialRunner) -> None:
    runner.app(REPORTS_ITSELF)
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py", metrics=("val_acc", "loss")))
    assert (code, lines) == (0, []), runner.errors
    assert [(line.get("val_acc"), line.get("loss"), line["global_step"]) for line in runner.metrics()] == [
        ("0.1", None, "1"),
        ("0.2", None, "2"),
        ("0.3", None, "3"),
        (None, "2.0", "3"),
    ]


def test_a_second_attempt_in_the_same_container_reports_again_and_is_not_taken_in_by_the_first(runner: TrialRunner) -> None:
    agreed = sweep("python", "train.py")
    runner.app("return 0.5")
    assert runner.run("python", "train.py", *FLAGS, agreed=agreed)[0] == 0
    assert runner.run("python", "train.py", *FLAGS, agreed=agreed)[0] == 0
    assert [line["val_acc"] for line in runner.metrics()] == ["0.5", "0.5"]
    runner.app("return None")
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=agreed)
    assert (code, len(lines), len(runner.metrics())) == (65, 1, 2)
    runner.app("sys.exit()")
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=agreed)
    assert code == 65
    assert "sys.exit()" in lines[0]  # and not what the attempt before left as its reason


@pytest.mark.parametrize(
    ("environment", "code"),
    every(
        2,
        [
            pytest.param({"CLUSTER_SPEC": json.dumps({"task": {"type": "workerpool1", "index": 0}})}, 0, id="another pool"),
            pytest.param({"CLUSTER_SPEC": json.dumps({"task": {"type": "workerpool0", "index": 1}})}, 0, id="another replica"),
            pytest.param({"RANK": "1"}, 65, id="another rank, alone"),
        ],
    ),
)
def test_only_the_first_process_of_the_primary_replica_reports(
    runner: TrialRunner, environment: dict[str, str], code: int
) -> None:
    runner.app("return 0.5")
    result = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"), environment=environment)
    assert result[0] == code, runner.errors
    assert not runner.metric_file.exists()


@pytest.mark.parametrize(
    "names", every(3, map(pytest.param, [("RANK", "LOCAL_RANK"), ("OMPI_COMM_WORLD_RANK", "PMIX_RANK"), ("SLURM_PROCID",)]))
)
def test_ranks_of_one_replica_report_once(runner: TrialRunner, names: tuple[str, ...]) -> None:
    runner.app(f"return float(os.environ['{names[0]}'])", name="one.py")
    runner.script(
        f"""
        import os, subprocess, sys
        for rank in ("1", "0", "2"):
            environment = {{**os.environ, **dict.fromkeys({names}, rank)}}
            subprocess.run([sys.executable, "one.py", *sys.argv[1:]], env=environment, check=True)
        """,
        name="launch.py",
    )
    code, _, lines = runner.run("python", "launch.py", *FLAGS, agreed=sweep("python", "launch.py"))
    assert (code, lines) == (0, []), runner.errors
    assert [line["val_acc"] for line in runner.metrics()] == ["0.0"]


def test_a_metric_file_without_a_folder_lies_where_the_shim_was_started(runner: TrialRunner) -> None:
    runner.app("return 0.5")
    agreed = sweep("python", "train.py", metrics=("val_acc",))._replace(sequence=("hydra.job.chdir=true",), parameters=())
    code, _, lines = runner.run("python", "train.py", agreed=agreed, environment={"CLOUD_ML_HP_METRIC_FILE": "bare.metrics"})
    assert (code, lines) == (0, []), runner.errors
    runner.metric_file = runner.folder / "bare.metrics"
    assert len(runner.metrics()) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    every(
        3,
        [
            pytest.param("sys.exit(1)", 1, id="an error"),
            pytest.param("sys.exit(42)", 42, id="another error"),
            pytest.param("raise ValueError", 1, id="an exception"),
            pytest.param("os.kill(os.getpid(), signal.SIGKILL)", 137, id="killed"),
            pytest.param("os.kill(os.getpid(), signal.SIGTERM)", 143, id="terminated"),
            pytest.param("os.abort()", 134, id="aborted"),
            pytest.param("pass", 65, id="well, without a metric"),
        ],
    ),
)
def test_the_exit_code_is_the_commands(runner: TrialRunner, code: str, expected: int) -> None:
    runner.script(f"import os, resource, signal, sys\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n{code}\n")
    assert runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))[0] == expected


def test_a_task_that_raises_is_hydras_exit_code_and_nothing_is_reported(runner: TrialRunner) -> None:
    runner.app("raise ValueError('no data')")
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))
    assert (code, lines) == (1, [])
    assert "no data" in runner.errors
    assert not runner.metric_file.exists()


@pytest.mark.parametrize(("command", "expected"), [("no-such-command", 127), ("./data", 126)])
def test_a_command_that_cannot_start_is_one_line(runner: TrialRunner, command: str, expected: int) -> None:
    (runner.folder / "data").touch()
    code, _, lines = runner.run(command, *FLAGS, agreed=sweep(command))
    assert (code, len(lines)) == (expected, 1)
    assert lines[0].startswith(f"{command}: cannot be started: ")
    assert "Traceback" not in runner.errors


def test_arguments_that_do_not_fit_are_64_and_nothing_is_started(runner: TrialRunner) -> None:
    runner.script("open('started', 'w')")
    code, output, lines = runner.run(
        "python", "train.py", "--lr=7", "--foo=1", agreed=sweep("python", "train.py", keep_alive=600)
    )
    assert (code, output) == (64, "")
    assert [line.partition(":")[0] for line in lines] == ["--foo=1", "lr", "layers", "batch", "optimizer"]
    assert not (runner.folder / "started").exists()


@pytest.mark.parametrize("text", ["", "garbage"])
def test_a_contract_that_cannot_be_read_is_64(runner: TrialRunner, text: str) -> None:
    code, _, lines = runner.run("true", environment={"VERTEX_SWEEPER_CONTRACT": text})
    assert (code, len(lines)) == (64, 1)


def hostile(**changes: Any) -> str:
    """A contract of the right version in which some fields are something else."""
    agreed = contract_document.encode(sweep("true"))
    document = json.loads(zlib.decompress(base64.urlsafe_b64decode(agreed))) | changes
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(document).encode())).decode()


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    every(
        3,
        [
            pytest.param(
                {contract.VARIABLE: hostile(parameters=7)}, 64, "parameters of the document must be a list", id="parameters"
            ),
            pytest.param({contract.VARIABLE: hostile(metrics="loss")}, 64, "metrics of the document must be", id="metrics"),
            pytest.param(
                {contract.VARIABLE: hostile(keep_alive=2**40)}, 64, "keep_alive of the document must", id="keep alive"
            ),
            pytest.param({contract.VARIABLE: hostile(sequence=[{"a": 1}])}, 64, "parameter of an item", id="a slot"),
            pytest.param({"CLUSTER_SPEC": '{"task": {"index": "one"}}'}, 68, "index of task must be", id="an index"),
            pytest.param(
                {contract.VARIABLE: hostile(command=["a\0b"], parameters=[], sequence=[])},
                64,
                "the command must begin",
                id="NUL",
            ),
        ],
    ),
)
def test_a_hostile_environment_is_one_line_and_an_exit_code_of_the_shims(
    runner: TrialRunner, environment: dict[str, str], code: int, said: str
) -> None:
    found, _, lines = runner.run("true", environment=environment)
    assert (found, len(lines)) == (code, 1), runner.errors
    assert said in lines[0]
    assert "Traceback" not in runner.errors


@pytest.mark.parametrize("override", ["+name=a\0b", "+name=\ud800"], ids=["NUL", "half a character"])
def test_an_override_that_no_process_can_be_given_is_one_line(runner: TrialRunner, override: str) -> None:
    agreed = sweep("true")._replace(parameters=(), sequence=(override,))
    code, _, lines = runner.run("true", agreed=agreed)
    assert (code, len(lines)) == (126, 1), runner.errors
    assert lines[0].startswith("true: cannot be started: ")
    assert "Traceback" not in runner.errors


STATUS = {
    "garbage": "printf '\\377\\376 garbage' > {}",
    "a list": "echo '[1]' > {}",
    "other types": """echo '{{"missing": ["val_acc"], "not_finite": 7}}' > {}""",
    "other types inside": """echo '{{"missing": {{"val_acc": 1}}, "not_finite": {{}}}}' > {}""",
    "a reason that is none": """echo '{{"missing": {{}}, "not_finite": {{}}, "stopped": 1}}' > {}""",
    "no exit code": """echo '{{"missing": {{}}, "not_finite": {{}}, "stopped": "x"}}' > {}""",
    "an exit code of its own": """echo '{{"missing": {{}}, "not_finite": {{}}, "stopped": "x", "code": 6}}' > {}""",
    "deep": "(head -c 200000 /dev/zero | tr '\\0' '[') > {}",
    "a pipe": "mkfifo {}",
    "a folder": "mkdir {}",
    "a device": "ln -s /dev/zero {}",
}


@pytest.mark.parametrize("status", every(3, STATUS))
def test_a_hostile_status_file_is_one_line_and_the_missing_metrics_exit_code(runner: TrialRunner, status: str) -> None:
    metrics = '"$CLOUD_ML_HP_METRIC_FILE"'
    leave = f'mkdir -p "$(dirname {metrics})"; {STATUS[status].format(metrics + ".outcome")}'
    command = ("sh", "-c", leave)
    code, _, lines = runner.run(*command, *FLAGS, agreed=sweep(*command))
    assert (code, len(lines)) == (65, 1), runner.errors
    assert lines[0].startswith(f"val_acc was not reported: {runner.metric_file}.outcome cannot be read (")
    assert "Traceback" not in runner.errors
    report = f"""{leave}; echo '{{"val_acc": "0.5"}}' > {metrics}"""
    code, _, lines = runner.run("sh", "-c", report, *FLAGS, agreed=sweep("sh", "-c", report))
    assert (code, lines) == (0, []), runner.errors


@pytest.mark.parametrize(("arguments", "code"), [([], 64), (["--help"], 0), (["-h"], 0)])
def test_without_a_command_the_shim_says_how_it_is_used(runner: TrialRunner, arguments: list[str], code: int) -> None:
    result = runner.run(*arguments)
    assert result[0] == code
    assert (result[1] + runner.errors).startswith("usage: vertex-trial COMMAND")


def test_the_command_sees_the_environment(runner: TrialRunner) -> None:
    runner.script("import json, os; print(json.dumps(dict(os.environ)))")
    code, output, _ = runner.run("python", "train.py", environment={"A": "ä \n="})
    assert code == 0
    assert json.loads(output)["A"] == "ä \n="


def test_the_shim_imports_nothing_but_the_standard_library_and_what_it_needs(runner: TrialRunner) -> None:
    code = """
    import sys
    before = set(sys.modules)
    import vertex_sweeper_runtime.trial, vertex_sweeper_runtime.flags, vertex_sweeper_runtime.without_contract
    new = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
    costly = {"dataclasses", "inspect", "subprocess", "pathlib", "vertex_sweeper_runtime.return_value"}
    print(sorted(new), sorted(costly & set(sys.modules)))
    """
    runner.script(code, name="imports.py")
    shim: dict[str, Any] = {"shim": (sys.executable, "-S", "imports.py")}
    assert runner.run(**shim)[1] == "['vertex_sweeper_runtime'] []\n", runner.errors
