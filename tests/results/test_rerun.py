"""The best trial run again: which command is printed, that a shell reads it as it is meant, and that it is the trial."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
import yaml

from tests.support import app_in
from vertex_sweeper.api import TrialState
from vertex_sweeper.cli.main import main
from vertex_sweeper.messages import shell_line
from vertex_sweeper.plan.rerun_needs import RerunNeeds
from vertex_sweeper.results.outcome import TrialResult
from vertex_sweeper.results.rerun import rerun_of
from vertex_sweeper_runtime import contract_document
from vertex_sweeper_runtime.contract import Contract

TAKES: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "nothing": ("a: 1", ()),
    "its own": ("a: 1\nb: ${a}\nc: ${oc.env:HOME}\nhydra: x", ()),
    "the number": ("a: ${hydra:job.num}", ()),
    "the id, in a text": ("a: run-${hydra:job.id}.txt", ()),
    "the name": ("a: {b: [1, '${hydra:job.name}']}", ()),
    "the config's name": ("a: ${hydra:job.config_name}", ()),
    "blanks": ("a: '${ hydra:job.num }'", ()),
    "a choice": ("a: ${hydra:runtime.choices.model}", ()),
    "where it runs": ("a: ${hydra:runtime.cwd}/x\nb: ${hydra:runtime.output_dir}\nc: ${hydra:run.dir}", ()),
    "a variable": ("a: ${hydra:job.env_set.A}", ()),
    "the overrides as a name": ("a: x-${hydra:job.override_dirname}", None),
    "the overrides as Hydra 1.4 names them": ("a: '${hydra_override_dirname:}'", None),
    "the overrides with options": ("a: '${hydra_override_dirname:{kv_sep: x}}'", None),
    "the overrides": ("a: ${hydra:overrides.task}", None),
    "an override": ("a: ${hydra:overrides.task.0}", None),
    "all of the job": ("a: ${hydra:job}", None),
    "all choices": ("a: ${hydra:runtime.choices}", None),
    "the sweep directory": ("a: ${hydra:sweep.dir}/cache", None),
    "what is only known in the trial": ("w: override_dirname\na: ${hydra:job.${w}}", None),
    "what another key holds": ("a: {b: {c: '${hydra:overrides.task}'}}\nd: ${a}", None),
    "in a list": ("a: [1, [2, '${hydra:overrides.task}']]", None),
}


@pytest.mark.parametrize(("config", "words"), TAKES.values(), ids=TAKES)
def test_what_the_apps_config_takes_from_hydra_decides_what_a_rerun_needs(
    tmp_path: Path, config: str, words: tuple[str, ...] | None
) -> None:
    with app_in(tmp_path, {"config": config.replace("\nhydra: x", "")}) as app:
        needs = RerunNeeds(taken=False)
        needs.record(app.run([]))
    assert needs.words == words


OF_HYDRA = {
    "a sweep by default": ("hydra: {mode: MULTIRUN}", ("hydra.mode=RUN",)),
    "the job's folder": ("hydra: {sweep: {subdir: '${hydra.job.override_dirname}'}}", ()),
    "the job's name": ("hydra: {job: {name: 'x-${hydra.job.override_dirname}'}}", None),
    "a variable of the job": ("hydra: {job: {env_set: {A: '${hydra.job.num}'}}}", ()),
    "a variable that says the overrides": ("hydra: {job: {env_set: {A: '${hydra.job.override_dirname}'}}}", None),
}


@pytest.mark.parametrize(("config", "words"), OF_HYDRA.values(), ids=OF_HYDRA)
def test_what_hydra_does_around_the_job_counts_too(tmp_path: Path, config: str, words: tuple[str, ...] | None) -> None:
    with app_in(tmp_path, {"config": config}) as app:
        needs = RerunNeeds(taken=False)
        needs.record(app.run([]))
    assert needs.words == words


def test_one_option_that_takes_the_overrides_is_enough_for_the_whole_list(tmp_path: Path) -> None:
    configs = {
        "config": "defaults: [{model: a}, _self_]\nlr: 1\n",
        "model/a": "x: 1\n",
        "model/b": "x: ${hydra:overrides.task}\n",
        "best/mine": "y: 1\n",
    }
    with app_in(tmp_path, configs) as app:
        assert app.plan("model=a,b", "hydra.sweeper.algorithm=grid").contract.rerun is None
        assert app.plan("lr=1,2", "hydra.sweeper.algorithm=grid").contract.rerun is None  # the app has a group `best`
    del configs["best/mine"]
    with app_in(tmp_path / "another", configs) as app:
        agreed = app.plan("lr=1,2", "hydra.sweeper.algorithm=grid").contract
    assert agreed.rerun == ()
    assert contract_document.decode(contract_document.encode(agreed)) == agreed
    assert contract_document.decode(contract_document.encode(agreed._replace(rerun=None))).rerun is None


BASH = shutil.which("bash") or "bash"
WHOLE = ["lr=3", "hydra.mode=RUN", "hydra.job.num=7", "hydra.job.id='42_7'", "hydra.sweep.dir='/s w'"]
SHORT = ["--config-dir", "/s w", "+best=best"]

COMMANDS: dict[str, tuple[list[str], tuple[str, ...] | None, list[str]]] = {
    "a script": (["python", "train.py"], (), SHORT),
    "a module": (["python", "-m", "pkg.train"], (), SHORT),
    "an entry point": (["train"], (), SHORT),
    "a launcher": (["torchrun", "--nproc_per_node=4", "train.py"], (), SHORT),
    "another config": (["python", "train.py", "--config-path", "c", "--config-name", "x"], (), SHORT),
    "an app that sweeps by default": (["python", "train.py"], ("hydra.mode=RUN",), [*SHORT, "hydra.mode=RUN"]),
    "an app that takes the overrides": (["python", "train.py"], None, WHOLE),
    "a folder of configs": (["python", "train.py", "--config-dir", "more"], (), WHOLE),
    "a folder of configs, in one word": (["python", "train.py", "--config-dir=more"], (), WHOLE),
    "a folder of configs, in short": (["python", "train.py", "-cd", "more"], (), WHOLE),
    "an override among the words": (["python", "train.py", "lr=5"], (), WHOLE),
    "an addition among the words": (["python", "train.py", "+new=5"], (), WHOLE),
    "a deletion among the words": (["python", "train.py", "~lr"], (), WHOLE),
}


@pytest.mark.parametrize(("command", "rerun", "expected"), COMMANDS.values(), ids=COMMANDS)
def test_the_command_is_the_short_one_where_that_is_the_trial_and_else_the_trials_own(
    command: list[str], rerun: tuple[str, ...] | None, expected: list[str]
) -> None:
    agreed = Contract(tuple(command), ("lr=3",), (), (), rerun=rerun)
    trial = TrialResult(7, TrialState.SUCCEEDED, {}, ("lr=3",), {})
    again = rerun_of(trial, agreed, job="42", directory="/s w", output="/s w")
    assert again.words == (*command, *expected)
    assert (again.command in again.config) is (expected == WHOLE)  # the file itself says where it is not enough
    assert yaml.safe_load(again.config)["hydra"] == {"mode": "RUN", "job": {"num": 7, "id": "42_7"}}


def test_what_a_config_cannot_say_stands_behind_it() -> None:
    agreed = Contract(("python", "train.py"), (), (), (), groups=("model", "hydra/job_logging"))
    overrides = ("hydra.searchpath=[file://more]", "~a.b", "hydra/job_logging=none", "hydra.job.chdir=true", "lr=3")
    again = rerun_of(TrialResult(7, TrialState.SUCCEEDED, {}, overrides, {}), agreed, job="42", directory="/s", output=None)
    assert again.words == ("python", "train.py", "--config-dir", "/s", "+best=best", "hydra.searchpath=[file://more]", "~a.b")
    said = yaml.safe_load(again.config)
    assert said["hydra"] == {"job": {"chdir": True, "num": 7, "id": "42_7"}, "mode": "RUN"}
    assert said["defaults"] == ["_self_", {"override /hydra/job_logging": "none"}]


def test_on_vertex_the_trial_is_named_as_its_container_named_it() -> None:
    agreed = Contract(("python", "train.py"), (), (), (), rerun=None)
    trial = TrialResult(7, TrialState.SUCCEEDED, {}, ("lr=3",), {})
    again = rerun_of(trial, agreed, job="42", directory="/s", output="gs://bucket/x/train-0123")
    assert again.words[-1] == "hydra.sweep.dir='/gcs/bucket/x/train-0123'"
    assert rerun_of(trial, agreed, job="42", directory="/s", output=None).words[-1] == "hydra.job.id='42_7'"


WORDS = {
    "plain": ["python", "train.py", "+best=best"],
    "a blank": ["a b", "", " "],
    "hydra's quotes": ["name='a b'", 'name="a b"', "name='it\\'s'", "name='say \"hi\"'"],
    "what a shell expands": ["$HOME", "name='$HOME'", "`id`", "name='`id`'", "a*", "~", "!x", "name='!x'", "{a,b}", "a;b", "#"],
    "backslashes": ["a\\b", "name='a\\\\'", "\\"],
    "unicode": ["größe", "日本語 🐍", "name='ü'"],
    "line breaks": ["a\nb", "name='a\r\nb'", "\t", "a\x85b\u2028c", "\x1b[31m", "a'\\\nb"],
    "no text": ["a\udcff b", "'\udcff'\n"],
}


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_shell_reads_the_words_from_one_printable_line(words: list[str]) -> None:
    line = shell_line(words)
    assert line.isprintable()
    script = f"printf '%s\\0' {line}"
    read = subprocess.run([BASH, "-c", script], capture_output=True, check=True).stdout
    assert [os.fsdecode(word) for word in read.split(b"\0")[:-1]] == words


def test_hydras_own_quotes_are_printed_as_they_are_written() -> None:
    assert shell_line(["hydra.job.id='42_7'", "name='a$b'"]) == "\"hydra.job.id='42_7'\" 'name='\"'\"'a$b'\"'\"''"


APP = """
import json, os
import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    own = HydraConfig.get()
    job = {name: own.job[name] for name in ("name", "num", "id", "config_name", "chdir", "env_set")}
    seen = OmegaConf.to_container(cfg, resolve=True), OmegaConf.to_container(OmegaConf.create(job), resolve=True)
    print("SEEN", json.dumps([seen, os.environ.get("A"), os.getcwd() == own.runtime.output_dir]))
    return float(cfg.lr)

