"""Uploads: once for each content, whoever else uploads it; by Google's client, over HTTP to servers on this machine."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.vertex.storage_server import Storage as Server
from tests.services.vertex.storage_server import serve_storage
from vertex_sweeper.api_names import LOCAL_PARENT
from vertex_sweeper.errors import InvalidSweep, ServiceError
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.buckets import STORAGE_EMULATOR, Upload, write_into
from vertex_sweeper.services.opening import open_buckets
from vertex_sweeper.services.vertex.storage import Storage
from vertex_sweeper.settings import Backend
from vertex_sweeper_runtime.code_archive import BUCKETS

pytest.importorskip("google.cloud.storage", reason="google-cloud-storage is not installed")

URI = "gs://my-bucket/a folder/code/1234.tar.gz"
NAME = URI.removeprefix("gs://")


def upload_of(content: bytes, uri: str = URI) -> Upload:
    return Upload(uri, io.BytesIO(content))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serve_storage() as server:
        monkeypatch.setenv(STORAGE_EMULATOR, server.address)
        yield server


@pytest.mark.parametrize("size", [10, 9 << 20], ids=["one request", "several"])
def test_what_is_there_is_not_uploaded_again(server: Server, size: int) -> None:
    storage = Storage(project="p")
    assert storage.put(upload_of(b"a" * size)) is True
    assert server.objects == {NAME: b"a" * size}
    assert storage.put(upload_of(b"b" * size)) is False
    assert server.objects == {NAME: b"a" * size}
    assert all("ifGenerationMatch=0" in request for request in server.requests if request.startswith("POST"))
    assert not [request for request in server.requests if request.startswith("GET")], "a look before is no condition"
    assert set(server.authorizations) == {None}, "credentials went to a server that stands for Google's"


def test_of_two_at_once_one_writes(server: Server) -> None:
    wrote: list[bool] = []
    start = threading.Barrier(4)

    def put() -> None:
        start.wait()
        wrote.append(Storage(project="p").put(upload_of(b"a" * 1000)))

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wrote) == [False, False, False, True]
    assert server.objects == {NAME: b"a" * 1000}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, "there is no bucket 'my-bucket': name another, or `gcloud storage buckets create gs://my-bucket "),
        (403, "may not be written: you need roles/storage.objectUser on gs://my-bucket"),
        (400, "cannot be uploaded to STORAGE_EMULATOR_HOST"),
    ],
)
def test_a_bucket_that_refuses_says_what_to_do(server: Server, status: int, said: str) -> None:
    server.refuses = status
    with pytest.raises(ServiceError) as caught:
        Storage(project="p").put(upload_of(b"a"))
    assert said in str(caught.value)
    assert caught.value.acted is False


def test_the_emulator_of_storage_that_others_wrote_has_what_was_uploaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("gcp_storage_emulator", reason="gcp-storage-emulator is not installed")
    from gcp_storage_emulator.server import create_server

    monkeypatch.setenv("STORAGE_BASE", str(tmp_path))
    monkeypatch.setenv("STORAGE_DIR", "buckets")
    other = create_server("127.0.0.1", 0, in_memory=True, default_bucket="my-bucket")
    other.start()
    try:
        monkeypatch.setenv(STORAGE_EMULATOR, f"http://127.0.0.1:{other._api._httpd.server_port}")
        from google.cloud import storage

        assert Storage(project="p").put(upload_of(b"content" * 100)) is True
        client = storage.Client(project="p")
        blob = client.bucket("my-bucket").blob(NAME.partition("/")[2])
        assert blob.download_as_bytes() == b"content" * 100
        with pytest.raises(ServiceError, match="there is no bucket 'another'"):
            Storage(project="p").put(upload_of(b"a", "gs://another/a"))
    finally:
        other.stop()


# Which of them it is.


def test_jobs_of_this_machine_have_their_buckets_in_their_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = Address(Backend.LOCAL, LOCAL_PARENT)
    assert open_buckets(address, tmp_path, project=None)(upload_of(b"a")) is True
    assert (tmp_path / ".gcs" / NAME).read_bytes() == b"a"
    monkeypatch.setenv(BUCKETS, str(tmp_path / "elsewhere"))
    open_buckets(address, tmp_path, project=None)(upload_of(b"b"))
    assert (tmp_path / "elsewhere" / NAME).read_bytes() == b"b"


def test_for_an_emulator_something_must_stand_for_the_buckets(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address(Backend.VERTEX, "projects/p/locations/l", endpoint="http://127.0.0.1:1")
    open_buckets(address, tmp_path, project="p")(upload_of(b"a"))
    assert server.objects[NAME] == b"a"
    monkeypatch.delenv(STORAGE_EMULATOR)
    with pytest.raises(InvalidSweep, match=r"nothing there stands for the bucket .* `vertex-sweeper emulator --gcs DIR"):
        open_buckets(address, tmp_path, project="p")
    monkeypatch.setenv(BUCKETS, str(tmp_path))
    open_buckets(address, tmp_path, project="p")(upload_of(b"b"))
    assert (tmp_path / NAME).read_bytes() == b"b"


def test_a_folder_takes_each_object_once_and_leaves_nothing_beside(tmp_path: Path) -> None:
    assert [write_into(tmp_path, upload_of(content)) for content in (b"a", b"b")] == [True, False]
    assert [path.name for path in (tmp_path / NAME).parent.iterdir()] == ["1234.tar.gz"]
    (tmp_path / "file").touch()
    with pytest.raises(ServiceError, match="cannot be written into"):
        write_into(tmp_path / "file", upload_of(b"a"))
