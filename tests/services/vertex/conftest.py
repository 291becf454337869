from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.services.vertex.fake_api import FakeApi

PARENT = "projects/my-project/locations/europe-west4"
NAME = f"{PARENT}/hyperparameterTuningJobs/1"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    pytest.importorskip("google.cloud.aiplatform_v1", reason="google-cloud-aiplatform is not installed")
    from tests.services.vertex.fake_api import FakeApi

    with FakeApi() as api:
        yield api


@pytest.fixture
def client(api: FakeApi) -> Iterator[Any]:
    """The real generated client on a channel to the fake service."""
    import grpc
    from google.cloud.aiplatform_v1 import JobServiceClient
    from google.cloud.aiplatform_v1.services.job_service.transports.grpc import JobServiceGrpcTransport

    with grpc.insecure_channel(api.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield JobServiceClient(transport=JobServiceGrpcTransport(channel=channel))


@pytest.fixture
def custom_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """A custom job that runs what the trials of `spec` run."""
    return {"displayName": "train", "labels": spec["labels"], "jobSpec": spec["trialJobSpec"]}


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that the service would have waited."""
    return []


@pytest.fixture
def spec() -> dict[str, Any]:
    """A job with every kind of parameter, in the form in which the API would give it back."""
    heads = {"parameterId": "heads", "integerValueSpec": {"minValue": "2", "maxValue": "9007199254740993"}}
    return {
        "displayName": "tune",
        "labels": {"vertex-sweeper": "a1b2"},
        "maxTrialCount": 20,
        "parallelTrialCount": 2,
        "maxFailedTrialCount": 5,
        "studySpec": {
            "metrics": [{"metricId": "val_acc", "goal": "MAXIMIZE"}],
            "parameters": [
                {
                    "parameterId": "model.lr",
                    "doubleValueSpec": {"minValue": 1e-5, "maxValue": 0.010000000000000002},
                    "scaleType": "UNIT_LOG_SCALE",
                },
                {"parameterId": "batch", "discreteValueSpec": {"values": [16.0, 32.0]}, "scaleType": "UNIT_LINEAR_SCALE"},
                {
                    "parameterId": "model",
                    "categoricalValueSpec": {"values": ["cnn", "vit"]},
                    "conditionalParameterSpecs": [{"parentCategoricalValues": {"values": ["vit"]}, "parameterSpec": heads}],
                },
            ],
            "algorithm": "RANDOM_SEARCH",
            "measurementSelectionType": "BEST_MEASUREMENT",
        },
        "trialJobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {
                        "machineType": "n1-standard-8",
                        "acceleratorType": "NVIDIA_TESLA_T4",
                        "acceleratorCount": 1,
                    },
                    "replicaCount": "1",
                    "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100},
                    "containerSpec": {
                        "imageUri": "europe-west4-docker.pkg.dev/my-project/train/app:1",
                        "command": ["vertex-trial", "python", "train.py"],
                        "args": ["seed=1"],
                        "env": [{"name": "VERTEX_SWEEPER_CONTRACT", "value": "eJw"}],
                    },
                }
            ],
            "scheduling": {"timeout": "3600s"},
            "baseOutputDirectory": {"outputUriPrefix": "gs://bucket/out"},
        },
    }
