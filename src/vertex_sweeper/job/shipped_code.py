"""How a job says which code its containers run: the words that start a container, and the variable that they read."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from vertex_sweeper_runtime.code_archive import OLD_PYTHON
from vertex_sweeper_runtime.code_start import VARIABLE

LOCAL_STAGING: Final = "gs://this-machine"
"""The bucket of a sweep on this machine that names none: a folder in its directory."""

OLDEST_PYTHON: Final = (3, 10)

_CHECK: Final = (
    "import sys;sys.version_info<{oldest}and(sys.stderr.write('vertex-trial: the image has Python %d.%d, and 3.10 or newer is "
    "needed: use another image\\n'%sys.version_info[:2]),sys.exit({code}));"
)
"""Any Python 3 can read this, and says why it is not enough."""

_RUN: Final = "import zlib,base64;exec(zlib.decompress(base64.b64decode('{packed}')))"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedCode:
    """The code of a sweep, and where its containers find it.

    Attributes:
        start: The text of the program that the container starts with.
        archive: The archive's `gs://` address.
        archive_sha256: Its hash, which is also its name.
        wheel: The `gs://` address of this package's wheel.
        wheel_sha256: Its hash.
        folder: The working directory, relative to the tree.
        requirements: Lines of a requirements file.
        requirements_file: The requirements file in the tree, instead of lines.
        wheels: Where wheels are, if the containers have no index: a `gs://` folder, or one in the tree.
        key: What is the same for all trials that can share an environment.
    """

    start: str
    archive: str
    archive_sha256: str
    wheel: str
    wheel_sha256: str
    folder: str = "."
    requirements: Sequence[str] = ()
    requirements_file: str | None = None
    wheels: str | None = None
    key: str = ""

    @property
    def words(self) -> list[str]:
        """The words before `vertex-trial`: the start as one word that no shell, no expansion and no quoting can touch.

        `-I`: neither the image's working directory nor its variables stand for a module of the standard library.
        """
        packed = base64.b64encode(zlib.compress(self.start.encode(), 9)).decode()
        check = _CHECK.format(oldest=OLDEST_PYTHON, code=OLD_PYTHON)
        return ["python3", "-I", "-c", check + _RUN.format(packed=packed)]

    @property
    def variable(self) -> dict[str, str]:
        """The container's variable, in which `$(NAME)` is never to be replaced."""
        said: dict[str, Any] = {
            "archive": self.archive,
            "archive_sha256": self.archive_sha256,
            "wheel": self.wheel,
            "wheel_sha256": self.wheel_sha256,
            "folder": self.folder,
            "requirements": list(self.requirements),
            "requirements_file": self.requirements_file,
            "wheels": self.wheels,
            "key": self.key,
        }
        text = json.dumps({name: value for name, value in said.items() if value}, separators=(",", ":"))
        return {VARIABLE: text.replace("$", "\\u0024")}
