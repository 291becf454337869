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


SETTLING = 0.05
"""For how many seconds a process is looked at again whose environment cannot be seen yet."""


def find_marked(mark: bytes) -> tuple[list[int], bool]:
    """The live processes in whose environment some `NAME=value` begins with `mark`; none where there is no /proc.

    And whether there are some that cannot be told: a process that is just beginning its program has no environment for a
    moment.
    """
    found, unsettled = [], False
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            if not environment:
                (folder / "exe").readlink()  # zombies and threads of the kernel have none
                unsettled = True
        except OSError:
            continue  # not ours, or gone
        if environment.startswith(mark) or b"\0" + mark in environment:
            found.append(int(folder.name))
    return found, unsettled


def kill_marked(mark: bytes) -> None:
    """Kills marked processes until none is left: one may be born while others are being looked for."""
    begun = time.monotonic()
    while time.monotonic() < begun + PATIENCE:
        found, unsettled = find_marked(mark)
        for process in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        # A process may also have an empty environment for good.
        if not found and (not unsettled or time.monotonic() > begun + SETTLING):
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
