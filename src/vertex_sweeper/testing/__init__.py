"""For whoever writes another service or executor: the behaviour that a sweep relies on, as tests to subclass.

It knows services and executors by their protocols, and nothing else of this package imports it. `ServiceSuite` and
`ExecutorSuite` need pytest, which is imported at their first use; `Gate` and `HostileRendering` do not.

    from vertex_sweeper.testing import ExecutorSuite

    class TestMyExecutor(ExecutorSuite):
        @pytest.fixture
        def executor(self):
            executor = MyExecutor()
            yield executor
            executor.close()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vertex_sweeper.testing.executor_suite import ExecutorSuite
    from vertex_sweeper.testing.gate import Gate, WatchedService
    from vertex_sweeper.testing.hostile_rendering import HostileRendering
    from vertex_sweeper.testing.service_suite import ServiceSuite

__all__ = ["ExecutorSuite", "Gate", "HostileRendering", "ServiceSuite", "WatchedService"]

_MODULES: Final = {
    "ExecutorSuite": "executor_suite",
    "Gate": "gate",
    "HostileRendering": "hostile_rendering",
    "ServiceSuite": "service_suite",
    "WatchedService": "gate",
}

_SUITES: Final = ("custom_job_suite", "executor_suite", "job_suite", "stopping_suite", "value_suite")
"""What pytest rewrites, so that a failed assertion shows its values."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name.endswith("Suite"):
        try:
            import pytest
        except ImportError as error:
            raise ImportError(f"{__name__}.{name} needs pytest: pip install pytest", name="pytest") from error
        pytest.register_assert_rewrite(*(f"{__name__}.{module}" for module in _SUITES))
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
