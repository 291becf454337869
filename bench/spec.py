"""How long it takes from parsed overrides to the job as JSON, for a sweep of 200 parameters of all kinds, some conditional.

python bench/spec.py [rounds]
"""

import json
import statistics
import sys
import time

from vertex_sweeper.job import build_contract, build_job
from vertex_sweeper.settings import Backend, Settings, TrialSettings, VertexSettings
from vertex_sweeper.space.overrides import OverrideReader
from vertex_sweeper.space.search_space import build_space

LIMIT = 50.0
PARAMETERS = 200
SETTINGS = Settings(
    backend=Backend.VERTEX,
    trial=TrialSettings(image="image"),
    vertex=VertexSettings(project="project", location="location"),
)


def overrides() -> dict[str, str]:
    """Unconditional ones: a tenth of them parents."""
    kinds = ["tag(log, interval(1e-5, 1e-1))", "range(1, 100)", "16, 32, 64, 128", "a, b, 'c d', true", "interval(0, 1)"]
    return {f"part{number % 7}.key{number}": kinds[number % len(kinds)] for number in range(PARAMETERS - 40)}


def conditional() -> dict[str, dict[str, dict[str, str]]]:
    """Two children under a value of each of twenty parents."""
    parents = [key for key, expression in overrides().items() if expression.startswith("a,")][:20]
    return {f"{parent}=a": {"params": {f"{parent}_x": "interval(0, 1)", f"{parent}_y": "1, 2, 3"}} for parent in parents}


def main() -> int:
    """Prints the median and its parts; the exit code is 1 above the limit."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    times: dict[str, list[float]] = {"search space": [], "contract": [], "job": [], "JSON": []}
    for _ in range(rounds):
        reader = OverrideReader(None)
        entries = reader.params(overrides()) + reader.conditional(conditional())
        assert not reader.mistakes
        moments = [time.perf_counter()]
        space = build_space(entries)
        moments.append(time.perf_counter())
        agreed = build_contract(SETTINGS, space, command=["python", "train.py"])
        moments.append(time.perf_counter())
        job = build_job(SETTINGS, space, agreed, display_name="bench", sweep_id="0")
        moments.append(time.perf_counter())
        json.dumps(job, indent=2)
        moments.append(time.perf_counter())
        for name, before, after in zip(times, moments, moments[1:], strict=False):
            times[name].append((after - before) * 1000)
    count = len(space.parameters)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, value in medians.items():
        print(f"{name:<14} {value:7.1f} ms")
    total = statistics.median(map(sum, zip(*times.values(), strict=True)))
    print(f"{count} parameters {total:6.1f} ms (limit {LIMIT:.0f})")
    return int(total > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
