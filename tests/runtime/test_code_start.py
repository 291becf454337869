"""The start of a container without an app, on a stripped Python that stands in for a stripped image. No network is used."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import hydra
import pytest

from tests.shipped import environment_without, make_python, write_app, write_wheels
from vertex_sweeper.job import shipped_code
from vertex_sweeper.job.shipped_code import ShippedCode
from vertex_sweeper.plan.code_bundle import pack
from vertex_sweeper.plan.code_tree import list_tree
from vertex_sweeper.plan.own_wheel import Wheel, own_wheel
from vertex_sweeper.plan.shipment import start_text
from vertex_sweeper_runtime import code_archive
from vertex_sweeper_runtime.code_archive import BUCKETS, StartError, unpack
from vertex_sweeper_runtime.code_start import TREES, VARIABLE
from vertex_sweeper_runtime.errors import PERMANENT

WHEEL: Wheel = own_wheel()

pytestmark = pytest.mark.skipif(
    not hydra.__version__.startswith("1.3."), reason="the start knows no Hydra: it is tried with one of them"
)


@dataclass
class Image:
    """A Python that stands for an image, a folder that stands for the buckets, and what one start left behind."""

    folder: Path
    python: Path
    cache: Path
    buckets: Path
    environment: dict[str, str] = field(default_factory=dict)

    def ship(self, tree: Path, **more: object) -> ShippedCode:
        """Puts a tree and the wheel into the bucket."""
        return self.put(pack(tree, list_tree(tree)).archive.read(), **more)

    def put(self, archive: bytes, **more: object) -> ShippedCode:
        """Puts an archive and the wheel into the bucket."""
        digest = hashlib.sha256(archive).hexdigest()
        where = self.buckets / "b" / "code"
        where.mkdir(parents=True, exist_ok=True)
        (where / f"{digest}.tar.gz").write_bytes(archive)
        (where / WHEEL.name).write_bytes(WHEEL.content)
        code = ShippedCode(
            start=start_text(),
            archive=f"gs://b/code/{digest}.tar.gz",
            archive_sha256=digest,
            wheel=f"gs://b/code/{WHEEL.name}",
            wheel_sha256=WHEEL.sha256,
            wheels="gs://b/wheels",
        )
        return replace(code, **more)  # type: ignore[arg-type]  # fields by their names

    def popen(self, code: ShippedCode, *words: str) -> subprocess.Popen[str]:
        """Starts the container's command."""
        own = {BUCKETS: str(self.buckets), "XDG_CACHE_HOME": str(self.cache), TREES: str(self.folder / "trees")}
        own["PIP_NO_COMPILE"] = "1"  # which costs more than all else that pip does
        metrics = {"CLOUD_ML_HP_METRIC_FILE": str(self.folder / "metrics"), "CLOUD_ML_TRIAL_ID": "1"}
        return subprocess.Popen(
            [str(self.python), *code.words[1:], "vertex-trial", *(words or ("python", "train.py", "x=3"))],
            env={**environment_without("PIP_FIND_LINKS"), **own, **metrics, **code.variable, **self.environment},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start(self, code: ShippedCode, *words: str) -> tuple[int, str, str]:
        """The exit code, what was printed, and the lines of the start and the shim."""
        process = self.popen(code, *words)
        output, errors = process.communicate()
        return (
            process.returncode,
            output,
            "".join(line for line in errors.splitlines(keepends=True) if line.startswith("vertex-trial: ")),
        )

    def metrics(self) -> list[float]:
        """What was reported so far."""
        lines = (self.folder / "metrics").read_text(encoding="utf-8").splitlines()
        return [float(json.loads(line)["objective"]) for line in lines]

    def lacks(self, *modules: str) -> None:
        """Takes modules away from the image's Python, and from environments on top of it."""
        text = "".join(f"import sys; sys.modules[{name!r}] = None\n" for name in modules)
        (self.site_packages / "stripped.pth").write_text(text, encoding="utf-8")

    @property
    def site_packages(self) -> Path:
        return next((self.python.parents[1] / "lib").glob("python3*")) / "site-packages"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_python(tmp_path_factory.mktemp("a python") / "image")


@pytest.fixture
def image(tmp_path: Path, wheels: Path, cache: Path, python: Path) -> Image:
    """An image whose environments are shared by the tests of this module."""
    found = Image(tmp_path, python, cache, tmp_path / "the buckets")
    found.buckets.mkdir()
    (found.buckets / "b").mkdir()
    (found.buckets / "b" / "wheels").symlink_to(wheels)
    return found


@pytest.fixture
def other_image(image: Image) -> Image:
    """An image of the test's own, with no environments yet."""
    return replace(image, python=make_python(image.folder / "image"), cache=image.folder / "cache")


def test_the_tree_runs_in_an_environment_which_the_next_trial_uses_again(image: Image) -> None:
    code = image.ship(write_app(image.folder / "app"), requirements_file="requirements.txt")
    first, second = image.start(code), image.start(code, "python", "train.py", "x=0.5")
    assert first[0] == second[0] == 0, (first, second)
    assert image.metrics() == [4.0, 0.25]
    assert "Installing" not in second[1]


def test_two_trials_that_begin_together_do_no_harm(other_image: Image) -> None:
    code = other_image.ship(write_app(other_image.folder / "app"))
    processes = [other_image.popen(code, "--help") for _ in range(2)]
    ended = [(process.communicate(), process.returncode) for process in processes]
    assert [code for _, code in ended] == [0, 0], ended
    assert all("usage: vertex-trial" in output for (output, _), _ in ended)
    assert sum("Successfully installed" in output for (output, _), _ in ended) == 1


def test_what_the_image_has_is_there_and_what_the_requirements_say_comes_before_it(other_image: Image, wheels: Path) -> None:
    (other_image.site_packages / "framework.py").write_text("VALUE = 7\n", encoding="utf-8")
    app = write_app(other_image.folder / "app")
    (app / "offset.py").write_text(
        "import hydra\nfrom framework import VALUE\nprint('hydra is', hydra.__file__)\n", encoding="utf-8"
    )
    # What lies in the tree, or where the image works, stands for nothing of Python's.
    for name in ("tarfile", "pip", "venv", "subprocess"):
        (app / f"{name}.py").write_text("raise SystemExit('not this one')\n", encoding="utf-8")
    shutil.copytree(wheels, app / "wheels")
    for name in ("tarfile", "subprocess"):
        shutil.copy(app / f"{name}.py", other_image.folder)
    (app / "subprocess.py").unlink()  # Hydra itself imports it, from the script's folder first, as in any run
    code, output, said = other_image.start(other_image.ship(app, wheels="wheels", requirements=("hydra-core<2",)))
    assert (code, said) == (0, ""), output
    assert other_image.metrics() == [11.0]
    assert f"hydra is {other_image.cache}" in output


@pytest.mark.parametrize("missing", [("ensurepip", "venv"), ("pip", "ensurepip", "venv")], ids="-".join)
def test_images_that_lack_something_do(other_image: Image, missing: tuple[str, ...]) -> None:
    if "pip" in missing:
        uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if uv is None:
            pytest.skip("needs uv")
        other_image.environment["PATH"] = f"{Path(uv).parent}:{os.environ['PATH']}"
    other_image.lacks(*missing)
    code, output, said = other_image.start(other_image.ship(write_app(other_image.folder / "app")))
    assert (code, said) == (0, ""), output
    assert other_image.metrics() == [4.0]


def test_an_image_that_forbids_pip_to_install_is_fine(image: Image) -> None:
    """PEP 668. A Linux system's own Python says so, and often has no `ensurepip` either."""
    system = Path("/usr/bin/python3")
    words = [str(system), "-c", "import pip, sysconfig; print(sysconfig.get_path('stdlib'), sysconfig.get_python_version())"]
    found = subprocess.run(words, capture_output=True, text=True, check=False).stdout.split() if system.exists() else []
    if not found or not Path(found[0], "EXTERNALLY-MANAGED").exists():
        pytest.skip("needs a Python in /usr/bin that has pip and is externally managed")
    if found[1] != f"{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip("the wheels are those of another Python")
    image.python = system
    code, output, said = image.start(image.ship(write_app(image.folder / "app")))
    assert (code, said) == (0, ""), output
    assert image.metrics() == [4.0]


def test_requirements_of_the_tree_are_found_from_the_working_directory(image: Image) -> None:
    app = write_app(image.folder / "app" / "inner")
    code = image.ship(app.parent, folder="inner", requirements_file="inner/requirements.txt", key="inner")
    assert image.start(code)[0] == 0
    assert image.metrics() == [4.0]


# What goes wrong is one line, and an exit code of its own.


def damaged(code: ShippedCode, image: Image) -> ShippedCode:
    path = image.buckets / code.archive.removeprefix("gs://")
    path.write_bytes(path.read_bytes()[:-7])
    return code


def gone(code: ShippedCode, image: Image) -> ShippedCode:
    (image.buckets / code.archive.removeprefix("gs://")).unlink()
    return code


def unmounted(code: ShippedCode, image: Image) -> ShippedCode:
    image.environment[BUCKETS] = "/no/such/folder"
    return code


def unresolved(code: ShippedCode, image: Image) -> ShippedCode:
    del image
    return replace(code, requirements=("no-such-package-anywhere==1.2",), key="unresolved")


def contradicting(code: ShippedCode, image: Image) -> ShippedCode:
    del image
    return replace(code, requirements=("hydra-core<1.3",), key="contradicting")


def unwritable(code: ShippedCode, image: Image) -> ShippedCode:
    image.environment[TREES] = "/proc/trees"
    return code


def bare(code: ShippedCode, image: Image) -> ShippedCode:
    image.python = make_python(image.folder / "image")
    image.lacks("pip", "ensurepip")
    programs = image.folder / "programs"
    programs.mkdir()
    image.environment["PATH"] = str(programs)
    return replace(code, key="bare")


def no_words(code: ShippedCode, image: Image) -> ShippedCode:
    image.environment[VARIABLE] = "{"
    return code


@pytest.mark.parametrize(
    ("harm", "code", "said"),
    [
        (
            gone,
            72,
            "cannot be read at .* (No such file or directory): the job's service account needs roles/storage.objectUser",
        ),
        (unmounted, 72, "no buckets are mounted here"),
        (no_words, 72, "VERTEX_SWEEPER_CODE"),
        (damaged, 73, "is not what this sweep sent"),
        (unresolved, 74, "No matching distribution found for no-such-package-anywhere==1.2"),
        (contradicting, 74, "hydra-core"),
        (unwritable, 75, "no folder for the code can be written"),
        (bare, 76, "the image has neither pip, uv nor ensurepip: use one that has pip or uv"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_start_says_why(
    image: Image, harm: Callable[[ShippedCode, Image], ShippedCode], code: int, said: str
) -> None:
    found, output, lines = image.start(harm(image.ship(write_app(image.folder / "app")), image))
    assert (found, lines.count("\n")) == (code, 1), (output, lines)
    for part in said.split(" .* "):
        assert part in lines
    assert code in PERMANENT


def test_every_exit_code_of_the_start_is_permanent() -> None:
    assert set(code_archive.EXIT_CODES) == {code for code in PERMANENT if 70 < code < 126}


def test_an_old_python_is_told(monkeypatch: pytest.MonkeyPatch, image: Image) -> None:
    monkeypatch.setattr(shipped_code, "OLDEST_PYTHON", (99, 0))
    code, _, said = image.start(image.ship(write_app(image.folder / "app")))
    assert code == 71
    assert "the image has Python 3." in said
    assert "use another image" in said
    ast.parse(image.ship(image.folder / "app").words[-1], feature_version=(3, 4))  # which must be able to say so


def test_who_ends_the_container_while_it_installs_ends_the_installer(
    other_image: Image, until: Callable[[Callable[[], bool]], None]
) -> None:
    other_image.lacks("pip")
    programs, begun = other_image.folder / "programs", other_image.folder / "begun"
    programs.mkdir()
    (programs / "uv").write_text(
        f"#!/bin/sh\necho $$ > {begun}.part; mv {begun}.part {begun}; exec sleep 600\n", encoding="utf-8"
    )
    (programs / "uv").chmod(0o755)
    other_image.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
    process = other_image.popen(other_image.ship(write_app(other_image.folder / "app")))
    until(begun.exists)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(begun.read_text()), 0)
    environments = other_image.cache / "hydra-vertex-sweeper" / "environments"
    assert [path.name for path in environments.iterdir() if path.suffix != ".lock"] == []


# Archives of another hand.

Member = tuple[str, bytes, str]


def make_archive(path: Path, members: Iterable[Member]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target if kind != tarfile.REGTYPE else ""
            member.size = len(target) if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(target.encode()))
    return path


HOSTILE: dict[str, list[Member]] = {
    "an absolute name": [("/x", tarfile.REGTYPE, "a")],
    "a name that climbs": [("a/../../x", tarfile.REGTYPE, "a")],
    "the tree itself": [(".", tarfile.REGTYPE, "a")],
    "a link that climbs": [("a", tarfile.SYMTYPE, "../x")],
    "an absolute link": [("a", tarfile.SYMTYPE, "/etc/passwd")],
    "a link by another link": [("p/q/up", tarfile.SYMTYPE, "../.."), ("y", tarfile.SYMTYPE, "p/q/up/../x")],
    "a hard link": [("a", tarfile.REGTYPE, "a"), ("b", tarfile.LNKTYPE, "a")],
    "a device": [("a", tarfile.CHRTYPE, "")],
    "a pipe": [("a", tarfile.FIFOTYPE, "")],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_archive_that_leaves_the_tree_is_refused(tmp_path: Path, case: str) -> None:
    archive = make_archive(tmp_path / "a.tar.gz", HOSTILE[case])
    before = set(tmp_path.iterdir())
    with pytest.raises(StartError) as caught:
        unpack(str(archive), str(tmp_path / "tree"))
    assert caught.value.code == code_archive.OTHER_CODE
    assert set(tmp_path.iterdir()) - before == {tmp_path / "tree"}


def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    members: list[Member] = [("d", tarfile.SYMTYPE, "e"), ("d/a", tarfile.REGTYPE, "a"), ("e/b", tarfile.REGTYPE, "b")]
    with pytest.raises((StartError, FileExistsError)):
        unpack(str(make_archive(tmp_path / "a.tar.gz", members)), str(tmp_path / "tree"))
    assert not (tmp_path / "tree" / "e" / "a").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    with pytest.raises(StartError, match="cannot be unpacked"):
        unpack(str(tmp_path / "a.tar.gz"), str(tmp_path / "tree"))


# What the job carries.


def test_nothing_in_the_job_is_touched_by_expansion_or_quoting(image: Image) -> None:
    code = image.ship(write_app(image.folder / "app"), requirements=("a @ https://$(HOME)/${X}", "b"))
    text = "".join([*code.words, *code.variable.values()])
    assert "$" not in text
    assert "\n" not in text
    assert json.loads(code.variable[VARIABLE])["requirements"] == ["a @ https://$(HOME)/${X}", "b"]
    assert len("".join(code.words)) < 12_000
