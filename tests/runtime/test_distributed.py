"""Trials of several machines and processes: every container decodes the same overrides, one process reports."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.trials import FIXED, FLAGS, OVERRIDES, PATIENCE, TrialRunner, sweep

REPLICAS = {"workerpool0": 1, "workerpool1": 2, "workerpool2": 1}
NAMES = tuple(f"{pool}-{index}" for pool, count in REPLICAS.items() for index in range(count))

TASK = """
with open(f"seen-by-{os.environ['RANK']}.json", "w") as file:
    json.dump(list(HydraConfig.get().overrides.task), file)
return float(os.environ["RANK"])
"""

LAUNCHER = """
import argparse, os, subprocess, sys
parser = argparse.ArgumentParser()
parser.add_argument("--nproc_per_node", type=int)
parser.add_argument("--lr")
parser.add_argument("script")
options, rest = parser.parse_known_args()
print(options.nproc_per_node, options.lr, flush=True)
first = int(os.environ["RANK"]) * options.nproc_per_node
children = [
    subprocess.Popen(
        [sys.executable, options.script, *rest], env={**os.environ, "RANK": str(first + local), "LOCAL_RANK": str(local)}
    )
    for local in range(options.nproc_per_node)
]
sys.exit(max(child.wait() for child in children))
"""


def replicas() -> Iterator[tuple[str, dict[str, str]]]:
    """The name of each replica of a job, and what its container's environment says of the job, as Vertex words it."""
    cluster = {pool: [f"{pool}-{index}.example:2222" for index in range(count)] for pool, count in REPLICAS.items()}
    rank = 0
    for pool, addresses in cluster.items():
        for index in range(len(addresses)):
            task = {"type": pool, "index": index, "trial": "3"}
            yield (
                f"{pool}-{index}",
                {
                    "CLUSTER_SPEC": json.dumps({"cluster": cluster, "environment": "cloud", "task": task, "job": "{}"}),
                    "RANK": str(rank),
                    "WORLD_SIZE": str(sum(REPLICAS.values())),
                    "MASTER_ADDR": cluster["workerpool0"][0],
                    "MASTER_PORT": "2222",
                },
            )
            rank += 1


def run_all(
    runner: TrialRunner, command: Sequence[str], *, names: Sequence[str] = NAMES, with_flags: Sequence[str] = NAMES
) -> dict[str, tuple[int, str, Path]]:
    """Runs the containers of these replicas at the same time, each with a metric file of its own: code, output, the file."""
    started = {}
    agreed = sweep(*command)
    for name, environment in replicas():
        if name not in names:
            continue
        metrics = runner.folder / "metrics" / name
        flags = FLAGS if name in with_flags else ()
        variables = {**environment, "CLOUD_ML_HP_METRIC_FILE": str(metrics)}
        process = runner.start(*command, *FIXED, *flags, agreed=agreed, environment=variables)
        started[name] = (process, metrics)
    ended = {}
    for name, (process, metrics) in started.items():
        output, errors = process.communicate(timeout=PATIENCE)
        ended[name] = (process.returncode, output + errors, metrics)
    return ended


def reported(path: Path) -> list[str]:
    return [json.loads(line)["val_acc"] for line in path.read_text().splitlines()] if path.exists() else []


def seen(runner: TrialRunner) -> list[Any]:
    return [json.loads(path.read_text()) for path in sorted(runner.folder.glob("seen-by-*.json"))]


def test_every_replica_of_every_pool_decodes_the_same_overrides_and_the_primary_reports(runner: TrialRunner) -> None:
    runner.app(TASK)
    ended = run_all(runner, ["python", "train.py"])
    assert {name: code for name, (code, _, _) in ended.items()} == dict.fromkeys(ended, 0), ended
    assert seen(runner) == 4 * [OVERRIDES]
    values = {name: reported(metrics) for name, (_, _, metrics) in ended.items()}
    assert values == {"workerpool0-0": ["0.0"], "workerpool1-0": [], "workerpool1-1": [], "workerpool2-0": []}


