"""Signals reach the process that runs a job, and no other, whatever a lock says and whoever has got a number since."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

import pytest

pytest.importorskip("optuna", reason="the local service needs the extra [local]")

from vertex_sweeper.errors import ServiceError
from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.execute import reaper
from vertex_sweeper.services.local.records import lock_owner
from vertex_sweeper.services.local.records.lock_owner import LockOwner
from vertex_sweeper.services.local.records.records import LOCK, JobOrigin, Records
from vertex_sweeper.services.local.records.viewer import Viewer
from vertex_sweeper.services.local.study.study import Study
from vertex_sweeper.stored_json import DamagedDocument
from vertex_sweeper.testing.gate import PARENT, make_job

EchoLike = TypeVar("EchoLike", bound="Echo")  # `Self` came with Python 3.11
SRC = Path(__file__).parents[3] / "src"
linux = pytest.mark.skipif(not Path("/proc/self/fdinfo").exists(), reason="needs /proc, which tells who holds a lock")

HOLDER = """
import sys
from pathlib import Path
from vertex_sweeper.services.local.records.records import Records

records = Records(Path(sys.argv[1]))
print("holds", flush=True)
sys.stdin.readline()
"""


class Echo:
    """A process that answers as long as nobody has sent it a signal."""

    def __init__(self, command: list[str], **settings: Any) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, **settings
        )
        self.pid = self._process.pid

    def __enter__(self: EchoLike) -> EchoLike:  # noqa: PYI019 - see above
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def answers(self) -> bool:
        """Whether it is alive. A signal that was sent before is handled first."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("still here\n")
        except BrokenPipeError:
            return False
        return self.read() == "still here\n"

    def wait(self) -> int:
        return self._process.wait(60)


@pytest.fixture
def innocent() -> Iterator[Echo]:
    with Echo(["cat"], start_new_session=True) as echo:
        yield echo


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return tmp_path / "records"


@pytest.fixture
def name(records: Path) -> str:
    """A job on record that has not ended, and that nobody runs."""
    name = f"{PARENT}/hyperparameterTuningJobs/7"
    taken = Records(records)
    study = Study(make_job(command=["true"]), name=name, now="2026-11-24T10:00:00Z")
    taken.of("7", JobOrigin("/", 1)).write_job(study, lock=nullcontext())
    taken.close()
    return name


@pytest.fixture
def hold(records: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], int]]:
    """Holds the lock, and writes this text into it; the open file."""
    monkeypatch.setattr("vertex_sweeper.services.local.records.records._PATIENCE", 0.1)
    file = os.open(records / LOCK, os.O_RDWR | os.O_CREAT)

    def write(text: bytes) -> int:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.ftruncate(file, 0)
        os.pwrite(file, text, 0)
        return file

    yield write
    os.close(file)


def owner_of(process: int) -> LockOwner:
    """What that process would write, did it hold the lock."""
    return LockOwner.of_this_process()._replace(process=process, started=lock_owner._started(process))


def changed(**fields: Any) -> Callable[[int], bytes]:
    return lambda process: json.dumps({**owner_of(process)._asdict(), **fields}).encode()


def numbered(make: Callable[[int], Any]) -> Callable[[int], bytes]:
    return lambda process: changed(process=make(process))(process)


LOCKS: dict[str, Callable[[int], bytes]] = {
    "all true, but for the lock": changed(),
    "another start": changed(started="1"),
    "no start": changed(started=""),
    "the start of who holds it": changed(started=lock_owner._started(os.getpid())),
    "its group": numbered(lambda process: -process),
    "its number as text": numbered(str),
    "its number with a fraction": numbered(lambda process: process + 0.5),
    "its number as a float": numbered(float),
    "its number in a list": numbered(lambda process: [process]),
    "all processes": numbered(lambda _: -1),
    "our group": numbered(lambda _: 0),
    "the system's first": numbered(lambda _: 1),
    "true": numbered(lambda _: True),
    "null": numbered(lambda _: None),
    "32 bits": numbered(lambda process: process + 2**32),
    "64 bits": numbered(lambda process: process + 2**64),
    "no number at all": numbered(lambda _: 10**50),
    "our parent": lambda _: owner_of(os.getppid()).to_text().encode(),
    "ourselves, at another time": lambda _: owner_of(os.getpid())._replace(started="1").to_text().encode(),
    "another host": changed(host="elsewhere"),
    "another container": changed(place="boot pid:[1]"),
    "no place": changed(place=""),
    "a host that is none": changed(host=7),
    "a host that is a list": changed(host=["a"]),
    "a host with an escape code": changed(host="\x1b[31m"),
    "a host of two lines": changed(host="a\nb"),
    "a long host": changed(host="a" * 2000),
    "less than an owner": lambda process: json.dumps({"process": process}).encode(),
    "a list": lambda process: json.dumps(["vm", process]).encode(),
    "a number": lambda process: b"%d" % process,
    "twice": lambda process: changed()(process) * 2,
    "the same key twice": lambda process: changed()(process)[:-1] + b', "process": %d}' % process,
    "nothing": lambda _: b"",
    "NULs": lambda _: b"\0" * 100,
    "garbage": lambda _: bytes(range(256)),
    "deep": lambda _: b"[" * 4000,
    "NaN": lambda _: b'{"process": NaN}',
}


