"""The settings that Hydra shows and the settings that the engine reads are the same, with the same defaults."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from hydra_plugins.vertex_launcher.config import LAUNCH_SETTINGS
from hydra_plugins.vertex_sweeper.config import JOB_SETTINGS, SETTINGS
from vertex_sweeper.settings import SEARCH_SPACE_KEYS, Backend, LaunchSettings, Settings, read_settings


def plain(value: Any) -> Any:
    if is_dataclass(value):
        return {entry.name: plain(getattr(value, entry.name)) for entry in fields(value)}
    return value.value if isinstance(value, Enum) else value


def test_what_hydra_shows_is_what_the_engine_assumes() -> None:
    shown = {key: value for key, value in SETTINGS.items() if key[0] != "_" and key not in SEARCH_SPACE_KEYS}
    assumed = plain(Settings())
    assert shown.pop("metrics") is None  # Hydra would merge the user's metrics into a default
    assumed.pop("metrics")
    assert shown == assumed


def test_what_hydra_shows_of_the_launcher_is_what_the_engine_assumes() -> None:
    shown = {key: value for key, value in {**LAUNCH_SETTINGS, **JOB_SETTINGS}.items() if key[0] != "_"}
    assert shown == plain(LaunchSettings())


def test_reading_the_defaults_needs_nothing_but_a_backend() -> None:
    assert read_settings({**SETTINGS, "backend": "local"}) == Settings(backend=Backend.LOCAL)
