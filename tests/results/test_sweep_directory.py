"""A sweep directory belongs to one sweep, however many begin there, and however they end."""

from __future__ import annotations

import errno
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vertex_sweeper.cli.main import main
from vertex_sweeper.errors import SweepDirectoryError
from vertex_sweeper.results.sweep_directory import adopt, claim, read_job, read_record, withdraw, write_job
from vertex_sweeper.services.address import Address
from vertex_sweeper.settings import Backend

SWEEPS = 6
NAME = "projects/p/locations/l/hyperparameterTuningJobs/1"


def address(number: int) -> Address:
    return Address(Backend.VERTEX, f"projects/p{number}/locations/l")


def begin(directory: Path, number: int = 0) -> None:
    claim(directory, address(number), {"displayName": f"{number}"}, config=f"number: {number}\n")


def no_links(*_: object, **__: object) -> None:
    raise OSError(errno.EOPNOTSUPP, "no hard links here")


@pytest.mark.parametrize("file_system", ["has links", "has no links"])
def test_of_sweeps_that_begin_at_the_same_time_one_gets_the_directory_and_the_others_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_system: str
) -> None:
    if file_system == "has no links":
        monkeypatch.setattr(os, "link", no_links)
    together = threading.Barrier(SWEEPS)

    def attempt(directory: Path, number: int) -> int | None:
        together.wait()
        try:
            begin(directory, number)
        except SweepDirectoryError as error:
            assert "set hydra.sweep.dir to another place" in str(error)  # noqa: PT017 - most of them must fail
            return None
        return number

    with ThreadPoolExecutor(SWEEPS) as threads:
        for turn in range(5):
            directory = tmp_path / f"{turn}"
            results = list(threads.map(attempt, [directory] * SWEEPS, range(SWEEPS)))
            (winner,) = [number for number in results if number is not None]
            assert read_job(directory) == {"displayName": f"{winner}"}
            assert read_record(directory).address == address(winner)
            assert (directory / "multirun.yaml").read_text() == f"number: {winner}\n"
            assert len(list(directory.iterdir())) == 3  # nothing half written


def test_a_directory_is_free_again_when_nothing_was_created(tmp_path: Path) -> None:
    begin(tmp_path, 1)
    withdraw(tmp_path)
    assert not list(tmp_path.iterdir())
    begin(tmp_path, 2)
    assert read_job(tmp_path) == {"displayName": "2"}


def test_a_full_disk_leaves_the_directory_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def fsync(_: int) -> None:
        written.append(1)
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(SweepDirectoryError, match="No space left on device"):
        begin(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_sweep_that_was_ended_while_it_began_is_told_from_one_with_a_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.json").write_text("{}")
    with pytest.raises(SweepDirectoryError, match=f"remove {tmp_path / 'job.json'}"):
        begin(tmp_path)
    for command in ("attach", "show", "cancel"):
        assert main([command, str(tmp_path)]) == 1
        assert "was ended before it created its job" in capsys.readouterr().err


def test_a_directory_is_adopted_for_a_job_once(tmp_path: Path) -> None:
    for _ in range(2):
        adopt(tmp_path, address(1), {"name": NAME, "displayName": "a"})
        assert read_job(tmp_path) == {"name": NAME, "displayName": "a"}
        assert read_record(tmp_path).address == address(1)
    with pytest.raises(SweepDirectoryError, match=f"holds another job, {NAME}"):
        adopt(tmp_path, address(1), {"name": f"{NAME}0", "displayName": "b"})


def test_what_a_killed_process_had_begun_to_write_is_taken_away_later(tmp_path: Path) -> None:
    begin(tmp_path)
    write_job(tmp_path, {}, NAME)
    (tmp_path / "best").mkdir()
    abandoned = [tmp_path / ".trials.csv.0123456789ab.part", tmp_path / "best" / ".best.yaml.0123456789ab.part"]
    others = [tmp_path / ".sweep.json.ba9876543210.part", tmp_path / ".mine.part"]  # one is being written, one is not ours
    for path in (*abandoned, *others):
        path.touch()
    for path in (*abandoned, others[1]):
        os.utime(path, (1e9, 1e9))
    adopt(tmp_path, address(1), {"name": NAME})
    assert [path for path in (*abandoned, *others) if path.exists()] == others


def test_one_broken_directory_does_not_hide_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "sweep.json").write_text(json.dumps({}))
    assert main(["list", str(tmp_path)]) == 0
    _, bad, good = capsys.readouterr().out.splitlines()
    assert bad.startswith("damaged ")
    assert f"{tmp_path / 'bad' / 'sweep.json'} is not what a sweep writes (it has no backend)" in bad
    assert good.startswith("not created ")
