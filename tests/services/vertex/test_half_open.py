"""A network that has died without a word: connections stand, and nothing comes. A signal is answered at once all the same.

Each sweep is a real process that is sent real signals. Its calls have deadlines of an hour: what is waited for here cannot come
from one.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

for module in ("google.cloud.aiplatform_v1", "hyperframe"):
    pytest.importorskip(module, reason=f"{module} is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

from tests.faults.frames import HELD, FrameProxy  # noqa: E402
from tests.faults.injection import PATIENCE  # noqa: E402
from tests.services.vertex.tuning import TuningApi, make_app, run, words_of  # noqa: E402
from tests.support import every  # noqa: E402
from vertex_sweeper.services.vertex.errors import Verb  # noqa: E402

NAME = "projects/my-project/locations/europe-west4/hyperparameterTuningJobs/1"

LOOK = 0.1
"""Seconds between two looks whether the process that is waited for still runs."""
SLOW = """
import dataclasses, runpy, sys
from vertex_sweeper.run import interruptible, watch
from vertex_sweeper.services.vertex import connection, service

for verb in service.TIMEOUTS:
    service.TIMEOUTS[verb] = 3600.0
connection._EMULATOR_PATIENCE = 3600.0
watch.POLL = dataclasses.replace(watch.POLL, first=0.01)
interruptible.PATIENCE, interruptible.CREATION_PATIENCE = float(sys.argv[1]), float(sys.argv[2])
sys.argv = sys.argv[3:]
if sys.argv[0].endswith(".py"):
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    from vertex_sweeper.cli.main import main
    sys.exit(main(sys.argv))
"""


class Sweep:
    """A process that is told to give a call up so soon after a signal, and what it prints."""

    def __init__(self, folder: Path, words: list[str], *, reads: float = 0.1, creation: float = 0.1) -> None:
        (folder / "slow.py").write_text(SLOW)
        self._process: subprocess.Popen[str] = run(folder, "slow.py", str(reads), str(creation), *words)
        self._guard = threading.Timer(PATIENCE, self._process.kill)
        self._guard.start()
        self.shown = ""

    def signal(self, number: signal.Signals = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def wait_for(self, text: str) -> None:
        """Reads on until a line has this."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.shown += line
            if text in line:
                return
        raise AssertionError(self.shown)

    def until(self, event: threading.Event) -> None:
        """Waits for what this process brings about; fails as soon as it has ended without."""
        while not event.wait(LOOK):
            self.check_that_it_runs()

    def connection(self, server: socket.socket) -> socket.socket:
        """The process's connection to this server; fails as soon as it has ended without."""
        server.settimeout(LOOK)
        while True:
            with suppress(TimeoutError):
                return server.accept()[0]
            self.check_that_it_runs()

    def check_that_it_runs(self) -> None:
        if self._process.poll() is not None:
            self.end()
            raise AssertionError(self.shown)

    def end(self) -> int:
        """Reads to the end; the exit code."""
        assert self._process.stdout is not None
        self.shown += self._process.stdout.read()
        assert "Traceback" not in self.shown
        return self._process.wait()

    def __enter__(self) -> Sweep:  # noqa: PYI034 - typing.Self is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.cancel()
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def api() -> Iterator[TuningApi]:
    with TuningApi() as api:
        api.endless = True
        yield api
        api.answers.set()


@pytest.fixture
def proxy(api: TuningApi) -> Iterator[FrameProxy]:
    with FrameProxy(api.address) as proxy:
        yield proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_app(tmp_path)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Takes connections, and says nothing to anybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def at(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Sweep]]:
    """Starts sweeps, and lets none of them outlive the test."""
    with ExitStack() as stack:
        yield lambda words, **patience: stack.enter_context(Sweep(folder, words, **patience))


Start = Callable[..., Sweep]


@contextmanager
def watched(start: Start, api: TuningApi, proxy: FrameProxy, *words: str) -> Iterator[Sweep]:
    """A sweep whose job was seen once, and whose next look is not answered."""
    sweep = start(words_of(api, f"hydra.sweeper.vertex.endpoint=http://{proxy.address}", *words))
    sweep.until(api.watched)
    with proxy.planned(Verb.GET, HELD[0]):
        sweep.until(proxy.held)
        yield sweep


