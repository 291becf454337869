"""The whole way of code without an image: tree, archive, bucket, job, emulator, a fresh environment, a trial, its metric."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.vertex.storage_server import Storage, serve_storage
from tests.shipped import environment_without, write_app, write_module_wheel
from vertex_sweeper_runtime.code_archive import BUCKETS

SWEEP = ("hydra/sweeper=vertex", "hydra.sweeper.trial.code=.", "hydra.sweeper.max_trial_count=2", "x=range(0, 4)")
VERTEX = (
    *("hydra.sweeper.vertex.project=p", "hydra.sweeper.vertex.location=europe-west4", "hydra.sweeper.trial.image=python:3.12"),
    *("hydra.sweeper.vertex.staging=gs://staging/sweeps/", "hydra.sweeper.trial.requirements=requirements.txt"),
    *("hydra.sweeper.trial.wheels=gs://staging/wheels", "hydra.sweeper.trial.drift=error"),
)


def sweep(app: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A sweep as users start it, in a process of its own."""
    return subprocess.run(
        [sys.executable, "train.py", "-m", *SWEEP, *words],
        cwd=app,
        env={**environment_without("PIP_FIND_LINKS"), "PIP_NO_COMPILE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def export(app: Path, name: str) -> subprocess.CompletedProcess[str]:
    """What `vertex-sweeper export` makes of a sweep on this machine."""
    words = ["export", f"multirun/{name}", "--project=p", "--location=l", "--image=python:3.12"]
    command = [sys.executable, "-c", "import sys; from vertex_sweeper.cli.main import main; sys.exit(main())", *words]
    return subprocess.run(command, cwd=app, env=environment_without(), capture_output=True, text=True, check=False)


def job_in(app: Path, name: str) -> dict[str, Any]:
    """The job that a sweep has created."""
    job: dict[str, Any] = json.loads((app / "multirun" / name / "job.json").read_text(encoding="utf-8"))
    return job


def results_of(app: Path, name: str) -> set[float]:
    """The results of a sweep's trials."""
    with (app / "multirun" / name / "trials.csv").open(encoding="utf-8", newline="") as file:
        return {float(row["objective"]) for row in csv.DictReader(file)}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    return write_app(tmp_path / "an app")


@pytest.fixture
def storage() -> Iterator[Storage]:
    pytest.importorskip("google.cloud.storage", reason="google-cloud-storage is not installed")
    with serve_storage() as storage:
        yield storage


class Mounted(dict[str, bytes]):
    """Objects of a bucket that are files of a folder at once, as a mounted bucket is."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __setitem__(self, name: str, content: bytes) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        super().__setitem__(name, content)


def test_a_folder_of_code_becomes_a_sweep_on_vertex(app: Path, storage: Storage, tmp_path: Path) -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from vertex_sweeper.emulator import Emulator

    gcs = tmp_path / "gcs"
    storage.objects = Mounted(gcs)
    # What the app imports is nowhere but in the bucket: the trial's environment is what has it.
    write_module_wheel(gcs / "staging" / "wheels", "the-factor", "factor.py", "VALUE = 1\n")
    (app / "requirements.txt").write_text("the-factor\n", encoding="utf-8")
    (app / "offset.py").write_text("from factor import VALUE\n", encoding="utf-8")
    inherited = {
        **environment_without("PIP_FIND_LINKS"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "PIP_NO_COMPILE": "1",
    }
    with Emulator(gcs=gcs, environment=inherited) as emulator:
        to = {"VERTEX_EMULATOR_HOST": emulator.address, "STORAGE_EMULATOR_HOST": storage.address}
        to |= {"VERTEX_EMULATOR_TOKEN": emulator.token} if emulator.token else {}
        first = sweep(app, *VERTEX, "hydra.sweep.dir=multirun/1", **to)
        assert first.returncode == 0, first.stdout + first.stderr
        assert "trial.code: 4 files, " in first.stdout
        assert len(storage.objects) == 2
        uploads, one_trial = len(storage.requests), ["hydra.sweeper.max_trial_count=1"]

        again = sweep(app, *VERTEX, "hydra.sweep.dir=multirun/2", *one_trial, **to)
        assert again.returncode == 0, again.stdout + again.stderr
        assert "nothing has changed since it was uploaded" in again.stdout
        assert len(storage.objects) == 2
        assert len(storage.requests) == 2 * uploads

        (app / "offset.py").write_text("from factor import VALUE as ONE\n\nVALUE = ONE + 99\n", encoding="utf-8")
        changed = sweep(app, *VERTEX, "hydra.sweep.dir=multirun/3", *one_trial, **to)
        assert changed.returncode == 0, changed.stdout + changed.stderr
        assert len(storage.objects) == 3
    assert {found - 1 for found in results_of(app, "1")} <= {0.0, 1.0, 4.0}
    assert {found - 100 for found in results_of(app, "3")} <= {0.0, 1.0, 4.0}
    one, two, three = (job_in(app, name) for name in ("1", "2", "3"))
    start = [job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"] for job in (one, two, three)]
    assert start[0]["command"] == start[1]["command"] == start[2]["command"]
    code = [next(each["value"] for each in spec["env"] if each["name"] == "VERTEX_SWEEPER_CODE") for spec in start]
    assert code[0] == code[1] != code[2]
    digest = json.loads(code[0])["archive_sha256"]
    assert json.loads(code[0])["archive"] == f"gs://staging/sweeps/code/{digest}.tar.gz"
    assert one["displayName"] == f"train {digest[:12]}"
    assert not list(Path(emulator.folder).glob("**/*.tree")), "a trial's tree goes with it"


def test_a_sweep_on_this_machine_runs_the_code_that_it_packed(app: Path, tmp_path: Path) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    result = sweep(app, "hydra.sweeper.backend=local", "hydra.sweep.dir=multirun/1", **cache)
    assert result.returncode == 0, result.stdout + result.stderr
    directory = app / "multirun" / "1"
    assert [path.name for path in (directory / "logs").glob("*.tree")] == []
    bucket = directory / ".gcs" / "this-machine" / "code"
    [archive] = [path.name for path in bucket.glob("*.tar.gz")]
    assert job_in(app, "1")["displayName"] == f"train {archive[:12]}"
    # What this sweep left behind is no code.
    staged = ["hydra.sweeper.vertex.staging=gs://staging", "hydra.sweeper.max_trial_count=1"]
    again = sweep(app, "hydra.sweeper.backend=local", "hydra.sweep.dir=multirun/2", *staged, **cache)
    assert again.returncode == 0, again.stdout + again.stderr
    assert (app / "multirun" / "2" / ".gcs" / "staging" / "code" / archive).exists()
    first, second = (export(app, name) for name in ("1", "2"))
    assert (first.returncode, second.returncode) == (1, 0), first.stderr + second.stderr
    assert "is in that folder alone, and in no bucket" in first.stderr
    lines = second.stdout.splitlines()
    assert len(lines) == 3
    assert shlex.split(lines[1])[4:] == [
        str(directory.parent / "2" / ".gcs" / "staging" / "code" / archive),
        f"gs://staging/code/{archive}",
    ]


def test_a_dry_run_uploads_nothing_and_leaves_nothing(app: Path, storage: Storage) -> None:
    before = sorted(app.rglob("*"))
    result = sweep(app, *VERTEX, "hydra.sweeper.dry_run=true", STORAGE_EMULATOR_HOST=storage.address)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "VERTEX_SWEEPER_CODE" in result.stdout
    assert storage.requests == []
    assert sorted(path for path in app.rglob("*") if "__pycache__" not in path.parts) == before


@pytest.mark.parametrize(
    ("status", "said"), [(403, "you need roles/storage.objectUser"), (404, "there is no bucket 'staging'")]
)
def test_a_bucket_that_refuses_leaves_the_directory_free(app: Path, storage: Storage, status: int, said: str) -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from vertex_sweeper.emulator import Emulator

    storage.refuses = status
    with Emulator() as emulator:
        to = {"VERTEX_EMULATOR_HOST": emulator.address, "STORAGE_EMULATOR_HOST": storage.address}
        to |= {"VERTEX_EMULATOR_TOKEN": emulator.token} if emulator.token else {}
        result = sweep(app, *VERTEX, "hydra.sweep.dir=multirun/1", **to)
        assert not (emulator.folder / "jobs").exists()
    assert result.returncode == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not [path for path in (app / "multirun").rglob("*") if path.is_file()]


def test_an_emulator_without_buckets_is_told_before_anything_begins(app: Path) -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    result = sweep(app, *VERTEX, VERTEX_EMULATOR_HOST="127.0.0.1:1")
    assert result.returncode == 1
    assert f"start it with `vertex-sweeper emulator --gcs DIR`, and set {BUCKETS}=DIR here" in result.stderr
    assert not (app / "multirun").exists()


def test_mistakes_of_the_tree_come_with_all_others(app: Path) -> None:
    (app / ".env").write_text("A=1\n", encoding="utf-8")
    (app / ".gcloudignore").write_text("train.py\n", encoding="utf-8")
    result = sweep(
        app, "hydra.sweeper.backend=local", "hydra.sweeper.max_failed_trial_count=0", "hydra.sweeper.trial.wheels=/w"
    )
    assert result.returncode == 1
    for part in (
        "'.env' looks like a credential",
        "max_failed_trial_count: 0 must be 1 or more",
        "'/w' must be a gs:// folder",
    ):
        assert part in result.stderr


def test_requirements_that_do_not_resolve_are_told_once(app: Path, tmp_path: Path) -> None:
    words = ["hydra.sweeper.trial.requirements=[no-such-package-anywhere]", "hydra.sweeper.max_trial_count=4"]
    index = ["hydra.sweeper.trial.wheels=wheels"]
    (app / "wheels").mkdir()
    write_module_wheel(app / "wheels", "the-factor", "factor.py", "VALUE = 1\n")
    result = sweep(app, "hydra.sweeper.backend=local", *words, *index, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert result.returncode == 1
    lines = [line for line in result.stdout.splitlines() if "failed: " in line]
    assert (
        sum("No matching distribution found for no-such-package-anywhere" in line for line in lines) == 2
    )  # as it ends, and last
    assert sum("as trial " in line and "did (exit code 74)" in line for line in lines) == 2
    assert "failed with exit code 74 (the requirements cannot be installed), and so would every other" in result.stdout
