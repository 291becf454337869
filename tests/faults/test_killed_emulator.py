"""The service itself dies while a sweep watches its job, and comes back."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

for module in ("google.cloud.aiplatform_v1", "optuna", "cryptography"):
    pytest.importorskip(module, reason=f"{module} is not installed: the emulator needs it, and Google's client")

from tests.emulator.commands import start_emulator  # noqa: E402
from tests.faults.faulted_sweep import GATED, comparable, settings  # noqa: E402
from tests.support import app_in  # noqa: E402
from vertex_sweeper.api import JobState  # noqa: E402
from vertex_sweeper.results.sweep_directory import claim  # noqa: E402
from vertex_sweeper.run.follow import follow  # noqa: E402
from vertex_sweeper.run.interrupt import Interrupt  # noqa: E402
from vertex_sweeper.run.reporter import FollowedJob  # noqa: E402
from vertex_sweeper.run.submit import submit  # noqa: E402
from vertex_sweeper.services.address import Address  # noqa: E402
from vertex_sweeper.services.base import OpenService  # noqa: E402
from vertex_sweeper.services.vertex import VertexService  # noqa: E402
from vertex_sweeper.settings import Backend, OnInterrupt  # noqa: E402

PARENT = "projects/p/locations/l"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_sweep_whose_service_is_killed_and_comes_back_goes_on_to_its_end(
    tmp_path: Path, until: Callable[[Callable[[], bool]], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="vertex_sweeper")
    data, directory = tmp_path / "data", tmp_path / "sweep"
    os.mkfifo(tmp_path / "gate")
    gate = os.open(tmp_path / "gate", os.O_RDWR)  # with a writer, no reader is turned away
    with app_in(tmp_path / "app", {"config": "batch: 8\n"}) as app:
        plan = app.plan(*settings())
    container = plan.job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    container["command"] = ["python", "-I", "-S", "-c", GATED, f"gate={tmp_path / 'gate'}"]
    with ExitStack() as stack:
        process, ready = stack.enter_context(start_emulator("--data", str(data)))
        port = ready["address"].rpartition(":")[2]
        service = VertexService("l", endpoint=f"http://{ready['address']}", pause=lambda _: None)

        def happenings() -> Iterator[None]:
            until(lambda: len(service.get(name)["trials"]) == 2)
            process.kill()
            process.wait()
            yield
            stack.enter_context(start_emulator("--data", str(data), "--port", port))
            os.write(gate, b"x")
            while True:
                yield
                time.sleep(0.1)  # the client tries to connect again when it thinks fit

        events = happenings()
        opened = OpenService(service, service.find, lambda _: next(events))
        address = Address(Backend.VERTEX, PARENT, f"http://{ready['address']}")
        claim(directory, address, plan.job, config="")
        name = submit(opened, PARENT, plan.job, directory=directory, pause=lambda _: True)["name"]
        followed = FollowedJob(
            opened=opened,
            address=address,
            name=name,
            contract=plan.contract,
            directory=directory,
            folder=lambda _: None,
            on_interrupt=OnInterrupt.DETACH,
        )
        outcome = follow(followed, Interrupt(lambda: None))
        assert [job["name"] for job in service.find(PARENT, plan.job["labels"])] == [name]
    os.close(gate)
    assert outcome.state is JobState.SUCCEEDED
    assert [trial["batch"] for trial in comparable(directory)["trials"]] == ["16", "32"]
    assert caplog.text.count("the job goes on, and so does the watch") == 1
    assert caplog.text.count("the service answers again") == 1
