from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.trials import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    folder = tmp_path / "Übung: it's mine, ok=1"
    folder.mkdir()
    made = Bench(folder)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()
