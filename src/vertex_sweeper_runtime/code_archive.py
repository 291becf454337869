"""The archive of an app's code in a container: taken from the mounted bucket, compared with its hash, unpacked.

A part of the text that `code_start.py` is sent as: the standard library alone.
"""

import hashlib
import os
import shutil
import tarfile
from typing import Any, Final

BUCKETS: Final = "VERTEX_EMULATOR_GCS"
"""The variable that names the folder in which buckets are found, where that is not `/gcs`."""

OLD_PYTHON: Final = 71
NO_CODE: Final = 72
OTHER_CODE: Final = 73
NOT_INSTALLED: Final = 74
NO_PLACE: Final = 75
NO_INSTALLER: Final = 76

EXIT_CODES: Final = (OLD_PYTHON, NO_CODE, OTHER_CODE, NOT_INSTALLED, NO_PLACE, NO_INSTALLER)

_CHUNK: Final = 1 << 20


class StartError(Exception):
    """The container cannot start the trial: an exit code, and one line."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def fetch(uri: str, sha256: str, target: str) -> str:
    """Copies an object of a bucket to a file; returns the file. Raises StartError unless it is exactly what was sent."""
    path = mounted(uri)
    digest = hashlib.sha256()
    try:
        source = open(path, "rb")  # noqa: SIM115 - closed below
    except OSError as error:
        remedy = "the job's service account needs roles/storage.objectUser on the bucket"
        if not os.path.isdir(os.environ.get(BUCKETS) or "/gcs"):
            remedy = "no buckets are mounted here"
        raise StartError(NO_CODE, f"{uri} cannot be read at {path} ({error.strerror}): {remedy}") from error
    with source, open(target, "wb") as file:
        while chunk := _read(source, uri):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != sha256:
        rule = f"{uri} is not what this sweep sent (its SHA-256 is {digest.hexdigest()[:12]}…, and not {sha256[:12]}…)"
        raise StartError(OTHER_CODE, f"{rule}: delete it, and sweep again")
    return target


def _read(source: Any, uri: str) -> bytes:
    try:
        return bytes(source.read(_CHUNK))
    except OSError as error:
        raise StartError(NO_CODE, f"{uri} cannot be read ({error.strerror}): see that its bucket is there") from error


def mounted(uri: str) -> str:
    """Where an object or a folder of a bucket is found here."""
    return os.path.join(os.environ.get(BUCKETS) or "/gcs", uri[len("gs://") :])


def unpack(archive: str, tree: str) -> None:
    """Unpacks an archive of files and links into a new folder. Nothing is written outside, and no link leads there.

    Raises StartError for any other archive.
    """
    os.mkdir(tree)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = tar.getmembers()
            for member in members:
                if not _stays_inside(member):
                    raise StartError(OTHER_CODE, f"the archive has {member.name!r}, which would leave the tree: pack it anew")
            for member in members:
                if member.isreg():
                    _write(tar, member, os.path.join(tree, member.name))
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise StartError(OTHER_CODE, f"the archive cannot be unpacked ({error}): pack it anew") from error
    # Last: no file was written through a link, and where all of them together lead can be seen.
    links = [member for member in members if member.issym()]
    for member in links:
        path = os.path.join(tree, member.name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(member.linkname, path)
    for member in links:
        if not _is_below(os.path.realpath(os.path.join(tree, member.name)), os.path.realpath(tree)):
            raise StartError(OTHER_CODE, f"the archive has the link {member.name!r}, which leaves the tree: pack it anew")


def _stays_inside(member: tarfile.TarInfo) -> bool:
    if not member.isreg() and not member.issym():
        return False
    path = os.path.normpath(member.name)
    if os.path.isabs(path) or path.split("/")[0] == ".." or path == ".":
        return False
    if member.isreg():
        return True
    target = os.path.normpath(os.path.join(os.path.dirname(path), member.linkname))
    return not os.path.isabs(target) and target.split("/")[0] != ".."


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    source = tar.extractfile(member)
    with open(path, "xb") as file:
        if source is not None:
            shutil.copyfileobj(source, file, _CHUNK)
    os.chmod(path, 0o755 if member.mode & 0o100 else 0o644)
