"""Which files of a folder are sent: what git tracks or would add, and no caches, environments or output in any case."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.code_tree import list_tree


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8", errors="surrogateescape")


def git(folder: Path, *words: str) -> None:
    name = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *name, "-c", "protocol.file.allow=always", *words], cwd=folder, check=True, capture_output=True)  # noqa: S607 - the git of whoever tests


def names(folder: Path, *left_out: Path) -> list[str]:
    return [file.name for file in list_tree(folder, left_out=left_out)]


MADE = (
    *("__pycache__/a.pyc", "pkg/__pycache__/a.pyc", ".venv/bin/python", "env/pyvenv.cfg", "env/lib/a.py", "outputs/1/a"),
    *(
        "multirun/a/b",
        "results/1/.hydra/config.yaml",
        "results/1/model",
        "sweep/sweep.json",
        "sweep/job.json",
        "sweep/logs/1.log",
        "a.egg-info/PKG-INFO",
    ),
    *(".mypy_cache/a", ".ipynb_checkpoints/a.ipynb", "conda/conda-meta/history", "wandb/run/a", ".DS_Store"),
)
CODE = (
    "train.py",
    "conf/config.yaml",
    "pkg/__init__.py",
    "build/model.py",
    "pkg/outputs.py",
    "pkg/outputs/__init__.py",
    "conf/sweep.json",
    "conf/multirun.yaml",
)


@pytest.mark.parametrize("by_git", [True, False], ids=["git", "no git"])
def test_what_running_the_app_has_made_is_no_code(tmp_path: Path, by_git: bool) -> None:  # noqa: FBT001 - a table's column
    write(tmp_path, *MADE, *CODE, "mine/a")
    if by_git:
        git(tmp_path, "init", "-q")
    assert names(tmp_path, tmp_path / "mine") == sorted(CODE)


def test_what_git_tracks_goes_along_whatever_its_name_is(tmp_path: Path) -> None:
    write(tmp_path, "outputs/reference.json", "a.log", "b.log", "new.py", "gone.py")
    write(tmp_path, "ignored/a.py")
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("*.log\nignored/\n", encoding="utf-8")
    git(tmp_path, "add", "-f", "outputs/reference.json", "a.log", "gone.py")
    (tmp_path / "gone.py").unlink()
    assert names(tmp_path) == [".gitignore", "a.log", "new.py", "outputs/reference.json"]


@pytest.mark.parametrize("by_git", [True, False], ids=["git", "no git"])
def test_both_ignore_files_hold(tmp_path: Path, by_git: bool) -> None:  # noqa: FBT001 - a table's column
    write(tmp_path, "train.py", "data/a.csv", "sub/b.tmp", "sub/keep.tmp", "sub/deep/b.tmp", "notes.md")
    write(tmp_path, "data/b/c.csv")
    (tmp_path / ".gitignore").write_text("data\n", encoding="utf-8")
    (tmp_path / "sub" / ".gitignore").write_text("*.tmp\n!keep.tmp\n", encoding="utf-8")
    (tmp_path / ".gcloudignore").write_text("*.md\n.*ignore\n", encoding="utf-8")
    if by_git:
        git(tmp_path, "init", "-q")
        git(tmp_path, "add", "notes.md")
    assert names(tmp_path) == ["sub/keep.tmp", "train.py"]


def test_a_folder_of_a_repository_is_a_tree_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, "other/a.py", "app/train.py", "app/a.csv")
    (tmp_path / ".gitignore").write_text("*.csv\n", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    assert names(tmp_path / "app") == ["train.py"]


def test_a_folder_that_its_repository_ignores_is_read_without_git(tmp_path: Path) -> None:
    write(tmp_path, "scratch/train.py", "scratch/.venv/a.py")
    (tmp_path / ".gitignore").write_text("scratch/\n", encoding="utf-8")
    git(tmp_path, "init", "-q")
    assert names(tmp_path / "scratch") == ["train.py"]


def test_repositories_inside_go_along(tmp_path: Path) -> None:
    write(tmp_path, "lib/lib.py", "lib/a.log", "app/train.py", "app/loose/b.py")
    (tmp_path / "lib" / ".gitignore").write_text("*.log\n", encoding="utf-8")
    for name in ("lib", "app", "app/loose"):
        git(tmp_path / name, "init", "-q")
    git(tmp_path / "lib", "add", ".")
    git(tmp_path / "lib", "commit", "-qm", "one")
    git(tmp_path / "app", "submodule", "add", "-q", str(tmp_path / "lib"), "vendor")
    write(tmp_path, "app/vendor/new.log", "app/vendor/new.py")
    expected = [".gitmodules", "loose/b.py", "train.py", "vendor/.gitignore", "vendor/lib.py", "vendor/new.py"]
    assert names(tmp_path / "app") == expected


def test_git_is_told_of_no_other_repository_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "app/train.py", "other/a.py")
    for name in ("app", "other"):
        git(tmp_path / name, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    assert names(tmp_path / "app") == ["train.py"]


def test_nothing_that_the_repository_names_is_run(tmp_path: Path) -> None:
    write(tmp_path, "train.py")
    git(tmp_path, "init", "-q")
    git(tmp_path, "config", "core.fsmonitor", "touch ran; false")
    assert names(tmp_path) == ["train.py"]
    assert not (tmp_path / "ran").exists()


def test_odd_names_and_odd_files(tmp_path: Path) -> None:
    odd = ["a b.py", "ü.py", "new\nline.py", "'quote\".py", os.fsdecode(b"not-\xff-utf8.py"), "-n"]
    write(tmp_path, *odd)
    os.mkfifo(tmp_path / "pipe")
    assert set(names(tmp_path)) == set(odd)
    git(tmp_path, "init", "-q")
    assert set(names(tmp_path)) == set(odd)


def test_a_link_is_a_file_and_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "pkg/a.py")
    (tmp_path / "link").symlink_to("pkg")
    for _ in range(2):
        assert [(file.name, file.is_link) for file in list_tree(tmp_path)] == [("link", True), ("pkg/a.py", False)]
        git(tmp_path, "init", "-q")


@pytest.mark.parametrize("name", ["none", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, "file")
    with pytest.raises(InvalidSweep, match="is no folder: name the one that has the app"):
        list_tree(tmp_path / name)
