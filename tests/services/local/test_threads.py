"""Trials that share the machine's cores have a part of them each, unless the user has decided otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vertex_sweeper.services.local import LocalService
from vertex_sweeper.services.local.execute.threads import LIMITS, count_cores, thread_limits, threads_of_trial
from vertex_sweeper.testing.gate import PARENT, Gate, wait_for_end

BARE = {"PATH": "/usr/bin:/bin"}
SHARE = str(max(1, count_cores() // 2))


@pytest.mark.parametrize(
    ("most", "parallel", "given", "limits"),
    [
        pytest.param(2, 2, ({}, {}), dict.fromkeys(LIMITS, SHARE), id="two at a time"),
        pytest.param(1, 1, ({}, {}), {}, id="one"),
        pytest.param(1, 2, ({}, {}), {}, id="one, though two might"),
        pytest.param(2, 2, ({"OMP_NUM_THREADS": "7"}, {}), {"OMP_NUM_THREADS": "7"}, id="OpenMP's is set here"),
        pytest.param(2, 2, ({}, {"OMP_NUM_THREADS": "7"}), {"OMP_NUM_THREADS": "7"}, id="OpenMP's is set for the trial"),
        pytest.param(
            2,
            2,
            ({"MKL_NUM_THREADS": "7"}, {"OPENBLAS_NUM_THREADS": "8"}),
            dict.fromkeys(LIMITS, SHARE) | {"MKL_NUM_THREADS": "7", "OPENBLAS_NUM_THREADS": "8"},
            id="others are set",
        ),
    ],
)
def test_a_trial_is_told_how_many_threads_it_may_start(
    start: Callable[..., LocalService],
    gate: Gate,
    *,
    most: int,
    parallel: int,
    given: tuple[dict[str, str], dict[str, str]],
    limits: dict[str, str],
) -> None:
    inherited, container = given
    service = start(environment=BARE | inherited)
    env = [{"name": name, "value": value} for name, value in container.items()]
    name = service.create(PARENT, gate.job(most=most, parallel=parallel, env=env))["name"]
    for visitor in [gate.next() for _ in range(most)]:
        assert {name: visitor.environ[name] for name in LIMITS if name in visitor.environ} == limits
        visitor.finish(acc=1)
    wait_for_end(service, name)


def test_each_of_many_trials_has_a_thread() -> None:
    assert (threads_of_trial(10_000), threads_of_trial(1)) == (1, None)
    assert set(thread_limits({}, 3).values()) == {"3"}


@pytest.mark.parametrize(
    ("quota", "most"),
    [("50000 100000", 1), ("100000 100000", 1), ("max 100000", None), ("", None), ("99900000 100000", None)],
)
def test_a_containers_limit_counts(tmp_path: Path, quota: str, most: int | None) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    without = count_cores(quota=tmp_path / "none")
    assert count_cores(quota=tmp_path / "cpu.max") == (most or without)
