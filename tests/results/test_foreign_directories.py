"""Sweep directories of another hand: no credentials leave on a file's word, and nothing that a file can hold is a traceback."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from vertex_sweeper.api_names import LOCAL_PARENT, parse_parent
from vertex_sweeper.cli.main import main
from vertex_sweeper.endpoint import Endpoint, api_host
from vertex_sweeper.errors import InvalidSweep, ServiceError, SweepDirectoryError
from vertex_sweeper.run.target import read_target
from vertex_sweeper.services.address import Address, existing_address, vertex_address
from vertex_sweeper.settings import Backend
from vertex_sweeper.stored_json import MOST_LEVELS, DamagedDocument, parse_json, read_sealed, sealed

PARENT = "projects/my-project/locations/europe-west4"
NAME = f"{PARENT}/hyperparameterTuningJobs/1"
RECORD = {"backend": "vertex", "parent": PARENT, "endpoint": None, "impersonate": None, "state": None, "error": ""}

GOOGLE = {
    "europe-west4-aiplatform.googleapis.com": "https://europe-west4-aiplatform.googleapis.com",
    "aiplatform.googleapis.com:443": "https://aiplatform.googleapis.com:443",
    "https://restricted.googleapis.com/": "https://restricted.googleapis.com",
    "https://europe-west4-aiplatform-mine.p.googleapis.com": "https://europe-west4-aiplatform-mine.p.googleapis.com",
    "US-Central1-AIPlatform.GoogleAPIs.com": "https://us-central1-aiplatform.googleapis.com",
    "HTTPS://aiplatform.googleapis.com": "https://aiplatform.googleapis.com",
}
LOOPBACK = {
    "http://127.0.0.1:8080": "http://127.0.0.1:8080",
    "127.0.0.1:8080": "http://127.0.0.1:8080",
    "https://127.9.9.9:8080": "http://127.9.9.9:8080",
    "localhost:8080": "http://localhost:8080",
    "http://[::1]:8080/": "http://[::1]:8080",
}
OTHERS = [
    "evil.org",
    "https://evil.org",
    "http://evil.org:80",
    "HTTP://evil.org",
    "http://aiplatform.googleapis.com",
    "googleapis.com",
    "evil-googleapis.com",
    "evilgoogleapis.com",
    "europe-west4-aiplatform.googleapis.com.evil.org",
    "aiplatform.googleapis.com.",
    ".googleapis.com",
    "a..googleapis.com",
    "-.googleapis.com",
    "x@aiplatform.googleapis.com",
    "aiplatform.googleapis.com@evil.org",
    "aiplatform.googleapis.com:443@evil.org",
    "https://aiplatform.googleapis.com:x@evil.org/",
    "aiplatform.googleapis.com:443:443",
    "aiplatform.googleapis.com:0",
    "aiplatform.googleapis.com:65536",
    "aiplatform.googleapis.com:-1",
    "aiplatform.googleapis.com:",
    "aiplatform.googleapis.com:\uff14\uff14\uff13",
    "aiplatform.googleapis.com/../evil",
    "evil.org/.googleapis.com",
    "evil.org#.googleapis.com",
    "evil.org?.googleapis.com",
    "evil.org\\.googleapis.com",
    "evil.org%2f.googleapis.com",
    "evil.org\n.googleapis.com",
    "aiplatform.googleapis.com\n",
    " aiplatform.googleapis.com",
    "evil.org .googleapis.com",
    "evil.org,aiplatform.googleapis.com",
    "evil.org\0.googleapis.com",
    "aiplatform\u3002googleapis\u3002com",
    "aiplatform.googleapis\u200b.com",
    "\u0430iplatform.googleapis.com",
    "aiplatform.googleapis.\u217dom",
    "aiplatform.googleapi\u017f.com",
    "aiplatform.googleapis.com\u2028",
    "xn--aiplatform-.googleapis.com.xn--evil",
    "dns:///evil.org",
    "dns://evil.org/aiplatform.googleapis.com",
    "dns:aiplatform.googleapis.com",
    "unix:/tmp/evil",
    "unix:443",
    "unix-abstract:evil",
    "vsock:2:1",
    "ipv4:6.6.6.6:443",
    "ipv6:[::6]:443",
    "xds:///aiplatform.googleapis.com",
    "google-c2p:///evil",
    "ftp://aiplatform.googleapis.com",
    "//aiplatform.googleapis.com",
    "https://",
    "https:aiplatform.googleapis.com",
    "https://https://aiplatform.googleapis.com",
    "6.6.6.6",
    "[::6]:443",
    "[::ffff:127.0.0.1]:443",
    "0.0.0.0:443",
    "[::]:443",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "127.0.0.1.evil.org",
    "localhost.evil.org",
    "evil.localhost",
    "127.0.0.1@evil.org:80",
    "169.254.169.254",
    "metadata.google.internal",
    f"{'a.' * 130}googleapis.com",
    f"{'a' * 64}.googleapis.com",
    "",
]


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep directory of a job on Vertex; who asks for credentials fails."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "never asked for.json"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "sweep"
    folder.mkdir()
    (folder / "sweep.json").write_text(json.dumps(RECORD))
    (folder / "job.json").write_text(json.dumps({"name": NAME, "displayName": "a"}))
    return folder


def write(path: Path, **changes: Any) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, **changes}), encoding="utf-8")


def recorded(endpoint: str) -> Address:
    return Address(Backend.VERTEX, PARENT, endpoint)


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that fails."""
    shown = capsys.readouterr()
    assert len(shown.err.splitlines()) == 1, shown.err
    assert shown.err.removesuffix("\n").isprintable(), shown.err
    return shown.err


