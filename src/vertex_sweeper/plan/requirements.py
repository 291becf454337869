"""What a trial's environment must have: `trial.requirements`, a file of the tree or a list of lines."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vertex_sweeper.credentials import credentials_among
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.settings import TrialSettings

SETTING: Final = "hydra.sweeper.trial.requirements"
_OTHER_FILE: Final = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(\S.*)")
_LOCAL: Final = re.compile(
    r"(-e|--editable)\b|\.{1,2}(/|$|\[)|file:|\S+/(\s|$)|[^\s:@]+\.(whl|tar\.gz|zip)(\s|$|\[)|\S+ *@ *file:"
)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What is to be installed.

    `file` is a file's name in the tree, `lines` are the lines that were set instead; `text` is all that decides what is
    installed, other files that are named there included, and `local` says that files of the tree do, too.
    """

    file: str | None
    lines: tuple[str, ...]
    text: str
    local: bool


NONE: Final = Requirements(None, (), "", local=False)
"""Where nothing was set."""


def read_requirements(trial: TrialSettings, *, root: Path, folder: str, names: frozenset[str]) -> Requirements:
    """The requirements of a sweep.

    Args:
        trial: The settings.
        root: The tree.
        folder: The working directory, relative to the tree.
        names: The files that go along.

    Raises:
        InvalidSweep: A file is not in the tree, cannot be read, or names one that is not there; a line has a password.
    """
    given = trial.requirements
    if given is None:
        return NONE
    if isinstance(given, str):
        file = posixpath.normpath(posixpath.join(folder, given))
        texts = list(_read_all(root, file, names, from_=SETTING))
        lines: tuple[str, ...] = ()
    else:
        file, lines = None, tuple(given)
        if any(_OTHER_FILE.match(line.strip()) for line in lines):
            raise InvalidSweep([f"{SETTING}: a line that names another file must be in a file: name that file instead"])
        texts = ["\n".join(lines)]
    mistakes = [] if trial.allow_secrets else credentials_among([(SETTING, text) for text in texts])
    if mistakes:
        raise InvalidSweep(mistakes)
    text = "\n".join(texts)
    return Requirements(file, lines, text, local=any(_LOCAL.match(line.strip()) for line in text.split("\n")))


def _read_all(root: Path, file: str, names: frozenset[str], *, from_: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """The text of a requirements file, and of those that it names."""
    if file not in names:
        rule = f"{from_}: {file!r} is not in the tree that trial.code sends"
        why = "it is outside" if file.startswith(("../", "/")) else "see what .gitignore and .gcloudignore leave out"
        missing = "there is no such file" if not file.startswith(("../", "/")) and not (root / file).exists() else why
        raise InvalidSweep([f"{rule}: {missing}"])
    try:
        text = (root / file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSweep([f"{SETTING}: {file!r} cannot be read: {error}"]) from error
    yield text
    for line in text.replace("\\\n", " ").split("\n"):
        other = _OTHER_FILE.match(line.strip())
        if other is None:
            continue
        name = "".join(shlex.split(other[1], comments=True)[:1])
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), name))
        if "://" not in name and path not in seen:
            yield from _read_all(root, path, names, from_=f"{SETTING}: {file}", seen=seen | {file, path})
