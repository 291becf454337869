"""Starting and ending the processes of trials, so that nothing of them is left running, whatever happens to us."""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext

from vertex_sweeper.services.local.execute import reaper
from vertex_sweeper.services.local.execute.environment import MARK_PREFIX
from vertex_sweeper.services.local.execute.executor import Command

log = logging.getLogger(__name__)


class ProcessExecutor:
    """The `Executor` that starts a new process for each command, and has one reaper for all of them.

    A process is marked by an environment variable, which its descendants inherit, so that they are found where they have left
    its process group. A descendant that also throws away its environment is out of reach, and so is every descendant that
    left the group where there is no /proc (macOS).
    """

    def __init__(self) -> None:
        self._mark = MARK_PREFIX + secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._held: list[int] = []
        self._reaper: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()  # a signal's handler may close in the midst of closing
        self._closed = False

    def hold(self, file: int) -> None:
        """Has the reaper hold the open file, too. See `Executor.hold`."""
        self._held.append(file)

    def start(self, command: Command, *, on_exit: Callable[[int], None]) -> RunningProcess:
        """Starts a process. See `Executor.start`."""
        # One at a time, and never while closing: the reaper knows of each process before anything else happens.
        with self._lock:
            if self._closed:
                raise OSError("the local service is closed")
            self._reaper = self._reaper or self._start_reaper()
            number = str(next(self._numbers))
            process = _spawn(command, environment={**command.environment, self._mark: number})
            self._tell(f"start {process.pid}\n")
        return RunningProcess(process, mark=f"{self._mark}={number}\0", forget=self._forget, on_exit=on_exit)

    def close(self) -> None:
        """Kills what runs, ends the reaper, and starts nothing more. See `Executor.close`."""
        with self._lock:
            self._closed = True
            self._tell("quit\n")
            reaper, self._reaper = self._reaper, None
            if reaper is not None:
                reaper.communicate()

    def _forget(self, group: int) -> None:
        with self._lock:
            self._tell(f"end {group}\n")

    def _tell(self, line: str) -> None:
        if self._reaper is None or self._reaper.stdin is None:
            return
        try:
            self._reaper.stdin.write(line.encode())
        except OSError:
            log.warning("The reaper of the local trials is gone: should this process be killed, they will go on.")

    def _start_reaper(self) -> subprocess.Popen[bytes]:
        # Both ends of the pipe are closed in every other child: Python makes them non-inheritable.
        return subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-I", "-S", reaper.__file__, self._mark],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
            pass_fds=self._held,
        )


class RunningProcess:
    """A process that was started, and all of its descendants."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        *,
        mark: str,
        forget: Callable[[int], None],
        on_exit: Callable[[int], None],
    ) -> None:
        self._process = process
        self._mark = os.fsencode(mark)
        self._forget = forget
        self._on_exit = on_exit
        self._lock = threading.Lock()
        self._reaped = False
        threading.Thread(target=self._wait, name=f"trial-{process.pid}", daemon=True).start()

    def terminate(self) -> None:
        """SIGTERM to the process itself: it is the shim, or a command that knows its own children."""
        with self._lock:
            if not self._reaped:
                os.kill(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the process and its group, at once. Descendants elsewhere are killed when the process has ended."""
        with self._lock:
            if not self._reaped:
                reaper.kill_group(self._process.pid)

    def _wait(self) -> None:
        if hasattr(os, "waitid"):
            # Not reaped until its group is dead and forgotten: till then its number can't be given to a stranger.
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
            self._end_descendants()
            code = self._reap()
        else:  # macOS, before Python 3.13
            code = self._reap()
            self._end_descendants()
        self._on_exit(code)

    def _reap(self) -> int:
        with self._lock if hasattr(os, "waitid") else nullcontext():
            code = self._process.wait()
            self._reaped = True
        return code

    def _end_descendants(self) -> None:
        reaper.kill_group(self._process.pid)
        reaper.kill_marked(self._mark)
        self._forget(self._process.pid)


def _spawn(command: Command, *, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command.output.unlink(missing_ok=True)  # an earlier attempt's; or a link, which would be written through
    with command.output.open("xb") as stream:
        return subprocess.Popen(  # noqa: S603 - running the user's command is the purpose
            list(command.argv),
            cwd=command.directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
