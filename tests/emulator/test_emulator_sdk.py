"""Google's high-level SDK, unchanged and in a process of its own, runs jobs on the emulator over TLS."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.emulator.commands import start_emulator
from tests.emulator.jobs import ENDLESS
from vertex_sweeper_runtime.contract import VARIABLE, Condition, Contract, Kind, Parameter, Scale, Slot
from vertex_sweeper_runtime.contract_document import encode

pytest.importorskip("google.cloud.aiplatform", reason="google-cloud-aiplatform is not installed")

PROGRAM = Path(__file__).with_name("sdk_program.py")
APP = """
import hydra

@hydra.main(version_base="1.3", config_path=None)
def main(cfg):
    assert [type(cfg[key]) for key in ("lr", "layers", "batch")] == [float, int, int], cfg
    assert cfg.model in ("cnn", "vit") and ("heads" in cfg) == (cfg.model == "vit"), cfg
    return cfg.layers

main()
"""
SCRIPT = """
import argparse
import hypertune

parser = argparse.ArgumentParser()
for name, kind in (("lr", float), ("layers", int), ("batch", float), ("model", str), ("heads", int)):
    parser.add_argument(f"--{name}", type=kind, required=name != "heads")
args = parser.parse_args()
assert (args.heads is None) == (args.model != "vit")
hypertune.HyperTune().report_hyperparameter_tuning_metric("acc", args.layers)
"""
CUSTOM = {"good": "echo trained", "bad": "exit 3"}
CUSTOM_ENDS = {
    "good": ("JOB_STATE_SUCCEEDED", "^$", "^$"),
    "bad": ("JOB_STATE_FAILED", r"non-zero status of 3\.", "^Job failed with:"),
    "endless": ("JOB_STATE_CANCELLED", "cancelled", "^Job failed with:"),
}
"""By the custom job: its state, its error's message, and what the SDK raises, as patterns."""

CONTRACT = Contract(
    command=("python", "app.py"),
    sequence=("+seed=1", *map(Slot, ("lr", "layers", "batch", "model", "heads"))),
    parameters=(
        Parameter("lr", "+lr", Kind.DOUBLE, 1e-5, 1e-1, scale=Scale.LOG),
        Parameter("layers", "+layers", Kind.INTEGER, 1, 4),
        Parameter("batch", "+batch", Kind.DISCRETE, values=(16.0, 32.0), literals=("16", "32")),
        Parameter("model", "+model", Kind.CATEGORICAL, values=("cnn", "vit"), literals=("cnn", "vit")),
        Parameter("heads", "+heads", Kind.INTEGER, 2, 8, when=Condition("model", ("vit",))),
    ),
    metrics=("acc",),
)


def containers() -> dict[str, Any]:
    shim = {
        "image_uri": "image",
        "command": ["vertex-trial", *CONTRACT.command],
        "args": ["+seed=1"],
        "env": [{"name": VARIABLE, "value": encode(CONTRACT)}],
    }
    return {"contract": shim, "script": {"image_uri": "image", "command": ["python", "script.py"]}}


def test_the_sdk_runs_jobs_with_and_without_a_contract_and_cancels_lists_and_deletes(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "script.py").write_text(SCRIPT)
    endless = {"image_uri": "image", "command": list(ENDLESS)}
    custom = {name: {"image_uri": "image", "command": ["sh", "-c", text]} for name, text in CUSTOM.items()}
    with start_emulator("--tls", folder=tmp_path) as (_, ready):
        address = ready["address"].replace("127.0.0.1", "localhost")  # a certificate has both names
        given = map(json.dumps, (containers(), endless, custom))
        done = subprocess.run(
            [sys.executable, str(PROGRAM), address, *given],
            env={**os.environ, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": ready["ca_file"]},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["cancelled"]["state"] == "JOB_STATE_CANCELLED"
    assert "cancelled" in seen["cancelled"]["error"]
    for job in seen["jobs"].values():
        assert job["state"] == "JOB_STATE_SUCCEEDED"
        assert [trial["id"] for trial in job["trials"]] == list("123456")
        for trial in job["trials"]:
            assert trial["state"] == "SUCCEEDED", trial
            assert trial["acc"] == [trial["parameters"]["layers"]]
            assert ("heads" in trial["parameters"]) == (trial["parameters"]["model"] == "vit")
    assert seen["succeeded"] == ["contract", "script"]
    assert seen["found"] == ["contract"]
    assert seen["got"] == 6
    assert seen["after delete"] == []
    for name, job in seen["custom"].items():
        state, error, raised = CUSTOM_ENDS[name]
        assert re.fullmatch(r"projects/my-project/locations/europe-west4/customJobs/[0-9]+", job["name"])
        assert job["state"] == state
        assert re.search(error, job["error"] or "")
        assert re.search(raised, job["raised"] or "")
    assert seen["custom"]["good"]["uris"]["workerpool0-0"].endswith("/logs/1.log")
    assert seen["managed"] == {"listed": ["bad", "endless", "good"], "failed": ["bad"], "got": "good", "after delete": []}
