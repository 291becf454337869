"""What the pages under `docs/` show is true: the tables are the settings, and every example becomes a job."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from tests.support import App, app_in
from vertex_sweeper.plan.context import SweepContext
from vertex_sweeper.plan.plan import Plan, make_plan
from vertex_sweeper.plan.trial_command import Start
from vertex_sweeper_runtime import contract, contract_document
from vertex_sweeper_runtime.code_archive import EXIT_CODES
from vertex_sweeper_runtime.errors import TrialError

DOCS = Path(__file__).parents[1] / "docs"
SETTINGS = (DOCS / "settings.md").read_text(encoding="utf-8")
VERTEX = (DOCS / "vertex.md").read_text(encoding="utf-8")
JOBS = (DOCS / "jobs.md").read_text(encoding="utf-8")


def examples(text: str) -> dict[str, list[str]]:
    """The YAML blocks of a page, by the heading they stand under."""
    found: dict[str, list[str]] = {}
    heading = ""
    for match in re.finditer(r"^#+ ([^\n]*)$|^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        heading = match.group(1) or heading
        if match.group(2):
            found.setdefault(heading, []).append(match.group(2))
    return found


def test_the_tables_of_settings_are_current() -> None:
    spec = importlib.util.spec_from_file_location("make_settings", DOCS / "make_settings.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.render(SETTINGS) == SETTINGS, "run: make docs"


def test_every_exit_code_of_the_shim_is_documented() -> None:
    _, _, table = JOBS.partition("| exit code | of `vertex-trial` |")
    codes = {int(code) for cell in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for code in cell.split(",")}
    assert codes == {error.exit_code for error in TrialError.__subclasses__()} | {126, 127, *EXIT_CODES}


TRAIN = """
defaults:
  - _self_
  - data: mnist
  - model: mnist
  - experiment: null
  - hparams_search: null