# Where credentials go.


@pytest.mark.parametrize(("endpoint", "used"), [*GOOGLE.items(), *LOOPBACK.items()])
def test_googles_hosts_and_this_machine_are_called_on_a_files_word(endpoint: str, used: str) -> None:
    assert existing_address(recorded(endpoint)).endpoint == used


@pytest.mark.parametrize("endpoint", LOOPBACK)
def test_this_machine_gets_no_credentials_on_a_files_word(endpoint: str) -> None:
    assert Endpoint.parse(existing_address(recorded(endpoint)).endpoint or "").plain


@pytest.mark.parametrize("endpoint", OTHERS, ids=ascii)
def test_no_other_host_is(endpoint: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(directory / "sweep.json", endpoint=endpoint)
    for command in ("show", "attach", "cancel"):
        assert main([command, str(directory)]) == 1
        line = one_line(capsys)
        assert "which is neither Google's nor on this machine" in line
        assert "--endpoint, or hydra.sweeper.vertex.endpoint" in line


def test_a_host_that_the_user_names_now_is_called() -> None:
    private = "https://vertex.private.example"
    for address in (recorded("evil.org"), recorded(private)):
        assert existing_address(address, "vertex.private.example").endpoint == private
    assert vertex_address(PARENT, "vertex.private.example:8443").endpoint == f"{private}:8443"
    with pytest.raises(SweepDirectoryError):
        existing_address(recorded(private))


@pytest.mark.parametrize("endpoint", ["dns:///evil.org", "a@b", "unix:/x", "ftp://x", "x:99999", "a b"])
def test_what_is_no_host_is_not_called_whoever_names_it(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSweep, match="must be HOST or HOST:PORT"):
        vertex_address(PARENT, endpoint)
    monkeypatch.setenv("VERTEX_EMULATOR_HOST", endpoint)
    with pytest.raises(InvalidSweep, match=r"VERTEX_EMULATOR_HOST: .* must be an emulator's HOST:PORT"):
        vertex_address(PARENT)


def test_the_emulator_that_is_named_now_takes_the_place_of_one_that_a_file_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERTEX_EMULATOR_HOST", "127.0.0.1:7")
    for endpoint in ("http://evil.org", "HTTP://127.0.0.1:6"):
        assert existing_address(recorded(endpoint)).endpoint == "http://127.0.0.1:7"
    with pytest.raises(SweepDirectoryError):
        existing_address(recorded("evil.org"))


def test_what_grpc_is_told_leaves_nothing_to_guess() -> None:
    targets = {text: Endpoint.parse(text).target for text in ("unix", "http://dns:99", "[::1]", "http://a")}
    assert targets == {
        "unix": "dns:///unix:443",
        "http://dns:99": "dns:///dns:99",
        "[::1]": "dns:///[::1]:443",
        "http://a": "dns:///a:80",
    }


ODD_PARENTS = [
    "",
    "projects/p",
    "projects/p/locations/",
    "projects/p/locations/evil.org",
    "projects/p/locations/evil.org#",
    "projects/p/locations/evil.org%23",
    "projects/p/locations/evil.org?",
    "projects/p/locations/x@evil.org",
    "projects/p/locations/evil.org:443",
    "projects/p/locations/evil.org/../l",
    "projects/p/locations/l/locations/m",
    "projects/p/locations/..",
    "projects/../locations/l",
    "projects/p%2f..%2f/locations/l",
    "projects/p/locations/l\n",
    "projects/p\n/locations/l",
    "projects/P Q/locations/l",
    "projects//locations/l",
    "/projects/p/locations/l",
    "projects/p/locations/europ\u0435-west4",
]


@pytest.mark.parametrize("parent", ODD_PARENTS, ids=ascii)
def test_no_address_is_made_of_a_parent_that_is_none(parent: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="must be projects/"):
        parse_parent(parent)
    write(directory / "sweep.json", parent=parent)
    for command in ("show", "attach", "cancel", "export"):
        assert main([command, str(directory)]) == 1
        assert "must be projects/<project>/locations/<location>" in one_line(capsys)


@pytest.mark.parametrize("location", ["evil.org#", "evil.org/", "..", "", "l\n", "x@y", "L", "l.m"], ids=ascii)
def test_no_host_is_made_of_what_is_no_location(location: str) -> None:
    with pytest.raises(ServiceError, match="must be a region"):
        api_host(location)


@pytest.mark.parametrize(
    "name",
    [
        f"{PARENT}/hyperparameterTuningJobs/../../x",
        f"{PARENT}/hyperparameterTuningJobs/1?x",
        f"{PARENT}/hyperparameterTuningJobs/1#",
        f"{PARENT}/hyperparameterTuningJobs/1:cancel",
        f"{PARENT}/hyperparameterTuningJobs/%2e",
        f"{NAME}\n",
        f"{NAME}/trials/1",
        "projects/my-project/locations/us-central1/hyperparameterTuningJobs/1",
        "x",
        "",
    ],
    ids=ascii,
)
def test_a_name_that_is_none_or_of_elsewhere_is_not_asked_for(
    name: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(directory / "job.json", name=name)
    for command in ("show", "attach", "cancel"):
        assert main([command, str(directory)]) == 1
        assert "was it changed?" in one_line(capsys)


@pytest.mark.parametrize("account", ["", "x", "a@b/../c", "a@b:generateIdToken", "a@b?x", "a@b#", "a%2f@b", "a@b\n", "a b@c"])
def test_an_account_that_is_none_is_not_acted_as(account: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(directory / "sweep.json", impersonate=account)
    assert main(["show", str(directory)]) == 1
    assert "is no service account's address" in one_line(capsys)


def test_as_whom_a_file_has_us_act_is_said(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(directory / "sweep.json", impersonate="robot@p.iam.gserviceaccount.com")
    with caplog.at_level("INFO"):
        assert read_target(str(directory)).address.impersonate == "robot@p.iam.gserviceaccount.com"
        assert caplog.messages == [f"acting as robot@p.iam.gserviceaccount.com, as {directory / 'sweep.json'} says"]
        caplog.clear()
        read_target(str(directory), impersonate="me@p.iam.gserviceaccount.com")
        assert not caplog.messages


# What a file can hold.

TEXTS = {
    "nothing": b"",
    "an open brace": b"{",
    "a list": b"[]",
    "null": b"null",
    "text": b'"x"',
    "deep lists": b"[" * 100_000 + b"]" * 100_000,
    "deep mappings": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "just too deep": b'{"a":' * (MOST_LEVELS + 1) + b"1" + b"}" * (MOST_LEVELS + 1),
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a number that is infinite": b'{"a": 1e999}',
    "a number without end": b'{"a": ' + b"9" * 100_000 + b"}",
    "the same key twice": b'{"backend": "vertex", "backend": "local"}',
    "half a character": b'{"a": "\\ud800"}',
    "half a character in a key": b'{"\\udfff": 1}',
    "bytes": bytes(range(256)),
    "a NUL": b"{}\0",
    "another encoding": json.dumps(RECORD).encode("utf-16"),
}
FIELDS_OF_SETTINGS: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "a pipe": os.mkfifo,
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "no end": lambda path: path.touch() or os.truncate(path, 2**40),
}


@contextmanager
def no_waiting() -> Iterator[None]:
    """Fails where something waits for ever."""

    def fail(_: int, frame: FrameType | None) -> None:
        raise AssertionError(f"waits in {frame}")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("file", ["sweep.json", "job.json"])
@pytest.mark.parametrize("kind", [*TEXTS, *FIELDS_OF_SETTINGS])
def test_a_file_that_is_none_of_ours_is_one_line(
    directory: Path, capsys: pytest.CaptureFixture[str], file: str, kind: str
) -> None:
    path = directory / file
    path.unlink()
    if kind in TEXTS:
        path.write_bytes(TEXTS[kind])
    else:
        FIELDS_OF_SETTINGS[kind](path)
    with no_waiting():
        for command in ("show", "attach", "cancel", "export"):
            assert main([command, str(directory)]) == 1
            line = one_line(capsys)
            assert str(directory) in line
            assert file in line
        assert main(["list", str(directory)]) == 0
        assert capsys.readouterr().out.splitlines()[1].startswith("damaged ")


VALUES: list[Any] = [None, True, 0, -1, 1.5, 10**30, "", "x", "\x1b[31m", "\udc80", [], [None], [[]], {}, {"a": 1}]


@pytest.mark.parametrize("key", [*RECORD, "all"])
def test_no_value_in_sweep_json_is_a_traceback(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr("vertex_sweeper.services.opening.require", lambda *_, **__: refuse())
    for value in VALUES:
        (directory / "sweep.json").write_text(json.dumps({**RECORD, key: value} if key != "all" else value))
        for command in ("show", "attach", "cancel"):
            assert main([command, str(directory)]) == 1
            harmless = key in ("state", "error") or (key in ("endpoint", "impersonate") and value is None)
            assert harmless or "no service here" not in one_line(capsys), value
            capsys.readouterr()


def refuse() -> None:
    raise ServiceError("no service here")


JOB = {
    "displayName": "a",
    "labels": {"hydra-vertex-sweeper": "a1"},
    "maxTrialCount": 4,
    "studySpec": {"metrics": [{"metricId": "a"}], "parameters": [{"parameterId": "x", "doubleValueSpec": {"maxValue": 1.0}}]},
    "trialJobSpec": {
        "workerPoolSpecs": [{"replicaCount": "1", "containerSpec": {"command": ["a"], "env": [{"name": "A", "value": "b"}]}}],
        "baseOutputDirectory": {"outputUriPrefix": "gs://b"},
    },
}


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths_in(item, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = changed(document[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("path", list(paths_in({"name": NAME, **JOB})), ids=lambda path: ".".join(map(str, path)) or "all")
def test_no_value_in_job_json_is_a_traceback(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, path: tuple[Any, ...]
) -> None:
    monkeypatch.setattr("vertex_sweeper.services.opening.require", lambda *_, **__: refuse())
    for value in VALUES:
        (directory / "job.json").write_text(json.dumps(changed({"name": NAME, **JOB}, path, value)))
        for command in ("show", "cancel", "list", "export"):
            code = main([command, str(directory), *(["--image=i"] if command == "export" else [])])
            shown = capsys.readouterr()
            assert len(shown.err.splitlines()) == code, (command, value, shown.err)


def test_what_was_written_is_read_back_and_nothing_else_is(tmp_path: Path) -> None:
    document = {"number": 12, "values": {"x": 0.1 + 0.2, "ü\udc80": "\u2028"}}
    path = tmp_path / "1.json"
    path.write_text(sealed(document))
    assert read_sealed(path) == document
    text = path.read_bytes()
    for position in range(len(text)):
        for damaged in (text[:position] + bytes([text[position] ^ 1]) + text[position + 1 :], text[:position]):
            path.write_bytes(damaged)
            with pytest.raises(DamagedDocument):
                read_sealed(path)


def test_any_damage_to_a_document_is_one_error() -> None:
    draw = random.Random(7)  # noqa: S311 - damage, the same each time
    text = json.dumps({**RECORD, "more": {"a": [1, 2.5, None, True, "ü"]}}, ensure_ascii=False).encode()
    for _ in range(3000):
        damaged = bytearray(text)
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            assert isinstance(parse_json(bytes(damaged)), dict)
        except DamagedDocument as error:
            assert "\n" not in str(error)  # noqa: PT017 - most of them are damaged, not all


def test_a_local_sweep_is_not_found_where_its_directory_says_it_is_on_vertex(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(directory / "sweep.json", parent=LOCAL_PARENT)
    assert main(["show", str(directory)]) == 1
    assert "says that its job is below projects/local/locations/local, and calls it" in one_line(capsys)
