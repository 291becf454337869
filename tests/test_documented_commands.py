"""Every command of the README and of the pages under `docs/` works as it is written, in a clone.

What stands in a `bash` block is run, a page as one script, with real processes. The number of trials is 1, and what stands for
an emulator's addresses is replaced; nothing else is changed. `NOT_HERE` has what cannot be run, and why.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import pytest

from tests.support import thorough

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))
}

NOT_HERE = {
    "pip install": "needs a network; tests/test_installation.py has what it brings",
    "python3 -m venv": "the tests have their environment",
    "gcloud": "Google's own tool, with an account",
    "export NUMBER=$(gcloud": "Google's own tool, with an account",
    "vertex-sweeper build": "makes an image, and needs a registry",
    "vertex-sweeper doctor": "fails without a login: tests/cli/test_doctor.py runs it with one",
    "docker": "makes an image, and needs a registry",
    "curl --request DELETE": "deletes a job on Google's machines",
    "vertex-sweeper emulator": "it runs until it is ended: it has been started in the same folder",
    "vertex-sweeper cancel multirun/digits": "the sweep would be on Google's machines, and was shown by a dry run only",
    "vertex-sweeper attach projects/": "the job would be on Google's machines",
    "python train.py -m hydra/launcher=vertex": "the jobs would be on Google's machines",
    "python src/train.py": "an app in the form of lightning-hydra-template: tests/test_docs.py plans its sweep",
}
"""Commands that are not run, by how they begin, with the reason."""

BEFORE = {
    "docs/jobs.md": "python train.py -m hydra/sweeper=vertex hydra.sweeper.backend=local hydra.sweeper.max_trial_count=1 "
    "'lr=interval(0, 1)' hydra.sweep.dir=multirun/2026-11-24/10-00-00",
    "docs/launcher.md": "python train.py -m hydra/launcher=vertex hydra.launcher.backend=local lr=0.1,0.2 "
    "hydra.sweep.dir=multirun/2026-11-25/12-00-00",
}
"""What makes the sweep, or the launch, that a page comes back to; `train.py` is the app of the page on jobs written by hand."""

SEEN = {
    "README.md": ["validation accuracy", "best: trial 1", "val_acc:"],
    "docs/emulator.md": ["best: trial 1", '"hyperparameterTuningJobs"'],
    "docs/hand-written-jobs.md": ['"displayName": "digits"'],
    "docs/jobs.md": ['"studySpec"', "best: trial 1"],
    "docs/launcher.md": ["#1 succeeded", "#1 has ended already"],
    "docs/search-space-groups.md": [
        "model=vit brings search_space/model/vit.yaml: model.heads, model.pool, model.dropout",
        "best: trial 1",
    ],
    "docs/search-space.md": ['"conditionalParameterSpecs"'],
    "docs/vertex.md": ["best: trial 1", '"trainer@my-project.iam.gserviceaccount.com"'],
}
"""What a page's commands print, among other things."""

EXTRAS = {
    "README.md": {"local", "vertex", "emulator"},
    "docs/emulator.md": {"emulator"},
    "docs/vertex.md": {"local", "vertex"},
}
"""Which extras a page's commands need: those that it says to install."""

FIRST = ("README.md", "docs/search-space-groups.md")
"""The pages that `make test` runs; `make test-all` runs them all."""

GOOGLE = {"README.md", "docs/emulator.md", "docs/hand-written-jobs.md", "docs/vertex.md"}
PROGRAMS = "python3?|pip|vertex-sweeper|vertex-trial|curl|gcloud|docker|export|make|git|cd"


@dataclass(frozen=True)
class Block:
    """A fenced block: the language that it names, its text, and its page without it."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    found = re.finditer(r"^( *)```(\w*)\n(.*?)^\1```$", PAGES[page], re.MULTILINE | re.DOTALL)
    return [Block(match[2], textwrap.dedent(match[3])) for match in found]


def commands(page: str) -> list[str]:
    """The page's commands, each on a line of its own, without comments."""
    texts = [re.sub(r"\\\n\s*", "", block.text) for block in blocks(page) if block.language == "bash"]
    lines = [re.sub(r"(^|\s+)#( .*)?$", "", line) for text in texts for line in text.splitlines()]
    return [line for line in lines if line]


def reason(command: str) -> str | None:
    return next((why for beginning, why in NOT_HERE.items() if command.startswith(beginning)), None)