seed: null
optimized_metric: metric
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An app in the form of lightning-hydra-template, with the example of `vertex.md` among its searches."""
    (search,) = examples(VERTEX)["A sweep as a config of its own"]
    configs = {
        "train": TRAIN,
        "data/mnist": "batch_size: 64\n",
        "model/mnist": "optimizer: {_target_: torch.optim.Adam, lr: 0.001}\n",
        "experiment/example": "# @package _global_\ndefaults: [{override /data: mnist}]\nseed: 12345\ndata: {batch_size: 32}\n",
        "hparams_search/vertex_ai": search,
    }
    with app_in(tmp_path, configs) as app:
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "train.py").touch()
        yield app


def plan_in(app: App, *overrides: str) -> Plan:
    """The plan of `python src/train.py` with these overrides, backend vertex."""
    script = str(app.folder / "src" / "train.py")
    start = Start([script, "-m", *overrides], ["python", script, "-m", *overrides], None, "/usr/bin/python", app.folder)
    config = app.multirun(overrides, "train")
    return make_plan(SweepContext.of(list(config.hydra.overrides.task), config=config, config_loader=app.loader, start=start))


def test_the_example_of_a_config_of_its_own_is_the_job_it_describes(app: App) -> None:
    aiplatform = pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from google.protobuf import json_format

    types = aiplatform.types
    plan = plan_in(app, "experiment=example", "hparams_search=vertex_ai")
    label = plan.job["labels"]["hydra-vertex-sweeper"]
    expected = types.HyperparameterTuningJob(
        display_name="train",
        labels={"hydra-vertex-sweeper": label},
        max_trial_count=6,
        parallel_trial_count=2,
        max_failed_trial_count=5,
        study_spec=types.StudySpec(
            metrics=[types.StudySpec.MetricSpec(metric_id="metric", goal=types.StudySpec.MetricSpec.GoalType.MAXIMIZE)],
            parameters=[
                types.StudySpec.ParameterSpec(
                    parameter_id="model.optimizer.lr",
                    double_value_spec=types.StudySpec.ParameterSpec.DoubleValueSpec(min_value=1e-6, max_value=1e-3),
                    scale_type=types.StudySpec.ParameterSpec.ScaleType.UNIT_LOG_SCALE,
                )
            ],
            measurement_selection_type=types.StudySpec.MeasurementSelectionType.LAST_MEASUREMENT,
        ),
        trial_job_spec=types.CustomJobSpec(
            worker_pool_specs=[
                types.WorkerPoolSpec(
                    machine_spec=types.MachineSpec(
                        machine_type="n1-highmem-2",
                        accelerator_type=types.AcceleratorType.NVIDIA_TESLA_T4,
                        accelerator_count=1,
                    ),
                    replica_count=1,
                    disk_spec=types.DiskSpec(boot_disk_size_gb=100),
                    container_spec=types.ContainerSpec(
                        image_uri="europe-west4-docker.pkg.dev/my-project/train/app:1",
                        command=["vertex-trial", "python", "src/train.py"],
                        args=["experiment=example", "hparams_search=vertex_ai"],
                        env=[{"name": contract.VARIABLE, "value": contract_document.encode(plan.contract)}],
                    ),
                )
            ],
            enable_web_access=True,
        ),
    )
    sent = types.HyperparameterTuningJob()
    json_format.ParseDict(plan.job, types.HyperparameterTuningJob.pb(sent))
    assert sent == expected
    assert plan.contract.keep_alive == 300
    assert plan.address.parent == "projects/my-project/locations/europe-west4"


def test_a_trial_of_that_example_is_what_hydra_composes_here(app: App) -> None:
    plan = plan_in(app, "experiment=example", "hparams_search=vertex_ai")
    overrides = plan.contract.overrides({"model.optimizer.lr": 1e-4})
    assert overrides == ["model.optimizer.lr=0.0001", "experiment=example", "hparams_search=vertex_ai"]
    config = app.run(overrides, "train")
    assert (config.model.optimizer.lr, config.seed, config.data.batch_size) == (1e-4, 12345, 32)


FIRST = "trialJobSpec.workerPoolSpecs.0"

RECIPES: dict[str, tuple[str, str, Any]] = {
    "Early stopping": (SETTINGS, "studySpec.medianAutomatedStoppingSpec", {}),
    "A reservation": (
        SETTINGS,
        f"{FIRST}.machineSpec.reservationAffinity.values",
        ["projects/my-project/zones/europe-west4-a/reservations/my-reservation"],
    ),
    "A network file system": (SETTINGS, f"{FIRST}.nfsMounts.0.mountPoint", "data"),
    "Private Service Connect instead of peering": (
        SETTINGS,
        "trialJobSpec.pscInterfaceConfig.dnsPeeringConfigs.0.targetNetwork",
        "training",
    ),
    "A reduction server": (
        SETTINGS,
        "trialJobSpec.workerPoolSpecs.2.containerSpec",
        {"imageUri": "us-docker.pkg.dev/vertex-ai-restricted/training/reductionserver:latest"},
    ),
    "Early stopping by the decay curve": (SETTINGS, "studySpec.decayCurveStoppingSpec.useElapsedDuration", True),
    "Early stopping by the convex rule": (SETTINGS, "studySpec.convexAutomatedStoppingSpec.maxStepCount", "100"),
    "A metric that must stay within bounds": (
        SETTINGS,
        "studySpec.metrics.1",
        {
            "metricId": "memory_gb",
            "goal": "MINIMIZE",
            "safetyConfig": {"safetyThreshold": 14.0, "desiredMinSafeTrialsFraction": 0.9},
        },
    ),
    "Several machines for one trial": (VERTEX, "trialJobSpec.workerPoolSpecs.1.replicaCount", "3"),
}


def test_every_example_of_the_settings_page_is_tried() -> None:
    assert set(examples(SETTINGS)) == {name for name, (page, _, _) in RECIPES.items() if page is SETTINGS}


@pytest.mark.parametrize("name", RECIPES)
def test_an_example_builds_and_googles_message_has_it(tmp_path: Path, name: str) -> None:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from vertex_sweeper.services.vertex.message import parse

    page, path, expected = RECIPES[name]
    (text,) = examples(page)[name]
    everywhere = {"trial": {"image": "image"}, "vertex": {"project": "my-project", "location": "europe-west4"}}
    given = OmegaConf.merge(everywhere, yaml.safe_load(text))
    config = {
        "defaults": [{"override hydra/sweeper": "vertex"}, "_self_"],
        "lr": 0.1,
        "hydra": {"sweeper": {**OmegaConf.to_container(given), "params": {"lr": "interval(0.1, 1)"}}},  # type: ignore[dict-item]
    }
    with app_in(tmp_path, {"train": yaml.safe_dump(config, sort_keys=False)}) as app:
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "train.py").touch()
        found: Any = parse(plan_in(app).job)
    for part in path.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    assert found == expected
