"""How a script here tells its figures: on standard output, and as JSON in `build/bench/<script>.json`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "build" / "bench"


def in_turn(rounds: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """What each of these measures, so many times: they take turns, so that a busy machine meets all of them."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def tell_ratio(what: str, found: Mapping[str, Sequence[float]], *, unit: str = "s", goal: float | None = None) -> float:
    """Prints the medians of two things measured, and the ratio of the first to the second; returns the ratio."""
    medians = {name: statistics.median(values) for name, values in found.items()}
    ours, theirs = medians.values()
    for name, values in found.items():
        print(f"{name:34} {medians[name]:8.2f} {unit} (median of {len(values)}: {min(values):.2f} to {max(values):.2f})")
    wanted = "" if goal is None else f" (goal: at most {goal})"
    print(f"{what}: ratio {ours / theirs:.2f}{wanted}", flush=True)
    save(what, {"unit": unit, "medians": medians, "measured": dict(found), "ratio": ours / theirs, "goal": goal})
    return ours / theirs


def save(what: str, figure: Mapping[str, object]) -> None:
    """Puts a figure into the script's document, beside what it was taken with."""
    path = FOLDER / f"{Path(sys.argv[0]).stem}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text(encoding="utf-8"))["figures"] if path.exists() else {}
    document = {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "hydra": importlib.metadata.version("hydra-core"),
        "figures": known | {what: dict(figure)},
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
