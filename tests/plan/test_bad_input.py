"""Bad input gets one line that names key, value and remedy, before anything is started; several mistakes come together."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from tests.support import App, app_in, every
from vertex_sweeper.atomic_files import write_text
from vertex_sweeper.errors import InvalidSweep, MissingExtra
from vertex_sweeper.plan.composition import check_compositions
from vertex_sweeper.services.address import address_of
from vertex_sweeper.services.opening import open_service
from vertex_sweeper.settings import Backend, Settings, VertexSettings
from vertex_sweeper.space.overrides import OverrideReader
from vertex_sweeper.space.search_space import build_space
from vertex_sweeper.testing.gate import PARENT, make_custom_job, make_job
from vertex_sweeper_runtime.contract import Condition

SWEPT = "lr=interval(0,1)"
VERTEX = [
    "hydra.sweeper.backend=vertex",
    "hydra.sweeper.vertex={project: p, location: europe-west4}",
    "hydra.sweeper.trial.image=europe-west4-docker.pkg.dev/p/train/app:1",
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    from dataclasses import dataclass

    @dataclass
    class Schema:
        width: int = 8
        kind: str = "a"

    ConfigStore.instance().store(group="typed", name="schema", node=Schema)
    ConfigStore.instance().store(group="typed", name="loose", node={"width": 8, "kind": "a"})
    configs = {
        "config": "defaults: [{model: linear}, {typed: schema}, _self_]\nlr: 0.1\nn: 3\nname: abc\n",
        "mandatory": "defaults: [{model: '???'}, _self_]\nlr: 0.1\n",
        "model/linear": "C: 1.0\n",
        "model/svm": "C: 1.0\ngamma: 0.1\n",
        "model/torn": "C: [1\n  a: b\n",
    }
    with app_in(tmp_path_factory.mktemp("bad input ü"), configs) as app:
        yield app


CASES: dict[str, tuple[list[str], list[str]]] = {
    "nothing to tune": (["lr=1"], ["nothing to tune"]),
    "unknown setting": (
        [SWEPT, "hydra.sweeper.max_trial_cout=3"],
        ["hydra.sweeper.max_trial_cout", "did you mean max_trial_count?"],
    ),
    "unknown nested setting": ([SWEPT, "hydra.sweeper.trial.img=x"], ["hydra.sweeper.trial.img", "did you mean image?"]),
    "text for a count": ([SWEPT, "hydra.sweeper.max_trial_count=many"], ["max_trial_count", "'many'", "a whole number"]),
    "quoted count": ([SWEPT, "hydra.sweeper.max_trial_count='3'"], ["max_trial_count", "write it without quotes, 3"]),
    "fraction for a count": ([SWEPT, "hydra.sweeper.max_trial_count=2.0"], ["max_trial_count", "2.0", "a whole number"]),
    "half an hour": ([SWEPT, "hydra.sweeper.trial.timeout=0.5h"], ["trial.timeout", "'0.5h'", "as in 45s, 90m, 12h, 7d"]),
    "bool for a count": ([SWEPT, "hydra.sweeper.max_trial_count=true"], ["max_trial_count", "True", "a whole number"]),
    "command as one string": (
        [SWEPT, "hydra.sweeper.trial.command='python train.py'"],
        ["trial.command", "[python, train.py]"],
    ),
    "a device twice": (
        [SWEPT, "hydra.sweeper.local.devices=[0,'1,0']"],
        ["local.devices: device 0 is there twice: give it to one slot"],
    ),
    "a device that is none": ([SWEPT, "hydra.sweeper.local.devices=[-1]"], ["local.devices[0]: -1", "by their numbers"]),
    "a device in a list": ([SWEPT, "hydra.sweeper.local.devices=[[0,1]]"], ["local.devices[0]: [0, 1]", 'as in "0,1"']),
    "one device without a list": ([SWEPT, "hydra.sweeper.local.devices=0"], ["0 must be one of auto, none, or a list"]),
    "no devices": ([SWEPT, "hydra.sweeper.local.devices=[]"], ["local.devices: must not be empty", "or write none"]),
    "more slots than devices": (
        [SWEPT, "hydra.sweeper.local.devices=['0,1',2]", "hydra.sweeper.parallel_trial_count=3"],
        ["parallel_trial_count: 3 trials at a time, and 2 slots have devices (0,1; 2)", "lower it", "local.devices=none"],
    ),
    "more slots than devices, merged into the job": (
        [SWEPT, "hydra.sweeper.local.devices=[0]", "hydra.sweeper.spec_overrides.parallelTrialCount=2"],
        ["parallel_trial_count: 2 trials at a time, and 1 slot has devices (0)"],
    ),
    "devices beside the variable": (
        [SWEPT, "hydra.sweeper.local.devices=[0]", "hydra.sweeper.trial.env.CUDA_VISIBLE_DEVICES='1'"],
        ["local.devices: must not be set beside trial.env.CUDA_VISIBLE_DEVICES"],
    ),
    "a price below zero": (
        [SWEPT, "hydra.sweeper.prices.n1-standard-8=-0.1"],
        ["prices.n1-standard-8: -0.1 must be 0 or more"],
    ),
    "a price that is none": (
        [SWEPT, "hydra.sweeper.prices.n1-standard-8=cheap"],
        ["prices.n1-standard-8: 'cheap' must be a number"],
    ),
    "an endless price": ([SWEPT, "hydra.sweeper.prices.n1-standard-8=inf"], ["prices.n1-standard-8: inf must be 0 or more"]),
    "a price alone": ([SWEPT, "hydra.sweeper.prices=0.38"], ["hydra.sweeper.prices: 0.38 must be a mapping"]),
    "an image to build with a tag": (
        [SWEPT, *VERTEX, "hydra.sweeper.trial.build=true"],
        [
            "trial.image: 'europe-west4-docker.pkg.dev/p/train/app:1' must have no tag and no digest",
            "the code's hash is its tag",
        ],
    ),
    "an image to build that has no name": (
        [SWEPT, *VERTEX, "hydra.sweeper.trial.build=true", "hydra.sweeper.trial.image='My App'"],
        ["trial.image: 'My App' must be an image's name"],
    ),
    "the code twice": (
        [
            SWEPT,
            *VERTEX,
            "hydra.sweeper.trial.build=true",
            "hydra.sweeper.trial.image=a/b",
            "hydra.sweeper.trial.code=.",
            "hydra.sweeper.vertex.staging=gs://b/c",
        ],
        ["trial.build: must not be used with trial.code"],
    ),
    "an image to build and text": (
        [SWEPT, "hydra.sweeper.trial.build=Dockerfile"],
        ["trial.build: 'Dockerfile' must be true or false"],
    ),
    "not waiting for a local job": ([SWEPT, "hydra.sweeper.wait=false"], ["hydra.sweeper.wait", "backend=local"]),
    "a project's display name": (
        [SWEPT, *VERTEX, "hydra.sweeper.vertex.project='My Project'"],
        ["vertex.project: 'My Project' must read a project's id or number"],
    ),
    "a place for a region": (
        [SWEPT, *VERTEX, "hydra.sweeper.vertex.location='Western Europe'"],
        ["vertex.location: 'Western Europe' must read a region, such as europe-west4"],
    ),
    "attaching to nothing": ([SWEPT, "hydra.sweeper.attach=''"], ["hydra.sweeper.attach: must not be empty"]),
    "attaching without doing so": (
        [SWEPT, "hydra.sweeper.backend=vertex", "hydra.sweeper.attach=x", "hydra.sweeper.dry_run=true"],
        ["must not be used with dry_run"],
    ),
    "an unknown reaction": ([SWEPT, "hydra.sweeper.on_interrupt=stay"], ["on_interrupt: 'stay'", "ask, detach, cancel"]),
    "count of 0": ([SWEPT, "hydra.sweeper.max_trial_count=0"], ["max_trial_count: 0 must be 1 or more"]),
    "negative count": ([SWEPT, "hydra.sweeper.parallel_trial_count=-1"], ["parallel_trial_count: -1 must be 1 or more"]),
    "a grid of too many points": (
        ["n=range(0,40)", "name=range(0,26)", "hydra.sweeper.algorithm=grid"],
        ["hydra.sweeper.max_trial_count: must be set for a grid of more than 1,000", "1,040", "algorithm=random"],
    ),
    "a grid of more points than could be listed": (
        ["n=int(interval(1, 1000000000))", "name=int(interval(1, 1000000000))", "hydra.sweeper.algorithm=grid"],
        ["hydra.sweeper.max_trial_count: must be set", "1,000,000,000,000,000,000"],
    ),
    "command of no words": ([SWEPT, "hydra.sweeper.trial.command=[]"], ["trial.command", "[python, train.py]"]),
    "count without an accelerator": (
        [SWEPT, "hydra.sweeper.trial.accelerator_count=2"],
        ["trial.accelerator_count", "needs accelerator_type"],
    ),
    "TPU": ([SWEPT, "hydra.sweeper.trial.accelerator_type=TPU_V3"], ["trial.accelerator_type", "'TPU_V3'", "choose a GPU"]),
    "TPU machine": ([SWEPT, "hydra.sweeper.trial.machine_type=ct5lp-hightpu-4t"], ["trial.machine_type", "choose a GPU"]),
    "disk of no size": ([SWEPT, "hydra.sweeper.trial.disk_size_gb=0"], ["trial.disk_size_gb: 0 must be 1 or more"]),
    "too many pools": (
        [SWEPT, "hydra.sweeper.trial.worker_pools=[{replica_count: 1},{},{},{replica_count: 1}]"],
        ["trial.worker_pools: 4 pools", "Vertex has 4 with the first"],
    ),
    "replicas beside pools": (
        [SWEPT, "hydra.sweeper.trial.replica_count=2", "hydra.sweeper.trial.worker_pools=[{replica_count: 1}]"],
        ["trial.replica_count: 2 must be 1", "worker_pools"],
    ),
    "unknown setting of a pool": (
        [SWEPT, "hydra.sweeper.trial.worker_pools=[{replicas: 3}]"],
        ["trial.worker_pools[0].replicas", "did you mean replica_count?"],
    ),
    "pools that are no list": (
        [SWEPT, "hydra.sweeper.trial.worker_pools={replica_count: 3}"],
        ["trial.worker_pools", "must be a list"],
    ),
    "a pool that is no mapping": (
        [SWEPT, "hydra.sweeper.trial.worker_pools=[0]"],
        ["worker_pools[0]: 0", "a mapping of settings"],
    ),
    "a variable whose name is none": ([SWEPT, "hydra.sweeper.trial.env={a-b: x}"], ["trial.env", "'a-b'", "no digit first"]),
    "accelerator of a pool without its machine": (
        [SWEPT, "hydra.sweeper.trial.worker_pools=[{accelerator_type: NVIDIA_L4}]"],
        ["worker_pools[0].accelerator_type", "own machine_type"],
    ),
    "queue without a scarce GPU": (
        [SWEPT, "hydra.sweeper.trial.strategy=flex_start", "hydra.sweeper.trial.accelerator_type=NVIDIA_TESLA_T4"],
        ["trial.strategy", "L4, A100", "NVIDIA_TESLA_T4"],
    ),
    "queue for too long a trial": (
        [
            SWEPT,
            "hydra.sweeper.trial.strategy=flex_start",
            "hydra.sweeper.trial.accelerator_type=NVIDIA_L4",
            "hydra.sweeper.trial.timeout=700000",
        ],
        ["trial.timeout: 700000", "7 days"],
    ),
    "queue with two kinds of machines": (
        [
            SWEPT,
            "hydra.sweeper.trial.strategy=flex_start",
            "hydra.sweeper.trial.accelerator_type=NVIDIA_L4",
            "hydra.sweeper.trial.worker_pools=[{machine_type: n1-standard-4}]",
        ],
        ["trial.strategy", "same machine"],
    ),
    "waiting without a queue": (
        [SWEPT, "hydra.sweeper.trial.max_wait_duration=60"],
        ["trial.max_wait_duration", "strategy=flex_start", "standard"],
    ),
    "unknown strategy": ([SWEPT, "hydra.sweeper.trial.strategy=sport"], ["trial.strategy", "did you mean spot?"]),
    "a variable that is no text": ([SWEPT, "hydra.sweeper.trial.env={N: 1.0}"], ["trial.env.N: 1.0", "quote it"]),
    "the contract's own variable": (
        [SWEPT, "hydra.sweeper.trial.env={VERTEX_SWEEPER_CONTRACT: x}"],
        ["trial.env.VERTEX_SWEEPER_CONTRACT", "leave it out"],
    ),
    "too many variables": (
        [SWEPT, "hydra.sweeper.trial.env={" + ", ".join(f"V{n}: a" for n in range(100)) + "}"],
        ["trial.env: 100 variables", "at most 99"],
    ),
    "network by its name": (
        [SWEPT, "hydra.sweeper.vertex.network=default"],
        ["vertex.network", "'default'", "<project number>"],
    ),
    "network by a project's id": (
        [SWEPT, "hydra.sweeper.vertex.network=projects/my-project/global/networks/vpc"],
        ["vertex.network", "<project number>"],
    ),
    "service account without a project": (
        [SWEPT, "hydra.sweeper.vertex.service_account=trainer"],
        ["vertex.service_account", "'trainer'", "iam.gserviceaccount.com"],
    ),
    "endpoint in another notation": (
        [SWEPT, *VERTEX, "hydra.sweeper.vertex.endpoint='dns:///private.example'"],
        ["vertex.endpoint: 'dns:///private.example' must be HOST or HOST:PORT"],
    ),
    "zone for a region": ([SWEPT, "hydra.sweeper.vertex.location=europe-west4-a"], ["vertex.location", "zone", "europe-west4"]),
    "output on no bucket": ([SWEPT, "hydra.sweeper.vertex.base_output_directory=/tmp/x"], ["base_output_directory", "gs://"]),
    "key of another region": (
        [
            SWEPT,
            "hydra.sweeper.vertex.location=europe-west4",
            "hydra.sweeper.vertex.kms_key_name=projects/p/locations/us-east1/keyRings/r/cryptoKeys/k",
        ],
        ["vertex.kms_key_name", "us-east1", "europe-west4"],
    ),
    "TensorBoard with nowhere to log": (
        [
            SWEPT,
            "hydra.sweeper.vertex.tensorboard=projects/p/locations/l/tensorboards/1",
            "hydra.sweeper.vertex.service_account=a@b",
        ],
        ["vertex.base_output_directory", "vertex.tensorboard"],
    ),
    "stopping without a condition": (
        [SWEPT, "hydra.sweeper.study_stopping_config={should_stop_asap: true}"],
        ["study_stopping_config", "needs a condition"],
    ),
    "no progress in two metrics": (
        [
            SWEPT,
            "hydra.sweeper.metrics={a: maximize, b: minimize}",
            "hydra.sweeper.study_stopping_config={max_num_trials_no_progress: 5}",
        ],
        ["max_num_trials_no_progress", "one metric only"],
    ),
    "stopping after no trial": (
        [SWEPT, "hydra.sweeper.study_stopping_config={max_num_trials: 0}"],
        ["study_stopping_config.max_num_trials: 0 must be 1 or more"],
    ),
    "arguments beyond Vertex's limit": ([SWEPT, f"name='{100_000 * 'x'}'"], ["100000", "the app's config"]),
    "unknown goal": ([SWEPT, "hydra.sweeper.metrics={acc: maximise}"], ["metrics.acc", "'maximise'", "did you mean maximize?"]),
    "unknown algorithm": ([SWEPT, "hydra.sweeper.algorithm=baysian"], ["algorithm", "'baysian'", "did you mean bayesian?"]),
    "unknown measurement": (
        [SWEPT, "hydra.sweeper.measurement_selection=first"],
        ["measurement_selection", "'first'", "last, best"],
    ),
    "unknown drift policy": (
        [SWEPT, "hydra.sweeper.trial.drift=eror"],
        ["hydra.sweeper.trial.drift", "'eror'", "warn, error, off", "did you mean error?"],
    ),
    "search space that is no group": (
        [SWEPT, "hydra.sweeper.search_space=spaces"],
        ["hydra.sweeper.search_space", "'spaces'", "name one, or null"],
    ),
    "unknown backend": ([SWEPT, "hydra.sweeper.backend=lokal"], ["backend", "'lokal'", "did you mean local?"]),
    "no metric": ([SWEPT, "hydra.sweeper.metrics={}"], ["metrics", "at least one"]),
    "metric with white space": ([SWEPT, "hydra.sweeper.metrics={val acc: maximize}"], ["'val acc'", "white space"]),
    "metric that collides": ([SWEPT, "hydra.sweeper.metrics={trial: maximize}"], ["'trial'", "rename"]),
    "label": ([SWEPT, "hydra.sweeper.labels.Team=x"], ["labels.Team", "lowercase"]),
    "label that is too long": ([SWEPT, f"hydra.sweeper.labels.team={'x' * 64}"], ["labels.team", "63 characters", "has 64"]),
    "label with too many bytes": (
        [SWEPT, f"hydra.sweeper.labels.team='{'値' * 43}'"],
        ["labels.team", "127 bytes", "43 characters and 129 bytes"],
    ),
    "label whose key begins with a dash": ([SWEPT, "hydra.sweeper.labels={_team: x}"], ["labels._team", "letter or digit"]),
    "label in spec_overrides": (
        [SWEPT, "hydra.sweeper.spec_overrides={labels: {Team: x}}"],
        ["spec_overrides.labels.Team", "lowercase"],
    ),
    "too many labels in spec_overrides": (
        [SWEPT, f"hydra.sweeper.spec_overrides.labels={{{','.join(f'a{n}: x' for n in range(64))}}}"],
        ["spec_overrides.labels", "65 labels"],
    ),
    "the sweep's own label": (
        [SWEPT, "hydra.sweeper.labels={hydra-vertex-sweeper: mine}"],
        ["labels.hydra-vertex-sweeper", "leave it out"],
    ),
    "scale on categories": (["name=tag(log, choice(a, b))"], ["name", "only numbers have a scale"]),
    "log scale touching 0": (["lr=tag(log, interval(0, 1))"], ["lr", "above 0", "raise the lower bound"]),
    "log scale of a choice touching 0": (["n=tag(log, choice(0, 1))"], ["n", "above 0"]),
    "unknown tag": (["lr=tag(logg, interval(1, 2))"], ["unknown tag 'logg'", "did you mean log?"]),
    "two scales": (["lr=tag(log, reverse_log, interval(1, 2))"], ["exclude each other"]),
    "empty interval": (["lr=interval(1, 1)"], ["lr", "empty"]),
    "reversed interval": (["lr=interval(1, 0)"], ["lr", "1.0 to 0.0", "less than"]),
    "unbounded interval": (["lr=interval(0, inf)"], ["lr", "finite"]),
    "range without elements": (["n=range(5, 1)"], ["n", "no elements"]),
    "range without elements, in halves": (["n=range(5, 1, 0.5)"], ["n", "no elements"]),
    "range of too many": (["n=range(0, 1001, 1.0)"], ["n", "more than 1000", "interval()"]),
    "integers beyond doubles": (["n=range(0, 9007199254740994)"], ["n", "2**53"]),
    "grid over an interval": ([SWEPT, "hydra.sweeper.algorithm=grid"], ["lr", "grid", "choice() or range()"]),
    "key that does not exist": (["nope=1,2"], ["nope=1", "Could not override 'nope'", "+nope=1"]),
    "option that does not exist": (["model=linear,svn"], ["model=svn", "Could not find 'model/svn'", "linear svm"]),
    "value that the schema refuses": (["typed.width=4,8,wide"], ["typed.width=wide", "wide"]),
    "fraction that the schema refuses": (["typed.width=interval(1, 4)"], ["typed.width=1.0", "Integer", "and so for 2.5, 4.0"]),
    "same key twice": (["n=1,2", "n=3,4"], ["n is given more than once", "n=1,2", "n=3,4"]),
    "sweep over hydra in params": (
        ["hydra.sweeper.params={hydra.verbose: 'true,false'}"],
        ["hydra.verbose", "cannot be swept"],
    ),
    "sweep inside a fixed value": (
        ["hydra.sweeper.params={d: {lr: 'interval(0, 1)'}}"],
        ["interval(0, 1)", "its own dotted key"],
    ),
    "sweep inside a sweep": (["name=choice(a, choice(b, c))"], ["name", "a sweep inside a sweep", "side by side"]),
    "sweep inside a list of a sweep": (["name=[choice(a, b)],[c]"], ["name", "a sweep inside a sweep", "side by side"]),
    "sweep inside a list": (
        ["hydra.sweeper.params={name: '[choice(a, b)]'}", SWEPT],
        ["name", "a sweep inside a list or dict", "side by side"],
    ),
    "sweep inside a list of a condition": (
        [SWEPT, "hydra.sweeper.conditional={name\\=\\[choice\\(a\\,b\\)\\]\\,c: {params: {n: '1,2'}}}"],
        ["name", "a sweep inside a sweep"],
    ),
    "option that is no YAML": (["model=linear,torn"], ["model=torn", "expected ',' or ']'", "torn.yaml"]),
    "path that goes on behind a list": (["+list=[1]", "list.a.b=1,2"], ["list.a.b=1", "'a' (str) is not an int"]),
    "element that needs quotes in a function": (["name=choice('é', b)"], ["name", "cannot read it back", "as in 'é'"]),
    "group set to null": (["model=null,linear"], ["model=null", "must be a string or a list"]),
    "params that are a list": (
        ["hydra.sweeper.conditional={model\\=svm: {params: [1]}}", SWEPT],
        ["model=svm", "must hold `params`"],
    ),
    "conditions that are a number": (
        ["hydra.sweeper.conditional={model\\=svm: {conditional: 3}}", SWEPT],
        ["model=svm", "must hold `params`"],
    ),
    "absolute search path on vertex": (
        [SWEPT, *VERTEX, "hydra.searchpath=['file:///','pkg://hydra.conf']"],
        ["hydra.searchpath: file:///", "absolute", "file://conf"],
    ),
    "expression over two lines": (["hydra.sweeper.params={lr: '1,2\n'}"], ["lr=1,2\\n"]),
    "expression that does not parse": (["hydra.sweeper.params={lr: 'interval(0'}"], ["hydra.sweeper.params", "lr=interval(0"]),
}


def test_a_secret_under_a_number_is_seen_and_a_number_is_no_name_of_a_variable(app: App) -> None:
    with pytest.raises(InvalidSweep) as caught:
        app.plan(SWEPT, f"hydra.sweeper.trial.env={{1: hf_{30 * 'a'}}}")
    secret, name = caught.value.mistakes
    assert "trial.env.1" in secret
    assert "Hugging Face" in secret
    assert "trial.env: '1'" in name


@pytest.mark.parametrize("case", every(3, CASES))
def test_a_mistake_is_one_line_with_key_value_and_remedy(app: App, case: str) -> None:
    overrides, fragments = CASES[case]
    with pytest.raises(InvalidSweep) as caught:
        app.plan(*overrides)
    assert len(caught.value.mistakes) == 1
    assert "\n" not in str(caught.value)
    assert [fragment for fragment in fragments if fragment not in str(caught.value)] == []


def test_several_mistakes_are_listed_together(app: App) -> None:
    with pytest.raises(InvalidSweep) as caught:
        app.plan(
            "lr=interval(1,0)", "name=tag(log, choice(a, b))", "hydra.sweeper.algorithm=x", "hydra.sweeper.max_trial_count=0"
        )
    assert [line.partition(":")[0] for line in caught.value.mistakes] == [
        "hydra.sweeper.algorithm",
        "hydra.sweeper.max_trial_count",
        "lr",
        "name",
    ]


def test_a_variable_that_is_no_text_hides_no_secret_beside_it(app: App) -> None:
    with pytest.raises(InvalidSweep) as caught:
        app.plan(SWEPT, f"hydra.sweeper.trial.env={{N: 1.0, HF_TOKEN: hf_{30 * 'a'}}}")
    assert [line.partition(": ")[0] for line in caught.value.mistakes] == [
        "hydra.sweeper.trial.env.N",
        "hydra.sweeper.trial.env.HF_TOKEN",
    ]


def test_nothing_to_tune_is_listed_with_other_mistakes(app: App) -> None:
    with pytest.raises(InvalidSweep) as caught:
        app.plan("lr=1", "hydra.sweeper.max_trial_count=0")
    assert [line.partition(":")[0] for line in caught.value.mistakes] == ["hydra.sweeper.max_trial_count", "nothing to tune"]


def test_what_hydra_refuses_is_listed_for_every_key(app: App) -> None:
    with pytest.raises(InvalidSweep) as caught:
        app.plan("nope=1,2", "model=linear,svn,mlq", "lr=0.1,0.2", "other=a,b")
    assert [line.partition("=")[0] for line in caught.value.mistakes] == ["nope", "other", "model"]
    assert "and so for 2" in caught.value.mistakes[0]


def test_a_key_that_only_some_options_have_is_told_where_it_belongs(tmp_path: Path) -> None:
    configs = {
        "config": "defaults: [{model: cnn}]\n",
        "model/cnn": "depth: 1\n",
        "model/vit": "heads: 1\n",
        "model/big": "heads: 2\n",
    }
    with app_in(tmp_path, configs) as app, pytest.raises(InvalidSweep) as caught:
        app.plan("model=cnn,vit,big", "model.heads=1,2,3")
    (line,) = caught.value.mistakes
    assert line.startswith("model.heads=1: Could not override 'model.heads'.")
    assert line.endswith(
        "; with model=vit,big it composes: under hydra.sweeper.conditional, model=vit,big, it is tuned there only"
    )


def test_mistakes_of_reading_and_of_meaning_come_together(app: App) -> None:
    params = "hydra.sweeper.params={lr: 'loguniform(1,2)', batch: 'range(5,1)', seed: 'tag(log, interval(0,1))'}"
    with pytest.raises(InvalidSweep) as caught:
        app.plan(params, "hydra.sweeper.max_trial_count=0")
    assert [line.split(":")[0] for line in caught.value.mistakes] == [
        "hydra.sweeper.max_trial_count",
        "hydra.sweeper.params",
        "batch",
        "seed",
    ]


def test_a_mandatory_default_that_nobody_sets_is_named(app: App) -> None:
    with pytest.raises(InvalidSweep, match="model"):
        app.plan("lr=interval(0,1)", config_name="mandatory")


def test_a_mandatory_default_may_be_swept(app: App) -> None:
    plan = app.plan("lr=0.1,0.2", "model=linear,svm", config_name="mandatory")
    assert [parameter.key for parameter in plan.contract.parameters] == ["lr", "model"]


def test_project_location_and_image_are_needed_on_vertex(app: App) -> None:
    with pytest.raises(InvalidSweep) as caught:
        app.plan(SWEPT, "hydra.sweeper.backend=vertex")
    assert [line.split(":")[0] for line in caught.value.mistakes] == [
        "hydra.sweeper.vertex.project",
        "hydra.sweeper.vertex.location",
        "hydra.sweeper.trial.image",
    ]
    assert all("hydra.sweeper.backend=local" in line for line in caught.value.mistakes)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"WORLD_SIZE": "4", "RANK": "0"},
            "WORLD_SIZE=4: a sweep inside a distributed run would be started 4 times: start it outside",
        ),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}, "OMPI_COMM_WORLD_SIZE=2: "),
        ({"PMI_SIZE": "2"}, "PMI_SIZE=2: "),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, "SLURM_STEP_NUM_TASKS=8: "),
        ({"RANK": "1"}, "RANK=1: a sweep inside a distributed run would be started by each of its processes: start it outside"),
        ({"SLURM_PROCID": "3"}, "SLURM_PROCID=3: "),
        ({"PMIX_RANK": "1"}, "PMIX_RANK=1: "),
    ],
    ids=str,
)
def test_a_sweep_inside_a_distributed_run_is_refused(
    app: App, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    with pytest.raises(InvalidSweep) as caught:
        app.plan(SWEPT)
    (line,) = caught.value.mistakes
    assert line.startswith(said)


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0"}, id="torchrun of one"),
        pytest.param({"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_LOCALID": "0"}, id="a batch script of Slurm's"),
        pytest.param({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, id="srun of one"),
        pytest.param({"RANK": "gold", "WORLD_SIZE": "", "PMI_SIZE": "9" * 5000}, id="no numbers"),
    ],
)
def test_a_sweep_of_one_process_in_a_distributed_launcher_is_fine(
    app: App, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    assert app.plan(SWEPT).contract.parameters


def test_what_lies_beyond_the_limit_of_compositions_is_counted(app: App) -> None:
    plan = app.plan("typed.width=range(0, 16, 2)", "name=a,b")
    checked = check_compositions(plan.contract, plan.compose, most=5)
    assert (checked.compositions, checked.unchecked) == (5, 3)


def _many(prefix: str, count: int) -> str:
    return ",".join(f"{prefix}{number}" for number in range(count))


@pytest.mark.parametrize(
    ("overrides", "compositions"),
    [
        pytest.param([f"name={_many('x', 200)}"], 2, id="texts"),
        pytest.param([f"name={_many('x', 200)}", f"n={_many('', 100)}", f"lr={_many('0.1', 50)}"], 2, id="several keys"),
        pytest.param([f"+new={_many('x', 50)}"], 2, id="a new key"),
        pytest.param([f"n=null,true,false,{_many('1', 20)},{_many('1.5', 20)},{_many('x', 20)}"], 9, id="several types"),
        pytest.param(["name=a,b,???"], 3, id="a value of its own kind"),
        pytest.param([f"typed.kind={_many('x', 8)}"], 8, id="a type"),
        pytest.param([f"typed.width=range(0, {2 * 8}, 2)"], 8, id="another type"),
        pytest.param(["name=" + ",".join(f"'${{lr}}{n}'" for n in range(5))], 5, id="interpolations"),
        pytest.param(["+name2=" + ",".join(f"[{n}]" for n in range(5))], 5, id="lists"),
        pytest.param(["typed=loose,schema", f"typed.kind={_many('x', 5)}"], 5, id="a type in one of two options"),
        pytest.param(["model=linear,svm", f"model.C={_many('1.', 20)}"], 2, id="no type in either option"),
    ],
)
def test_of_values_that_compose_alike_two_are_composed(
    app: App, caplog: pytest.LogCaptureFixture, overrides: list[str], compositions: int
) -> None:
    caplog.set_level("INFO", logger="vertex_sweeper")
    plan = app.plan(*overrides)
    said = [line for line in caplog.messages if "checking" in line]
    assert said[-1] == f"checking the sweep: {compositions} configs are composed"
    assert len(said) == (2 if "loose" in overrides[0] else 1)  # there the values' type is seen in the second config only
    checked = check_compositions(plan.contract, plan.compose)
    assert (checked.compositions, checked.unchecked, checked.mistakes) == (compositions, 0, ())


def test_a_contract_too_large_for_an_environment_variable_names_its_largest_part(app: App) -> None:
    import random

    noise = random.Random(0)  # noqa: S311 - it only has to be hard to compress
    words = ",".join("".join(noise.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=300)) for _ in range(999))
    with pytest.raises(InvalidSweep, match=r"largest part is name"):
        app.plan(f"name=x{words.replace(',', ',x')}")


@pytest.mark.parametrize("taken", ["holds a job", "is a file"])
def test_a_sweep_directory_that_cannot_be_used_is_refused(tmp_path: Path, taken: str) -> None:
    from vertex_sweeper.errors import SweepDirectoryError
    from vertex_sweeper.results.sweep_directory import claim
    from vertex_sweeper.services.address import Address
    from vertex_sweeper.settings import Backend

    directory = tmp_path / "sweep"
    if taken == "holds a job":
        write_text(directory / "job.json", "{}")
    else:
        directory.write_text("")
    with pytest.raises(SweepDirectoryError, match=r"hydra\.sweep\.dir"):
        claim(directory, Address(Backend.LOCAL, "projects/p/locations/l"), {}, config="")


def test_a_missing_client_is_named_by_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        assert name == "google.cloud.aiplatform_v1"

    monkeypatch.setattr(importlib.util, "find_spec", absent)
    settings = Settings(backend=Backend.VERTEX, vertex=VertexSettings(project="my-project", location="europe-west4"))
    with pytest.raises(MissingExtra, match=r"pip install 'hydra-vertex-sweeper\[vertex\]'"):
        open_service(address_of(settings), tmp_path)


def test_a_missing_optuna_is_named_with_a_tuning_job_and_a_custom_job_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    opened = open_service(address_of(Settings(backend=Backend.LOCAL)), tmp_path)
    try:
        with pytest.raises(MissingExtra, match=r"pip install 'hydra-vertex-sweeper\[local\]'"):
            opened.service.create(PARENT, make_job(command=["true"]))
        assert list(tmp_path.iterdir()) == []
        name = opened.service.create(PARENT, make_custom_job(command=["true"]))["name"]
        while (job := opened.service.get(name))["state"] in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"):
            opened.wait(60)
        assert job["state"] == "JOB_STATE_SUCCEEDED"
    finally:
        opened.kill()


@pytest.mark.parametrize(
    "value",
    ["{'1': a}", "{'true': a}", "{x: {'1.0': a}}", "[{'null': a}]", "{'': a}", "{é: a}", '{"it\'s": a}', "!!binary aGVsbG8="],
)
def test_a_yaml_value_that_no_override_can_say_is_refused(value: str) -> None:
    reader = OverrideReader(None)
    assert reader.params(OmegaConf.to_container(OmegaConf.create(f"name: {value}"))) == []
    (mistake,) = reader.mistakes
    assert "params.name" in mistake
    assert "cannot be said" in mistake


@pytest.mark.parametrize(
    "value",
    ["{1: a}", "{true: [null, 'null', '']}", "[[], {}, '1', 1, 1.0, -0.0, .nan, 'a''b\\']", "{a b: 1, 'c,d': {e: ' '}}"],
)
def test_a_yaml_value_that_an_override_can_say_is_that_value(value: str) -> None:
    (entry,) = OverrideReader(None).params(OmegaConf.to_container(OmegaConf.create(f"name: {value}")))
    assert repr(entry.override.value()) == repr(OmegaConf.to_container(OmegaConf.create(f"x: {value}"))["x"])  # type: ignore[index,call-overload]


def test_a_condition_on_a_parent_of_one_element_is_decided_at_once(app: App) -> None:
    plan = app.plan("hydra.sweeper.conditional={model\\=svm: {params: {model.gamma: '1,2'}}}", "model=choice(svm)")
    assert plan.contract.parameters[0].when is None


def test_a_fixed_list_that_is_shuffled_is_the_same_in_every_trial() -> None:
    reader = OverrideReader(None)
    shuffled = "shuffle([1,2,3,4,5,6,7,8])"
    conditional = {"lr=1": {"params": {"n": shuffled}}}
    space = build_space(reader.params({"lr": "1,2", "name": shuffled}) + reader.conditional(conditional))
    for text in (space.sequence[1], f"n={space.parameters[1].literals[0]}"):
        assert isinstance(text, str)
        assert sorted(OmegaConf.create(text.partition("=")[2])) == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("fixed", ["true", "[1, 2]", " '1'", "1e-3"])
def test_a_condition_on_a_fixed_override_under_a_condition_is_compared_as_hydra_prints_it(fixed: str) -> None:
    inner = {f"name={fixed}": {"params": {"n": "1,2"}}}
    reader = OverrideReader(None)
    entries = reader.params({"lr": "1,2"}) + reader.conditional({"lr=1": {"params": {"name": fixed}, "conditional": inner}})
    parameters = {parameter.id: parameter for parameter in build_space(entries).parameters}
    assert parameters["name"].literals == (fixed,)
    assert parameters["n"].when == Condition("name", parameters["name"].values)


def test_a_key_that_a_trial_would_take_for_an_alias_is_refused(tmp_path: Path) -> None:
    if not hasattr(ConfigLoaderImpl, "get_override_aliases"):
        pytest.skip("Hydra 1.3 has no aliases")
    config = "hydra: {aliases: {lr: optim.lr, a: b, b: c}}\noptim: {lr: 1}\nb: 1\nc: 1\n"
    with app_in(tmp_path, {"config": config}) as app:
        assert app.plan("lr=1,2").contract.parameters[0].key == "optim.lr"
        for mistaken in (["a=1,2"], ["hydra.sweeper.params={lr: '1,2'}"]):
            with pytest.raises(InvalidSweep, match=r"alias in hydra\.aliases"):
                app.plan(*mistaken)
