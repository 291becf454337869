"""The protocol of what starts trials on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Command:
    """What a trial runs, without a shell.

    Attributes:
        argv: The tokens, as a process gets them: the container's command, and behind it its arguments and the flags in the
            order and form that the service gives them. The first token is looked for on the environment's PATH.
        flags: The trial's values alone, one token `--id=value` a parameter, whatever form they have in `argv`. For an executor
            that starts no new program, but gives the values to one that is ready.
        directory: The working directory.
        environment: All environment variables. An executor may add variables whose names begin with its own mark.
        output: The file for stdout and stderr; the executor replaces what is there.
    """

    argv: Sequence[str]
    flags: Sequence[str]
    directory: str
    environment: Mapping[str, str]
    output: Path


class RunningCommand(Protocol):
    """A command that was started, with all of its descendants. Any thread may call; after its end nothing happens."""

    def terminate(self) -> None:
        """Sends SIGTERM to the command's own process and returns: the command ends its own children, or takes its time."""

    def kill(self) -> None:
        """Sends SIGKILL to the command and its process group, and returns. `on_exit` tells when they are gone."""


class Executor(Protocol):
    """Starts commands, and tells when each has ended.

    An executor belongs to one `LocalService`, and is made in the main thread before the service or anything else starts a
    thread: an executor may fork. Any thread may call its methods afterwards, several at once. The executor reaps its own
    processes; nobody else waits for them.

    Nothing that an executor has started outlives `close()`, nor the process of the executor, however that ends.

    `vertex_sweeper.testing.ExecutorSuite` is the contract as tests.

    Example:
        >>> import os, threading, tempfile
        >>> from pathlib import Path
        >>> from vertex_sweeper.services.local.execute.process import ProcessExecutor
        >>> ended, codes = threading.Event(), []
        >>> def on_exit(code):
        ...     codes.append(code)
        ...     ended.set()
        >>> executor = ProcessExecutor()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     command = Command(
        ...         argv=["sh", "-c", "echo hello; exit 3"],
        ...         flags=[],
        ...         directory=folder,
        ...         environment={"PATH": os.environ["PATH"]},
        ...         output=Path(folder) / "1.log",
        ...     )
        ...     running = executor.start(command, on_exit=on_exit)
        ...     _ = ended.wait()
        ...     print(command.output.read_text().strip(), codes)
        ...     executor.close()
        hello [3]
    """

    def hold(self, file: int) -> None:
        """Keeps an open file open until the last process is gone, also when this process is killed: it holds a lock.

        Called before the first `start`, if at all.

        Args:
            file: The file's descriptor. The caller closes its own after `close()`.
        """

    def start(self, command: Command, *, on_exit: Callable[[int], None]) -> RunningCommand:
        """Starts a command in its own session, and returns without waiting for it.

        Args:
            command: What runs.
            on_exit: Called once, from a thread of the executor's, possibly before `start` has returned. The argument is the
                exit code, or a signal's number, negative. Before the call the process has ended, and all of its descendants
                that can be found have been killed (SIGKILL); the command's own output is complete. It is called also for
                commands that `terminate`, `kill` or `close` has ended, and never for one whose `start` has raised.

        Raises:
            OSError: The command cannot be started, or the executor is closed.
            ValueError: A token or a variable holds a NUL.
        """

    def close(self) -> None:
        """Kills what runs, and starts nothing more. Repeatable; a signal handler may call it in the midst of another call.

        Each command's `on_exit` is still called, perhaps after `close` has returned.
        """
