"""`vertex-sweeper doctor` and a dry run: whole programs, Google's real clients, and its APIs on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vertex_sweeper.cli.doctor import CHECK
from vertex_sweeper.cli.main import main

pytest.importorskip("google.cloud.storage", reason="google-cloud-storage is not installed")
pytest.importorskip("optuna", reason="backend local needs the extra [local]")
pytest.importorskip("cryptography", reason="cryptography is not installed")

from tests.services.vertex.fake_google import BUCKET, PROJECT, REGION, FakeGoogle, error

APP = """
import os, pathlib, time
import hydra

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    pathlib.Path(__file__).with_name("ran").touch()
    if cfg.lr < 0:
        raise ValueError("lr")
    if cfg.endless:
        time.sleep(600)
    return cfg.lr

if __name__ == "__main__":
    main()
"""
CONFIG = f"""
defaults: [{{override hydra/sweeper: vertex}}]
lr: 0.1
endless: false
hydra:
  sweeper:
    params: {{lr: "interval(0.1, 1)"}}
    prices: {{n1-standard-4: 0.5}}
    trial: {{image: IMAGE, timeout: 1h}}
    vertex: {{project: {PROJECT}, location: {REGION}, base_output_directory: "gs://{BUCKET}/sweeps"}}
"""


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    with FakeGoogle() as google:
        yield google


@pytest.fixture
def folder(tmp_path: Path, google: FakeGoogle) -> Path:
    folder = tmp_path / "my app"
    (folder / "conf").mkdir(parents=True)
    (folder / "train.py").write_text(APP)
    (folder / "conf" / "config.yaml").write_text(CONFIG.replace("IMAGE", f"'{google.image}'"))
    return folder


PROGRAM = "import sys; from vertex_sweeper.cli.main import main; sys.exit(main())"


def call(folder: Path, google: FakeGoogle, *words: str) -> tuple[int, list[str]]:
    """The exit code and the lines of a program."""
    environment = {**os.environ, **google.environment(folder.parent), "NO_GCE_CHECK": "true"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.returncode, done.stdout.decode().splitlines()


def doctor(folder: Path, google: FakeGoogle, *words: str) -> tuple[int, list[str]]:
    return call(folder, google, "-c", PROGRAM, "doctor", *words)


SWEEP = (sys.executable, "train.py")


def test_a_sweep_that_has_all_it_needs_passes_and_nothing_is_left_behind(folder: Path, google: FakeGoogle) -> None:
    before = sorted(folder.iterdir())
    code, lines = doctor(folder, google, *SWEEP)
    assert code == 0, lines
    assert {
        line[:11].strip()
        for line in lines
        if ": " in line[:40] and not line.startswith(("[", "at most", "not checked  output"))
    } == {"ok"}
    assert "at most 20 hours of n1-standard-4: 20 trials of up to 1 hour" in lines
    assert "at most 10.00 at your prices, without disks, storage and traffic" in lines
    assert lines[-1] == "ok           trial: it ran here, and its metric is there"
    assert sorted(folder.iterdir()) == sorted([*before, folder / "ran"])
    assert not [path for method, path in google.asked if method == "POST" and path.endswith("hyperparameterTuningJobs")]


def test_what_is_missing_is_told_with_its_remedy_and_the_exit_code(folder: Path, google: FakeGoogle) -> None:
    google.answers[".*/hyperparameterTuningJobs"] = error(403, "disabled", reason="SERVICE_DISABLED")
    code, lines = doctor(folder, google, "--no-trial", "--", *SWEEP)
    assert code == 1
    place = next(number for number, line in enumerate(lines) if line.startswith("failed"))
    assert lines[place + 1].strip() == f"→ gcloud services enable aiplatform.googleapis.com --project={PROJECT}"
    assert "this sweep would fail on Vertex: API and region" in lines
    assert lines[-1] == "not checked  trial: left out, --no-trial"


@pytest.mark.thorough
def test_a_trial_that_fails_here_fails_the_check(folder: Path, google: FakeGoogle) -> None:
    code, lines = doctor(folder, google, *SWEEP, "hydra.sweeper.params.lr='interval(-2,-1)'")
    assert code == 1
    assert lines[-2].startswith("failed       trial: it failed here (exit code 1)")


@pytest.mark.thorough
def test_a_trial_that_takes_too_long_is_ended_and_not_judged(folder: Path, google: FakeGoogle) -> None:
    code, lines = doctor(folder, google, "--trial-timeout=1", *SWEEP, "endless=true")
    assert code == 0, lines
    assert lines[-2] == "not checked  trial: it did not end in 1 seconds"


def test_a_command_that_is_no_sweep_of_ours_runs_nothing(folder: Path, google: FakeGoogle) -> None:
    code, _ = doctor(folder, google, "--no-trial", *SWEEP, "hydra/sweeper=basic")
    assert code == 1
    assert not (folder / "ran").exists()


def test_a_command_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 1
    assert "name the sweep as it is started" in capsys.readouterr().err
    assert main(["doctor", "no-such-program"]) == 1
    assert "no-such-program cannot be started" in capsys.readouterr().err


def test_a_dry_run_shows_the_job_and_then_the_same_checks(folder: Path, google: FakeGoogle) -> None:
    google.answers["/v2/.*"] = 404, {}
    code, lines = call(folder, google, "train.py", *CHECK)
    assert code == 1
    assert lines.index("Nothing was created, and nothing was written.") < lines.index(
        f"failed       image: there is no {google.image}"
    )
    assert any(line.startswith("at most 10.00") for line in lines)
    assert not (folder / "ran").exists()


def test_a_dry_run_without_a_login_shows_the_job_all_the_same(folder: Path, google: FakeGoogle) -> None:
    google.answers["/token"] = 400, {"error": "invalid_grant"}
    code, lines = call(folder, google, "train.py", *CHECK)
    assert code == 0, lines
    assert any(line.startswith("not checked  credentials: ") for line in lines)
