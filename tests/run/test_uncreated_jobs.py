"""A job on this machine that cannot be created: one line, nothing started, and nothing left behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import App, app_in
from vertex_sweeper.api_names import LOCAL_PARENT
from vertex_sweeper.errors import InvalidSweep, ServiceError, SweepError
from vertex_sweeper.job import lines_in_our_words
from vertex_sweeper.plan.plan import Plan
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.run.submit import submit
from vertex_sweeper.services import checks
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.checks import check_acceptable
from vertex_sweeper.services.opening import open_service
from vertex_sweeper.settings import Backend, Settings

pytest.importorskip("optuna", reason="backend local needs the extra [local]")

ADDRESS = Address(Backend.LOCAL, LOCAL_PARENT)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with app_in(tmp_path_factory.mktemp("app"), {"config": "batch: 8\n"}) as app:
        yield app


@pytest.fixture(scope="module")
def plan(app: App) -> Plan:
    return app.plan("batch=8,16")


def as_file(path: Path) -> None:
    path.write_text("mine")


def as_link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir()
    path.symlink_to(path.parent / "elsewhere")


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def state_of(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path.relative_to(folder)), path.lstat().st_mode) for path in folder.rglob("*"))


def create(folder: Path, plan: Plan) -> None:
    """What a sweep does to create its job; at the end nothing runs."""
    sweep_directory.claim(folder, ADDRESS, plan.job, config="a: 1\n")
    opened = open_service(ADDRESS, folder)
    try:
        submit(opened, LOCAL_PARENT, plan.job, directory=folder, pause=lambda _: True)
    finally:
        opened.kill()


@pytest.mark.parametrize("name", ["logs", ".records", "job.json"])
@pytest.mark.parametrize("make", [as_file, as_link, as_pipe])
def test_what_stands_in_the_way_is_named_and_left_as_it_is(
    name: str, make: Callable[[Path], None], plan: Plan, tmp_path: Path
) -> None:
    make(tmp_path / name)
    before = state_of(tmp_path)

    with pytest.raises(SweepError) as caught:
        create(tmp_path, plan)
    assert len(str(caught.value).splitlines()) == 1
    assert str(tmp_path) in str(caught.value)
    assert state_of(tmp_path) == before


def limited(most: int, folder: Path, plan: Plan, told: Any) -> None:
    """Creates a job in a process that cannot write a file of more bytes: it is to a write what a full disk is."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    try:
        create(folder, plan)
    except SweepError as error:
        told.send(str(error))
    else:
        told.send("")


