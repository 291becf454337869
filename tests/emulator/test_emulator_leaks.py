"""That a job leaves nothing behind in the emulator's process: a small one here, a large one in `bench/emulator.py`."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator.jobs import ENDLESS, QUICK, run_job
from vertex_sweeper.testing.gate import PARENT, make_job, wait_for

if TYPE_CHECKING:
    from vertex_sweeper.emulator import Emulator

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")


def parent_of(process: Path) -> str:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return ""  # it has ended


def held() -> dict[str, Any]:
    """What this process holds: children, open files by kind, threads by name without their number."""
    children = [path.name for path in Path("/proc").glob("[0-9]*") if parent_of(path) == str(os.getpid())]
    kinds = Counter(str(path.readlink()).partition(":")[0] for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    threads = Counter(thread.name.rstrip("0123456789") for thread in threading.enumerate())
    return {"children": children, "files": kinds, "threads": {**threads, "emulator_": 0}}


def test_many_trials_leave_no_process_no_thread_and_no_open_file(client: Any, emulator: Emulator) -> None:
    run_job(client, emulator.service)  # now all that is kept is there: the reaper, the pool's threads
    before = held()
    job = make_job(command=QUICK, most=30, parallel=8)
    for _ in range(2):
        name = run_job(client, emulator.service, **job)
        assert len(client.get_hyperparameter_tuning_job(name=name).trials) == 30
    assert held() == before


def test_an_emulator_that_has_ended_leaves_nothing(client: Any, emulator: Emulator) -> None:
    from vertex_sweeper.emulator import Emulator

    run_job(client, emulator.service)
    before = held()
    for tls in (False, True):
        with Emulator(tls=tls) as another:
            folder = another.folder
            name = another.service.create(PARENT, make_job(command=ENDLESS))["name"]
            wait_for(another.service, name, lambda job: bool(job.get("trials")))
        assert not folder.exists()
    assert held() == before
