"""What becomes of every sweep expression in Hydra's documentation and in its own tests of the override grammar.

python -m tests.fidelity.grammar         # with either version of Hydra: rewrites its column of docs/grammar.md
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_loader import ConfigLoader

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.space.overrides import OverrideReader
from vertex_sweeper.space.search_space import build_space
from vertex_sweeper_runtime.contract import Kind, Parameter

PAGE = Path(__file__).parents[2] / "docs" / "grammar.md"
VERSION = 1 if hydra.__version__ < "1.4" else 2
"""The table's column of the Hydra that is installed."""

ROW = re.compile(r"\| `` (.+?) `` \| (.+?) \| (.+?) \|")


class _Groups(ConfigLoader):
    """The config group of Hydra's documentation of glob()."""

    def get_group_options(self, *_: Any, **__: Any) -> list[str]:
        return ["school", "support", "warehouse"]


_Groups.__abstractmethods__ = frozenset()  # nothing else is asked of it


def outcome(expression: str) -> str:
    """A cell of the table: what `x=EXPRESSION` is in a sweep."""
    reader = OverrideReader(_Groups())  # type: ignore[abstract]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # functions that Hydra will drop
        entries = reader.command_line([f"x={expression}"])
        if reader.mistakes:
            return f"Hydra refuses it: {_short(reader.mistakes[0].partition(f'x={expression}: ')[2])}"
        try:
            space = build_space(entries)
        except InvalidSweep as error:
            return f"refused: {_short(error.mistakes[0].partition(f'{expression}: ')[2])}"
    if not space.parameters:
        return (
            f"fixed: `` {str(space.sequence[0]).removeprefix('x=')} ``"
            if "shuffle" not in expression
            else "fixed: a shuffled list"
        )
    return _described(space.parameters[0], shuffled="shuffle" in expression)


def rows(text: str) -> list[tuple[str, str, str]]:
    """The table's rows: expression, Hydra 1.3, Hydra 1.4."""
    return ROW.findall(text)


def _described(parameter: Parameter, *, shuffled: bool) -> str:
    scale = f", {parameter.scale.name.lower()} scale" if parameter.scale else ""
    if parameter.kind in (Kind.DOUBLE, Kind.INTEGER):
        return f"{parameter.kind.value} {parameter.low!r} to {parameter.high!r}{scale}"
    literals = sorted(parameter.literals) if shuffled else parameter.literals
    return f"{parameter.kind.value} `` {' · '.join(literals)} ``{scale}"


def _short(reason: str) -> str:
    reason = " ".join(reason.split()).partition(" (the command line)")[0].replace("|", "/").replace("`", "'")
    return reason.partition(" Available: ")[0].partition(" See https")[0].partition(" is incompatible")[0]


def main() -> None:
    """Writes what the installed Hydra says into its column."""

    def renewed(match: re.Match[str]) -> str:
        cells = [match[1], match[2], match[3]]
        cells[VERSION] = outcome(match[1])
        return f"| `` {cells[0]} `` | {cells[1]} | {cells[2]} |"

    PAGE.write_text(ROW.sub(renewed, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