@linux
@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS)
def test_no_lock_gets_a_stranger_killed(
    lock: Callable[[int], bytes], innocent: Echo, records: Path, name: str, hold: Callable[[bytes], int]
) -> None:
    hold(lock(innocent.pid))
    with pytest.raises(ServiceError) as caught:
        Viewer(records).cancel(name)
    assert str(caught.value).isprintable()
    assert innocent.answers()


@linux
@pytest.mark.parametrize("kind", ["a folder", "a pipe", "a link", "a device"])
def test_a_lock_that_is_no_file_is_one_line_and_is_not_written_to(records: Path, name: str, kind: str) -> None:
    lock, elsewhere = records / LOCK, records.parent / "precious"
    elsewhere.write_text("kept")
    lock.unlink()
    if kind == "a folder":
        lock.mkdir()
    elif kind == "a pipe":
        os.mkfifo(lock)
    else:
        lock.symlink_to(elsewhere if kind == "a link" else "/dev/zero")
    with pytest.raises(ServiceError, match=r"\.lock cannot be read, and so not who runs the job"):
        Viewer(records).cancel(name)
    with pytest.raises(ServiceError, match="cannot be written"):
        LocalService(lambda _: records.parent, records=records).resume()
    assert elsewhere.read_text() == "kept"


@linux
def test_a_process_that_only_reads_the_lock_is_a_stranger(records: Path, name: str, hold: Callable[[bytes], int]) -> None:
    with (records / LOCK).open() as file, Echo(["cat"], pass_fds=[file.fileno()]) as reader:
        hold(owner_of(reader.pid).to_text().encode())
        with pytest.raises(ServiceError, match=f"names process {reader.pid}, and that is not seen to hold it"):
            Viewer(records).cancel(name)
        assert reader.answers()


@linux
def test_a_process_that_holds_another_lock_is_a_stranger(
    tmp_path: Path, records: Path, name: str, hold: Callable[[bytes], int]
) -> None:
    with holder(tmp_path / "other") as other:
        hold((tmp_path / "other" / LOCK).read_bytes())
        with pytest.raises(ServiceError, match="that is not seen to hold it"):
            Viewer(records).cancel(name)
        assert other.answers_to_end() == 0


@linux
def test_a_thread_of_a_stranger_is_one(records: Path, name: str, hold: Callable[[bytes], int]) -> None:
    program = "import sys, threading; t = threading.Thread(target=threading.Event().wait, daemon=True); t.start()\n"
    program += "print(t.native_id, flush=True)\nfor line in sys.stdin: print(line, end='', flush=True)"
    with Echo([sys.executable, "-c", program]) as echo:
        hold(owner_of(int(echo.read())).to_text().encode())
        with pytest.raises(ServiceError):
            Viewer(records).cancel(name)
        assert echo.answers()


