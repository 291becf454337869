"""Apps that are launched onto an emulator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.test_launch import LaunchedApp

VERTEX: Final = (
    *("hydra/launcher=vertex", "hydra.sweep.dir=sweep", "hydra.launcher.vertex.project=p"),
    *("hydra.launcher.vertex.location=europe-west4", "hydra.launcher.trial.image=none"),
)
OUTPUT: Final = "hydra.launcher.vertex.base_output_directory=gs://bucket/train"


@contextmanager
def emulated(app: LaunchedApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An emulator that the app's processes launch onto, and that runs jobs in the app's folder; the folder of its buckets."""
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from vertex_sweeper.emulator import Emulator

    monkeypatch.chdir(app.folder)
    buckets = app.folder.parent / "buckets"
    with Emulator(gcs=buckets) as emulator:
        app.environment |= {"VERTEX_EMULATOR_HOST": emulator.address, "VERTEX_EMULATOR_GCS": str(buckets)}
        app.environment |= {"VERTEX_EMULATOR_TOKEN": emulator.token} if emulator.token else {}
        for name, value in app.environment.items():  # the commands that a test calls in its own process
            monkeypatch.setenv(name, value)
        yield buckets
