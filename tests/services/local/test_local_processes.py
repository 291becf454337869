"""What the local service starts, in which environment, and that nothing of it is left, however it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.execute import reaper
from vertex_sweeper.testing.gate import PARENT, Gate, is_alive, make_job, wait_for_death, wait_for_end

Start = Callable[..., LocalService]

ROOT = Path(__file__).parents[3]
linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc: without it only groups are ended")

UNMARKED = "subprocess.Popen(['sleep', '1000'], env={'PATH': os.environ['PATH']}).pid"
"""A grandchild that has lost its mark, and is found by its group only."""

HOST = """
import json, os, sys, threading
from pathlib import Path
from vertex_sweeper.services.local import LocalService

folder, spec = Path(sys.argv[1]), json.loads(sys.argv[2])
service = LocalService(lambda job_id: folder / job_id, seed=1)
job = service.create("projects/p/locations/l", spec)
while service.get(job["name"]).get("endTime") is None:
    service.wait_for_change(60)
print("ended", flush=True)
service.close()
"""


def ignored(pid: int) -> set[int]:
    """The signals that a process ignores."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn"))
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def start_host(folder: Path, job: dict[str, object], *, script: str = HOST) -> subprocess.Popen[str]:
    """Another process, which hosts a service that runs the job."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error"}
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder), json.dumps(job)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@linux
@pytest.mark.parametrize("ending", ["cancel", "close"])
def test_a_grandchild_that_left_the_group_dies_with_its_trial(start: Start, gate: Gate, ending: str) -> None:
    service = start()
    name = service.create(PARENT, gate.job())["name"]
    visitor = gate.next()
    grandchild = visitor.ask("detach()")
    assert is_alive(grandchild)
    if ending == "cancel":
        service.cancel(name)
        wait_for_end(service, name)
    else:
        service.close()
    wait_for_death(visitor.pid, grandchild)


@linux
def test_nothing_is_left_of_a_trial_that_ended_by_itself(service: LocalService, gate: Gate) -> None:
    name = service.create(PARENT, gate.job())["name"]
    visitor = gate.next()
    detached = visitor.ask("detach()")
    in_group = visitor.ask(UNMARKED)
    visitor.finish(acc=0.5)
    assert wait_for_end(service, name)["state"] == "JOB_STATE_SUCCEEDED"
    wait_for_death(detached, in_group)


@linux
def test_a_process_whose_environment_cannot_be_seen_is_looked_at_again_but_not_for_ever() -> None:
    # As one that is just beginning its program; this one stays like that.
    sleep = shutil.which("sleep")
    assert sleep is not None
    with subprocess.Popen([sleep, "1000"], env={}, stdout=subprocess.DEVNULL) as process:
        try:
            assert reaper.find_marked(b"NOBODY_HAS_THIS=") == ([], True)
            reaper.kill_marked(b"NOBODY_HAS_THIS=")
            assert is_alive(process.pid)
        finally:
            process.kill()


@linux
def test_other_trials_go_on_when_one_ends(service: LocalService, gate: Gate) -> None:
    service.create(PARENT, gate.job(most=2, parallel=2))
    first, second = gate.next(), gate.next()
    grandchild = second.ask("detach()")
    grandchild_of_first = first.ask("detach()")
    first.finish(acc=0.5)
    wait_for_death(first.pid, grandchild_of_first)
    assert second.ask("1 + 1") == 2
    assert is_alive(grandchild)


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_nothing_is_left_when_the_hosting_process_is_killed(gate: Gate, tmp_path: Path, number: signal.Signals) -> None:
    with start_host(tmp_path, gate.job(most=10, parallel=2)) as host:
        visitors = [gate.next(), gate.next()]
        grandchildren = [visitor.ask(how) for visitor in visitors for how in ("detach()", UNMARKED)]
        reaper = find_reaper(host.pid)
        host.send_signal(number)
        host.wait()
    wait_for_death(*[visitor.pid for visitor in visitors], *grandchildren, reaper)


@linux
def test_the_guardian_survives_what_ends_the_terminal_and_ends_with_the_service(
    gate: Gate, tmp_path: Path, until: Callable[[Callable[[], bool]], None]
) -> None:
    with start_host(tmp_path, gate.job()) as host:
        visitor = gate.next()
        reaper = find_reaper(host.pid)
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        until(lambda: ignored(reaper) >= set(numbers))  # it may still be starting
        for number in numbers:
            os.kill(reaper, number)
        visitor.finish(acc=0.5)
        assert host.communicate() == ("ended\n", "")
    assert not Path(f"/proc/{reaper}").exists()  # reaped


@linux
def test_a_forked_process_that_holds_the_pipe_does_not_keep_trials_alive(gate: Gate, tmp_path: Path) -> None:
    quiet = "import warnings; warnings.simplefilter('ignore')"  # Python 3.12 warns of forks beside threads
    fork = f"sys.stdin.readline()\n{quiet}\nprint(os.fork() or threading.Event().wait(), flush=True)\nwhile service"
    with start_host(tmp_path, gate.job(), script=HOST.replace("while service", fork)) as host:
        assert host.stdin is not None
        assert host.stdout is not None
        visitor = gate.next()  # so the pipe is there when the process forks
        print(file=host.stdin, flush=True)
        forked = int(host.stdout.readline())
        host.kill()
        wait_for_death(visitor.pid)
        assert is_alive(forked)
        os.kill(forked, signal.SIGKILL)


@linux
def test_close_leaves_no_child_process(start: Start, gate: Gate) -> None:
    before = children(os.getpid())
    service = start()
    service.create(PARENT, gate.job(most=4, parallel=4))
    for _ in range(4):
        gate.next()
    assert len(children(os.getpid()) - before) == 5
    service.close()
    assert children(os.getpid()) == before


@linux
def test_an_idle_service_starts_neither_a_process_nor_a_thread(start: Start, gate: Gate) -> None:
    processes, threads = children(os.getpid()), threading.active_count()
    service = start()
    assert (children(os.getpid()), threading.active_count()) == (processes, threads)
    service.create(PARENT, gate.job())
    gate.next()
    assert len(children(os.getpid()) - processes) == 2  # what would have been seen: the reaper and a trial
    service.close()


@linux
def test_a_trial_inherits_no_open_file(service: LocalService, gate: Gate) -> None:
    service.create(PARENT, gate.job(most=2, parallel=2))
    gate.next()
    second = gate.next()
    names = second.ask(
        "[os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{fd}')]"
    )
    assert not [name for name in names if name.startswith("pipe:")]
    assert len([name for name in names if name.startswith("socket:")]) == 1  # its own connection
    assert "/dev/null" in names


@linux
def test_a_sweep_says_nothing_by_itself_and_warns_of_nothing(gate: Gate, tmp_path: Path) -> None:
    metrics = [{"metricId": "acc", "goal": "MAXIMIZE"}, {"metricId": "loss", "goal": "MINIMIZE"}]
    with start_host(tmp_path, gate.job(most=13, metrics=metrics)) as host:
        for number in range(13):
            gate.next().finish(acc=number, loss=1.0)
        assert host.communicate() == ("ended\n", "")


def find_reaper(host: int) -> int:
    (reaper,) = [pid for pid in children(host) if b"reaper.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return reaper


def children(pid: int) -> set[int]:
    found: set[int] = set()
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        found.update(map(int, listing.read_text().split()))
    return found


def test_the_environment_is_the_callers_less_what_belongs_to_another_run(start: Start, gate: Gate) -> None:
    foreign = [
        "RANK",
        "LOCAL_RANK",
        "WORLD_SIZE",
        "MASTER_ADDR",
        "MASTER_PORT",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "PMIX_RANK",
        "PMIX_NAMESPACE",
        "PMI_RANK",
        "PMI_FD",
        "SLURM_PROCID",
        "SLURM_STEP_NUM_TASKS",
        "FLUX_TASK_RANK",
        "HOROVOD_SIZE",
        "TF_CONFIG",
        "AIP_MODEL_DIR",
    ]
    ours = {"VERTEX_SWEEPER_CONTRACT": "of an outer sweep", "VERTEX_SWEEPER_MARK_1": "of an outer sweep"}
    kept = {
        "KEPT": "yes",
        "SLURM_JOB_ID": "7",
        "SLURM_TMPDIR": "/scratch/7",
        "HOROVOD_FUSION_THRESHOLD": "0",
        "OMPI_MCA_btl": "self",
    }
    caller = {"PATH": os.environ["PATH"], **kept, "CLOUD_ML_PROJECT_ID": "7", **dict.fromkeys(foreign, "7"), **ours}
    start(environment=caller).create(PARENT, gate.job())
    environ = gate.next().environ
    assert {name: environ[name] for name in kept} == kept
    assert not environ.keys() & {*foreign, "VERTEX_SWEEPER_CONTRACT"}
    assert environ["CLOUD_ML_PROJECT_ID"].isdecimal()  # a project's number, and not that of the outer run
    assert environ["CLOUD_ML_PROJECT_ID"] != "7"
    assert environ["VERTEX_SWEEPER_MARK_1"] == "of an outer sweep"  # whoever ends the outer trial finds this one


def test_a_trial_gets_what_vertex_would_set(service: LocalService, gate: Gate, tmp_path: Path) -> None:
    job = gate.job(env=[{"name": "VERTEX_SWEEPER_CONTRACT", "value": "c"}])
    job["trialJobSpec"]["baseOutputDirectory"] = {"outputUriPrefix": "gs://bucket/base/"}
    name = service.create(PARENT, job)["name"]
    environ = gate.next().environ
    job_id = name.rpartition("/")[2]
    folder = tmp_path / "jobs of this test" / job_id
    cluster = json.loads(environ["CLUSTER_SPEC"])
    assert cluster["task"] == {"type": "workerpool0", "index": 0, "trial": "1"}
    assert list(cluster["cluster"]) == ["workerpool0"]
    expected = {
        "CLOUD_ML_JOB_ID": job_id,
        "CLOUD_ML_TRIAL_ID": "1",
        "CLOUD_ML_HP_METRIC_FILE": str(folder / "logs" / "1.metrics"),
        "AIP_MODEL_DIR": "gs://bucket/base/1/model/",
        "AIP_CHECKPOINT_DIR": "gs://bucket/base/1/checkpoints/",
        "AIP_TENSORBOARD_LOG_DIR": "gs://bucket/base/1/logs/",
        "VERTEX_SWEEPER_SWEEP_DIR": str(folder),
        "VERTEX_SWEEPER_CONTRACT": "c",
    }
    assert {name: environ[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        pytest.param("plain $HOME ${HOME} $", "plain $HOME ${HOME} $", id="other notations"),
        pytest.param("<$(EARLIER)>", "<first>", id="an earlier entry"),
        pytest.param("$(CLOUD_ML_TRIAL_ID)", "1", id="a variable of the service"),
        pytest.param("$(LATER) $(NOWHERE)", "$(LATER) $(NOWHERE)", id="unknown names stay"),
        pytest.param("$(HOME)", "$(HOME)", id="the machine's own variables are not the container's"),
        pytest.param("$$(EARLIER)$(EARLIER)", "$(EARLIER)first", id="escaped"),
    ],
)
def test_references_in_the_containers_variables_are_expanded(
    service: LocalService, gate: Gate, value: str, expanded: str
) -> None:
    env = [{"name": "EARLIER", "value": "first"}, {"name": "IT", "value": value}, {"name": "LATER", "value": "last"}]
    service.create(PARENT, gate.job(env=env))
    assert gate.next().environ["IT"] == expanded


def test_python_is_the_interpreter_that_runs_the_service(service: LocalService, gate: Gate) -> None:
    service.create(PARENT, gate.job())
    visitor = gate.next()
    assert visitor.ask("sys.prefix") == sys.prefix
    assert visitor.environ["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert visitor.ask("os.getcwd()") == str(Path.cwd())


@pytest.mark.parametrize("name", ["python", "python3"])
def test_python_is_found_where_its_folder_has_it_under_another_name_only(
    start: Start, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # A virtual environment whose folder is told by its place, with the interpreter's full name only.
    home = tmp_path / "an environment"
    (home / "bin").mkdir(parents=True)
    if sys.prefix != sys.base_prefix:
        shutil.copy(Path(sys.prefix) / "pyvenv.cfg", home / "pyvenv.cfg")
    interpreter = home / "bin" / "python3.99"
    interpreter.symlink_to(Path(sys.executable).resolve())
    monkeypatch.setattr(sys, "executable", str(interpreter))
    job = gate.job()
    job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["command"][0] = name
    start().create(PARENT, job)
    assert gate.next().ask("sys.executable") == str(interpreter)


def test_the_shim_is_started_as_a_module_where_its_script_is_not_installed(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    service = start(environment={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src")})
    script = "import os, sys; print(sys.argv)"
    name = service.create(PARENT, make_job(command=["vertex-trial", "python", "-c", script]))["name"]
    job = wait_for_end(service, name)
    log = tmp_path / "jobs of this test" / name.rpartition("/")[2] / "logs" / "1.log"
    assert "could not be started" not in job["trials"][0].get("infeasibleReason", "")
    assert "x=" in log.read_text()  # the shim has made an override of the flag
