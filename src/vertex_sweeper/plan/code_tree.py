"""Which files of a folder are the app's code: what git tracks or would add, less what is made by running it.

`.gitignore` and `.gcloudignore` hold. Nothing is read here but the list of files; git is run without a shell.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.plan.ignore_rules import IgnoreRule, ignores, read_rules

_CACHES: Final = frozenset(
    {
        *(".git", ".hg", ".svn", ".jj", "__pycache__", ".cache", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"),
        *(".ipynb_checkpoints", ".tox", ".nox", ".venv", "venv", "node_modules", ".eggs", ".idea", ".vscode", ".DS_Store"),
    }
)
_OUTPUTS: Final = frozenset({"outputs", "multirun", "mlruns", "wandb", "lightning_logs"})
_MARKS: Final = (("pyvenv.cfg",), ("conda-meta",), (".hydra",), ("sweep.json", "job.json"))
"""What is found in the folders of environments, of Hydra's output, and of sweeps: any of these, all its names together."""

_PATIENCE: Final = 60.0
_GIT_VARIABLES: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One file or link of the tree, as it was when the tree was listed. `name` is relative, with `/`."""

    name: str
    found: os.stat_result = field(compare=False)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.found.st_mode)


def list_tree(root: Path, *, left_out: Sequence[Path] = ()) -> list[TreeFile]:
    """The files of the tree, by name.

    Args:
        root: The tree's folder.
        left_out: Further folders that are no code, such as this sweep's own directory.

    Raises:
        InvalidSweep: The folder is not there, or cannot be read.
    """
    if not root.is_dir():
        raise InvalidSweep([f"hydra.sweeper.trial.code: {str(root)!r} is no folder: name the one that has the app, as in `.`"])
    try:
        tracked, others = _listed_by_git(root) or ([], _walk(root))
        rules = read_rules(root / ".gcloudignore")
        made = _MadeFolders(root, left_out)
        names = {*tracked, *(name for name in others if not made.has(name))}
        found = (_look(root, name) for name in sorted(names) if not ignores(rules, name))
        return [file for file in found if file is not None]
    except OSError as error:
        raise InvalidSweep([f"hydra.sweeper.trial.code: {error.filename} cannot be read: {error.strerror}"]) from error


def _look(root: Path, name: str) -> TreeFile | None:
    """The file as it is; None of one that git has and the folder has not, and of pipes and sockets, which no archive holds."""
    try:
        found = os.lstat(root / name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return TreeFile(name, found) if stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode) else None


class _MadeFolders:
    """Folders that running the app has made: caches, environments, output."""

    def __init__(self, root: Path, left_out: Sequence[Path]) -> None:
        self._root = root
        self._left_out = {os.path.relpath(path, root) for path in left_out}
        self._known: dict[str, bool] = {}

    def has(self, name: str) -> bool:
        """Whether a file is in one of them."""
        parts = name.split("/")
        return parts[-1] in _CACHES or any(self._is_made("/".join(parts[:length])) for length in range(1, len(parts)))

    def _holds(self, folder: str, *names: str) -> bool:
        return all(os.path.lexists(self._root / folder / name) for name in names)

    def _is_made(self, folder: str) -> bool:
        if folder not in self._known:
            last = folder.rsplit("/", 1)[-1]
            named = last in _CACHES or last.endswith(".egg-info") or folder in self._left_out
            output = last in _OUTPUTS and not self._holds(folder, "__init__.py")  # a package may have that name, too
            self._known[folder] = named or output or any(self._holds(folder, *names) for names in _MARKS)
        return self._known[folder]


def _listed_by_git(root: Path) -> tuple[list[str], list[str]] | None:
    """What git tracks, and what it would add; None where it knows nothing of the folder, or is not there."""
    tracked = _git_files(root, "--cached")
    others = _git_files(root, "--others", "--exclude-standard")
    if tracked is None or others is None or not _is_known(root, tracked):
        return None
    # Of another repository inside, a submodule for instance, git gives the folder alone.
    for names in (tracked, others):
        for name in [name for name in names if name.endswith("/") or _is_folder(root / name)]:
            names.remove(name)
            names += [f"{name.rstrip('/')}/{inner}" for inner in _inside(root / name)]
    return tracked, others


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _inside(folder: Path) -> list[str]:
    tracked, others = _listed_by_git(folder) or ([], list(_walk(folder)))
    return [*tracked, *others]


def _is_known(root: Path, tracked: Sequence[str]) -> bool:
    """Whether the tree is git's: a folder that an outer repository ignores as a whole has no file there."""
    return bool(tracked) or (root / ".git").exists() or _git(root, "check-ignore", "--quiet", ".") is None


def _git_files(root: Path, *options: str) -> list[str] | None:
    output = _git(root, "ls-files", "-z", *options)
    return None if output is None else [os.fsdecode(name) for name in output.split(b"\0") if name]


def _git(root: Path, *words: str) -> bytes | None:
    """What git prints; None where it fails, or is not there."""
    # Nothing is written (a refreshed index would be), and nothing that the repository names is run.
    environment = {name: value for name, value in os.environ.items() if name not in _GIT_VARIABLES}
    environment["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        result = subprocess.run(  # noqa: S603 - our own words
            ["git", "-c", "core.fsmonitor=false", *words],  # noqa: S607 - the user's git
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout if result.returncode == 0 else None


def _walk(root: Path) -> Iterator[str]:
    """All files below a folder that no `.gitignore` in it leaves out."""

    def walk(folder: str, rules: list[IgnoreRule]) -> Iterator[str]:
        rules = [*rules, *read_rules(root / folder / ".gitignore", folder=folder)]
        with os.scandir(root / folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name, inside = f"{folder}{entry.name}", entry.is_dir(follow_symlinks=False)
                if entry.name in _CACHES or ignores(rules, name, directory=inside):
                    continue
                if inside:
                    yield from walk(f"{name}/", rules)
                else:
                    yield name

    return walk("", [])