def test_commands_stand_in_bash_blocks_where_they_are_run() -> None:
    elsewhere = []
    for page, text in PAGES.items():
        others = [block.text for block in blocks(page) if block.language != "bash"]
        outside = re.sub(r"^( *)```(\w*)\n(.*?)^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
        elsewhere += re.findall(rf"^\s*(?:\$ )?(?:{PROGRAMS}) .*$", "\n".join(others), re.MULTILINE)
        elsewhere += re.findall(rf"^(?: {{4,}}|\t)(?:\$ )?(?:{PROGRAMS}) .*$", outside, re.MULTILINE)
    assert elsewhere == []


def test_whatever_is_not_run_stands_on_a_page() -> None:
    every = [command for page in PAGES for command in commands(page)]
    assert [beginning for beginning in NOT_HERE if not any(line.startswith(beginning) for line in every)] == []


def test_of_every_page_with_commands_something_is_seen() -> None:
    assert {page for page in PAGES if any(reason(line) is None for line in commands(page))} == set(SEEN)


@pytest.mark.parametrize("page", EXTRAS)
def test_a_page_says_to_install_what_its_commands_need(page: str) -> None:
    lines = [line for block in blocks(page) for line in block.text.splitlines() if line.startswith("pip install")]
    assert EXTRAS[page] <= {
        extra for line in lines for words in re.findall(r"\[([\w,]+)\]", line) for extra in words.split(",")
    }


# Running them.

needs_hydra_13 = pytest.mark.skipif(not hydra.__version__.startswith("1.3."), reason="they are run with one Hydra, 1.3")
needs_sklearn = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="the example app needs scikit-learn")


def has_google() -> bool:
    try:
        return importlib.util.find_spec("google.cloud.aiplatform_v1") is not None
    except ModuleNotFoundError:
        return False


def environment() -> dict[str, str]:
    """That of a shell in which the tests' environment is active."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "HYDRA", "COV_"))}
    here = str(Path(sys.executable).parent)
    return kept | {"PATH": f"{here}{os.pathsep}{kept.get('PATH', os.defpath)}", "OMP_NUM_THREADS": "1"}


def write_files(page: str, folder: Path) -> None:
    """The files that a page shows: blocks whose first line is a comment with the file's name."""
    for block in blocks(page):
        name = re.match(r"# ([\w./]+\.(?:py|ya?ml))\b", block.text)
        if name:
            path = folder / name[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(with_one_trial(block.text), encoding="utf-8")


def with_one_trial(text: str) -> str:
    return re.sub(r"(max_trial_count=|TrialCount: )\d+", r"\g<1>1", text)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example app in its place, and the app of the page on jobs written by hand beside it."""
    folder = tmp_path_factory.mktemp("a clone")
    shutil.copytree(ROOT / "example_app", folder / "example_app", ignore=shutil.ignore_patterns("__pycache__"))
    write_files("docs/hand-written-jobs.md", folder)
    return folder


@pytest.fixture(scope="module")
def addresses(clone: Path) -> Iterator[dict[str, str]]:
    """What the pages write in capitals, of an emulator that was started as they say."""
    ready = clone / "ready.json"
    command = ["vertex-sweeper", "emulator", "--ready-file", str(ready)]
    process = subprocess.Popen(
        command, cwd=clone, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            printed = process.stdout.readline()
            assert "Vertex tuning emulator on" in printed, printed + process.stdout.read()
            found = json.loads(ready.read_text(encoding="utf-8"))
            yield {"127.0.0.1:PORT": found["address"], "REST_ADDRESS": found["rest_address"]}
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


def run_page(page: str, folder: Path, places: dict[str, str]) -> str:
    """Runs a page's commands as one script, and returns what they printed."""
    lines = [line for line in commands(page) if reason(line) is None]
    script = "\n".join([*([BEFORE[page]] if page in BEFORE else []), *map(with_one_trial, lines)])
    for written, meant in places.items():
        script = script.replace(written, meant)
    result = subprocess.run(
        ["bash", "-eux", "-o", "pipefail", "-c", script],  # noqa: S607 - the user's own, as on the page
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@needs_hydra_13
@needs_sklearn
@pytest.mark.parametrize("page", [page if page in FIRST else thorough(page) for page in SEEN])
def test_a_pages_commands_work_as_written(
    page: str, clone: Path, tmp_path: Path, request: pytest.FixtureRequest, until: Callable[[Callable[[], bool]], None]
) -> None:
    if page in GOOGLE and not has_google():
        pytest.skip("google-cloud-aiplatform is not installed")
    if any(line.startswith("curl ") and reason(line) is None for line in commands(page)) and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    folder = clone
    if page == "docs/search-space-groups.md":
        folder = tmp_path
        write_files(page, folder)
    places = request.getfixturevalue("addresses") if page in GOOGLE else {}
    printed = run_page(page, folder, places)
    assert [words for words in SEEN[page] if words not in printed] == [], printed
    if page == "docs/hand-written-jobs.md":
        until(lambda: job_named("digits", places["REST_ADDRESS"])["state"] not in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"))
        job = job_named("digits", places["REST_ADDRESS"])
        assert job["state"] == "JOB_STATE_SUCCEEDED", job
        assert job["trials"][0]["finalMeasurement"]["metrics"][0]["metricId"] == "val_acc"


def job_named(name: str, address: str) -> dict[str, Any]:
    url = f"http://{address}/v1/projects/p/locations/l/hyperparameterTuningJobs"
    with urllib.request.urlopen(url) as answer:
        jobs = json.load(answer)["hyperparameterTuningJobs"]
    found: dict[str, Any] = next(job for job in jobs if job["displayName"] == name)
    return found
