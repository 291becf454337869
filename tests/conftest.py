"""A scrubbed environment for every test, the same examples in every run, and what several tests wait with."""

from __future__ import annotations

import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random

import hypothesis
import pytest

from tests.sampled import SAMPLED
from vertex_sweeper_runtime.trial_environment import RANKS, SIZES

# `make test` draws the same examples every time; `make fuzz` chooses the other profile, more examples and a seed.
# How long an example takes belongs to the machine, and is no finding. Hypothesis has other defaults in the environment of a CI
# service, so both profiles say all that it would change.
COMMON = {
    "deadline": None,
    "database": None,
    "print_blob": True,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
}
hypothesis.settings.register_profile("same", derandomize=True, **COMMON)  # type: ignore[arg-type]  # keyword arguments
hypothesis.settings.register_profile("fuzz", derandomize=False, max_examples=1000, **COMMON)  # type: ignore[arg-type]
hypothesis.settings.load_profile("same")
with suppress(ImportError, AttributeError):
    from hypothesis.internal.conjecture import providers

    # Hypothesis also draws constants from the modules that happen to be loaded by then, which depends on what ran before.
    providers._get_local_constants = providers.Constants  # type: ignore[attr-defined]  # private: see above

# A shell that starts a program in the background, or `nohup`, has signals ignored, and children inherit that: the programs that
# the tests start would not hear them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)  # before pytest looks at marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks as `thorough` what `make test` leaves out of the tests in `SAMPLED`."""
    seen: Counter[str] = Counter()
    for item in items:
        name = item.nodeid.partition("[")[0].removeprefix("tests/")
        each = SAMPLED.get(name, 1)
        if not each or seen[name] % each:
            item.add_marker(pytest.mark.thorough)
        seen[name] += 1


PREFIXES = ("VERTEX_", "CLOUD_ML_", "AIP_", "HYDRA_", "GOOGLE_")
NAMES = (*RANKS, *SIZES, "CLUSTER_SPEC", "TF_CONFIG")


@pytest.fixture(autouse=True)
def _same_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Local sweeps that ask for no seed draw one: in each test always the same ones."""
    monkeypatch.setattr(secrets, "randbits", Random(0).getrandbits)  # noqa: S311 - not a secret here


@pytest.fixture(autouse=True)
def _scrubbed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that runs the tests, or of the test before, is seen as a trial's or a user's setting."""
    import os

    for name in list(os.environ):
        if name.startswith(PREFIXES) or name in NAMES:
            monkeypatch.delenv(name)
    # No login of the user's is found, and no metadata server is looked for: a dry run would ask Google.
    monkeypatch.setenv("CLOUDSDK_CONFIG", os.devnull)
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for what another process does without telling; fails after half a minute."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    return wait
