"""What `.gitignore` and `.gcloudignore` say: git's patterns, read without git.

Git itself is asked where it is there. These rules are for `.gcloudignore`, and for trees that no git knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_INCLUDE: Final = "#!include:"
_CLASS: Final = re.compile(r"\[(?P<not>[!^]?)(?P<members>\]?(?:\\.|\[:\w+:\]|[^\]\\])*)\]")


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """One pattern: what it matches, below the folder whose file has it."""

    pattern: re.Pattern[str]
    folder: str
    directories_only: bool
    takes_back: bool

    def matches(self, path: str, *, directory: bool) -> bool:
        """Whether the pattern is about this path, relative to the tree and with `/`."""
        if (self.directories_only and not directory) or not path.startswith(self.folder):
            return False
        return self.pattern.fullmatch(path[len(self.folder) :]) is not None


def read_rules(path: Path, *, folder: str = "") -> list[IgnoreRule]:
    """The rules of a file, none where there is no such file. `folder` is where it lies in the tree: empty, or `a/b/`."""
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return []
    rules = []
    for line in text.split("\n"):
        if line.startswith(_INCLUDE):  # gcloud's own word, for a file beside this one
            rules += read_rules(path.with_name(Path(line.removeprefix(_INCLUDE).strip()).name), folder=folder)
        elif (rule := parse_rule(line, folder=folder)) is not None:
            rules.append(rule)
    return rules


def parse_rule(line: str, *, folder: str = "") -> IgnoreRule | None:
    """The rule of one line; None of a comment or an empty line."""
    line = line.removesuffix("\r")
    line = re.sub(r"(?<!\\) +$", "", line)
    if not line or line.startswith("#"):
        return None
    takes_back = line.startswith("!")
    line = line[1:] if takes_back else line
    directories_only = line.endswith("/")
    line = line.removesuffix("/")
    anchored = "/" in line
    pattern = _translate(line.removeprefix("/"))
    if pattern is None:
        return None
    return IgnoreRule(
        re.compile(pattern if anchored else f"(?:.*/)?{pattern}", re.DOTALL), folder, directories_only, takes_back
    )


def ignores(rules: Sequence[IgnoreRule], path: str, *, directory: bool = False) -> bool:
    """Whether the last rule about the path, or about a folder that it is in, leaves it out."""
    parts = path.split("/")
    folders = ("/".join(parts[:length]) for length in range(1, len(parts)))
    return any(_last(rules, folder, directory=True) for folder in folders) or _last(rules, path, directory=directory)


def _last(rules: Iterable[IgnoreRule], path: str, *, directory: bool) -> bool:
    found = [rule for rule in rules if rule.matches(path, directory=directory)]
    return bool(found) and not found[-1].takes_back


def _translate(glob: str) -> str | None:
    """Git's pattern as a regular expression; None where it is none, and matches nothing."""
    done, at = "", 0
    while at < len(glob):
        letter = glob[at]
        class_ = _CLASS.match(glob, at) if letter == "[" else None
        if class_ is not None:
            done += _class(class_)
            at = class_.end()
            continue
        if letter == "[":
            return None
        if glob.startswith("**/", at) and (at == 0 or glob[at - 1] == "/"):
            done, at = f"{done}(?:.*/)?", at + 3
        elif glob[at:] == "**" and (at == 0 or glob[at - 1] == "/"):
            done, at = f"{done}.+", at + 2
        elif letter == "*":
            done, at = f"{done}[^/]*", at + len(re.match(r"\*+", glob[at:]).group())  # type: ignore[union-attr]
        elif letter == "?":
            done, at = f"{done}[^/]", at + 1
        elif letter == "\\":
            if at + 1 == len(glob):
                return None
            done, at = f"{done}{re.escape(glob[at + 1])}", at + 2
        else:
            done, at = f"{done}{re.escape(letter)}", at + 1
    return done


def _class(found: re.Match[str]) -> str:
    members = found["members"]
    for name, letters in {"alpha": "A-Za-z", "digit": "0-9", "alnum": "A-Za-z0-9", "upper": "A-Z", "lower": "a-z"}.items():
        members = members.replace(f"[:{name}:]", letters)
    members = re.sub(
        r"\\?(.)", lambda letter: letter[1] if letter[1] == "-" or letter[1].isalnum() else f"\\{letter[1]}", members
    )
    return f"(?!/)[{'^' if found['not'] else ''}{members}]"