def test_no_replica_but_the_primary_writes_into_the_trials_own_folder(runner: TrialRunner) -> None:
    runner.app("logging.info('rank %s', os.environ['RANK'])")
    ended = run_all(runner, ["python", "train.py"])
    folder = runner.sweep_directory / "3"
    folders = {name: folder / ("" if name == "workerpool0-0" else name) for name in ended}
    assert {path.parent for path in folder.rglob(".hydra")} == set(folders.values())
    said = {name: re.findall("rank .", (place / "train.log").read_text()) for name, place in folders.items()}
    assert said == {name: [f"rank {rank}"] for rank, name in enumerate(NAMES)}


def test_a_launchers_own_flags_are_not_taken_for_a_trials_and_one_of_its_processes_reports(runner: TrialRunner) -> None:
    runner.app(TASK)
    runner.script(LAUNCHER, name="launch.py")
    # `--lr` is a flag of the launcher, and the id of a parameter of this sweep too.
    command = ["python", "launch.py", "--nproc_per_node=2", "--lr", "its own", "train.py"]
    ended = run_all(runner, command, names=NAMES[:2])
    assert [code for code, _, _ in ended.values()] == [0, 0], ended
    assert all(output.startswith("2 its own\n") for _, output, _ in ended.values())
    assert seen(runner) == 4 * [OVERRIDES]
    assert [reported(metrics) for _, _, metrics in ended.values()] == [["0.0"], []]


def test_a_pool_without_the_trials_flags_says_so_and_stops_before_it_trains(runner: TrialRunner) -> None:
    runner.app(TASK)
    ended = run_all(runner, ["python", "train.py"], with_flags=NAMES[:1])
    assert [code for code, _, _ in ended.values()] == [0, 64, 64, 64]
    for name, (_, output, _) in ended.items():
        assert ("none of the 5 parameters was given (does this worker pool" in output) is (name != "workerpool0-0")
    assert len(seen(runner)) == 1


def launcher_of(module: str) -> str:
    """The launcher that a package brings, beside this interpreter."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}, which is not installed")
    return str(Path(sys.executable).parent / {"torch": "torchrun", "accelerate": "accelerate"}[module])


COLLECTIVE = """
import torch
import torch.distributed as dist
dist.init_process_group("gloo")
total = torch.tensor(float(dist.get_rank() + 1))
dist.all_reduce(total)
dist.destroy_process_group()
with open(f"seen-by-{os.environ['RANK']}.json", "w") as file:
    json.dump(list(HydraConfig.get().overrides.task), file)
return total
"""


@pytest.mark.parametrize(
    ("module", "words"),
    [
        # `--multi_gpu` is accelerate's word for several processes, and starts them where no GPU is, too.
        pytest.param("torch", ["--nproc_per_node=2"], id="torchrun"),
        pytest.param("accelerate", ["launch", "--multi_gpu", "--num_processes=2", "--mixed_precision=no"], id="accelerate"),
    ],
)
def test_a_real_launcher_is_a_trials_command(runner: TrialRunner, module: str, words: list[str]) -> None:
    runner.app(COLLECTIVE)
    command = [launcher_of(module), *words, "train.py"]
    code, _, lines = runner.run(*command, *FIXED, *FLAGS, agreed=sweep(*command))
    assert (code, lines) == (0, []), runner.errors
    assert seen(runner) == 2 * [OVERRIDES]
    assert [line["val_acc"] for line in runner.metrics()] == ["3.0"]


def test_torchrun_spans_the_machines_of_a_trial(runner: TrialRunner) -> None:
    runner.app(COLLECTIVE)
    command = [launcher_of("torch"), "--nproc_per_node=2", "train.py"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    machines = [(name, environment) for name, environment in replicas() if name in ("workerpool0-0", "workerpool1-0")]
    processes = []
    for name, environment in machines:
        # What a script of the user's makes of Vertex's variables: torchrun reads its options from PET_… too.
        rendezvous = {
            "PET_NNODES": "2",
            "PET_NODE_RANK": environment["RANK"],
            "PET_MASTER_ADDR": "127.0.0.1",
            "PET_MASTER_PORT": port,
            "CLOUD_ML_HP_METRIC_FILE": str(runner.folder / "metrics" / name),
        }
        variables = {**environment, **rendezvous}
        processes.append(runner.start(*command, *FIXED, *FLAGS, agreed=sweep(*command), environment=variables))
    for process in processes:
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
    assert seen(runner) == 4 * [OVERRIDES]
    assert [reported(runner.folder / "metrics" / name) for name, _ in machines] == [["10.0"], []]
