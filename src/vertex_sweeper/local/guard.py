"""The guardian: a small process of its own that ends what a service leaves running when it is killed.

Started as a script by `process.py`, with standard library only and no site packages, in its own session. It reads lines from
its standard input: `start <group>`, `end <group>`, `quit`. When the pipe closes, because the service's process is gone, it
kills every process group that was started and not ended, and every process that carries the service's mark.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

PATIENCE = 2.0
"""For how many seconds marked processes are hunted; one that is stuck in the kernel outlives any patience."""


def find_marked(mark: bytes) -> list[int]:
    """The live processes in whose environment some `NAME=value` begins with `mark`. Empty where there is no /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()  # of a zombie: nothing
        except OSError:
            continue  # not ours, or gone
        if environment.startswith(mark) or b"\0" + mark in environment:
            found.append(int(folder.name))
    return found


def kill_marked(mark: bytes) -> None:
    """Kills marked processes until none is left: one may be born while others are being looked for."""
    deadline = time.monotonic() + PATIENCE
    while found := find_marked(mark):
        for process in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.002)


def kill_group(group: int) -> None:
    """Kills a process group, if there still is one."""
    # macOS says "not permitted" of a group that only has zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def watch(pipe: int, groups: set[int]) -> None:
    """Keeps `groups` up to date until the pipe closes, `quit` is read, or the process that started us is gone."""
    parent = os.getppid()
    text = b""
    # Looking at the parent, too: a process that the service's process forked may still hold the pipe open.
    while os.getppid() == parent:
        if not select.select([pipe], [], [], 1.0)[0]:
            continue
        received = os.read(pipe, 65536)
        if not received:
            return
        *lines, text = (text + received).split(b"\n")
        for line in lines:
            word, _, number = line.partition(b" ")
            if word == b"quit":
                return
            (groups.add if word == b"start" else groups.discard)(int(number))


def main() -> None:
    """Watches standard input; then kills what is left. The mark is the only argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    watch(0, groups)
    for group in groups:
        kill_group(group)
    kill_marked(os.fsencode(sys.argv[1]))


if __name__ == "__main__":
    main()
