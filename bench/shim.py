"""What `vertex-trial` adds to a trial, against what `import hydra` costs, in the same run.

The shim's cost is the wall time of a trial under a contract of twenty parameters, its metrics checked at the end, less that of
its command alone. The measurements take turns, so that a busy machine slows all of them.

    python bench/shim.py [rounds]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _figures import save

from vertex_sweeper_runtime import contract, contract_document
from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, Slot

LIMIT, GOAL = 0.35, 0.2
START = "import sys; from vertex_sweeper_runtime.trial import main; sys.exit(main())"  # what the console script does
COMMAND = ("sh", "-c", """echo '{"val_acc": "0.5"}' > "$CLOUD_ML_HP_METRIC_FILE\"""")


def agreed() -> Contract:
    """A contract as a larger sweep has it."""
    parameters = [Parameter(id=f"model.x{n}", key=f"model.x{n}", kind=Kind.DOUBLE, low=0.0, high=1.0) for n in range(10)]
    parameters += [
        Parameter(id=f"layer.{n}", key=f"layer.{n}", kind=Kind.DISCRETE, values=(16, 32, 64), literals=("16", "32", "64"))
        for n in range(10)
    ]
    sequence: tuple[str | Slot, ...] = ("seed=1", "experiment=example", *(Slot(parameter.id) for parameter in parameters))
    return Contract(command=COMMAND, sequence=sequence, parameters=tuple(parameters), metrics=("val_acc",))


def main() -> int:
    """Measures and prints; the exit code is 1 above the limit."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    flags = [f"--model.x{n}=0.{n}" for n in range(10)] + [f"--layer.{n}=32.0" for n in range(10)]
    commands = {
        "command": [*COMMAND],
        "trial": [sys.executable, "-c", START, *COMMAND, "seed=1", "experiment=example", *flags],
        "python": [sys.executable, "-c", "pass"],
        "hydra": [sys.executable, "-c", "import hydra"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            contract.VARIABLE: contract_document.encode(agreed()),
            "CLOUD_ML_HP_METRIC_FILE": str(Path(folder, "metrics")),
            "CLOUD_ML_TRIAL_ID": "1",
        }
        for _ in range(rounds):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, env=environment, check=True)  # noqa: S603 - our own commands
                times[name].append(time.perf_counter() - started)
    median = {name: statistics.median(values) * 1000 for name, values in times.items()}
    shim = median["trial"] - median["command"]
    print(f"rounds                        {rounds:7d}, medians")
    print(f"a bare interpreter            {median['python']:7.1f} ms")
    print(f"the shim, interpreter and all {shim:7.1f} ms")
    print(f"import hydra, the same        {median['hydra']:7.1f} ms")
    print(f"ratio to the import alone     {shim / (median['hydra'] - median['python']):7.2f}")
    print(f"ratio                         {shim / median['hydra']:7.2f} (limit {LIMIT}, goal {GOAL})")
    figure = {"unit": "ms", "medians": median, "measured": times, "ratio": shim / median["hydra"], "goal": GOAL}
    save("shim beside import hydra", figure)
    return int(shim / median["hydra"] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
