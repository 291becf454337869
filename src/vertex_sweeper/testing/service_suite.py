"""What a sweep sees of a service, as one class of tests for every implementation. Trials are real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vertex_sweeper.testing.custom_job_suite import CustomJobSuite
from vertex_sweeper.testing.gate import Gate, Start, WatchedService
from vertex_sweeper.testing.job_suite import JobSuite
from vertex_sweeper.testing.stopping_suite import StoppingSuite
from vertex_sweeper.testing.value_suite import ValueSuite


class ServiceSuite(JobSuite, ValueSuite, StoppingSuite, CustomJobSuite):
    """All behaviour that a sweep relies on. A subclass has a fixture `start`; an accepted difference is an overridden test.

    `start` returns a function that makes a `WatchedService` for jobs on this machine, and closes the services afterwards. The
    function takes the settings of `LocalService`: `seed`, `grace`, `metric_interval`, `clock`.

    Example:
        class TestMyService(ServiceSuite):
            @pytest.fixture
            def start(self, tmp_path):
                with ExitStack() as stack:
                    yield lambda **settings: stack.enter_context(MyService(tmp_path, **settings))
    """

    @pytest.fixture
    def gate(self, tmp_path: Path) -> Iterator[Gate]:
        """Where the trials of a test connect to."""
        with Gate(tmp_path) as gate:
            yield gate

    @pytest.fixture
    def service(self, start: Start) -> WatchedService:
        """A service whose suggestions repeat themselves."""
        return start(seed=1)
