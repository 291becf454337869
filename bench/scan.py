"""What our two plugins cost every Hydra app of an environment at each start, beside Hydra's own joblib launcher.

Ours are scanned together and the other alone, by Hydra's own scanner, in fresh processes that take turns. The clock starts
where a plain app stands before the scan meets third-party plugins: Hydra is imported and its core plugins are scanned. Needs
hydra-joblib-launcher.

    python bench/scan.py [--rounds N]

The closing line is the ratio of the medians; the exit code is 1 where it is above 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from _figures import save

GOAL = 0.25
OURS = "vertex_sweeper and vertex_launcher"
THEIRS = "hydra_joblib_launcher"
PACKAGES = {OURS: ("vertex_sweeper", "vertex_launcher"), THEIRS: (THEIRS,)}

SCAN = """
import sys, time, types
plugins = types.ModuleType("hydra_plugins")
plugins.__path__ = []
sys.modules["hydra_plugins"] = plugins
import hydra, hydra._internal.hydra
from hydra.core.plugins import Plugins
Plugins.instance()
plugins.__path__ = [sys.argv[1]]
start = time.perf_counter()
found, _ = Plugins._scan_all_plugins(modules=[plugins])
seconds = time.perf_counter() - start
names = sorted({f"{found_class.__module__}.{found_class.__name__}" for found_class in found})
for package in sys.argv[2:]:
    assert any(name.startswith(f"hydra_plugins.{package}.") for name in names), names
print(seconds)
"""


def locate_plugin(name: str) -> Path:
    """Return the folder of a plugin package, without importing the plugin."""
    spec = importlib.util.find_spec(f"hydra_plugins.{name}")
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"{name} is not installed here; `make bench` brings an environment that has it")
    return Path(next(iter(spec.submodule_search_locations)))


def time_scan(folder: Path, packages: Sequence[str]) -> float:
    """Scan the plugins under a folder in a fresh process; seconds, of the scan alone.

    The process may write bytecode, whatever our environment says: pip has compiled their modules, and an editable install none
    of ours.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", SCAN, str(folder), *packages]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    return float(answer.stdout)


def measure(rounds: int) -> dict[str, float]:
    """Return the median seconds of each scan. One round more is run first, for the bytecode caches."""
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        for name, packages in PACKAGES.items():
            folders[name] = Path(scratch, f"only {name}")
            folders[name].mkdir()
            for package in packages:
                (folders[name] / package).symlink_to(locate_plugin(package), target_is_directory=True)
        seconds: dict[str, list[float]] = {name: [] for name in folders}
        for _ in range(rounds + 1):
            for name, folder in folders.items():
                seconds[name].append(time_scan(folder, PACKAGES[name]))
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def main() -> int:
    """Print both medians and their ratio."""
    parser = argparse.ArgumentParser(description="Cost of Hydra's scan: our plugins beside the joblib launcher.")
    parser.add_argument("--rounds", type=int, default=30)
    medians = measure(parser.parse_args().rounds)
    for name, seconds in medians.items():
        print(f"scan of {name:<34} {1000 * seconds:6.2f} ms")
    ratio = medians[OURS] / medians[THEIRS]
    print(f"ratio {ratio:.2f} (goal: at most {GOAL})")
    save("plugin scan beside the joblib launcher's", {"unit": "s", "medians": medians, "ratio": ratio, "goal": GOAL})
    return int(ratio > 1)


if __name__ == "__main__":
    sys.exit(main())
