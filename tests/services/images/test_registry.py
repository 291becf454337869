"""What is asked of a registry, over real HTTP, and what is concluded from its answers."""

from __future__ import annotations

import socket

import pytest

from tests.services.vertex.fake_google import DIGEST, FakeGoogle
from vertex_sweeper.finding import Found
from vertex_sweeper.services.images.registry import RegistryError, check_image, find_digest
from vertex_sweeper.settings.image_name import ImageName


def test_an_image_that_is_there_has_a_digest_and_nothing_is_pulled() -> None:
    with FakeGoogle() as registry:
        assert find_digest(ImageName.parse(registry.image)) == DIGEST
    assert registry.asked == [("HEAD", "/v2/train/app/manifests/1")]


def test_an_image_that_is_not_there_has_none() -> None:
    with FakeGoogle() as registry:
        registry.answers["/v2/.*"] = 404, {}
        assert find_digest(ImageName.parse(registry.image)) is None
        assert check_image(registry.image).found is Found.FAILED
        assert "is built before" in check_image(registry.image, built=True).text


def test_a_registry_that_is_not_googles_is_shown_no_google_login() -> None:
    with FakeGoogle() as registry:
        find_digest(ImageName.parse(registry.image), token="secret-token")  # noqa: S106
    assert registry.authorized == [""]


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_refuses_leaves_open_whether_the_image_is_there(status: int) -> None:
    with FakeGoogle() as registry:
        registry.answers["/v2/.*"] = status, {}
        finding = check_image(registry.image)
    assert finding.found is Found.UNCHECKED
    assert finding.remedy == f"docker login {registry.host}"


def test_a_registry_that_redirects_is_not_followed() -> None:
    with FakeGoogle() as registry:
        registry.answers["/v2/.*"] = 307, {}
        with pytest.raises(RegistryError, match="answers 307"):
            find_digest(ImageName.parse(registry.image))


def test_a_registry_that_cannot_be_reached_is_one_line() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        finding = check_image(f"127.0.0.1:{taken.getsockname()[1]}/app:1")
    assert finding.found is Found.UNCHECKED
    assert "cannot be reached" in finding.text


@pytest.mark.parametrize("name", ["python:3.8-slim", "us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-8.py37:latest"])
def test_an_image_whose_name_says_that_its_python_is_too_old_is_refused_without_asking(name: str) -> None:
    finding = check_image(name)
    assert finding.found is Found.FAILED
    assert "3.10 or newer is needed" in finding.text
