"""Pauses before further attempts."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest

from vertex_sweeper.run import submit, watch
from vertex_sweeper.services.backoff import Backoff
from vertex_sweeper.services.vertex import service

SCHEDULES = {
    "a job that may have been created": (submit.LOOKS, 60),
    "a creation that was turned down": (submit.REPEATS, 60),
    "a job that is not shown any more": (watch.LOOKS, 180),
    "a call to Vertex AI": (service.PAUSES, 15),
}


def test_a_pause_is_the_last_one_times_the_growth_up_to_the_ceiling() -> None:
    assert list(Backoff(first=2.0, longest=20.0, growth=3.0, times=4, jitter=0.0)) == [2.0, 6.0, 18.0, 20.0]


@pytest.mark.parametrize("seed", range(5))
def test_jitter_lengthens_each_pause_by_its_share_at_most_and_never_beyond_the_ceiling(seed: int) -> None:
    plain = [1.0, 2.0, 4.0, 8.0, 10.0]
    pauses = list(Backoff(first=1.0, longest=10.0, times=5, jitter=0.5, chance=Random(seed).random))  # noqa: S311 - no secret
    assert all(one < pause < 1.5 * one for one, pause in zip(plain[:3], pauses[:3], strict=True))
    assert 8.0 < pauses[3] <= 10.0
    assert pauses[4] == 10.0


def test_two_processes_do_not_pause_alike() -> None:
    one, other = (list(Backoff(first=1.0, longest=60.0, times=3, chance=Random(seed).random)) for seed in (1, 2))  # noqa: S311 - no secret
    assert not set(one) & set(other)


def test_each_iteration_begins_anew_and_without_a_number_there_is_no_end() -> None:
    backoff = Backoff(first=1.0, longest=60.0, jitter=0.0)
    assert list(islice(backoff, 100))[:3] == list(islice(backoff, 3)) == [1.0, 2.0, 4.0]


def test_patience_ends_it_once_so_much_was_waited() -> None:
    assert list(Backoff(first=1.0, longest=4.0, patience=8.0, jitter=0.0)) == [1.0, 2.0, 4.0, 4.0]
    assert list(Backoff(first=1.0, longest=4.0, patience=0.0)) == []


@pytest.mark.parametrize(("backoff", "seconds"), SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_takes_the_time_that_it_is_said_to(backoff: Backoff, seconds: float) -> None:
    assert seconds <= sum(backoff) <= 1.25 * (seconds + 5)
