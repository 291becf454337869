"""Who may call the emulator: processes of its own user and of root, which the kernel tells; or who shows its token."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.commands import COMMAND
from vertex_sweeper.testing.gate import PARENT

pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")

from vertex_sweeper.emulator import Emulator, callers
from vertex_sweeper.errors import ServiceError
from vertex_sweeper.services.vertex import VertexService

if TYPE_CHECKING:
    from vertex_sweeper.emulator.callers import Address

STRANGER = 65534
JOBS = f"/v1/{PARENT}/hyperparameterTuningJobs"
LIST = "/google.cloud.aiplatform.v1.JobService/ListHyperparameterTuningJobs"
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose process is at the other end")

# Programs of somebody else, who need not be able to read this interpreter's files: what they need is loaded before.
BECOME = """
import encodings.idna, http.client, os, socket, sys
if sys.argv[3:]:
    os.setgroups([])
    os.setresgid(*[int(sys.argv[3])] * 3)
    os.setresuid(*[int(sys.argv[3])] * 3)
"""
OVER_HTTP = f"""{BECOME}
connection = http.client.HTTPConnection(sys.argv[1], timeout=60)
connection.request("GET", sys.argv[2])
print(connection.getresponse().status)
"""
IN_A_HURRY = f"""{BECOME}
host, _, port = sys.argv[1].rpartition(":")
connection = socket.create_connection((host.strip("[]"), int(port)), timeout=60)
request = b"DELETE /nothing HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"
connection.sendall(request)
connection.shutdown(socket.SHUT_WR)
print(connection.makefile("rb").read().split()[1].decode())
"""
OVER_GRPC = f"""
import grpc, grpc._channel
{BECOME}
channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.enable_http_proxy", 0)])
try:
    channel.unary_unary(sys.argv[2])(b"", timeout=60, wait_for_ready=True)
except grpc.RpcError as error:
    print(error.code().name)
