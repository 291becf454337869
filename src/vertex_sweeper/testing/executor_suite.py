"""What the local service relies on in an executor, as one class of tests for every implementation."""

from __future__ import annotations

import ast
import os
import queue
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from vertex_sweeper.services.local.execute.executor import Command, Executor, RunningCommand
from vertex_sweeper.testing.gate import PATIENCE, is_alive, wait_for_death

linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc: without it only groups are ended")

DETACH = "subprocess.Popen(['sleep', '1000'], start_new_session=True)"
IN_GROUP = "subprocess.Popen(['sleep', '1000'], env={'PATH': os.environ['PATH']})"


class Harness:
    """An executor with a folder for its commands' output, and the exit codes as they come."""

    def __init__(self, executor: Executor, folder: Path) -> None:
        self.executor = executor
        self.output = folder / "output of a command.log"
        self.codes: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._folder = folder

    def start(self, program: str, *args: str, **variables: str) -> RunningCommand:
        """Starts a Python program."""
        return self.start_tokens([sys.executable, "-c", f"import os, signal, subprocess, sys\n{program}", *args], **variables)

    def start_tokens(self, argv: Sequence[str], **variables: str) -> RunningCommand:
        """Starts a command of these tokens."""
        environment = {"PATH": os.environ["PATH"], **variables}
        command = Command(argv, flags=(), directory=str(self._folder), environment=environment, output=self.output)
        return self.executor.start(command, on_exit=self.codes.put)

    def code(self) -> int:
        """The next exit code."""
        return self.codes.get(timeout=PATIENCE)

    def start_ready(self, program: str) -> tuple[RunningCommand, int]:
        """Starts a program that says the number `ready` once it is set, and waits for signals; returns it with that number."""
        pipe = self._folder / "ready"
        os.mkfifo(pipe)
        running = self.start(f"{program}\nopen(sys.argv[1], 'w').write(str(ready))\nsignal.pause()", str(pipe))
        return running, int(pipe.read_text())


class ExecutorSuite:
    """What every executor must do. A subclass has a fixture `executor`, which closes what it made.

    Example:
        class TestMyExecutor(ExecutorSuite):
            @pytest.fixture
            def executor(self):
                executor = MyExecutor()
                yield executor
                executor.close()
    """

    @pytest.fixture
    def harness(self, executor: Executor, tmp_path: Path) -> Iterator[Harness]:
        """The executor, ready for commands."""
        yield Harness(executor, tmp_path)
        executor.close()

    @pytest.mark.parametrize("code", [0, 3, 143])
    def test_the_exit_code_is_told(self, harness: Harness, code: int) -> None:
        harness.start(f"sys.exit({code})")
        assert harness.code() == code

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT], ids=lambda number: number.name)
    def test_a_signal_is_told_as_a_negative_number(self, harness: Harness, number: signal.Signals) -> None:
        harness.start(f"os.kill(os.getpid(), {int(number)})")
        assert harness.code() == -number

    def test_output_is_complete_at_the_end_and_replaces_what_was_there(self, harness: Harness) -> None:
        harness.output.write_text("of an earlier attempt")
        harness.start("print('out', flush=True); print('err', file=sys.stderr)")
        assert harness.code() == 0
        assert harness.output.read_text() == "out\nerr\n"

    def test_tokens_variables_and_folder_reach_the_command_as_they_are(self, harness: Harness) -> None:
        tokens = ["a b", "$HOME", "*", "--x=1", "ü", ""]
        harness.start("print(ascii([sys.argv[1:], os.environ['IT'], os.getcwd()]))", *tokens, IT="$PATH 'ü'")
        assert harness.code() == 0
        assert ast.literal_eval(harness.output.read_text()) == [tokens, "$PATH 'ü'", str(harness.output.parent)]

    def test_standard_input_is_empty(self, harness: Harness) -> None:
        harness.start("sys.exit(len(sys.stdin.read()))")
        assert harness.code() == 0

    def test_a_command_that_does_not_exist_raises_and_is_never_told(self, harness: Harness) -> None:
        with pytest.raises(OSError, match="no-such-program"):
            harness.start_tokens(["no-such-program"])
        harness.start("sys.exit(3)")
        assert harness.code() == 3
        assert harness.codes.empty()

    def test_a_nul_is_an_error(self, harness: Harness) -> None:
        with pytest.raises(ValueError, match="null byte"):
            harness.start_tokens([sys.executable, "-c", "", "a\0b"])
        with pytest.raises(ValueError, match="null byte"):
            harness.start("pass", IT="a\0b")

    @linux
    @pytest.mark.parametrize("start", [DETACH, IN_GROUP], ids=["in its own session", "in the group without a mark"])
    def test_descendants_are_killed_before_the_end_is_told(self, harness: Harness, start: str) -> None:
        harness.start(f"print({start}.pid)")
        assert harness.code() == 0
        wait_for_death(int(harness.output.read_text()))  # a killed process of the group may take a moment

    def test_terminate_reaches_the_command_itself(self, harness: Harness) -> None:
        running, _ = harness.start_ready("signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); ready = 1")
        running.terminate()
        assert harness.code() == 7
        running.terminate()
        running.kill()  # nothing happens any more
        assert harness.codes.empty()

    def test_kill_ends_a_command_that_ignores_terminate(self, harness: Harness) -> None:
        running, group = harness.start_ready(f"signal.signal(signal.SIGTERM, signal.SIG_IGN); ready = {IN_GROUP}.pid")
        running.terminate()
        running.kill()
        assert harness.code() == -signal.SIGKILL
        wait_for_death(group)

    @linux
    def test_close_kills_what_runs_and_starts_nothing_more(self, harness: Harness) -> None:
        _, detached = harness.start_ready(f"ready = {DETACH}.pid")
        assert is_alive(detached)
        harness.executor.close()
        harness.executor.close()
        assert harness.code() == -signal.SIGKILL
        wait_for_death(detached)
        with pytest.raises(OSError, match="closed"):
            harness.start("pass")

    def test_commands_run_side_by_side_and_their_ends_do_not_mix(self, harness: Harness, tmp_path: Path) -> None:
        other = Harness(harness.executor, tmp_path / "other")
        (tmp_path / "other").mkdir()
        first, _ = harness.start_ready("ready = 1")
        other.start("sys.exit(5)")
        assert other.code() == 5
        assert harness.codes.empty()
        first.terminate()
        assert harness.code() == -signal.SIGTERM
