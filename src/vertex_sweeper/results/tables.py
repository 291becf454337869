"""What a sweep leaves behind in its directory: the table of trials, and files about the best of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hydra.errors import HydraException

from vertex_sweeper.atomic_files import make_folder, write_text
from vertex_sweeper.results.outcome import Outcome, TrialResult
from vertex_sweeper.results.yaml_text import yaml_text
from vertex_sweeper.space.hydra_api import OverridesParser
from vertex_sweeper_runtime.quoting import quote

TRIALS: Final = "trials.csv"
OPTIMIZATION_RESULTS: Final = "optimization_results.yaml"
BEST: Final = "best.yaml"
BEST_CONFIG: Final = "best/best.yaml"

_OWN_COLUMNS: Final = ("number", "state", "started", "seconds", "reason")
_DEVICE: Final = "device"
"""The column behind `seconds`, where this machine's devices are shared out."""


def write_results(directory: Path, outcome: Outcome, *, best_config: str | None, folder: str | None) -> list[Path]:
    """Writes what the outcome gives, and takes away what an earlier call wrote and this outcome does not give.

    The table of trials is always written, the documents about the best trial only when there is one.

    Args:
        directory: the sweep's directory; it is made if it does not exist.
        outcome: the sweep as it stands.
        best_config: the text of `best/best.yaml`; None writes none.
        folder: where the best trial's own output is, if known.

    Returns:
        The files that were written.
    """
    texts: dict[str, str | None] = {TRIALS: trials_table(outcome), OPTIMIZATION_RESULTS: None, BEST: None, BEST_CONFIG: None}
    best = outcome.best
    if best is not None:
        texts[OPTIMIZATION_RESULTS] = yaml_text(optimization_results(outcome))
        texts[BEST] = yaml_text(
            {"number": best.number, "folder": folder, "metrics": dict(best.metrics), "overrides": list(best.overrides)}
        )
        texts[BEST_CONFIG] = best_config
    written = []
    for path, text in ((directory / name, text) for name, text in texts.items()):
        if path.parent != directory and (text is not None or path.parent.is_symlink()):
            make_folder(path.parent)
        if text is not None:
            written.append(write_text(path, text))
        else:
            path.unlink(missing_ok=True)
    return written


def trials_table(outcome: Outcome) -> str:
    """`trials_rows` as CSV."""
    return csv_text(trials_rows(outcome))


def csv_text(table: Iterable[Sequence[str]]) -> str:
    """A table with titles as CSV, of which a spreadsheet runs nothing (see `_harmless`)."""
    titles, *rows = table
    cells = [[title if _KEY.fullmatch(title) else _harmless(title) for title in titles], *(map(_harmless, row) for row in rows)]
    return "".join(f"{','.join(map(_quoted, row))}\n" for row in cells)


def trials_rows(outcome: Outcome) -> list[list[str]]:
    """The trials as a table, one row each below the titles, with the parameters under their Hydra keys as the user wrote them.

    A parameter that a trial does not have is empty there. A metric called like a parameter or like a column of ours is prefixed
    `metric.`, a parameter called like a column of ours `parameter.`.
    """
    devices = any(trial.device for trial in outcome.trials)
    own = [*_OWN_COLUMNS[:4], *([_DEVICE] if devices else []), *_OWN_COLUMNS[4:]]
    keys = list(dict.fromkeys([*outcome.keys, *(key for trial in outcome.trials for key in trial.literals)]))
    metrics = list(dict.fromkeys([*outcome.goals, *(id for trial in outcome.trials for id in trial.metrics)]))
    titles = [
        *own[:2],
        *_prefixed(keys, "parameter.", taken=own),
        *_prefixed(metrics, "metric.", taken=[*own, *keys]),
        *own[2:],
    ]
    return [titles, *(_row(trial, keys, metrics, devices=devices) for trial in outcome.trials)]


def optimization_results(outcome: Outcome) -> dict[str, Any]:
    """The best trial in the shape that Hydra's other sweepers write; with several metrics, all that none dominates."""
    if len(outcome.goals) > 1:
        solutions = [
            {"params": _values(trial.literals), "values": [trial.metrics[id] for id in outcome.goals]}
            for trial in outcome.pareto
        ]
        return {"name": "vertex", "solutions": solutions}
    best = outcome.best
    if best is None:
        return {"name": "vertex"}
    return {"name": "vertex", "best_params": _values(best.literals), "best_value": best.metrics[outcome.metric]}


def _row(trial: TrialResult, keys: Iterable[str], metrics: Iterable[str], *, devices: bool) -> list[str]:
    return [
        str(trial.number),
        trial.state.value if trial.state else "",
        *(trial.literals.get(key, "") for key in keys),
        *(repr(trial.metrics[id]) if id in trial.metrics else "" for id in metrics),
        trial.started or "",
        "" if trial.seconds is None else f"{trial.seconds:.3f}",
        *([trial.device] if devices else []),
        trial.reason,
    ]


_FORMULA: Final = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""How a text begins that a spreadsheet may take for a formula, as the rule against CSV injection has it (OWASP)."""

_KEY: Final = re.compile(r"\+{0,2}[A-Za-z_][\w./@-]*", re.ASCII)
"""A key of Hydra's as the title of a column, `+lr`: to a spreadsheet at most a name that it does not know."""

_NUMBER: Final = re.compile(r"[+-]?((\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(e[+-]?\d+)?|inf|nan)", re.ASCII | re.IGNORECASE)


def _harmless(cell: str) -> str:
    """The cell as a spreadsheet takes it for a number or a text: `-foo` as `'-foo'`, which is the same value to Hydra.

    Every number stays as it is, as does whatever begins otherwise.
    """
    if not _FORMULA.match(cell) or _NUMBER.fullmatch(cell.rstrip(" ")):
        return cell
    value = _value(cell)
    return quote(value if isinstance(value, str) else cell)


def _quoted(cell: str) -> str:
    # Python's own writer leaves a carriage return bare where lines end with a line feed, and a reader begins a row there.
    return '"{}"'.format(cell.replace('"', '""')) if re.search('[",\r\n]', cell) else cell


def _prefixed(names: Iterable[str], prefix: str, *, taken: Iterable[str]) -> list[str]:
    others = set(taken)
    return [f"{prefix}{name}" if name in others else name for name in names]


def _values(literals: Mapping[str, str]) -> dict[str, Any]:
    return {key: _value(literal) for key, literal in literals.items()}


def _value(literal: str) -> Any:
    """What Hydra takes the literal for: a number, a list, …; a text without its quotes."""
    try:
        override = OverridesParser.create().parse_override(f"key={literal}")
    except HydraException:
        return literal  # no literal of ours: a value that this sweep did not hand out
    return literal if override.is_sweep_override() else override.value()