main()
"""
CONFIG = "defaults: [{model: a}, _self_]\nlr: 1\nname: n\nopt: {a.b: 0}\n"
SEEN = "seen: ['${hydra:job.num}', '${hydra:job.id}', '${hydra:job.name}', '${hydra:runtime.choices.model}']\n"
DOTS = [] if hydra.__version__.startswith("1.3.") else [r"opt.a\.b=3", "+opt.c[d]=4"]

SWEEPS = {
    "what a config can say": (
        SEEN,
        [],
        ["hydra.job.chdir=true", "hydra.job.name=mine", "+hydra.job.env_set.A='1'", "hydra.searchpath=[file://more]", *DOTS],
        "+best=best",
    ),
    "what takes the whole list": (
        f"{SEEN}more: ['${{hydra:job.override_dirname}}', '${{hydra:sweep.dir}}']\n",
        ["--config-dir", "more", "--config-name", "other"],
        ["+hydra.job.env_set.A='1'", "name='a\tb'", *DOTS],
        "hydra.job.num=1",
    ),
}


@pytest.mark.parametrize(("config", "flags", "words", "part"), SWEEPS.values(), ids=SWEEPS)
def test_the_printed_command_is_the_best_trial_again_and_attach_writes_the_same_config(
    tmp_path: Path, config: str, flags: list[str], words: list[str], part: str
) -> None:
    pytest.importorskip("optuna", reason="backend local needs the extra [local]")
    for name, text in {"conf/config": CONFIG, "conf/model/a": "k: a\n", "more/model/b": "k: b\n"}.items():
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + (config if name == "conf/config" else ""))
    (tmp_path / "conf" / "other.yaml").write_text((tmp_path / "conf" / "config.yaml").read_text())
    (tmp_path / "train.py").write_text(APP)
    here = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    given = ["lr=1", "model=b,c", "hydra.sweeper.max_trial_count=1", "hydra.sweep.dir='a $(b), c=d \"e\"'"]
    (tmp_path / "more" / "model" / "c.yaml").write_text("k: c\n")
    command = ["python", "train.py", *flags, "-m", "hydra/sweeper=vertex", "hydra.sweeper.backend=local", *given, *words]
    swept = subprocess.run(command, cwd=tmp_path, env=here, capture_output=True, text=True, check=False)
    assert swept.returncode == 0, swept.stdout + swept.stderr
    (line,) = [line.partition("run it again: ")[2] for line in swept.stdout.splitlines() if "run it again: " in line]
    assert part in shlex.split(line)
    again = subprocess.run([BASH, "-c", line], cwd=tmp_path, env=here, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    sweep = tmp_path / 'a $(b), c=d "e"'
    trial = (sweep / "logs" / "1.log").read_text()
    assert [one for one in again.stdout.splitlines() if "SEEN" in one] == [one for one in trial.splitlines() if "SEEN" in one]
    written = (sweep / "best" / "best.yaml").read_bytes()
    (sweep / "best" / "best.yaml").unlink()
    assert main(["attach", str(sweep)]) == 0
    assert (sweep / "best" / "best.yaml").read_bytes() == written
