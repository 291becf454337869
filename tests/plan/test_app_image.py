"""Which Dockerfile an app's image is built from, and that only what belongs to the app decides its tag."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support import app_in
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.app_image import AppImage
from vertex_sweeper.plan.app_image import plan_image
from vertex_sweeper.settings import TrialSettings

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def app(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in {"src/train.py": "", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def plan(folder: Path, *, requirements: str | None = None, dockerfile: str | None = None) -> AppImage:
    trial = TrialSettings(image="gcr.io/p/app", requirements=requirements)
    return plan_image(trial, root=folder, command=["python", "src/train.py"], dockerfile=dockerfile)


DOCKERFILES = {
    "beside the script": (["Dockerfile", "src/Dockerfile"], "src/Dockerfile"),
    "in the folder": (["Dockerfile"], "Dockerfile"),
    "none": ([], None),
}


@pytest.mark.parametrize("case", DOCKERFILES.values(), ids=DOCKERFILES)
def test_the_apps_own_dockerfile_is_found(tmp_path: Path, case: tuple[list[str], str | None]) -> None:
    files, found = case
    image = plan(app(tmp_path, dict.fromkeys(files, "FROM scratch\n")))
    assert image.dockerfile == found
    assert bool(image.made) is (found is None)


REQUIREMENTS = {
    "beside the script": (["requirements.txt", "src/requirements.txt"], None, "src/requirements.txt"),
    "in the folder": (["requirements.txt"], None, "requirements.txt"),
    "set": (["requirements.txt", "deps/app.txt"], "deps/app.txt", "deps/app.txt"),
}


@pytest.mark.parametrize("case", REQUIREMENTS.values(), ids=REQUIREMENTS)
def test_a_dockerfile_is_made_of_the_apps_requirements_and_this_package(
    tmp_path: Path, case: tuple[list[str], str | None, str]
) -> None:
    files, given, found = case
    image = plan(app(tmp_path, dict.fromkeys(files, "torch\n")), requirements=given)
    assert f"FROM docker.io/library/python:{PYTHON}-slim" in image.made
    assert f'COPY ["{found}", ' in image.made
    (wheel,) = image.packages
    assert wheel.startswith("hydra_vertex_sweeper-")
    assert f"/packages/{wheel}" in image.made


def test_the_tag_is_of_the_code_alone_and_the_archive_has_no_more(tmp_path: Path) -> None:
    folder = app(tmp_path, {"Dockerfile": "FROM scratch\n", ".gitignore": "*.ckpt\n"})
    before = plan(folder)
    (folder / "model.ckpt").write_text("weights")
    assert plan(folder).name == before.name
    with tarfile.open(fileobj=plan(folder).archive) as archive:
        assert archive.getnames() == [".gitignore", "Dockerfile", "src/train.py"]
    (folder / "src" / "train.py").write_text("print()\n")
    assert plan(folder).name != before.name


MISTAKES = {
    "a Dockerfile that is not there": ({"dockerfile": "docker/Dockerfile"}, {}, "'docker/Dockerfile' is no file of the app"),
    "requirements that are not there": ({"requirements": "deps.txt"}, {}, "'deps.txt' is not in the tree"),
    "a secret in the folder": ({}, {".env": "TOKEN=1"}, "'.env' looks like a credential"),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_before_anything_is_built(tmp_path: Path, case: tuple[dict[str, str], dict[str, str], str]) -> None:
    more, files, line = case
    with pytest.raises(InvalidSweep, match=line):
        plan(app(tmp_path, files), **more)


def test_a_sweeps_job_has_the_image_by_its_tag_and_one_on_this_machine_builds_none(tmp_path: Path) -> None:
    words = [
        "lr=interval(0,1)",
        "hydra.sweeper.trial={image: gcr.io/p/app, build: true}",
        "hydra.sweeper.vertex={project: p, location: l}",
    ]
    with app_in(tmp_path, {"config": "lr: 0.1\n"}) as hydra_app:
        here = hydra_app.plan(*words)
        there = hydra_app.plan(*words, "hydra.sweeper.backend=vertex")
    assert here.image is None
    assert there.image is not None
    images = [pool["containerSpec"]["imageUri"] for pool in there.job["trialJobSpec"]["workerPoolSpecs"]]
    assert images == [str(there.image.name)]
    assert there.image.name.tag
