"""`vertex-sweeper emulator` as a program: when it is ready, what it refuses, that nothing of it is left; and a sweep on it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.emulator.commands import start_emulator
from vertex_sweeper.testing.gate import PARENT, Gate, wait_for_death

pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")

from vertex_sweeper.cli.main import main
from vertex_sweeper.emulator import Emulator
from vertex_sweeper.results.outcome import TrialResult
from vertex_sweeper.services.address import Address, existing_address, vertex_address
from vertex_sweeper.services.opening import reopen_service
from vertex_sweeper.services.vertex import VertexService
from vertex_sweeper.settings import Backend
from vertex_sweeper.terminal.next_steps import log_file

ROOT = Path(__file__).parents[2]
APP = """
import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    return cfg.x

main()
"""


def test_a_folder_stands_for_the_buckets_of_jobs_that_bring_their_code(tmp_path: Path) -> None:
    folder = tmp_path / "the buckets"
    with Gate(tmp_path) as gate, start_emulator("--gcs", str(folder), folder=tmp_path) as (process, ready):
        service = VertexService("l", endpoint=f"http://{ready['address']}")
        job = gate.job(most=1, parallel=1)
        env = job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"].setdefault("env", [])
        env.append({"name": "VERTEX_SWEEPER_CODE", "value": "{}"})
        service.create(PARENT, job)
        seen = gate.next().ask("[os.environ['VERTEX_EMULATOR_GCS'], os.environ['VERTEX_SWEEPER_TREES']]")
        assert str(folder) in str(seen)
        assert "1.tree" in str(seen)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.stdout is not None
        assert f"  export VERTEX_EMULATOR_GCS={folder}\n" in process.stdout.read()


def test_ctrl_c_ends_all_trials_and_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    with Gate(tmp_path) as gate, start_emulator(TMPDIR=str(tmp_path / "tmp")) as (process, ready):
        service = VertexService("l", endpoint=f"http://{ready['address']}")
        service.create(PARENT, gate.job(most=4, parallel=2))
        visitors = [gate.next(), gate.next()]
        visitors[0].ask("signal.signal(signal.SIGTERM, signal.SIG_IGN) and None")
        assert [path.name[:16] for path in (tmp_path / "tmp").iterdir()] == ["vertex-emulator-"]
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.stdout is not None
        where, how, *lines = process.stdout.read().splitlines()
        assert lines[0].endswith("(test) begins: at most 4 trials")
        assert lines[-1].endswith("cancelled: The job was cancelled.")
        assert where.startswith(f"  trials print into {tmp_path / 'tmp' / 'vertex-emulator-'}")
        assert how == f"  export VERTEX_EMULATOR_HOST={ready['address']}"
    wait_for_death(*[visitor.pid for visitor in visitors])
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_trial_has_the_emulators_environment_and_folder(tmp_path: Path) -> None:
    (tmp_path / "an app").mkdir()
    with Gate(tmp_path) as gate, start_emulator(folder=tmp_path / "an app", OF_THE_EMULATOR="yes") as (_, ready):
        VertexService("l", endpoint=f"http://{ready['address']}").create(PARENT, gate.job())
        visitor = gate.next()
        assert visitor.environ["OF_THE_EMULATOR"] == "yes"
        assert visitor.environ["CLOUD_ML_TRIAL_ID"] == "1"
        assert visitor.ask("os.getcwd()") == str(tmp_path / "an app")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "example.com", "::", ""])  # noqa: S104 - to see it refused
def test_it_refuses_to_listen_beyond_this_machine(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emulator", "--host", host]) == 1
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert repr(host) in error
    assert "not a loopback address" in error


def test_a_port_in_use_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["emulator", "--port", str(port)]) == 1
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == f"vertex-sweeper: the emulator cannot listen on 127.0.0.1:{port}: choose another port, or 0 for a free one"


@pytest.mark.parametrize("port", ["-1", "65536", "x", ""])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["emulator", f"--port={port}"])
    assert f"a port is a number from 0 to 65535, got {port!r}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--data", "--ready-file"])
def test_a_place_that_cannot_be_written_is_one_line(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    assert main(["emulator", option, str(tmp_path / "file" / "x")]) == 1
    out, error = capsys.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert str(tmp_path / "file" / "x") in error
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_sweep_with_backend_vertex_goes_to_the_emulator_that_the_environment_names(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    with start_emulator(folder=tmp_path) as (_, ready):
        options = ["hydra/sweeper=vertex", "hydra.sweeper.vertex.project=p", "hydra.sweeper.vertex.location=europe-west4"]
        counts = ["hydra.sweeper.trial.image=image", "hydra.sweeper.max_trial_count=3", "hydra.sweep.dir=out"]
        done = subprocess.run(
            [sys.executable, "app.py", "-m", *options, *counts, "+x=interval(0, 1)"],
            cwd=tmp_path,
            env={**os.environ, "VERTEX_EMULATOR_HOST": ready["address"]},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert f"VERTEX_EMULATOR_HOST is set: jobs run on the emulator at {ready['address']}" in done.stdout
    assert len((tmp_path / "out" / "trials.csv").read_text().splitlines()) == 4
    assert (tmp_path / "out" / "best.yaml").exists()


def test_the_variable_comes_before_a_configured_endpoint_of_what_is_new_and_moves_nothing_that_exists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_vertex = vertex_address(PARENT, "https://restricted.googleapis.com")
    monkeypatch.setenv("VERTEX_EMULATOR_HOST", "127.0.0.1:1")
    early = vertex_address(PARENT, "https://restricted.googleapis.com")
    assert early.endpoint == "http://127.0.0.1:1"
    with Emulator() as emulator:
        monkeypatch.setenv("VERTEX_EMULATOR_HOST", emulator.address)  # it was started again
        assert reopen_service(existing_address(early), Path()).find(PARENT, {}) == []
    assert existing_address(on_vertex) == on_vertex
    assert existing_address(on_vertex, "https://other.invalid").endpoint == "https://other.invalid"


@pytest.mark.parametrize("host", ["::1", "localhost", "127.1.2.3"])
def test_it_listens_on_whatever_is_this_machine(host: str) -> None:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error}")
    with Emulator(host=host) as emulator:
        for address in (emulator.address, emulator.rest_address):
            assert address.rpartition(":")[0] == {"::1": "[::1]", "localhost": "127.0.0.1"}.get(host, host)
        assert VertexService("l", endpoint=f"http://{emulator.address}").find(PARENT, {}) == []


@pytest.mark.thorough
def test_the_fixture_is_an_emulator_of_the_tests_own(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["vertex_sweeper.emulator.pytest_plugin"]\n')
    (tmp_path / "test_it.py").write_text(
        "import os\n"
        "from pathlib import Path\n"
        "from vertex_sweeper.services.address import vertex_address\n"
        "from vertex_sweeper.services.opening import reopen_service\n"
        "def test_it(vertex_emulator):\n"
        "    assert os.environ['VERTEX_EMULATOR_HOST'] == vertex_emulator.address\n"
        "    assert reopen_service(vertex_address('projects/p/locations/l'), Path()).find('projects/p/locations/l', {}) == []\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_for_pytest_loads_nothing_heavy() -> None:
    program = "import sys; before = set(sys.modules); import vertex_sweeper.emulator.pytest_plugin; print(*sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"grpc", "google.cloud.aiplatform_v1", "optuna"} & set(modules)


FAILING = """
import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    if cfg.x > 1:
        raise RuntimeError("this is too much")
    return cfg.x

