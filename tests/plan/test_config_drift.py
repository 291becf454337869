"""A trial knows whether it composes the config that its sweep composed: every change is named, and nothing else is."""

from __future__ import annotations

import copy
import enum
import logging
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict

from tests.support import App, app_in
from vertex_sweeper.plan import config_drift
from vertex_sweeper.plan.plan import Plan
from vertex_sweeper.settings import DriftPolicy
from vertex_sweeper_runtime import contract, contract_document, fingerprint
from vertex_sweeper_runtime.config_drift import find_drift
from vertex_sweeper_runtime.contract import Contract, ServiceValue
from vertex_sweeper_runtime.errors import DriftError
from vertex_sweeper_runtime.metric_callback import ReportMetrics
from vertex_sweeper_runtime.report_status import read_status


class Color(enum.Enum):
    red = 1
    blue = 2


@dataclass
class Typed:
    color: Color = Color.red
    raw: bytes = b"\x00\xff'"
    folder: Path = Path("some/folder")
    nothing: int | None = None
    later: int = MISSING
    linked: int = "${lr}"  # type: ignore[assignment]
    rate: float = 3
    by_color: dict[Color, int] = field(default_factory=lambda: {Color.red: 1})
    by_number: dict[int, str] = field(default_factory=lambda: {1: "a"})


