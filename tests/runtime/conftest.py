from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.trials import TrialRunner


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[TrialRunner]:
    folder = tmp_path / "Übung: it's mine, ok=1"
    folder.mkdir()
    made = TrialRunner(folder)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()
