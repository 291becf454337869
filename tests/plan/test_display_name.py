"""A job's default name says which commit of the code it runs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from vertex_sweeper.plan.display_name import commit_of, display_name


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "with spaces ü"
    folder.mkdir()
    (folder / "train.py").write_text("1\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "x")
    git(folder, "tag", "v1.0")
    return folder


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S607


def test_the_commit_is_named_from_any_folder_of_the_repository(repository: Path) -> None:
    inner = repository / "inner"
    inner.mkdir()
    assert commit_of(inner) == git(repository, "rev-parse", "--short=7", "HEAD")


def test_a_changed_file_makes_it_dirty_and_an_untracked_one_does_not(repository: Path) -> None:
    clean = commit_of(repository)
    (repository / "notes.txt").write_text("x")
    assert commit_of(repository) == clean
    (repository / "train.py").write_text("2\n")
    assert commit_of(repository) == f"{clean}-dirty"


def test_outside_a_repository_the_name_is_the_jobs_alone(tmp_path: Path) -> None:
    assert commit_of(tmp_path) is None
    assert display_name("train", tmp_path, longest=128) == "train"


def test_a_repository_without_a_commit_has_none(repository: Path) -> None:
    shutil.rmtree(repository / ".git")
    git(repository, "init", "--quiet")
    assert commit_of(repository) is None


def test_without_git_there_is_none(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert commit_of(repository) is None


def test_a_long_name_is_cut_and_the_commit_is_not(repository: Path) -> None:
    commit = commit_of(repository)
    name = display_name(200 * "x", repository, longest=128)
    assert name == f"{120 * 'x'} {commit}"
    assert len(name) == 128
