"""Images that are really built and pushed: a builder and a registry of this machine, an image from scratch.

`make test-all` runs them where both are installed.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vertex_sweeper.api import Job
from vertex_sweeper.cli.main import main
from vertex_sweeper.errors import SweepError
from vertex_sweeper.job.app_image import AppImage, with_digest
from vertex_sweeper.plan.app_image import plan_image
from vertex_sweeper.run.build import built_image
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.images.app_image import build_app_image
from vertex_sweeper.services.images.builder import Builder
from vertex_sweeper.services.images.registry import find_digest
from vertex_sweeper.settings import Backend, TrialSettings
from vertex_sweeper.settings.image_name import ImageName

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed"),
    pytest.mark.skipif(shutil.which("docker-registry") is None, reason="docker-registry is not installed"),
    pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="buildah without user namespaces needs root"),
]

CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}, maintenance: {{readonly: {{enabled: {read_only}}}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(autouse=True)
def _own_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buildah keeps nothing outside the test's folder, and needs no kernel features for what has no RUN."""
    storage = tmp_path / "storage.conf"
    storage.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/images"\nrunroot = "{tmp_path}/run"\n')
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(storage))
    monkeypatch.setenv("BUILDAH_ISOLATION", "chroot")


@pytest.fixture
def read_only() -> bool:
    return False


@pytest.fixture
def registry(tmp_path: Path, read_only: bool, until: Callable[[Callable[[], bool]], None]) -> Iterator[str]:  # noqa: FBT001
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "registry.yml"
    config.write_text(CONFIG.format(folder=tmp_path / "pushed", port=port, read_only=str(read_only).lower()))
    with subprocess.Popen(
        ["docker-registry", "serve", str(config)],  # noqa: S607
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            until(lambda: _answers(f"http://127.0.0.1:{port}/v2/"))
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own
            return bool(answer.status)
    except OSError:
        return False


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "my app"
    root.mkdir()
    (root / "train.py").write_text("print(1)\n")
    (root / ".gitignore").write_text("*.log\n")
    (root / "run.log").write_text("not of the app\n")
    (root / "Dockerfile").write_text("FROM scratch\nCOPY . /app/\n")
    return root


def image_of(registry: str, tree: Path) -> AppImage:
    return plan_image(TrialSettings(image=f"{registry}/train/app"), root=tree)


def build(registry: str, tree: Path) -> ImageName:
    return build_app_image(image_of(registry, tree), builder=Builder.BUILDAH)


def test_an_image_is_built_and_pushed_once(registry: str, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = build(registry, tree)
    assert str(built).startswith(f"{registry}/train/app@sha256:")
    assert built.digest == find_digest(image_of(registry, tree).name)
    monkeypatch.setenv("PATH", "")  # to build it again would fail
    assert build(registry, tree) == built


def test_an_image_holds_the_tree_and_nothing_else(registry: str, tree: Path) -> None:
    (layer,) = layers(build(registry, tree))
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        assert sorted(member.name for member in archive if member.isfile()) == [
            "app/.gitignore",
            "app/Dockerfile",
            "app/train.py",
        ]


def layers(image: ImageName) -> list[bytes]:
    """The layers' bytes, from the registry."""
    base = f"http://{image.registry}/v2/{image.repository}"
    kind = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
    with urllib.request.urlopen(urllib.request.Request(f"{base}/manifests/{image.digest}", headers=kind)) as answer:  # noqa: S310
        manifest = json.load(answer)
    blobs = []
    for layer in manifest["layers"]:
        with urllib.request.urlopen(f"{base}/blobs/{layer['digest']}") as answer:  # noqa: S310
            blobs.append(answer.read())
    return blobs


def test_a_build_that_fails_says_the_builders_last_lines(registry: str, tree: Path) -> None:
    (tree / "Dockerfile").write_text("FROM scratch\nCOPY missing.py /app/\n")
    with pytest.raises(SweepError, match=r"buildah build .* ended with") as raised:
        build(registry, tree)
    assert "missing.py" in str(raised.value).splitlines()[-1]
    assert find_digest(image_of(registry, tree).name) is None


def test_a_sweeps_job_gets_the_digest_and_an_emulators_is_left_alone(registry: str, tree: Path) -> None:
    image = image_of(registry, tree)
    job: Job = {"trialJobSpec": {"workerPoolSpecs": [{"containerSpec": {"imageUri": str(image.name)}}]}}
    emulator = Address(Backend.VERTEX, "projects/p/locations/l", "http://127.0.0.1:1")
    assert built_image(image, emulator, project=None) is None
    assert find_digest(image.name) is None
    pinned = built_image(image, Address(Backend.VERTEX, "projects/p/locations/l"), project=None)
    assert pinned is not None
    built = with_digest(job, image.name, pinned)
    pinned = image.repository.pinned(str(find_digest(image.name)))
    assert built["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]["imageUri"] == str(pinned)


def test_the_command_builds_and_prints_the_name(
    registry: str, tree: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree)
    assert main(["build", f"{registry}/train/app", "--builder=buildah"]) == 0
    name = capsys.readouterr().out.strip()
    assert ImageName.parse(name).digest == find_digest(ImageName.parse(name))
    assert main(["build", f"{registry}/train/app:1"]) == 1
    assert "must have no tag" in capsys.readouterr().err


@pytest.mark.parametrize("read_only", [True])
def test_a_registry_that_refuses_names_the_login(registry: str, tree: Path) -> None:
    with pytest.raises(SweepError, match=r"buildah push .* ended with") as raised:
        build(registry, tree)
    assert f"docker login {registry}" in str(raised.value)
