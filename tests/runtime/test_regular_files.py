"""Files that others wrote: what is opened, what is not, and how much of it is read."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from vertex_sweeper_runtime.regular_files import open_regular, read_regular


def make_socket(path: Path) -> None:
    # A socket's path is short, and a test's folder is not.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


def make_link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def make_long_pipe(path: Path) -> None:
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe"))


NOT_REGULAR = [
    pytest.param(os.mkfifo, "not a regular file but a named pipe", id="a named pipe"),
    pytest.param(make_long_pipe, "not a regular file but a named pipe", id="a link to a named pipe"),
    pytest.param(make_link("/dev/zero"), "not a regular file but a device", id="a link to a device without end"),
    pytest.param(make_link("/dev/null"), "not a regular file but a device", id="a link to nothing"),
    pytest.param(Path.mkdir, "not a regular file but a directory", id="a directory"),
    pytest.param(make_socket, "not a regular file but a socket", id="a socket"),
    pytest.param(make_link("file"), "Too many levels of symbolic links", id="a link to itself"),
]
"""How to make a path that is no regular file, and what is said of it."""


@pytest.mark.parametrize(("make", "why"), NOT_REGULAR)
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, make: Callable[[Path], None], why: str) -> None:
    path = tmp_path / "file"
    make(path)
    with pytest.raises(OSError, match=why):
        open_regular(str(path))


@pytest.mark.parametrize("make", [lambda _: None, make_link("absent")], ids=["nothing", "a link to nothing"])
def test_a_file_that_is_not_there_is_not_found(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        read_regular(str(tmp_path / "file"), most=10)


def test_a_link_to_a_regular_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"\x00text\n")
    (tmp_path / "file").symlink_to("target")
    assert read_regular(str(tmp_path / "file"), most=6) == b"\x00text\n"


def test_a_file_that_is_larger_than_asked_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(10 << 30)
    with pytest.raises(OSError, match="larger than 3000000 bytes"):
        read_regular(str(path), most=3_000_000)