CONFIGS = {
    "config": """
defaults: [{model: cnn}, {data: small}, {typed: drift}, _self_]
lr: 0.1
n: 3
text: "a = b, 'c' \\"d\\" \\\\ ü 😀 # no comment"
multi: "two\\nlines"
empty: {map: {}, list: [], text: ''}
numbers: [1, 1.0, 1e-3, -0.0, .inf, .nan, 1_000, true, null]
nested: [[1, 2], {a: [{b: 1}]}]
quoted: {one: '1', true_: 'true', null_: 'null'}
odd keys: {"a.b": 1, "a": {b: 2}, 1: 3, "2": 4, "": 5, "x[0]": 6, ü: 7}
links: {a: "${lr}", b: "${oc.env:NOT_SET_ANYWHERE}", c: "${model}", d: '\\${lr}', e: "${now:%H%M%S%f}"}
late: ???
long: [LONG]
d: {a: 1, b: {c: 2}}
""".replace("LONG", ", ".join(map(str, range(40)))),
    "model/cnn": "kernel: 3\nshared: 1\n",
    "model/vit": "heads: 4\nshared: 2\nkind: a\nbuffer: {x: 1}\n",
    "model/mlp": "# @package _global_\nmodel: {hidden: [1, 2]}\nn: 4\n",
    "data/small": "size: 1\n",
    "data/large": "# @package _global_\nlr: 0.2\ndata: {size: 9}\nn: 5\n",
    "search_space/model/vit": "heads: range(2, 9)\nkind: a,b\nconditional: {kind=b: {params: {buffer.x: '1,2'}}}\n",
}
SWEEP = (
    "model=cnn,vit,mlp",
    "data=small,large",
    "text='x y',z,null",
    "d={a:2},{b:{c:3}}",
    "numbers.0=5,6",
    "n=7",
    "+new=1,2",
    "links.a=${n}",
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    ConfigStore.instance().store(group="typed", name="drift", node=Typed)
    with app_in(tmp_path_factory.mktemp("drift ü"), CONFIGS) as app:
        yield app


@pytest.fixture(scope="module")
def plan(app: App) -> Plan:
    return app.plan(*SWEEP)


def drawn(agreed: Contract, seed: int) -> dict[str, ServiceValue]:
    """A whole trial's values, drawn at random."""
    chance = random.Random(seed)  # noqa: S311 - it only has to vary
    values: dict[str, ServiceValue] = {}
    for parameter in agreed.parameters:
        when = parameter.when
        if when is None or values.get(when.parent) in when.values:
            values[parameter.id] = chance.choice(parameter.values or (int(parameter.low), int(parameter.high)))
    return values


@pytest.fixture(scope="module")
def trials(plan: Plan) -> list[tuple[dict[str, ServiceValue], DictConfig]]:
    samples = [drawn(plan.contract, seed) for seed in range(14)]
    return [(values, lean(plan.compose(plan.contract.overrides(values)))) for values in samples]


def lean(config: DictConfig) -> DictConfig:
    """The config without most of what is Hydra's own: copies are cheap."""
    overrides = OmegaConf.create({"overrides": {"task": OmegaConf.to_container(config.hydra.overrides.task, resolve=False)}})
    with open_dict(config):
        config.hydra = overrides
    return config


def test_no_trial_of_the_same_files_is_told_of_a_drift(
    plan: Plan, trials: list[tuple[dict[str, ServiceValue], DictConfig]]
) -> None:
    agreed = contract_document.decode(contract_document.encode(plan.contract))
    assert {(values["model"], values["data"]) for values, _ in trials} == {
        (model, data) for model in ("cnn", "vit", "mlp") for data in ("small", "large")
    }
    assert [find_drift(agreed, config) for _, config in trials] == [None] * len(trials)


LEFT_OUT = {("text",), ("d", "a"), ("d", "b", "c"), ("numbers", "0"), ("new",)}
MAYBE = {("model", "heads"), ("model", "kind"), ("model", "buffer", "x")}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(
        [0.0, -0.0, 1.0, 2.0, float("inf"), "1", "true", "null", "", "${lr}", "${n}", "???", [], {}, [1], {"a": 1}]
    ),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_change_of_any_key_that_is_not_swept_is_named_and_no_other(
    plan: Plan, trials: list[tuple[dict[str, ServiceValue], DictConfig]], data: st.DataObject
) -> None:
    values, composed = data.draw(st.sampled_from(trials))
    config = copy.deepcopy(composed)
    leaf = data.draw(st.sampled_from(list(fingerprint.leaves(config))))
    assume(leaf.path not in LEFT_OUT and not (values["model"] == "vit" and leaf.path in MAYBE))
    changed = data.draw(VALUES)
    assume(fingerprint.canonical(changed) != fingerprint.canonical(leaf.value))
    set_raw(config, leaf.path, changed)
    found = find_drift(plan.contract, config)
    assert found is not None
    assert leaf.name in found.line
    told = found.line.split(": ", 1)[1].rsplit(": build", 1)[0].split(", ")
    assert all(line.startswith(leaf.name) for line in told), told


def set_raw(config: DictConfig, path: tuple[str, ...], value: Any) -> None:
    """Sets a value without a look at types, as other files would."""
    node: Any = config
    for part in path[:-1]:
        node = child(node, part)
    OmegaConf.set_readonly(node, value=False)
    content = node.__dict__["_content"]
    key = int(path[-1]) if isinstance(content, list) else next(key for key in content if named(key) == path[-1])
    content[key] = child(OmegaConf.create({"x": value}), "x")


def child(node: Any, part: str) -> Any:
    content = node.__dict__["_content"]
    return content[int(part)] if isinstance(content, list) else content[next(key for key in content if named(key) == part)]


def named(key: Any) -> str:
    return key.name if isinstance(key, enum.Enum) else str(key)


def test_options_of_a_group_that_is_tuned_in_two_branches_are_told_apart(tmp_path: Path) -> None:
    option = "defaults: [{optim: sgd}]\nn: 1\n"
    configs = {
        "config": "defaults: [{model: cnn}]\n",
        **{f"model/{name}": option for name in ("cnn", "vit")},
        **{f"model/optim/{name}": f"{name}: 1\n" for name in ("sgd", "adam")},
        "search_space/model/cnn": "optim: sgd,adam\n",
        "search_space/model/vit": "optim: adam,sgd\n",
    }
    with app_in(tmp_path, configs) as app:
        plan = app.plan("model=cnn,vit")
        assert len(fingerprint.decode(plan.contract.drift).snapshots) == 4
        for model in ("cnn", "vit"):
            config = plan.compose([f"model={model}", "model/optim=adam"])
            assert find_drift(plan.contract, config) is None
            config.model.optim.adam = 2
            assert find_drift(plan.contract, config) is not None


def test_a_key_that_is_gone_and_one_that_is_new_are_named(plan: Plan, trials: list[Any]) -> None:
    config = copy.deepcopy(trials[0][1])
    with open_dict(config):
        del config["multi"]
        config["brand new"] = {"x": 1}
    found = find_drift(plan.contract, config)
    assert found is not None
    assert 'multi is missing here, str:"brand new".x is only here' in found.line
    assert found.line.endswith("build the image from the same files, or set hydra.sweeper.trial.drift=off")


VIT = {"heads": "4", "shared": "2", "kind": "a", "buffer": "{x: 1}"}
OLDER: dict[str, tuple[str, dict[str, str], str | None]] = {
    "keys that are swept": ("model/vit", VIT | {"heads": "5", "kind": "b", "buffer": "{x: 3}"}, None),
    "another value": ("model/vit", VIT | {"shared": "3"}, "model.shared differs"),
    "another type": ("model/vit", VIT | {"shared": "'2'"}, "model.shared differs"),
    "a key less": ("model/vit", {key: VIT[key] for key in VIT if key != "shared"}, "model.shared is missing here"),
    "a key more": ("model/vit", VIT | {"buffer": "{x: 1, y: 1}"}, "model.buffer.y is only here"),
    "an option that this trial did not choose": ("model/cnn", {"kernel": "5"}, None),
    "an interpolation": ("data/small", {"size": "${n}"}, "data.size differs"),
}


@pytest.mark.parametrize("case", OLDER)
def test_an_older_file_in_the_image_is_noticed_by_the_trials_that_read_it(
    app: App, plan: Plan, tmp_path: Path, case: str
) -> None:
    name, keys, told = OLDER[case]
    shutil.copytree(app.folder / "conf", tmp_path / "conf")
    older = {name: "".join(f"{key}: {text}\n" for key, text in keys.items())}
    samples = (drawn(plan.contract, seed) for seed in range(99))
    values = next(sample for sample in samples if (sample["model"], sample["data"]) == ("vit", "small"))
    with app_in(tmp_path, older) as image:
        found = find_drift(plan.contract, image.run(plan.contract.overrides(values)))
    if told is None:
        assert found is None
    else:
        assert found is not None
        assert f": {told}: build" in found.line


def test_a_path_of_this_machine_is_not_compared(tmp_path: Path) -> None:
    config = f"""
here: {tmp_path}/data
uri: file://{tmp_path.as_posix()}/data
home: {Path.home()}
list: [a, {tmp_path}]
there: /gcs/bucket/data
beside: {tmp_path}-other
n: 1
"""
    with app_in(tmp_path, {"config": config}) as app:
        plan = app.plan("n=1,2")
        (tmp_path / "conf" / "config.yaml").write_text(
            "here: /app/data\nuri: x\nhome: y\nlist: [a, z]\nthere: /gcs/b\nbeside: c\nn: 1\n"
        )
        found = find_drift(plan.contract, plan.compose(["n=1"]))
    roots = config_drift.machine_roots(tmp_path)
    assert found is not None
    named = "there differs" if any(str(tmp_path).startswith(f"{root}/") for root in roots) else "there differs, beside differs"
    assert f": {named}: build" in found.line


GOLDEN = {
    "model": "CfWh",
    "data": "NJIu",
    "typed": "HGAn",
    "lr": "fX1g",
    "n": "2sD9",
    "text": "kSbA",
    "multi": "XBvu",
    "empty": "Lvs-",
    "numbers": "QME-",
    "nested": "4bNT",
    "quoted": "I0Dk",
    "odd keys": "wzan",
    "links": "tKTv",
    "late": "NElO",
    "long": "RZGC",
    "d": "rISp",
}


def test_both_hydra_versions_make_the_same_fingerprint(app: App) -> None:
    config = app.run(["model=vit", "n=7"])
    assert fingerprint.hashes(fingerprint.leaves(config), [], depth=1) == GOLDEN


@pytest.mark.parametrize(("sizes", "snapshots", "notes"), [((3,), 3, 0), ((3, 2), 6, 0), ((4, 4), 12, 1)])
def test_each_combination_of_options_is_composed_as_long_as_they_are_few(
    tmp_path: Path, sizes: tuple[int, ...], snapshots: int, notes: int
) -> None:
    groups = {f"g{position}": size for position, size in enumerate(sizes)}
    files = {f"{group}/o{number}": f"n: {number}\n" for group, count in groups.items() for number in range(count)}
    configs = {"config": f"defaults: [{', '.join(f'{{{group}: o0}}' for group in groups)}]\n", **files}
    options = [f"{group}={','.join(f'o{number}' for number in range(count))}" for group, count in groups.items()]
    with app_in(tmp_path, configs) as app:
        plan = app.plan(*options)
    assert len(fingerprint.decode(plan.contract.drift).snapshots) == snapshots
    assert sum("there are more" in line for line in plan.notes) == notes


def test_a_key_that_is_not_the_same_in_two_compositions_here_is_not_compared() -> None:
    agreed = Contract(command=(), sequence=(), parameters=(), metrics=())
    recorder = config_drift.Recorder(agreed, lambda _: False, [])
    for drawn_anew in (1, 2):
        recorder.record({}, OmegaConf.create({"a": 1, "b": {"token": drawn_anew}}))
    assert list(recorder.fingerprint(DriftPolicy.WARN).snapshots[0].hashes) == ["a"]


def test_a_combination_that_was_not_composed_is_not_compared(plan: Plan, trials: list[Any]) -> None:
    found = fingerprint.decode(plan.contract.drift)
    none = fingerprint.encode(found._replace(snapshots=found.snapshots[:0]))
    config = copy.deepcopy(trials[0][1])
    config.n = 99
    assert find_drift(plan.contract._replace(drift=none), config) is None


def test_a_command_that_sets_keys_itself_is_not_compared(plan: Plan, caplog: pytest.LogCaptureFixture) -> None:
    config = plan.compose([*plan.contract.overrides(drawn(plan.contract, 0)), "+debug=true"])
    with caplog.at_level(logging.INFO):
        assert find_drift(plan.contract, config) is None
    assert "the command itself sets +debug=true" in caplog.text


def test_a_large_config_is_hashed_in_larger_parts_and_the_part_is_named(tmp_path: Path) -> None:
    chance = random.Random(0)  # noqa: S311 - it only has to be hard to compress
    big = "".join(
        f"part{part}:\n" + "".join(f"  k{chance.getrandbits(64):x}: {key}\n" for key in range(150)) for part in range(10)
    )
    with app_in(tmp_path, {"config": f"n: 1\n{big}"}) as app:
        plan = app.plan("n=1,2")
        size = len(contract_document.encode(plan.contract)) - len(contract_document.encode(plan.contract._replace(drift="")))
        assert size <= config_drift.LONGEST_DRIFT
        assert fingerprint.decode(plan.contract.drift).depth == 1
        text = (tmp_path / "conf" / "config.yaml").read_text()
        (tmp_path / "conf" / "config.yaml").write_text(text.replace(": 149\n", ": 150\n", 1))
        found = find_drift(plan.contract, plan.compose(["n=1"]))
    assert found is not None
    assert ": part0 differs: build" in found.line


def test_off_leaves_nothing_in_the_contract(app: App) -> None:
    assert app.plan("n=1,2", "hydra.sweeper.trial.drift=off").contract.drift == ""
    assert app.plan("n=1,2", "hydra.sweeper.trial.drift=false").contract.drift == ""  # what YAML reads for a bare off


def drifted(plan: Plan, policy: DriftPolicy, monkeypatch: pytest.MonkeyPatch, folder: Path) -> DictConfig:
    """Sets the environment of a trial; its config, with a change."""
    found = fingerprint.decode(plan.contract.drift)._replace(policy=policy.value)
    monkeypatch.setenv(contract.VARIABLE, contract_document.encode(plan.contract._replace(drift=fingerprint.encode(found))))
    monkeypatch.setenv("CLOUD_ML_HP_METRIC_FILE", str(folder / "metrics"))
    config = plan.compose(plan.contract.overrides(drawn(plan.contract, 0)))
    config.multi = "changed"
    return config


def test_a_drift_is_a_warning_in_the_log_of_the_first_rank(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = drifted(plan, DriftPolicy.WARN, monkeypatch, tmp_path)
    ReportMetrics().on_job_start(config)
    assert [(record.levelname, "multi differs" in record.message) for record in caplog.records] == [("WARNING", True)]
    caplog.clear()
    monkeypatch.setenv("RANK", "1")
    ReportMetrics().on_job_start(config)
    assert caplog.records == []


@pytest.mark.parametrize("rank", ["0", "1"])
def test_where_a_drift_is_an_error_every_rank_stops_and_the_first_tells_the_shim(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str
) -> None:
    config = drifted(plan, DriftPolicy.ERROR, monkeypatch, tmp_path)
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(SystemExit) as caught:
        ReportMetrics().on_job_start(config)
    assert caught.value.code == DriftError.exit_code
    assert DriftError.exit_code not in {6, 11, 134, 139}  # after these Vertex would run the container again
    outcome = read_status(str(tmp_path / "metrics.outcome"))
    assert (outcome is not None and "multi differs" in outcome.stopped) == (rank == "0")


def test_a_fingerprint_that_cannot_be_read_stops_nothing(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = drifted(plan, DriftPolicy.ERROR, monkeypatch, tmp_path)
    monkeypatch.setenv(contract.VARIABLE, contract_document.encode(plan.contract._replace(drift="damaged")))
    ReportMetrics().on_job_start(config)
    assert "Comparing the config with the sweep's failed" in caplog.text


SCRIPT = """
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    print("the task began")
    return 0.5

main()
"""


@pytest.mark.parametrize(("policy", "code"), [("warn", 0), ("error", 66)])
def test_a_trial_in_an_older_image_warns_or_does_not_begin(tmp_path: Path, policy: str, code: int) -> None:
    with app_in(tmp_path, {"config": "n: 1\nm: 1\n"}) as app:
        (tmp_path / "train.py").write_text(SCRIPT)
        agreed = app.plan("n=1,2", f"hydra.sweeper.trial.drift={policy}").contract
    (tmp_path / "conf" / "config.yaml").write_text("n: 1\nm: 2\n")
    environment = {
        "PATH": str(Path(sys.executable).parent),
        "PYTHONPATH": str(Path(fingerprint.__file__).parents[1]),
        contract.VARIABLE: contract_document.encode(agreed),
        "CLOUD_ML_HP_METRIC_FILE": str(tmp_path / "out" / "metrics"),
    }
    command = [sys.executable, "-m", "vertex_sweeper_runtime", *agreed.command, "--n=2"]
    trial = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert trial.returncode == code, trial.stderr
    assert ("the task began" in trial.stdout) == (code == 0)
    said = "this trial's config is not the one that was composed where the sweep was started: m differs: build the image"
    shim = [line for line in trial.stderr.splitlines() if line.startswith("vertex-trial: ")]
    assert [said in line for line in shim] == [True] * (code != 0)
    assert said in (trial.stdout + trial.stderr)
    assert "Traceback" not in trial.stderr
