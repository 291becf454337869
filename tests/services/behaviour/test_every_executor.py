"""One suite for every executor."""

from __future__ import annotations

import pytest

from vertex_sweeper.services.local.execute.executor import Executor
from vertex_sweeper.services.local.execute.process import ProcessExecutor
from vertex_sweeper.testing import ExecutorSuite


class TestProcessExecutor(ExecutorSuite):
    @pytest.fixture
    def executor(self) -> Executor:
        return ProcessExecutor()