"""


def run(program: str, address: str, what: str, *, user: int | None = None) -> str:
    arguments = [address, what, *([str(user)] if user is not None else [])]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def stranger() -> int:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can start a process of another user")
    return STRANGER


@pytest.mark.parametrize("program", [OVER_HTTP, IN_A_HURRY], ids=["a request", "one that closes its half"])
def test_over_http_processes_of_other_users_are_refused(emulator: Emulator, stranger: int, program: str) -> None:
    assert run(program, emulator.rest_address, JOBS, user=stranger) == "403"
    assert run(program, emulator.rest_address, JOBS) in ("200", "404")


@pytest.mark.parametrize("method", [LIST, "/nobody/knows"])
def test_over_grpc_processes_of_other_users_are_refused(emulator: Emulator, stranger: int, method: str) -> None:
    assert run(OVER_GRPC, emulator.address, method, user=stranger) == "PERMISSION_DENIED"
    assert run(OVER_GRPC, emulator.address, method) == {LIST: "INVALID_ARGUMENT"}.get(method, "UNIMPLEMENTED")


@pytest.mark.parametrize("target", ["[::ffff:127.0.0.1]", "127.0.0.1"])
def test_over_ipv6_it_is_the_same(emulator: Emulator, stranger: int, target: str) -> None:
    address = emulator.rest_address.replace("127.0.0.1", target)
    assert run(IN_A_HURRY, address, JOBS, user=stranger) == "403"
    assert run(IN_A_HURRY, address, JOBS) == "404"


@contextmanager
def connection(host: str, target: str) -> Iterator[tuple[socket.socket, socket.socket, Address, Address]]:
    """A client's end and a server's, and their addresses as the server sees them."""
    with (
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as server,
        socket.create_connection((target, server.getsockname()[1])) as client,
    ):
        accepted, peer = server.accept()
        with accepted:
            yield client, accepted, peer[:2], accepted.getsockname()[:2]


@linux
@pytest.mark.parametrize("ask", [callers._ask_kernel, callers._read_tables], ids=["the kernel's answer", "the tables"])
@pytest.mark.parametrize(("host", "target"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("127.0.0.1", "::ffff:127.0.0.1")])
def test_an_open_connection_has_an_owner_and_a_closed_one_has_none(
    ask: Callable[..., int | None], host: str, target: str
) -> None:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        pytest.skip(f"this machine has no {host}: {error}")
    with connection(host, target) as (client, _, peer, own):
        assert ask(peer, own) == os.geteuid()
        client.shutdown(socket.SHUT_WR)
        assert ask(peer, own) == os.geteuid()
        client.close()  # the kernel goes on showing it for a while, as root's
        assert callers.owner(peer, own) is None
        assert callers._read_tables(peer, own) is None


@linux
def test_whoever_listens_at_the_clients_address_is_not_taken_for_the_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        assert callers.owner(address, ("127.0.0.1", 1)) is None
        assert callers.owner(("127.0.0.1", 1), address) is None
        assert callers.owner(("::1", 1), address) is None


@linux
def test_where_the_kernel_answers_no_questions_the_tables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with connection("127.0.0.1", "127.0.0.1") as (_, _, peer, own):
        monkeypatch.setattr(callers, "_SOCK_DIAG", 31)  # a protocol that nobody has
        assert callers.owner(peer, own) == os.geteuid()
        monkeypatch.setattr(callers, "_CONTROL", "/nowhere")
        assert callers.owner(peer, own) is None


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("ipv6:%5B::1%5D:5000", ("::1", 5000)),
        ("ipv6:[::ffff:127.0.0.1]:1", ("::ffff:127.0.0.1", 1)),
        ("unix:/run/socket", None),
        ("unknown", None),
        ("", None),
    ],
)
def test_a_peer_as_grpc_writes_it_is_read(peer: str, address: Address | None) -> None:
    assert callers.parse_peer(peer) == address


def test_with_a_token_our_client_shows_it_and_nobody_without_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(token="a token", data=tmp_path) as emulator:  # noqa: S106 - it is made up
        assert emulator.token == "a token"  # noqa: S105 - the same
        with pytest.raises(ServiceError, match="UNAUTHENTICATED"):
            VertexService("l", endpoint=f"http://{emulator.address}").find(PARENT, {})
        assert run(OVER_HTTP, emulator.rest_address, JOBS) == "401"
        monkeypatch.setenv("VERTEX_EMULATOR_TOKEN", "another")
        with pytest.raises(ServiceError, match="UNAUTHENTICATED"):
            VertexService("l", endpoint=f"http://{emulator.address}").find(PARENT, {})
        monkeypatch.setenv("VERTEX_EMULATOR_TOKEN", "a token")
        assert VertexService("l", endpoint=f"http://{emulator.address}").find(PARENT, {}) == []
        shown = OVER_HTTP.replace("sys.argv[2])", 'sys.argv[2], headers={"Authorization": "Bearer a token"})')
        assert run(shown, emulator.rest_address, JOBS) == "200"


def test_elsewhere_than_on_linux_there_is_a_token_in_a_file_that_is_private(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    system = "from vertex_sweeper.emulator import callers; from types import SimpleNamespace as S"
    elsewhere = f"{system}; callers.sys = S(platform='darwin'); {COMMAND[2]}"
    with subprocess.Popen(
        [sys.executable, "-c", elsewhere, "emulator", "--ready-file", str(ready)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not (lines and "export VERTEX_EMULATOR_TOKEN=" in lines[-1]):
            lines.append(process.stdout.readline())
            assert lines[-1]
        try:
            about: dict[str, Any] = json.loads(ready.read_text())
            assert run(OVER_HTTP, about["rest_address"], JOBS) == "401"
        finally:
            process.terminate()
    assert lines[-1].strip() == f"export VERTEX_EMULATOR_TOKEN={about['token']}"
    assert ready.stat().st_mode & 0o077 == 0
