"""Ignore files are read as git reads them: git itself is asked about every case."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from random import Random

import pytest

from vertex_sweeper.plan.ignore_rules import ignores, parse_rule, read_rules

NAMES = ["a", "b", "ab", "a.py", "b.log", "x", "c-d", "[q]", "a b", "!z", "#h"]
PATTERNS = [
    *("a", "*.py", "/a", "a/", "**/b", "a/**", "a/**/b", "!a", "!*.py", "a/b", "/a/*", "?", "[ab]", "[!a]*", "*", "!a/b", "x/"),
    *("/x/**", "\\!z", "\\#h", "a b ", "[a-c]*", "*[", "a\\", "**", "**a", "!/x/a", "[[:alpha:]]", "[^a]", "c?d", "ab/*/x"),
    *("[q]", "\\[q\\]", "# c", "", "/", "//a", "a//b", "*/", "[]a]", "[a\\]]"),
]


def write_files(folder: Path, random: Random) -> list[str]:
    for _ in range(14):
        path = folder.joinpath(*random.choices(NAMES, k=random.randint(1, 4)))
        if not any(parent.is_file() for parent in path.parents) and not path.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in files if ".git" not in path.parts)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_left_out_is_what_git_leaves_out(tmp_path: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - not a secret
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)  # noqa: S607 - the git of whoever tests
    files = write_files(tmp_path, random)
    for _ in range(8):
        lines = random.choices(PATTERNS, k=random.randint(1, 5))
        (tmp_path / ".gitignore").write_text("\n".join(lines), encoding="utf-8")
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--others", "--exclude-standard"],  # noqa: S607 - the git of whoever tests
            cwd=tmp_path,
            capture_output=True,
            check=True,
        ).stdout
        expected = {os.fsdecode(name) for name in listed.split(b"\0") if name} - {".gitignore"}
        rules = read_rules(tmp_path / ".gitignore")
        assert {name for name in files if not ignores(rules, name)} == expected, lines


def test_gclouds_word_reads_the_file_beside(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("data/\n", encoding="utf-8")
    (tmp_path / ".gcloudignore").write_text("*.csv\n#!include:.gitignore\n#!include:none\n", encoding="utf-8")
    rules = read_rules(tmp_path / ".gcloudignore")
    assert [ignores(rules, name) for name in ("a.csv", "data/a", "train.py")] == [True, True, False]


def test_a_rule_of_a_folder_is_about_that_folder() -> None:
    rule = parse_rule("/a.py", folder="pkg/")
    assert rule is not None
    assert [ignores([rule], name) for name in ("pkg/a.py", "a.py", "pkg/b/a.py")] == [True, False, False]
