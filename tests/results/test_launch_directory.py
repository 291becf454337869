"""The folders of launched jobs: what one process does to them while another looks, and what somebody else has put there."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vertex_sweeper.cli.main import main
from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.results import launch_directory, launch_results
from vertex_sweeper.results.launch_directory import LaunchedJob
from vertex_sweeper.results.launch_results import JobEnd
from vertex_sweeper.run.returns import fetch_return
from vertex_sweeper.services.address import Address
from vertex_sweeper.services.buckets import read_from
from vertex_sweeper.settings import Backend
from vertex_sweeper_runtime.return_value import RETURN_VALUE_FILE

PARENT = "projects/p/locations/l"
ADDRESS = Address(Backend.VERTEX, PARENT, "http://127.0.0.1:1")
HERE = Address(Backend.LOCAL, "projects/local/locations/local", None)


def job(number: int) -> dict[str, Any]:
    return {
        "displayName": f"train-{number}",
        "labels": {"hydra-vertex-sweeper": f"a{number}"},
        "jobSpec": {"workerPoolSpecs": []},
    }


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "sweep"


def put_down(directory: Path, *numbers: int, address: Address = ADDRESS, ready: bool = True) -> list[LaunchedJob]:
    jobs = launch_directory.put_down(directory, address, {number: job(number) for number in numbers}, parallel=2)
    if ready:
        launch_directory.make_ready(directory, parallel=2)
    return jobs


def test_what_is_put_down_is_read_back(directory: Path) -> None:
    jobs = put_down(directory, 0, 7, 12)
    assert launch_directory.read_launch(directory) == (jobs, 2)
    assert all(job.planned and job.ready for job in jobs)


def test_until_all_is_ready_nothing_is(directory: Path) -> None:
    put_down(directory, 0, 1, ready=False)
    assert [job.ready for job in launch_directory.read_launch(directory)[0]] == [False, False]


def test_of_two_who_begin_a_job_or_take_it_back_one_does(directory: Path) -> None:
    one, other = put_down(directory, 0, 1)
    assert launch_directory.begin(one)
    assert not launch_directory.begin(one)
    assert not launch_directory.take_back(one)
    begun = launch_directory.read_folder(one.folder)
    assert begun is not None
    assert not begun.planned
    launch_directory.plan_again(one)
    assert launch_directory.read_folder(one.folder) == one
    assert launch_directory.take_back(other)
    assert not launch_directory.take_back(other)
    assert not launch_directory.begin(other)
    assert launch_directory.read_folder(other.folder) is None


def test_jobs_that_are_taken_are_left_as_they_are(directory: Path) -> None:
    before = put_down(directory, 1)
    with pytest.raises(SweepDirectoryError, match="already holds the launched job 1"):
        put_down(directory, 0, 1)
    assert launch_directory.read_launch(directory)[0] == before


def test_what_cannot_be_put_down_leaves_nothing(directory: Path) -> None:
    put_down(directory, 0)
    (directory / "jobs" / "2").symlink_to(directory / "nowhere")
    with pytest.raises(SweepDirectoryError, match="already holds the launched job 2"):
        put_down(directory, 1, 2)
    assert [job.number for job in launch_directory.read_launch(directory)[0]] == [0]


@pytest.mark.parametrize("name", ["007", "00", "٣", "-1", "1.5", "1e3", str(10**30), "1" * 200, ".0"])
def test_what_is_no_number_of_a_job_is_no_job(name: str, directory: Path) -> None:
    jobs = put_down(directory, 7)
    (directory / "jobs" / "7").rename(directory / "jobs" / name)
    assert launch_directory.read_launch(directory)[0] == []
    put_down(directory, 7)
    assert launch_directory.read_launch(directory)[0] == jobs


def test_a_file_in_a_folders_place_is_no_job(directory: Path) -> None:
    jobs = put_down(directory, 0)
    (directory / "jobs" / "7").write_text("")
    assert launch_directory.read_launch(directory)[0] == jobs
    with pytest.raises(SweepDirectoryError, match="already holds the launched job 7"):
        put_down(directory, 7)


def rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def replace_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / "planned.json").unlink()
        make(folder / "planned.json")

    return damage


DAMAGES: dict[str, Callable[[Path], object]] = {
    "not JSON": lambda folder: (folder / "planned.json").write_text("{"),
    "deep": lambda folder: (folder / "planned.json").write_text('{"a": ' * 100_000),
    "a list": lambda folder: (folder / "planned.json").write_text("[]"),
    "no texts": lambda folder: rewrite(folder / "planned.json", labels={"a": 1}),
    "no label": lambda folder: rewrite(folder / "planned.json", labels={"hydra-vertex-sweeper": '" OR 1'}),
    "a tuning job": lambda folder: (folder / "planned.json").write_text('{"displayName": "a", "studySpec": {}}'),
    "a name": lambda folder: rewrite(folder / "planned.json", name=f"{PARENT}/customJobs/1"),
    "a pipe": replace_by(os.mkfifo),
    "a folder": replace_by(Path.mkdir),
    "a device": replace_by(lambda path: path.symlink_to("/dev/zero")),
    "a dangling link": replace_by(lambda path: path.symlink_to("nowhere")),
    "no record": lambda folder: (folder / "sweep.json").unlink(),
    "a record of another host": lambda folder: rewrite(folder / "sweep.json", endpoint="evil.example:443"),
    "a record with another backend": lambda folder: rewrite(folder / "sweep.json", backend="k8s"),
    "a record with no parent": lambda folder: rewrite(folder / "sweep.json", parent="projects/p"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("file", ["planned.json", "job.json"])
@pytest.mark.parametrize("command", ["attach", "cancel", "show"])
def test_a_folder_that_is_damaged_is_one_line(
    command: str, file: str, damage: Callable[[Path], object], directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (launched,) = put_down(directory, 0)
    damage(launched.folder)
    if file == "job.json":
        (launched.folder / "planned.json").rename(launched.folder / "job.json")
        if (launched.folder / "job.json").is_file() and '"name"' in (launched.folder / "job.json").read_text():
            rewrite(launched.folder / "job.json", name="projects/p/locations/elsewhere/customJobs/1")
    assert main([command, str(directory)]) != 0
    output = capsys.readouterr()
    (line,) = (output.out.splitlines()[1:] if output.out else []) + output.err.splitlines()
    assert "Traceback" not in line
    assert str(directory) in line or "evil.example" in line


@pytest.mark.parametrize("content", ["{", '{"parallel": "all"}', '{"parallel": 0, "preparing": []}', '{"preparing": [[]]}'])
def test_options_that_are_damaged_are_none(content: str, directory: Path) -> None:
    jobs = put_down(directory, 0)
    (directory / "jobs" / "launch.json").write_text(content)
    assert launch_directory.read_launch(directory) == (jobs, None)


def make_deep(path: Path) -> None:
    path.write_text('{"status": "returned", "value": ' + "[" * 100_000 + "]" * 100_000 + "}")


RETURNS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "deep": make_deep,
    "no text": lambda path: path.write_bytes(b"\xff"),
    "huge": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40),
}


@pytest.mark.parametrize("make", RETURNS.values(), ids=RETURNS)
def test_a_value_of_another_hand_is_a_line_and_no_value(
    make: Callable[[Path], object], directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (launched,) = put_down(directory, 0, address=HERE)
    make(launched.folder / RETURN_VALUE_FILE)
    assert fetch_return(launched, lambda _: lambda _: None) is None
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert "#0" in record.getMessage()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["a pipe", "a device"])
def test_an_object_that_is_no_file_is_not_waited_for(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "object")
    with pytest.raises(Exception, match="not a regular file"):
        read_from(tmp_path, "gs://object")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"number\n1\n", b"number,state,seconds,returned,overrides,error\n" + b"9" * 5000 + b",a,b,c,d,e\n"],
    ids=["empty", "no text", "another table", "a number without end"],
)
def test_a_table_of_another_hand_is_written_anew(content: bytes, directory: Path) -> None:
    (launched,) = put_down(directory, 0)
    (directory / "jobs.csv").write_bytes(content)
    launch_results.write_table(directory, [launch_results.job_row(JobEnd(launched, error="it was not launched"))])
    assert (directory / "jobs.csv").read_text().splitlines() == [
        "number,state,seconds,returned,overrides,error",
        "0,FAILED,,,,it was not launched",
    ]


def test_a_pipe_in_the_tables_place_is_replaced(directory: Path) -> None:
    (launched,) = put_down(directory, 0)
    os.mkfifo(directory / "jobs.csv")
    launch_results.write_table(directory, [launch_results.job_row(JobEnd(launched))])
    assert (directory / "jobs.csv").is_file()


def test_rows_of_earlier_batches_stay(directory: Path) -> None:
    first, second = put_down(directory, 0, 10)
    launch_results.write_table(directory, [launch_results.job_row(JobEnd(second))])
    launch_results.write_table(directory, [launch_results.job_row(JobEnd(first))])
    assert [line.partition(",")[0] for line in (directory / "jobs.csv").read_text().splitlines()] == ["number", "0", "10"]
