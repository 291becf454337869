"""A command that could not run is told from one that trained and failed: for want of a module, or before its task, it is 69."""

from __future__ import annotations

import pytest

from tests.runtime.trials import FLAGS, TrialRunner, sweep

APP = """
{top}
import hydra

@hydra.main(version_base=None, config_path=None)
def main(cfg):
    {task}

if __name__ == "__main__":
    main()
"""
CASES = {
    # What stands at the top of the script, what the task does, the exit code, and a part of what the shim says.
    "an import that fails": ("import no_such_module", "return 1.0", 69, "ended with 1 before its task began"),
    "an import in a module of the app's own": ("import own", "return 1.0", 69, "ended with 1 before its task began"),
    "an exception at the top": ("raise ValueError", "return 1.0", 69, "ended with 1 before its task began"),
    "a syntax error": ("x = = 1", "return 1.0", 69, "ended with 1 before its task began"),
    "an import in the task": ("", "import no_such_module", 69, "for want of a module: No module named 'no_such_module'"),
    "a target of a module that is not there": (
        "",
        "hydra.utils.instantiate({'_target_': 'no_such_module.Model'})",
        69,
        "for want of a module: No module named 'no_such_module'",
    ),
    "an exit code of the app's own, at the top": ("import sys; sys.exit(3)", "return 1.0", 3, ""),
    "an error in the task": ("", "raise ValueError('no data')", 1, ""),
    "another import error in the task": ("", "raise ImportError('no such driver')", 1, ""),
    "a target that is not in its module": ("", "hydra.utils.instantiate({'_target_': 'json.Model'})", 69, "'json.Model'"),
    "an exit in the task": ("", "raise SystemExit(1)", 1, ""),
    "another exit in the task": ("", "raise SystemExit(2)", 2, ""),
    "a module that the app does without": (
        "try:\n    import no_such_module\nexcept ImportError:\n    pass",
        "raise ValueError('no data')",
        1,
        "",
    ),
    "a kill at the top": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "return 1.0", 137, ""),
    "an end at the top that was meant": ("import sys; sys.exit()", "return 1.0", 65, "no task returned under Hydra"),
    "nothing wrong": ("", "return 1.0", 0, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_could_not_run_is_68_and_what_failed_keeps_its_code(runner: TrialRunner, case: str) -> None:
    top, task, expected, said = CASES[case]
    runner.script("import no_such_module", name="own.py")
    runner.script(APP.format(top=top, task=task))
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))
    assert (code, len(lines)) == (expected, 1 if said else 0), runner.errors
    assert said in "".join(lines)


def test_an_override_that_the_config_does_not_take_is_68(runner: TrialRunner) -> None:
    runner.app("return 1.0")
    agreed = sweep("python", "train.py")._replace(sequence=("no.such.key=1",), parameters=())
    code, _, lines = runner.run("python", "train.py", agreed=agreed)
    assert (code, len(lines)) == (69, 1), runner.errors


def test_a_script_that_is_not_there_is_68(runner: TrialRunner) -> None:
    code, _, lines = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))
    assert (code, lines[0].partition(":")[0]) == (69, "the command ended with 2 before its task began"), runner.errors


def test_an_app_that_is_started_as_a_module_is_found(runner: TrialRunner) -> None:
    (runner.folder / "src" / "package").mkdir(parents=True)
    runner.script(APP.format(top="import no_such_module", task="return 1.0"), name="src/package/train.py")
    command = ("python", "-m", "package.train")
    path = f"{runner.environment['PYTHONPATH']}:{runner.folder / 'src'}"
    code, _, lines = runner.run(*command, *FLAGS, agreed=sweep(*command), environment={"PYTHONPATH": path})
    assert (code, len(lines)) == (69, 1), runner.errors


@pytest.mark.parametrize("rank", ["0", "1"])
@pytest.mark.parametrize(("top", "code"), [("", 1), ("import no_such_module", 69)])
def test_a_launcher_hides_nothing(runner: TrialRunner, rank: str, top: str, code: int) -> None:
    runner.script(APP.format(top=top, task="raise ValueError('no data')"), name="one.py")
    runner.script(
        f"""
        import os, subprocess, sys
        done = subprocess.run([sys.executable, "one.py", *sys.argv[2:]], env={{**os.environ, "RANK": "{rank}"}})
        sys.exit(done.returncode)
        """,
        name="launch.py",
    )
    command = ("python", "launch.py", "one.py")
    assert runner.run(*command, *FLAGS, agreed=sweep(*command))[0] == code, runner.errors


def test_a_second_attempt_is_not_taken_in_by_the_first(runner: TrialRunner) -> None:
    agreed = sweep("python", "train.py")
    runner.script(APP.format(top="", task="raise ValueError"))
    assert runner.run("python", "train.py", *FLAGS, agreed=agreed)[0] == 1
    runner.script(APP.format(top="import no_such_module", task="return 1.0"))
    assert runner.run("python", "train.py", *FLAGS, agreed=agreed)[0] == 69


@pytest.mark.parametrize("code", ["1", "2"])
def test_a_program_that_is_no_hydra_app_keeps_its_code(runner: TrialRunner, code: str) -> None:
    runner.script(f"raise SystemExit({code})")
    assert runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"))[0] == int(code)


def test_without_a_contract_the_code_is_the_commands(runner: TrialRunner) -> None:
    runner.script(APP.format(top="import no_such_module", task="return 1.0"))
    assert runner.run("python", "train.py")[0] == 1


def test_another_replica_keeps_its_code(runner: TrialRunner) -> None:
    runner.script(APP.format(top="import no_such_module", task="return 1.0"))
    cluster = '{"task": {"type": "workerpool1", "index": 0}}'
    result = runner.run("python", "train.py", *FLAGS, agreed=sweep("python", "train.py"), environment={"CLUSTER_SPEC": cluster})
    assert result[0] == 1
