"""Images that are really built and pushed: a builder and a registry of this machine, an image from scratch.

`make test-all` runs them where both are installed.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vertex_sweeper.errors import SweepError
from vertex_sweeper.services.images.build import build_image
from vertex_sweeper.services.images.builder import Builder, Recipe
from vertex_sweeper.services.images.image_name import ImageName
from vertex_sweeper.services.images.registry import find_digest

pytestmark = [
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
    tree = tmp_path / "my app"
    tree.mkdir()
    (tree / "train.py").write_text("print(1)\n")
    (tree / "Dockerfile").write_text("FROM scratch\nCOPY train.py /app/train.py\n")
    return tree


def test_an_image_is_built_and_pushed_once(registry: str, tree: Path) -> None:
    recipe = Recipe(ImageName.parse(f"{registry}/train/app:0123"), tree)
    built = build_image(recipe, builder=Builder.BUILDAH)
    assert built.digest == find_digest(recipe.image)
    assert str(built).startswith(f"{registry}/train/app@sha256:")
    (tree / "Dockerfile").unlink()  # nothing is built again
    assert build_image(recipe, builder=Builder.BUILDAH) == built


def test_a_build_that_fails_says_the_builders_last_lines(registry: str, tree: Path) -> None:
    (tree / "Dockerfile").write_text("FROM scratch\nCOPY missing.py /app/\n")
    recipe = Recipe(ImageName.parse(f"{registry}/train/app:0123"), tree)
    with pytest.raises(SweepError, match=r"buildah build .* ended with") as raised:
        build_image(recipe, builder=Builder.BUILDAH)
    assert "missing.py" in str(raised.value).splitlines()[-1]
    assert find_digest(recipe.image) is None


@pytest.mark.parametrize("read_only", [True])
def test_a_registry_that_refuses_names_the_login(registry: str, tree: Path) -> None:
    recipe = Recipe(ImageName.parse(f"{registry}/train/app:0123"), tree)
    with pytest.raises(SweepError, match=r"buildah push .* ended with") as raised:
        build_image(recipe, builder=Builder.BUILDAH)
    assert f"docker login {registry}" in str(raised.value)
