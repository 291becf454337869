"""Lines about settings, in the launcher's words: the rooms say `hydra.sweeper.…` of what both plugins have."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Final

from vertex_sweeper.settings.model import LaunchSettings

_NAMES: Final = "|".join(sorted(field.name for field in fields(LaunchSettings)))
_SETTING: Final = re.compile(rf"\bhydra\.sweeper(?=\.(?:{_NAMES})\b)|^hydra\.sweeper(?=[\w.\[\]-]*: )")
"""A setting of the launcher, or whatever a line is about; what the sweeper in use has (`hydra.sweeper.n_trials=8`) stays."""


def in_launcher_words(line: str) -> str:
    """The line with each setting of the launcher named as it is set: `hydra.launcher.backend: …`."""
    return _SETTING.sub("hydra.launcher", line)
