"""This package as a wheel, made from the files that are installed here: what a container without it installs.

Always from the files, never by name from an index: an editable or unreleased version is none that an index has, and a package
of the same name and version elsewhere may be other code.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import importlib.util
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vertex_sweeper.errors import InvalidSweep

DISTRIBUTION: Final = "hydra-vertex-sweeper"
_PACKAGES: Final = ("vertex_sweeper", "vertex_sweeper_runtime", "hydra_plugins.vertex_sweeper", "hydra_plugins.vertex_launcher")
_ENDINGS: Final = (".py", ".typed", ".json", ".yaml", ".txt", ".html", ".css", ".js")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_WHEEL: Final = f"Wheel-Version: 1.0\nGenerator: {DISTRIBUTION}\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel: its file's name, which says the version and a hash of what is in it, and its bytes."""

    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """The hash of the bytes."""
        return hashlib.sha256(self.content).hexdigest()


def own_wheel() -> Wheel:
    """The wheel: the same bytes for the same files. Raises InvalidSweep where the package's files cannot be read."""
    try:
        files = dict(sorted(_installed_files()))
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except (OSError, ImportError) as error:
        rule = f"hydra.sweeper.trial.code: this package's own files cannot be read ({error})"
        raise InvalidSweep([f"{rule}: install {DISTRIBUTION} with pip"]) from error
    digest = hashlib.sha256(b"".join(f"{name}\0{len(text)}\0".encode() + text for name, text in files.items())).hexdigest()
    # A version of its own: pip would keep what an image has under the same one.
    version = f"{distribution.version.partition('+')[0]}+{digest[:12]}"
    info = f"hydra_vertex_sweeper-{version}.dist-info"
    metadata = re.sub(
        r"(?m)^Version: .*$", f"Version: {version}", distribution.read_text("METADATA") or _pkg_info(distribution)
    )
    files |= {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": _WHEEL.encode(),
        f"{info}/entry_points.txt": _entry_points(distribution).encode(),
    }
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            wheel.writestr(entry, text)
    return Wheel(f"hydra_vertex_sweeper-{version}-py3-none-any.whl", content.getvalue())


def _pkg_info(distribution: importlib.metadata.Distribution) -> str:
    return distribution.read_text("PKG-INFO") or ""


def _entry_points(distribution: importlib.metadata.Distribution) -> str:
    return distribution.read_text("entry_points.txt") or ""


def _installed_files() -> Iterator[tuple[str, bytes]]:
    """The packages' files by their name in a wheel, wherever they are installed: an editable install is links elsewhere."""
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ImportError(f"{package} is not installed")
        folder = Path(spec.origin).parent
        for path in folder.rglob("*"):
            if path.suffix in _ENDINGS and path.is_file() and "__pycache__" not in path.parts:
                yield f"{package.replace('.', '/')}/{path.relative_to(folder).as_posix()}", path.read_bytes()


def _record(files: dict[str, bytes], own: str) -> bytes:
    rows = io.StringIO(newline="")
    writer = csv.writer(rows, lineterminator="\n")
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b"=").decode()
        writer.writerow([name, f"sha256={digest}", len(text)])
    writer.writerow([own, "", ""])
    return rows.getvalue().encode()
