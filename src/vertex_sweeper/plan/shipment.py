"""Everything that goes to a bucket for a sweep's containers, found and checked: the tree, this package, the requirements."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Final

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.shipped_code import LOCAL_STAGING, ShippedCode
from vertex_sweeper.plan.code_bundle import CodeBundle, pack
from vertex_sweeper.plan.code_tree import list_tree
from vertex_sweeper.plan.mistakes import Mistakes
from vertex_sweeper.plan.own_wheel import Wheel, own_wheel
from vertex_sweeper.plan.requirements import NONE, Requirements, read_requirements
from vertex_sweeper.settings import JobSettings, TrialSettings

_CODE: Final = "hydra.sweeper.trial.code"
_START: Final = ("vertex_sweeper_runtime.code_archive", "vertex_sweeper_runtime.code_start")


@dataclass(frozen=True, slots=True)
class Shipment:
    """What the job says of the code, and what is to be uploaded for it."""

    code: ShippedCode
    bundle: CodeBundle
    wheel: Wheel

    def contents(self) -> dict[str, IO[bytes]]:
        """What must be in a bucket when the job begins, by its address."""
        return {self.code.wheel: io.BytesIO(self.wheel.content), self.code.archive: self.bundle.archive}

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the user."""
        return self.bundle.notes


def make_shipment(
    settings: JobSettings, *, directory: Path, commands: Sequence[Sequence[str]], sweep_directory: Path | None = None
) -> Shipment | None:
    """The code of a sweep that is started in `directory`; None where it is in the image.

    Args:
        settings: The sweep's.
        directory: Where the sweep was started.
        commands: The words that start a trial there, of each worker pool.
        sweep_directory: This sweep's directory, which is no code.

    Raises:
        InvalidSweep: With every mistake in the tree, its requirements, and the words that start a trial.
    """
    if settings.trial.code is None:
        return None
    root = Path(os.path.realpath(directory / settings.trial.code))
    files = list_tree(root, left_out=[] if sweep_directory is None else [sweep_directory])
    folder = _folder_in(root, directory, settings.trial.code)
    bundle = pack(root, files, allow_secrets=settings.trial.allow_secrets)
    wanted, wheels = _installed(settings.trial, root, folder, bundle.names, commands)
    wheel, staging = own_wheel(), _staging(settings)
    code = ShippedCode(
        start=start_text(),
        archive=f"{staging}/code/{bundle.sha256}.tar.gz",
        archive_sha256=bundle.sha256,
        wheel=f"{staging}/code/{wheel.name}",
        wheel_sha256=wheel.sha256,
        folder=folder,
        requirements=wanted.lines,
        requirements_file=wanted.file,
        wheels=wheels,
        key=_key(wanted, wheel, wheels, bundle),
    )
    return Shipment(code, bundle, wheel)


def _installed(
    trial: TrialSettings, root: Path, folder: str, names: frozenset[str], commands: Sequence[Sequence[str]]
) -> tuple[Requirements, str | None]:
    """What is installed for the trials, and from where. Raises InvalidSweep, also for commands that are not in the tree."""
    mistakes = Mistakes()
    for command in commands:
        mistakes.add(_missing_files(command, folder, names))
    wanted, wheels = NONE, trial.wheels
    with mistakes:
        wanted = read_requirements(trial, root=root, folder=folder, names=names)
    with mistakes:
        wheels = _wheels(wheels, folder, names)
    mistakes.raise_if_any()
    return wanted, wheels


def _folder_in(root: Path, directory: Path, given: str) -> str:
    """The working directory, relative to the tree."""
    folder = os.path.relpath(os.path.realpath(directory), root)
    if Path(folder).parts[:1] == (os.pardir,):
        rule = f"{_CODE}: the folder {given!r} does not hold {directory}, where this sweep is started"
        raise InvalidSweep([f"{rule}: name that folder (`.`), or one above it"])
    return folder


def _staging(settings: JobSettings) -> str:
    vertex = settings.vertex
    return (vertex.staging or vertex.base_output_directory or LOCAL_STAGING).rstrip("/")


def _key(wanted: Requirements, wheel: Wheel, wheels: str | None, bundle: CodeBundle) -> str:
    """The hash of all that decides what is installed."""
    local = wanted.local or (wheels is not None and not wheels.startswith("gs://"))
    about = [wanted.text, wheel.sha256, wheels, bundle.sha256 if local else ""]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def _missing_files(command: Sequence[str], folder: str, names: frozenset[str]) -> list[str]:
    """A line for a script or a folder of configs that a trial would not have."""
    words = [word for word in command if word.endswith(".py")][:1]
    lines = []
    for word in words:
        path = posixpath.normpath(posixpath.join(folder, word))
        if path not in names:
            rule = f"{_CODE}: the script {word!r}, which starts a trial, is not in the tree that is sent"
            lines.append(f"{rule}: see what .gitignore and .gcloudignore leave out")
    for flag, word in pairwise(command):
        path = posixpath.normpath(posixpath.join(folder, word))
        if flag in ("--config-dir", "-cd") and not any(name.startswith(f"{path}/") for name in names):
            lines.append(f"{_CODE}: nothing of {flag} {word!r} is in the tree that is sent: see what .gitignore leaves out")
    return lines


def _wheels(wheels: str | None, folder: str, names: frozenset[str]) -> str | None:
    if wheels is None or wheels.startswith(("gs://", "/")):  # an absolute one is refused among the settings
        return wheels
    path = posixpath.normpath(posixpath.join(folder, wheels))
    if not any(name.startswith(f"{path}/") and name.endswith(".whl") for name in names):
        rule = f"hydra.sweeper.trial.wheels: no wheel of {wheels!r} is in the tree that trial.code sends"
        raise InvalidSweep([f"{rule}: name a gs:// folder, or see what .gitignore leaves out"])
    return path


def start_text() -> str:
    """The program that a container starts with: two modules of the runtime, which import nothing else of it."""
    lines = ["import sys, types"]
    for name in _START:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).read_text(encoding="utf-8")
        lines.append(f"sys.modules[{name!r}] = module = types.ModuleType({name!r})")
        lines.append(f"exec(compile({source!r}, {name!r}, 'exec'), module.__dict__)")
    return "\n".join([*lines, "sys.exit(module.main(sys.argv[1:]))", ""])