def test_on_a_full_disk_a_job_is_created_or_nothing_is_left(plan: Plan, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    said = []
    for most in (0, 10, 200, 1000, len(json.dumps(plan.job)), 10**6):
        folder = tmp_path / str(most)
        ours, theirs = context.Pipe()
        process = context.Process(target=limited, args=(most, folder, plan, theirs))
        process.start()
        theirs.close()
        said.append(ours.recv())
        process.join()
        if said[-1]:
            assert len(said[-1].splitlines()) == 1
            assert not folder.exists() or list(folder.iterdir()) == []
    assert said[0]
    assert not said[-1]


@pytest.mark.parametrize("most", [0, 100, 1000])
def test_a_job_that_cannot_be_put_on_record_is_not_created(most: int, plan: Plan, tmp_path: Path) -> None:
    program = f"""
import json, resource, signal, sys
from pathlib import Path
from vertex_sweeper.errors import ServiceError
from vertex_sweeper.services.local import LocalService
folder = Path(sys.argv[1])
with LocalService(lambda _: folder, records=folder / "records") as service:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))
    try:
        service.create("projects/p/locations/l", json.loads(sys.argv[2]))
    except ServiceError as error:
        assert error.acted is False, error
        assert service.names() == []
        print(error)
"""
    command = [sys.executable, "-c", program, str(tmp_path), json.dumps(plan.job)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 1
    assert "File too large" in done.stdout
    assert done.stderr == ""
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] in ([".lock"], [])


def test_without_room_for_anything_a_whole_sweep_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import hydra\n@hydra.main(version_base='1.3', config_path=None)\ndef main(cfg): pass\nmain()\n"
    )
    words = ("-m", "hydra/sweeper=vertex", "hydra.sweeper.backend=local", "hydra.sweep.dir=sweep", "+lr=1,2")
    done = subprocess.run(
        [sys.executable, "-B", "-W", "ignore", "train.py", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line and "HYDRA_FULL_ERROR" not in line]
    assert "cannot be written (File too large)" in line
    assert not (tmp_path / "sweep").exists() or list((tmp_path / "sweep").iterdir()) == []


def test_a_name_that_cannot_be_written_ends_the_job(plan: Plan, tmp_path: Path) -> None:
    sweep_directory.claim(tmp_path, ADDRESS, plan.job, config="a: 1\n")
    opened = open_service(ADDRESS, tmp_path)
    create_job = opened.service.create

    def create_and_fill(parent: str, spec: Any) -> Any:
        job = create_job(parent, spec)
        (tmp_path / "job.json").unlink()
        (tmp_path / "job.json").mkdir()  # a file cannot take its place
        return job

    opened.service.create = create_and_fill  # type: ignore[method-assign]
    with pytest.raises(SweepError, match="cannot be written"):
        submit(opened, LOCAL_PARENT, plan.job, directory=tmp_path, pause=lambda _: True)
    assert [path.name for path in tmp_path.iterdir()] == ["job.json"]
    assert not any(thread.name.startswith("job-") for thread in threading.enumerate())


def test_any_other_error_frees_the_directory_too(plan: Plan, tmp_path: Path) -> None:
    sweep_directory.claim(tmp_path, ADDRESS, plan.job, config="a: 1\n")
    opened = open_service(ADDRESS, tmp_path)

    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(RecursionError):
        submit(opened, LOCAL_PARENT, {**dict(plan.job), "x": endless}, directory=tmp_path, pause=lambda _: True)
    opened.kill()
    assert list(tmp_path.iterdir()) == []


WRONG = [
    "{maxTrialCount: abc}",
    "{maxTrialCount: 2.5}",
    "{maxTrialCount: true}",
    "{maxTrialCount: []}",
    "{maxTrialCount: ''}",
    "{parallelTrialCount: abc}",
    "{maxFailedTrialCount: {a: 1}}",
    "{maxFailedTrialCount: x}",
    "{displayName: 3}",
    "{labels: 3}",
    "{labels: [a]}",
    "{labels: {a: 3}}",
    "{labels: {a: true}}",
    "{labels: {a: {b: c}}}",
    "{trialJobSpec: {workerPoolSpecs: {0: {machineSpec: {acceleratorCount: x}}}}}",
    "{trialJobSpec: {workerPoolSpecs: {0: {machineSpec: {acceleratorType: [3]}}}}}",
    "{trialJobSpec: {scheduling: {maxWaitDuration: 5}}}",
    "{studySpec: 3}",
    "{studySpec: []}",
    "{studySpec: {parameters: 3}}",
    "{studySpec: {parameters: [3]}}",
    "{studySpec: {metrics: abc}}",
    "{studySpec: {metrics: [null]}}",
    "{studySpec: {algorithm: 3}}",
    "{studySpec: {algorithm: [GRID_SEARCH]}}",
    "{studySpec: {measurementSelectionType: 1}}",
    "{studySpec: {medianAutomatedStoppingSpec: 3}}",
    "{studySpec: {studyStoppingConfig: [1]}}",
    "{studySpec: {studyStoppingConfig: {maxDurationNoProgress: 5}}}",
    "{studySpec: {studyStoppingConfig: {minNumTrials: x}}}",
    "{trialJobSpec: 3}",
    "{trialJobSpec: []}",
    "{trialJobSpec: {scheduling: 3}}",
    "{trialJobSpec: {scheduling: {timeout: 5}}}",
    "{trialJobSpec: {scheduling: {timeout: [5s]}}}",
    "{trialJobSpec: {scheduling: {timeout: true}}}",
    "{trialJobSpec: {workerPoolSpecs: 3}}",
    "{trialJobSpec: {workerPoolSpecs: {0: 3}}}",
    "{trialJobSpec: {workerPoolSpecs: []}}",
    "{trialJobSpec: {workerPoolSpecs: {0: {replicaCount: x}}}}",
    "{trialJobSpec: {workerPoolSpecs: {0: {machineSpec: n1}}}}",
    "{trialJobSpec: {workerPoolSpecs: {1: [[]]}}}",
    "{trialJobSpec: {workerPoolSpecs: {1: {containerSpec: 3}}}}",
    "{trialJobSpec: {workerPoolSpecs: {0: {containerSpec: {env: 3}}}}}",
    "{trialJobSpec: {baseOutputDirectory: 3}}",
    "{trialJobSpec: {workerPoolSpecs: {0: {containerSpec: {env: {1: {name: 3, value: a}}}}}}}",
    "{trialJobSpec: {x: nan}}",
    "{trialJobSpec: {workerPoolSpecs: {0: {containerSpec: {env: {1: 3}}}}}}",
    "{studySpec: {observationNoise: -inf}}",
]


@pytest.mark.parametrize("overrides", WRONG)
def test_a_field_of_a_wrong_type_is_named_without_googles_client(
    overrides: str, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "installed", lambda module: not module.startswith("google"))

    with pytest.raises((InvalidSweep, ServiceError)) as caught:
        check_acceptable(Backend.LOCAL, app.plan("batch=8,16", f"hydra.sweeper.spec_overrides={overrides}").job)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    if isinstance(caught.value, InvalidSweep):
        assert text.startswith("hydra.sweeper.spec_overrides.")


@pytest.mark.parametrize(
    "overrides", ["{maxTrialCount: '4'}", "{labels: {a: b}}", "{studySpec: {foo: {bar: [1]}}}", "{x: 2.5}"]
)
def test_a_field_that_may_be_right_is_left_to_the_service(overrides: str, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "installed", lambda module: not module.startswith("google"))

    plan = app.plan("batch=8,16", f"hydra.sweeper.spec_overrides={overrides}")
    check_acceptable(Backend.LOCAL, plan.job)
    assert any("is not checked against the API's fields" in note for note in plan.notes)


def test_what_no_setting_caused_is_not_blamed_on_one() -> None:
    found = [("trialJobSpec.foo", "not a field"), ("", "cannot be read"), ("trialJobSpec.workerPoolSpecs.replicaCount", "no")]

    assert lines_in_our_words(found, Settings()) == [
        "the job's trialJobSpec.foo: not a field",
        "cannot be read",
        "the job's trialJobSpec.workerPoolSpecs.replicaCount: no",
    ]
    overrides: dict[str, Any] = {"trialJobSpec": {"workerPoolSpecs": {0: {"replicaCount": "x"}}}, "labels": {"a": "b"}}
    lines = lines_in_our_words(found, Settings(spec_overrides=overrides))
    assert lines[0] == "the job's trialJobSpec.foo: not a field"
    assert lines[2] == "hydra.sweeper.spec_overrides.trialJobSpec.workerPoolSpecs.replicaCount: no"
