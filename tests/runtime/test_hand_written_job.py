"""The job of docs/hand-written-jobs.md is one that Google's client accepts, and its command runs a real Hydra app."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.runtime.trials import TrialRunner

PAGE = (Path(__file__).parents[2] / "docs" / "hand-written-jobs.md").read_text(encoding="utf-8")
JOB: dict[str, Any] = yaml.safe_load(PAGE.split("```yaml\n")[1].split("```")[0])
CONTAINER = JOB["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]
TASK = """
print("SAW", json.dumps(OmegaConf.to_container(cfg)))
return cfg.lr
"""


def test_the_message_has_every_field_of_it() -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from vertex_sweeper.services.vertex.message import parse

    parse({"displayName": "digits", **JOB})


@pytest.mark.parametrize(
    "flags",
    [["--lr=0.01", "--batch=32", "--name=two words"], ["--name", "two words", "--lr", "1E-2", "--batch", "32"]],
    ids=["one token", "two tokens"],
)
def test_its_command_runs_with_either_form_of_flags_and_reports(runner: TrialRunner, flags: list[str]) -> None:
    runner.app(TASK)
    source = (runner.folder / "train.py").read_text()
    (runner.folder / "train.py").write_text(source.replace("config_path=None", 'config_path="."'))
    (runner.folder / "config.yaml").write_text("lr: 1\nbatch: 8\nname: abc\nseed: 0\n")
    shim, *command = CONTAINER["command"]
    assert shim == "vertex-trial"
    environment = {entry["name"]: entry["value"] for entry in CONTAINER["env"]}
    code, output, _ = runner.run(*command, *CONTAINER["args"], *flags, environment=environment)
    assert code == 0, runner.errors
    seen = next(line for line in output.splitlines() if line.startswith("SAW "))
    assert json.loads(seen.removeprefix("SAW ")) == {"lr": 0.01, "batch": 32, "name": "two words", "seed": 1}
    assert [line["val_acc"] for line in runner.metrics()] == ["0.01"]