class Holder(Echo):
    """A process that holds the lock on records, until it is told to end."""

    def answers_to_end(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        return self.wait()


def holder(records: Path, *before: str) -> Holder:
    held = Holder([*before, sys.executable, "-c", HOLDER, str(records)], env={**os.environ, "PYTHONPATH": str(SRC)})
    assert held.read() == "holds\n"
    return held


@linux
def test_the_owner_itself_gets_the_signal(records: Path, name: str) -> None:
    with holder(records) as held:
        Viewer(records).cancel(name)
        assert held.wait() == -15
    assert Viewer(records).get(name)["state"] == "JOB_STATE_CANCELLED"


NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture
def namespace() -> tuple[str, ...]:
    """What puts a command into a PID namespace of its own, as a container is."""
    try:
        subprocess.run([*NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to make PID namespaces")
    return NAMESPACE


@linux
def test_a_container_of_the_same_host_name_is_told_from_here(
    namespace: tuple[str, ...], records: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vertex_sweeper.services.local.records.records._PATIENCE", 5.0)
    with holder(records, *namespace) as held:
        assert LockOwner.parse((records / LOCK).read_bytes()).process == 1
        viewer = Viewer(records)
        assert not viewer.abandoned(name)
        with pytest.raises(ServiceError, match=r"is run by process 1 of another container or machine .* cancel it there"):
            viewer.cancel(name)
        assert held.answers_to_end() == 0


IN_NAMESPACE = """
import os, subprocess, sys, threading
from pathlib import Path
from vertex_sweeper.errors import ServiceError
from vertex_sweeper.services.local.execute import reaper
from vertex_sweeper.services.local.records import lock_owner
from vertex_sweeper.services.local.records.lock_owner import LockOwner

def reuse(number):
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(number - 1))
    return subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, env=mark)

mark = {"A_MARK": "7"}
ended = subprocess.Popen(["cat"], stdin=subprocess.PIPE, start_new_session=True, env=mark)
owner = LockOwner.of_this_process()._replace(process=ended.pid, started=lock_owner._started(ended.pid))
opened = reaper.open_process(ended.pid)
ended.communicate()
mark = {}
stranger = reuse(ended.pid)
assert stranger.pid == ended.pid
reaper.kill_group(ended.pid, opened)
reaper.kill_if_marked(ended.pid, b"A_MARK=")
for send in (lambda: reaper.send(ended.pid, 15, opened), lambda: owner.terminate(Path(sys.argv[1]))):
    try:
        send()
    except (ProcessLookupError, ServiceError) as error:
        print(type(error).__name__)
print(stranger.communicate(b"still here")[0].decode())
"""


@linux
def test_who_has_got_the_number_since_is_not_killed(namespace: tuple[str, ...], tmp_path: Path) -> None:
    if not os.access("/proc/sys/kernel/ns_last_pid", os.W_OK):
        pytest.skip("needs the right to choose the next process's number")
    lock = tmp_path / "lock"
    lock.touch()
    command = [*namespace, sys.executable, "-c", IN_NAMESPACE, str(lock)]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    shown = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert shown.stdout.split("\n") == ["ProcessLookupError", "ServiceError", "still here", ""], shown.stderr


@linux
def test_only_what_is_still_marked_is_killed(innocent: Echo) -> None:
    with Echo(["cat"], env={**os.environ, "A_MARK": "7"}) as marked:
        reaper.kill_if_marked(innocent.pid, b"A_MARK=")
        reaper.kill_if_marked(marked.pid, b"A_MARK=8")
        assert innocent.answers()
        assert marked.answers()
        reaper.kill_if_marked(marked.pid, b"A_MARK=7")
        assert marked.wait() == -9


@linux
@pytest.mark.parametrize("kernel", ["this one", "before Linux 6.9", "before Linux 5.3"])
def test_a_group_is_killed_whose_first_process_has_ended(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "GROUP", reaper.GROUP if kernel == "this one" else 1 << 20)
    script = "sleep 1000 >/dev/null & echo $!; read line"
    with Echo(["sh", "-c", script], start_new_session=True) as first:
        other = int(first.read())
        opened = reaper.open_process(first.pid) if kernel != "before Linux 5.3" else None
        assert not first.answers()  # it ends, and is reaped
        assert first.wait() == 0
        reaper.kill_group(first.pid, opened)
        wait_for_end(other)
        if opened is not None:
            os.close(opened)


def wait_for_end(process: int) -> None:
    """Returns when the process is gone or a zombie."""
    ended = threading.Event()
    while lock_owner._started(process) not in ("", "ended"):
        ended.wait(0.01)


@pytest.mark.skipif(shutil.which("ps") is None, reason="needs ps")
def test_where_the_system_does_not_tell_who_holds_a_lock_a_process_is_told_by_its_start(
    innocent: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    owner = owner_of(innocent.pid)
    assert owner.started
    for started in ("", f"{owner.started[:-4]}1999", LockOwner.of_this_process().started[:-1]):
        with pytest.raises(ServiceError):
            owner._replace(started=started).terminate(tmp_path / LOCK)
    assert innocent.answers()
    owner.terminate(tmp_path / LOCK)
    assert innocent.wait() == -15


@pytest.mark.parametrize("process", [-1, 0, 2**22 + 1])
def test_a_number_that_is_no_processs_is_not_read(process: int) -> None:
    with pytest.raises(DamagedDocument, match="is no number of a process"):
        LockOwner.parse(LockOwner.of_this_process()._replace(process=process).to_text().encode())
