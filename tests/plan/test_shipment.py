"""What a sweep sends along, and what its job says of it; every mistake in it is told before anything is uploaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.jobs import EVERYWHERE, settings
from tests.support import App, app_in, start_of
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.plan import Plan, make_plan
from vertex_sweeper.plan.shipment import start_text
from vertex_sweeper_runtime.code_start import VARIABLE

SWEPT = "lr=interval(0,1)"
STAGED = [*EVERYWHERE, *settings(trial__code=".", vertex__staging="gs://b/staging/")]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with app_in(tmp_path / "an app", {"config": "lr: 0.1\n"}) as app:
        (app.folder / "train.py").touch()
        yield app


def container(plan: Plan, pool: int = 0) -> dict[str, Any]:
    spec: dict[str, Any] = dict(plan.job["trialJobSpec"]["workerPoolSpecs"][pool]["containerSpec"])
    return spec


def code_of(plan: Plan, pool: int = 0) -> dict[str, Any]:
    """What the start is told."""
    [text] = [entry["value"] for entry in container(plan, pool)["env"] if entry["name"] == VARIABLE]
    said: dict[str, Any] = json.loads(text)
    return said


def test_the_job_starts_by_the_code_and_says_where_it_is(app: App) -> None:
    (app.folder / "requirements.txt").write_text("einops\n", encoding="utf-8")
    plan = app.plan(*STAGED, SWEPT, *settings(trial__requirements="requirements.txt", trial__wheels="gs://w/x"))
    command, said = container(plan)["command"], code_of(plan)
    assert command[:3] == ["python3", "-I", "-c"]
    assert command[4:] == ["vertex-trial", "python", "train.py"]
    assert plan.shipment is not None
    digest = plan.shipment.bundle.sha256
    assert said["archive"] == f"gs://b/staging/code/{digest}.tar.gz"
    assert (said["archive_sha256"], said["folder"], said["wheels"]) == (digest, ".", "gs://w/x")
    assert said["requirements_file"] == "requirements.txt"
    assert list(plan.shipment.contents()) == [said["wheel"], said["archive"]]
    assert plan.job["displayName"] == f"train {digest[:12]}"
    assert plan.shipment.bundle.names == {"train.py", "requirements.txt", "conf/config.yaml"}
    again = app.plan(*STAGED, SWEPT, *settings(trial__requirements="requirements.txt", trial__wheels="gs://w/x"))
    first, second = ({**each.job, "labels": None} for each in (plan, again))
    assert first == second


def test_the_folder_for_output_takes_the_code_where_no_other_is_named(app: App) -> None:
    plan = app.plan(*EVERYWHERE, SWEPT, *settings(trial__code=".", vertex__base_output_directory="gs://b/out"))
    assert code_of(plan)["archive"].startswith("gs://b/out/code/")


def test_the_same_job_runs_here(app: App) -> None:
    there, here = (app.plan(*STAGED, f"hydra.sweeper.backend={name}", SWEPT) for name in ("vertex", "local"))
    assert container(there) == container(here)
    assert code_of(app.plan(SWEPT, *settings(trial__code=".")))["archive"].startswith("gs://this-machine/code/")


def test_a_tree_above_says_where_to_work(app: App) -> None:
    app.folder.parent.joinpath("shared.py").touch()
    (app.folder / "wheels").mkdir()
    (app.folder / "wheels" / "a-1-py3-none-any.whl").touch()
    plan = app.plan(*STAGED, SWEPT, *settings(trial__code="..", trial__wheels="wheels"))
    assert plan.shipment is not None
    assert {"shared.py", "an app/train.py"} <= plan.shipment.bundle.names
    assert (code_of(plan)["folder"], code_of(plan)["wheels"]) == ("an app", "an app/wheels")
    assert container(plan)["command"][4:] == ["vertex-trial", "python", "train.py"]


def test_every_pool_with_a_command_starts_by_the_code(app: App) -> None:
    pools = "[{command: [python, train.py, --worker]}, {image: r, command: []}]"
    plan = app.plan(*STAGED, SWEPT, *settings(trial__worker_pools=pools))
    assert code_of(plan) == code_of(plan, 1)
    assert "command" not in container(plan, 2)
    assert "env" not in container(plan, 2)


KEYS = {
    "other lines": settings(trial__requirements="[a]"),
    "other wheels": settings(trial__wheels="gs://other/wheels"),
}


@pytest.mark.parametrize("case", KEYS)
def test_an_environment_is_shared_by_those_who_install_the_same(app: App, case: str) -> None:
    plain = code_of(app.plan(*STAGED, SWEPT))["key"]
    assert code_of(app.plan(*STAGED, SWEPT, *KEYS[case]))["key"] != plain
    (app.folder / "more.py").touch()
    assert code_of(app.plan(*STAGED, SWEPT))["key"] == plain


def test_files_that_requirements_name_decide_too(app: App) -> None:
    keys = []
    (app.folder / "requirements.txt").write_text("-r sub/more.txt\n--constraint=c.txt\n", encoding="utf-8")
    (app.folder / "sub").mkdir()
    (app.folder / "c.txt").touch()
    for text in ("einops==1\n-r ../c.txt\n", "einops==2\n"):
        (app.folder / "sub" / "more.txt").write_text(text, encoding="utf-8")
        keys.append(code_of(app.plan(*STAGED, SWEPT, *settings(trial__requirements="requirements.txt")))["key"])
    (app.folder / "requirements.txt").write_text("-e .\n", encoding="utf-8")
    for text in ("a", "b"):
        (app.folder / "train.py").write_text(f"# {text}\n", encoding="utf-8")
        keys.append(code_of(app.plan(*STAGED, SWEPT, *settings(trial__requirements="requirements.txt")))["key"])
    assert len(set(keys)) == 4


BAD: dict[str, tuple[list[str], list[str]]] = {
    "no staging": (
        [*EVERYWHERE, *settings(trial__code=".")],
        ["vertex.staging: must be set for trial.code", "gs://<bucket>/<folder>"],
    ),
    "staging that is no bucket": ([*STAGED, *settings(vertex__staging="/a")], ["vertex.staging: '/a' must read a folder"]),
    "requirements without code": (
        [*EVERYWHERE, *settings(trial__requirements="r.txt")],
        ["trial.requirements: works with trial.code only"],
    ),
    "wheels without code": ([*EVERYWHERE, *settings(trial__wheels="gs://w")], ["trial.wheels: works with trial.code only"]),
    "no folder": ([*STAGED, *settings(trial__code="none")], ["trial.code: ", "is no folder: name the one that has the app"]),
    "an empty name": ([*STAGED, *settings(trial__code="''")], ["trial.code: must not be empty"]),
    "a folder beside": ([*STAGED, *settings(trial__code="conf")], ["does not hold", "where this sweep is started"]),
    "a script that stays here": (
        [*STAGED, *settings(trial__command="[python, other.py]")],
        ["the script 'other.py'", "is not in"],
    ),
    "a script outside": (
        [*STAGED, *settings(trial__command="[python, ../o.py]")],
        ["the script '../o.py'", "is not in the tree"],
    ),
    "configs that stay here": (
        [*STAGED, *settings(trial__command="[python, train.py, --config-dir, mine]")],
        ["nothing of --config-dir 'mine' is in the tree"],
    ),
    "requirements that are not there": (
        [*STAGED, *settings(trial__requirements="r.txt")],
        ["trial.requirements: 'r.txt' is not in the tree", "there is no such file"],
    ),
    "requirements outside": (
        [*STAGED, *settings(trial__requirements="../r.txt")],
        ["trial.requirements: '../r.txt' is not in the tree", "it is outside"],
    ),
    "requirements that name a file": (
        [*STAGED, *settings(trial__requirements="['-r more.txt']")],
        ["a line that names another file must be in a file"],
    ),
    "a number as a requirement": (
        [*STAGED, *settings(trial__requirements="[1.5]")],
        ["trial.requirements", "must be a string"],
    ),
    "a password in an address": (
        [*STAGED, *settings(trial__requirements="['a @ https://me:hunter22@host/a.whl']")],
        ["trial.requirements", "an address with a password in it"],
    ),
    "wheels that stay here": (
        [*STAGED, *settings(trial__wheels="wheels")],
        ["trial.wheels: no wheel of 'wheels' is in the tree"],
    ),
    "wheels at an absolute place": ([*STAGED, *settings(trial__wheels="/w")], ["trial.wheels: '/w' must be a gs:// folder"]),
    "the start's own variable": (
        [*STAGED, *settings(trial__env="{VERTEX_SWEEPER_CODE: a}")],
        ["is written by the sweep itself"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_told_with_key_and_remedy(app: App, case: str) -> None:
    overrides, parts = BAD[case]
    with pytest.raises(InvalidSweep) as caught:
        app.plan(*overrides, SWEPT)
    [line] = caught.value.mistakes
    assert all(part in line for part in parts), line
    assert "hunter22" not in line


def test_a_script_outside_the_tree_is_told(app: App, tmp_path: Path) -> None:
    (tmp_path / "outside.py").touch()
    words = ["hydra/sweeper=vertex", *STAGED, SWEPT]
    config, script = app.multirun(words), str(tmp_path / "outside.py")
    argv = [script, "--multirun", *words]
    start = replace(start_of(app.folder), argv=argv, original=["python", *argv])
    with pytest.raises(InvalidSweep, match="outside the working directory"):
        make_plan(SweepContext.of([SWEPT], config=config, config_loader=app.loader, start=start))


def test_the_programs_text_is_the_two_modules() -> None:
    text = start_text()
    compile(text, "start", "exec")
    assert text.count("types.ModuleType(") == 2
