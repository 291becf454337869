"""The reaper: a small process of its own that ends what a service leaves running when it is killed.

Started as a script by `process.py`, with standard library only and no site packages, in its own session. It reads lines from
its standard input: `start <group>`, `end <group>`, `quit`. When the pipe closes, because the service's process is gone, it
kills every process group that was started and not ended, and every process that carries the service's mark.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import time
from pathlib import Path

PATIENCE = 2.0
"""For how many seconds marked processes are looked for and killed; one that is stuck in the kernel cannot be."""


SETTLING = 0.05
"""For how many seconds a process is looked at again whose environment cannot be seen yet."""

GROUP = 4
"""Linux's PIDFD_SIGNAL_PROCESS_GROUP, which Python has no name for."""


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
        if is_marked(environment, mark):
            found.append(int(folder.name))
    return found, unsettled


def is_marked(environment: bytes, mark: bytes) -> bool:
    """Whether some `NAME=value` of an environment begins with the mark."""
    return environment.startswith(mark) or b"\0" + mark in environment


def kill_marked(mark: bytes) -> None:
    """Kills marked processes until none is left: one may be born while others are being looked for."""
    begun = time.monotonic()
    while time.monotonic() < begun + PATIENCE:
        found, unsettled = find_marked(mark)
        for process in found:
            with contextlib.suppress(OSError):
                kill_if_marked(process, mark)
        # A process may also have an empty environment for good.
        if not found and (not unsettled or time.monotonic() > begun + SETTLING):
            return
        time.sleep(0.002)


def kill_if_marked(process: int, mark: bytes) -> None:
    """Kills a process that was found to be marked, and none that has got its number since. Raises OSError."""
    opened = open_process(process)
    try:
        if is_marked((Path("/proc") / str(process) / "environ").read_bytes(), mark):
            send(process, signal.SIGKILL, opened)
    finally:
        if opened is not None:
            os.close(opened)


def open_process(process: int) -> int | None:
    """A process as an open file, by which it is meant and no later one of its number; None where the system has no such thing.

    Raises ProcessLookupError.
    """
    try:
        return os.pidfd_open(process)
    except ProcessLookupError:
        raise
    except (AttributeError, OSError):  # no Linux, an old one, or a sandbox that forbids it
        return None


def send(process: int, number: int, opened: int | None) -> None:
    """Sends a signal to the process that was opened. Raises ProcessLookupError or PermissionError."""
    if opened is None:
        os.kill(process, number)
    else:
        signal.pidfd_send_signal(opened, number)


def kill_group(group: int, leader: int | None = None) -> None:
    """Kills a process group, if there still is one.

    By its first process, as `open_process` gave it, the kernel knows the group itself. Without that, the caller sees to it that
    the number has not been given to another: as long as the first process is not reaped, it is not.
    """
    # macOS says "not permitted" of a group that only has zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if leader is not None:
            try:
                signal.pidfd_send_signal(leader, signal.SIGKILL, None, GROUP)
            except OSError as error:
                if error.errno != errno.EINVAL:  # a kernel before Linux 6.9
                    raise
            else:
                return
        os.killpg(group, signal.SIGKILL)


def watch(pipe: int, groups: dict[int, int | None]) -> None:
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
            if word == b"start":
                with contextlib.suppress(ProcessLookupError):
                    groups[int(number)] = None
                    groups[int(number)] = open_process(int(number))
            elif (leader := groups.pop(int(number), None)) is not None:
                os.close(leader)


def main() -> None:
    """Watches standard input; then kills what is left. The mark is the only argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, int | None] = {}
    watch(0, groups)
    for group, leader in groups.items():
        kill_group(group, leader)
    kill_marked(os.fsencode(sys.argv[1]))


if __name__ == "__main__":
    main()