@pytest.mark.parametrize("number", every(2, [signal.SIGINT, signal.SIGHUP]), ids=lambda number: number.name)
def test_a_signal_lets_go_of_a_job_whose_news_do_not_come(
    start: Start, folder: Path, api: TuningApi, proxy: FrameProxy, number: signal.Signals
) -> None:
    with watched(start, api, proxy) as sweep:
        calls = proxy.received.copy()
        sweep.signal(number)
        sweep.wait_for(f"{number.name}: waiting for news of {NAME}, 0.1 s at most; once more ends this process at once")
        assert sweep.end() == 130
    assert f"vertex-sweeper attach {folder / 'sweep'}" in sweep.shown
    assert json.loads((folder / "sweep" / "sweep.json").read_text())["state"] == "JOB_STATE_RUNNING"
    assert proxy.received == calls  # nothing is made again


def test_a_job_whose_news_do_not_come_is_cancelled_and_a_second_signal_ends_the_process(
    start: Start, api: TuningApi, proxy: FrameProxy
) -> None:
    with watched(start, api, proxy, "hydra.sweeper.on_interrupt=cancel") as sweep, proxy.planned(Verb.CANCEL, HELD[0]):
        sweep.signal()
        sweep.wait_for("SIGINT: cancelling the job; once more ends this process at once")
        sweep.signal()
        assert sweep.end() == 130


def test_a_second_signal_ends_the_process_while_an_answer_is_waited_for(
    start: Start, api: TuningApi, proxy: FrameProxy
) -> None:
    sweep = start(words_of(api, f"hydra.sweeper.vertex.endpoint=http://{proxy.address}"), creation=3600.0)
    api.answers.clear()
    sweep.until(api.created)
    sweep.signal()
    sweep.wait_for("SIGINT: waiting for the answer to the job's creation, 3600 s at most; once more ends this process at once")
    sweep.signal()
    assert sweep.end() == 130


def test_the_answer_to_a_creation_that_comes_after_the_signal_is_not_lost(start: Start, folder: Path, api: TuningApi) -> None:
    api.answers.clear()
    sweep = start(words_of(api), reads=3600.0, creation=3600.0)
    sweep.until(api.created)
    sweep.signal()
    sweep.wait_for("SIGINT: waiting for the answer to the job's creation")
    api.answers.set()
    assert sweep.end() == 130
    assert json.loads((folder / "sweep" / "job.json").read_text())["name"] == NAME
    assert "the job goes on without this process" in sweep.shown


def test_a_creation_that_is_not_answered_is_told_and_not_made_again(start: Start, folder: Path, api: TuningApi) -> None:
    api.answers.clear()
    sweep = start(words_of(api), reads=3600.0)
    sweep.until(api.created)
    sweep.signal()
    sweep.wait_for("SIGINT: waiting for the answer to the job's creation, 0.1 s at most")
    assert sweep.end() == 130
    assert api.count("CreateHyperparameterTuningJob") == 1
    assert f"found it: {NAME}" in sweep.shown  # a list was answered
    assert json.loads((folder / "sweep" / "job.json").read_text())["name"] == NAME


def test_where_nothing_answers_from_the_beginning_a_creation_is_left_open(
    start: Start, folder: Path, api: TuningApi, silent: socket.socket
) -> None:
    sweep = start(words_of(api, f"hydra.sweeper.vertex.endpoint={at(silent)}"))
    with sweep.connection(silent):
        sweep.signal()
        sweep.wait_for("SIGINT: waiting for the answer to the job's creation, 0.1 s at most")
        assert sweep.end() == 130
    assert "whether the job was created is not known" in sweep.shown
    assert f"vertex-sweeper attach {folder / 'sweep'}" in sweep.shown
    assert "name" not in json.loads((folder / "sweep" / "job.json").read_text())


def test_who_comes_back_where_nothing_answers_is_let_go(start: Start, silent: socket.socket) -> None:
    sweep = start(["attach", NAME, "--endpoint", at(silent)])
    with sweep.connection(silent):
        sweep.signal()
        sweep.wait_for(f"SIGINT: waiting for news of {NAME}, 0.1 s at most")
        assert sweep.end() == 130
    assert f"come back later with `vertex-sweeper attach {NAME}`" in sweep.shown


@pytest.mark.parametrize("command", every(2, ["show", "cancel"]))
def test_a_command_that_waits_for_an_answer_ends_at_once(start: Start, silent: socket.socket, command: str) -> None:
    sweep = start([command, NAME, "--endpoint", at(silent)])
    with sweep.connection(silent):
        sweep.signal()
        assert sweep.end() == 130
