"""The command lines that build and push, for each program, and which program it is."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vertex_sweeper.api import Job, WorkerPoolSpec
from vertex_sweeper.errors import InvalidSweep, SweepError
from vertex_sweeper.job.app_image import AppImage, with_digest
from vertex_sweeper.job.dockerfile import made_dockerfile
from vertex_sweeper.services.images.builder import Builder, Recipe, build_commands, cloud_build_config, find_builder
from vertex_sweeper.settings.image_name import ImageName

NAME = "europe-west4-docker.pkg.dev/my-project/train/app:0123abcd"
RECIPE = Recipe(ImageName.parse(NAME), Path("/tmp/my tree"), "docker/Dockerfile", project="my-project")  # noqa: S108
FILE = "--file=/tmp/my tree/docker/Dockerfile"
LINES = {
    Builder.DOCKER: [
        ["docker", "build", "--platform=linux/amd64", FILE, f"--tag={NAME}", "/tmp/my tree"],  # noqa: S108
        ["docker", "push", NAME],
    ],
    Builder.PODMAN: [
        ["podman", "build", "--platform=linux/amd64", "--format=docker", FILE, f"--tag={NAME}", "/tmp/my tree"],  # noqa: S108
        ["podman", "push", NAME],
    ],
    Builder.BUILDAH: [
        ["buildah", "build", "--platform=linux/amd64", "--format=docker", FILE, f"--tag={NAME}", "/tmp/my tree"],  # noqa: S108
        ["buildah", "push", NAME],
    ],
    Builder.GCLOUD: [
        ["gcloud", "builds", "submit", "/tmp/my tree", "--config=/c.json", "--project=my-project", "--quiet"]  # noqa: S108
    ],
}


@pytest.mark.parametrize("builder", Builder)
def test_the_command_lines_of_each_program(builder: Builder) -> None:
    assert build_commands(builder, RECIPE, config=Path("/c.json")) == LINES[builder]


def test_cloud_build_builds_the_same_and_pushes_it() -> None:
    config = json.loads(cloud_build_config(RECIPE))
    assert config["steps"][0]["args"] == ["build", "--platform=linux/amd64", "--file=docker/Dockerfile", f"--tag={NAME}", "."]
    assert config["images"] == [NAME]


def test_a_registry_on_this_machine_has_no_tls() -> None:
    recipe = Recipe(ImageName.parse("localhost:5000/app:1"), Path("/tree"))
    pushes = [build_commands(builder, recipe, config=Path("/c"))[-1] for builder in (Builder.DOCKER, Builder.BUILDAH)]
    assert pushes == [
        ["docker", "push", "localhost:5000/app:1"],
        ["buildah", "push", "--tls-verify=false", "localhost:5000/app:1"],
    ]


def installed(*programs: str) -> Callable[[str], str | None]:
    return lambda name: f"/bin/{name}" if name in programs else None


def test_the_first_program_that_is_there_builds_and_docker_only_with_its_daemon() -> None:
    which = installed("docker", "buildah", "gcloud")
    assert find_builder(which=which, answers=lambda _: True) is Builder.DOCKER
    assert find_builder(which=which, answers=lambda _: False) is Builder.BUILDAH
    assert find_builder(Builder.GCLOUD, which=which, answers=lambda _: False) is Builder.GCLOUD


@pytest.mark.parametrize(("programs", "why"), [((), "not found"), (("docker",), "daemon does not answer")])
def test_without_a_program_that_builds_one_line_says_what_to_install(programs: tuple[str, ...], why: str) -> None:
    with pytest.raises(SweepError, match=why) as raised:
        find_builder(which=installed(*programs), answers=lambda _: False)
    assert "install docker, podman or buildah" in str(raised.value)
    assert "\n" not in str(raised.value)


NAMES = {
    "app": "docker.io/library/app",
    "someone/app:1": "docker.io/someone/app:1",
    "localhost:5000/a/b": "localhost:5000/a/b",
    "europe-west4-docker.pkg.dev/p/r/app:v1.2": "europe-west4-docker.pkg.dev/p/r/app:v1.2",
    f"gcr.io/p/app@sha256:{'0' * 64}": f"gcr.io/p/app@sha256:{'0' * 64}",
}


@pytest.mark.parametrize("text", NAMES)
def test_a_name_is_taken_apart_and_put_together(text: str) -> None:
    assert str(ImageName.parse(text)) == NAMES[text]


@pytest.mark.parametrize("text", ["", "UPPER/app", "app:", "app@sha256:1", "http://host/app", "a b", "host/app;rm", "-x"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidSweep, match="must be an image's name"):
        ImageName.parse(text)


@pytest.mark.parametrize(
    ("name", "google"),
    [("europe-docker.pkg.dev/p/r/app", True), ("eu.gcr.io/p/app", True), ("gcr.io.example.com/app", False), ("app", False)],
)
def test_only_googles_registries_get_a_google_login(name: str, google: bool) -> None:  # noqa: FBT001
    assert ImageName.parse(name).google is google


def image(*, code: str = "ab" * 32, dockerfile: str | None = None, made: str = "", wheel: bytes = b"") -> AppImage:
    return AppImage(ImageName.parse("gcr.io/p/app"), io.BytesIO(), code, dockerfile, made, {"own.whl": wheel} if made else {})


def test_the_tag_is_the_codes_hash_and_changes_with_all_that_is_not_in_the_code() -> None:
    assert str(image(dockerfile="Dockerfile").name) == f"gcr.io/p/app:{'ab' * 8}"
    others = [
        image(dockerfile="Dockerfile"),
        image(dockerfile="docker/Dockerfile"),
        image(made="FROM a"),
        image(made="FROM b"),
        image(made="FROM a", wheel=b"newer"),
        image(code="cd" * 32, made="FROM a"),
    ]
    assert len({str(each.name) for each in others}) == len(others)


def test_the_job_has_the_digest_wherever_it_had_the_tag() -> None:
    name, pinned = ImageName.parse("gcr.io/p/app:1"), ImageName.parse(f"gcr.io/p/app@sha256:{'0' * 64}")
    pools: list[WorkerPoolSpec] = [{"containerSpec": {"imageUri": each}} for each in (str(name), "other")]
    job: Job = {"trialJobSpec": {"workerPoolSpecs": [*pools, {}]}}
    found = with_digest(job, name, pinned)
    assert images_of(found) == [str(pinned), "other", None]
    assert images_of(job) == [str(name), "other", None]


def images_of(job: Job) -> list[str | None]:
    return [pool.get("containerSpec", {}).get("imageUri") for pool in job["trialJobSpec"]["workerPoolSpecs"]]


def test_an_app_without_a_dockerfile_gets_one() -> None:
    text = made_dockerfile(python="3.12", requirements="deps/app.txt", package=".x/own.whl")
    assert text.splitlines() == [
        "FROM docker.io/library/python:3.12-slim",
        "ENV PYTHONUNBUFFERED=1",
        "WORKDIR /app",
        'COPY ["deps/app.txt", ".x/own.whl", "/packages/"]',
        'RUN ["python", "-m", "pip", "install", "--no-cache-dir", "--requirement", "/packages/app.txt", "/packages/own.whl"]',
        "COPY . .",
    ]
    listed = made_dockerfile(python="3.12", requirements=["torch>=2; os_name == 'posix'"], package="own.whl")
    assert """"--no-cache-dir", "torch>=2; os_name == 'posix'", "/packages/own.whl"]""" in listed
    assert '"--no-cache-dir", "/packages/own.whl"]' in made_dockerfile(python="3.12", requirements=None, package="own.whl")


PYTHONS = {
    "python:3.11-slim": "3.11",
    "python": None,
    "us-docker.pkg.dev/vertex-ai/training/pytorch-gpu.2-4.py310:latest": "3.10",
    "europe-west4-docker.pkg.dev/p/r/app:1": None,
}


@pytest.mark.parametrize("name", PYTHONS)
def test_the_python_of_an_image_is_known_where_its_name_says_it(name: str) -> None:
    assert ImageName.parse(name).python == PYTHONS[name]
