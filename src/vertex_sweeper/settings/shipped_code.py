"""Rules on the settings of code that is sent to the containers: what must be set beside what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from vertex_sweeper.settings.model import Backend, Settings
from vertex_sweeper.settings.unread import Unread

_PATH: Final = "hydra.sweeper"


def broken_code(settings: Settings, unread: Unread) -> Iterator[str]:
    """The mistakes in `trial.code` and what belongs to it."""
    trial, vertex = settings.trial, settings.vertex
    if f"{_PATH}.trial.code" in unread:
        return
    if trial.code is None:
        for key in ("wheels",) if trial.build else ("requirements", "wheels"):
            if getattr(trial, key) is not None:
                yield f"{_PATH}.trial.{key}: works with trial.code only: set trial.code=., or install it into the image"
        return
    if trial.build:
        yield f"{_PATH}.trial.build: must not be used with trial.code: the image that is built has the code, so leave one out"
    if not trial.code.strip():
        yield f"{_PATH}.trial.code: must not be empty: name the folder that has the app, as in `.`"
    wheels = trial.wheels
    if wheels is not None and (not wheels or PurePosixPath(wheels).is_absolute() or wheels == "gs://"):
        yield f"{_PATH}.trial.wheels: {wheels!r} must be a gs:// folder, or a folder of the tree"
    named = any(f"{_PATH}.{key}" in unread for key in ("backend", "vertex.staging", "vertex.base_output_directory"))
    if settings.backend is Backend.VERTEX and not named and not (vertex.staging or vertex.base_output_directory):
        rule = f"{_PATH}.vertex.staging: must be set for trial.code, and vertex.base_output_directory is not set either"
        yield f"{rule}: name a folder in a bucket of the job's region, gs://<bucket>/<folder>"