main()
"""


def run_failing(tmp_path: Path, *options: str) -> tuple[list[str], list[str]]:
    """What the emulator and the sweep say of one trial that succeeds and one that fails."""
    (tmp_path / "app.py").write_text(FAILING)
    with start_emulator(*options, folder=tmp_path) as (process, ready):
        settings = ["vertex.project=p", "vertex.location=l", "trial.image=i", "algorithm=grid", "max_failed_trial_count=2"]
        done = subprocess.run(
            [sys.executable, "app.py", "-m", "hydra/sweeper=vertex", *[f"hydra.sweeper.{one}" for one in settings], "+x=1,2"],
            cwd=tmp_path,
            env={**os.environ, "VERTEX_EMULATOR_HOST": ready["address"]},
            capture_output=True,
            text=True,
            check=False,
        )
        process.send_signal(signal.SIGTERM)
        process.wait()
        assert process.stdout is not None
        said = process.stdout.read().splitlines()[2:]
    assert done.returncode == 0, done.stdout + done.stderr
    return said, done.stdout.splitlines()


def test_it_says_how_each_job_and_trial_ends_and_the_sweep_shows_the_end_of_a_failed_trials_log(tmp_path: Path) -> None:
    said, shown = run_failing(tmp_path)
    kinds = [re.sub(r"[0-9]{19}", "ID", line) for line in said]
    assert re.fullmatch(r"job ID \(.*\) begins: at most 2 trials", kinds[0])
    assert kinds[-1] == "job ID succeeded"
    assert sorted(line for line in kinds if line.endswith("begins")) == [f"job ID: trial {n} begins" for n in (1, 2)]
    assert "job ID: trial 1 succeeded: objective=1" in kinds
    (bad,) = [line for line in said if ": trial 2 failed: " in line]
    log = bad.rpartition("Its log: ")[2]
    assert re.search(r"/jobs/[0-9]{19}/logs/2\.log$", log)
    assert any(line.endswith(f"the end of {log}:") for line in shown)
    assert any("RuntimeError: this is too much" in line for line in shown)
    assert any(f"cat {log}" in line for line in shown)


@pytest.mark.thorough
def test_quiet_it_says_nothing_of_jobs(tmp_path: Path) -> None:
    assert run_failing(tmp_path, "--quiet")[0] == []


@pytest.mark.parametrize(
    ("where", "found"),
    [
        pytest.param("jobs/7/logs/2.log", True, id="as an emulator keeps it"),
        pytest.param("jobs/8/logs/2.log", False, id="of another job"),
        pytest.param("jobs/7/logs/3.log", False, id="of another trial"),
        pytest.param("secret", False, id="something else"),
    ],
)
def test_the_place_of_a_log_is_believed_of_a_file_of_ours_with_its_name_only(
    tmp_path: Path, where: str, *, found: bool
) -> None:
    path = tmp_path / "a folder" / where
    path.parent.mkdir(parents=True)
    path.write_text("the end\n")
    name, emulator = f"{PARENT}/hyperparameterTuningJobs/7", Address(Backend.VERTEX, PARENT, "http://127.0.0.1:1")
    trial = TrialResult(2, None, {}, (), {}, log=path.as_uri())
    assert log_file(emulator, name, trial, tmp_path) == (path if found else None)
    assert log_file(Address(Backend.VERTEX, PARENT), name, trial, tmp_path) is None
    if os.geteuid() == 0:
        os.chown(path, 65534, -1)
        assert log_file(emulator, name, trial, tmp_path) is None
    path.unlink()
    assert log_file(emulator, name, trial, tmp_path) is None
    path.symlink_to(tmp_path)
    assert log_file(emulator, name, trial, tmp_path) is None
