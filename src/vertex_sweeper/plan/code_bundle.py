"""The code of a sweep as one archive: the same bytes for the same tree, named by their hash.

What must not leave this machine, or would be of no use elsewhere, is refused: a line each, all of them together.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import posixpath
import re
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.messages import printable
from vertex_sweeper.plan.code_tree import TreeFile

LARGE: Final = 50_000_000
"""From so many bytes on a line names the largest files."""

TOO_LARGE: Final = 500_000_000
"""More is refused: data belongs into a bucket, and not into each trial's start."""

_LARGEST: Final = 3
_MOST_LINES: Final = 10
_IN_MEMORY: Final = 64_000_000
_SETTING: Final = "hydra.sweeper.trial.code"
_REMEDY: Final = "name it in .gcloudignore, or move it out of the tree"

_SECRET_NAMES: Final = re.compile(
    r"""
    \.env(?!\.(example|sample|template|dist|defaults)$)(\..+)? | \.envrc | \.netrc | _netrc | \.pypirc | \.git-credentials
    | id_(rsa|dsa|ecdsa|ed25519)(_sk)? | .+\.(p12|pfx|jks|keystore|kdbx|ppk) | \.htpasswd | \.pgpass | \.boto
    | application_default_credentials\.json | client_secret.*\.json | credentials\.json | service[-_]account.*\.json
    | secrets\.toml | kubeconfig
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SECRET_PATHS: Final = re.compile(r"(^|/)(\.aws/credentials|\.kube/config|\.docker/config\.json)$")
_LONGEST_SECRET: Final = 256_000
_PRIVATE_KEY: Final = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(\r?\n|\\n)+(Proc-Type|[A-Za-z0-9+/=]{40})"  # a header alone is a text about keys
)
_ACCOUNT_KEY: Final = re.compile(rb"\"private_key\"\s*:\s*\"-----BEGIN |\"type\"\s*:\s*\"authorized_user\"")
_LFS: Final = b"version https://git-lfs.github.com/spec/"
_LONGEST_POINTER: Final = 1024


@dataclass(frozen=True, slots=True)
class CodeBundle:
    """A packed tree.

    `archive` is open for reading, at its beginning; `names` are those of its members, `size` that of the files in bytes.
    """

    archive: IO[bytes]
    sha256: str
    names: frozenset[str]
    size: int
    notes: tuple[str, ...]


def pack(root: Path, files: Sequence[TreeFile], *, allow_secrets: bool = False) -> CodeBundle:
    """Packs the files.

    Args:
        root: The tree's folder.
        files: What `list_tree` found there.
        allow_secrets: Take what looks like a credential, too.

    Raises:
        InvalidSweep: With a line for each file that cannot go along.
    """
    if not any(not file.is_link for file in files):
        raise InvalidSweep([f"{_SETTING}: no file of {str(root)!r} is code: see what .gitignore and .gcloudignore leave out"])
    size = sum(file.found.st_size for file in files)
    if size > TOO_LARGE:
        rule = f"{_SETTING}: the tree has {in_words(size)}, and at most {in_words(TOO_LARGE)} are sent"
        raise InvalidSweep([f"{rule}: {_largest(files)}: name what is no code in .gcloudignore"])
    names = frozenset(file.name for file in files)
    mistakes: list[str] = []
    archive: IO[bytes] = io.BytesIO() if size <= _IN_MEMORY else tempfile.TemporaryFile()  # noqa: SIM115 - who sends it closes it
    try:
        # No name and no time in the header: the same tree is the same bytes.
        with (
            gzip.GzipFile("", "wb", 6, archive, mtime=0) as packed,
            tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as tar,
        ):
            for file in files:
                mistakes += _add(tar, root, file, names, allow_secrets=allow_secrets)
        _refuse(mistakes)
        return CodeBundle(archive, _digest(archive), names, size, tuple(_notes(files, size)))
    except BaseException as error:
        archive.close()
        if isinstance(error, OSError):
            raise InvalidSweep([f"{_SETTING}: the archive cannot be made: {error.strerror or error}"]) from error
        raise


def _refuse(mistakes: Sequence[str]) -> None:
    more = [f"{_SETTING}: … and {len(mistakes) - _MOST_LINES} more files"] if len(mistakes) > _MOST_LINES else []
    if mistakes:
        raise InvalidSweep([*mistakes[:_MOST_LINES], *more])


def _add(tar: tarfile.TarFile, root: Path, file: TreeFile, names: frozenset[str], *, allow_secrets: bool) -> Iterator[str]:
    """Adds a file to the archive; a line where it cannot go along."""
    where = f"{_SETTING}: {printable(file.name)!r}"
    member = tarfile.TarInfo(file.name)  # owner, group and time are 0
    if file.is_link:
        member.type, member.linkname = tarfile.SYMTYPE, str((root / file.name).readlink())
        if _leaves(root, file.name, member.linkname):
            yield f"{where} is a link that leads out of the tree, to {printable(member.linkname)!r}: {_REMEDY}"
        elif not _leads_to(file.name, member.linkname, names):
            yield f"{where} is a link to {printable(member.linkname)!r}, which does not go along: {_REMEDY}"
        else:
            tar.addfile(member)
        return
    if not allow_secrets and is_secret_name(file.name):
        yield f"{where} looks like a credential by its name: {_REMEDY}; hydra.sweeper.trial.allow_secrets=true sends it"
        return
    member.size, member.mode = file.found.st_size, 0o755 if file.found.st_mode & 0o100 else 0o644
    try:
        # Not `Path.open`: it follows a link that has taken the file's place.
        with os.fdopen(os.open(root / file.name, os.O_RDONLY | os.O_NOFOLLOW), "rb") as source:
            mistake = _what_it_holds(source, file.found.st_size, allow_secrets=allow_secrets)
            if mistake:
                yield f"{where} {mistake}"
            elif _changed(file, source):
                yield _changed_line(where)
            else:
                tar.addfile(member, source)
                if _changed(file, source):
                    yield _changed_line(where)
    except OSError as error:
        if error.errno is None:  # tarfile's own: there was less than there had been
            yield _changed_line(where)
        else:
            yield f"{where} cannot be read ({error.strerror}): {_REMEDY}"


def _changed_line(where: str) -> str:
    return f"{where} has changed while it was read: wait until nothing writes it, or name it in .gcloudignore"


def _changed(file: TreeFile, source: IO[bytes]) -> bool:
    now = os.fstat(source.fileno())
    return any(getattr(now, key) != getattr(file.found, key) for key in ("st_dev", "st_ino", "st_size", "st_mtime_ns"))


def is_secret_name(name: str) -> bool:
    """Whether a file of this name is one that holds credentials."""
    return _SECRET_NAMES.fullmatch(posixpath.basename(name)) is not None or _SECRET_PATHS.search(name) is not None


def _what_it_holds(source: IO[bytes], size: int, *, allow_secrets: bool) -> str | None:
    """Why the content must not go along; None where nothing is wrong."""
    text = source.read(_LONGEST_SECRET) if size <= _LONGEST_SECRET else b""
    source.seek(0)
    if size <= _LONGEST_POINTER and text.startswith(_LFS):
        return f"is a Git LFS pointer, and not the file: run `git lfs pull`, or {_REMEDY}"
    if not allow_secrets and (_PRIVATE_KEY.search(text) or _ACCOUNT_KEY.search(text)):
        return f"holds a private key or a login: {_REMEDY}; hydra.sweeper.trial.allow_secrets=true sends it"
    return None


def _leaves(root: Path, name: str, target: str) -> bool:
    if posixpath.isabs(target) or posixpath.normpath(posixpath.join(posixpath.dirname(name), target)).split("/")[0] == "..":
        return True
    top = os.path.realpath(root)
    leads = os.path.realpath(root / name)
    return leads != top and not leads.startswith(top.rstrip("/") + "/")


def _leads_to(name: str, target: str, names: frozenset[str]) -> bool:
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
    # Through another link it cannot be told by the names; that the container would not leave the tree is known.
    return path == "." or path in names or any(one.startswith(f"{path}/") or path.startswith(f"{one}/") for one in names)


def _digest(archive: Any) -> str:
    archive.seek(0)
    digest = hashlib.sha256()
    while chunk := archive.read(1 << 20):
        digest.update(chunk)
    archive.seek(0)
    return digest.hexdigest()


def _notes(files: Sequence[TreeFile], size: int) -> Iterator[str]:
    count = "1 file" if len(files) == 1 else f"{len(files):,} files"
    yield f"trial.code: {count}, {in_words(size)}; the largest: {_largest(files)}"
    if size > LARGE:
        yield (
            f"trial.code: {in_words(size)} go to the bucket, and into every trial: name what is no code in .gcloudignore, and "
            "put data into a bucket"
        )


def _largest(files: Sequence[TreeFile]) -> str:
    largest = sorted(files, key=lambda file: (-file.found.st_size, file.name))[:_LARGEST]
    return ", ".join(f"{printable(file.name)} ({in_words(file.found.st_size)})" for file in largest)


def in_words(size: int) -> str:
    """A number of bytes as people read it: `12 kB`, `3.4 MB`."""
    if size < 1000:  # noqa: PLR2004 - the unit
        return f"{size} B"
    scaled, unit = (size / 1e3, "kB") if size < 1_000_000 else (size / 1e6, "MB")  # noqa: PLR2004 - the unit
    return f"{scaled:.1f} {unit}" if scaled < 10 else f"{scaled:,.0f} {unit}"  # noqa: PLR2004 - enough digits
