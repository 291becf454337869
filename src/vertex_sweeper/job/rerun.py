"""What a trial's command and the command of its rerun have in common: Hydra's flags that choose the config, and our group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

GROUP: Final = "best"
"""The config group that `best/best.yaml` makes of a sweep directory, and its one option."""

_SHORT: Final = {"--config-path": "-cp", "--config-name": "-cn", "--config-dir": "-cd"}


def has_flag(command: Sequence[str], name: str) -> bool:
    """Whether one of Hydra's flags that choose the config is among the words, in whatever spelling.

    Args:
        command: the words of a command.
        name: the flag's long spelling, `--config-dir`.
    """
    return any(word.partition("=")[0] in (name, _SHORT[name]) for word in command)
