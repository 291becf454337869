"""Signals, orphans and the stay after a failure: real processes that tell each other when they are ready."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys

import pytest

from tests.runtime.trials import PATIENCE, SHIM, TrialRunner, sweep

# Prints the signals that come, and ends at the first; with `answer=1`, a SIGINT is answered by a SIGUSR1 to the shim instead.
TAKES_SIGNALS = """
import os, signal, sys
waited = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
signal.pthread_sigmask(signal.SIG_BLOCK, waited)
print("ready", flush=True)
while True:
    number = signal.sigwait(waited)
    print(signal.Signals(number).name, flush=True)
    if number != signal.SIGINT or "answer=1" not in sys.argv:
        sys.exit(7)
    os.kill(os.getppid(), signal.SIGUSR1)
"""
FORWARDED = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("number", FORWARDED, ids=lambda number: number.name)
def test_a_signal_reaches_the_command_and_its_exit_code_comes_back(runner: TrialRunner, number: signal.Signals) -> None:
    runner.script(TAKES_SIGNALS)
    process = runner.start("python", "train.py", start_new_session=True)
    assert line(process) == "ready"
    process.send_signal(number)
    assert line(process) == number.name
    assert process.wait(PATIENCE) == 7


def test_a_command_that_does_not_handle_a_signal_ends_of_it(runner: TrialRunner) -> None:
    runner.script("print('ready', flush=True)\nimport signal\nsignal.pause()")
    process = runner.start("python", "train.py")
    assert line(process) == "ready"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 143


def test_a_signal_that_comes_before_the_command_is_started_is_not_lost(runner: TrialRunner) -> None:
    runner.script(TAKES_SIGNALS)
    # The signal is pending when the shim's interpreter starts, and stays blocked until the command takes it.
    early = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [15]); os.kill(os.getpid(), 15)"
    early += "; os.execv(*eval(sys.argv[1]))"
    shim = repr((sys.executable, [*SHIM, "python", "train.py"]))
    process = runner.start(shim=(sys.executable, "-c", early, shim))
    assert [line(process), line(process)] == ["ready", "SIGTERM"]
    assert process.wait(PATIENCE) == 7


def test_a_key_on_the_terminal_reaches_the_command_once(runner: TrialRunner) -> None:
    runner.script(TAKES_SIGNALS)
    ours, theirs = pty.openpty()
    in_terminal = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(*eval(sys.argv[1]))"
    shim = repr((sys.executable, [*SHIM, "python", "train.py", "answer=1"]))
    process = runner.start(shim=(sys.executable, "-c", in_terminal, shim), stdin=theirs, start_new_session=True)
    try:
        assert line(process) == "ready"
        os.write(ours, b"\x03")
        # The command answers with a SIGUSR1 to the shim, which comes back through it: a second SIGINT would come before.
        assert [line(process), line(process)] == ["SIGINT", "SIGUSR1"]
        assert process.wait(PATIENCE) == 7
    finally:
        os.close(ours)
        os.close(theirs)


SHOWS_SIGNALS = ("sh", "-c", 'grep -E "^Sig(Blk|Ign)" /proc/self/status')


def of_programs(status: str) -> list[int]:
    return [int(mask, 16) & 0x7FFFFFFF for mask in status.split()[1::2]]  # 32 and above are the C library's own


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
def test_the_command_starts_with_the_signals_of_any_program(runner: TrialRunner) -> None:
    plain = subprocess.run(SHOWS_SIGNALS, check=True, capture_output=True, encoding="utf-8")
    code, output, _ = runner.run(*SHOWS_SIGNALS)
    assert code == 0
    assert of_programs(output) == of_programs(plain.stdout)


# As PID 1 would, a subreaper gets the processes whose parents are gone.
AS_SUBREAPER = "import ctypes, os, sys; assert ctypes.CDLL(None).prctl(36, 1) == 0; os.execv(*eval(sys.argv[1]))"
LEAVES_ORPHAN = """
import os, time
read, write = os.pipe()
if os.fork() == 0:
    if (orphan := os.fork()) != 0:
        os.write(write, str(orphan).encode())
    os._exit(0)
os.wait()
orphan = int(os.read(read, 20))
while True:  # a process that nobody has reaped still takes a signal 0
    try:
        os.kill(orphan, 0)
    except ProcessLookupError:
        break
    time.sleep(0.01)
print("reaped")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="subreapers are Linux's")
def test_an_orphan_is_reaped_while_the_command_runs(runner: TrialRunner) -> None:
    runner.script(LEAVES_ORPHAN)
    shim = repr((sys.executable, [*SHIM, "python", "train.py"]))
    code, output, _ = runner.run(shim=(sys.executable, "-c", AS_SUBREAPER, shim))
    assert (code, output) == (0, "reaped\n"), runner.errors


def namespaces() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "-Urpf", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not namespaces(), reason="needs unshare and the right to make a PID namespace")
def test_the_first_process_of_a_container_takes_signals_too(runner: TrialRunner) -> None:
    runner.script("import os, signal\nprint(os.getppid(), flush=True)\nos.kill(1, signal.SIGTERM)\nsignal.pause()")
    process = runner.start("python", "train.py", shim=("unshare", "-Urpf", *SHIM))
    assert line(process) == "1"
    assert process.wait(PATIENCE) == 143


def staying(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return next(text for text in process.stderr if "a look inside" in text).strip()


@pytest.mark.parametrize(
    ("code", "expected"),
    [pytest.param("raise SystemExit(9)", 9, id="a failure"), pytest.param("pass", 65, id="a metric missing")],
)
def test_a_failed_container_stays_until_it_is_told_to_end(runner: TrialRunner, code: str, expected: int) -> None:
    runner.script(code)
    process = runner.start(
        "python", "train.py", agreed=sweep("python", "train.py", keep_alive=6000)._replace(sequence=(), parameters=())
    )
    assert staying(process).startswith(f"vertex-trial: exit code {expected}; the container stays for 6000 s")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == expected


def test_a_failed_container_ends_when_its_time_is_over(runner: TrialRunner) -> None:
    agreed = sweep("no-such-command", keep_alive=1)._replace(sequence=(), parameters=())
    code, _, lines = runner.run("no-such-command", agreed=agreed)
    assert (code, len(lines)) == (127, 2)


def test_a_trial_that_was_stopped_or_went_well_does_not_stay(runner: TrialRunner) -> None:
    agreed = sweep("python", "train.py", keep_alive=6000)._replace(sequence=(), parameters=(), metrics=())
    runner.script("pass")
    assert runner.run("python", "train.py", agreed=agreed)[0] == 0
    runner.script("print('ready', flush=True)\nimport signal\nsignal.pause()")
    process = runner.start("python", "train.py", agreed=agreed)
    assert line(process) == "ready"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 143
