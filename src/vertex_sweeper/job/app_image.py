"""The image of an app that is built before its sweep: from which files, and what it is called."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Final

from vertex_sweeper.api import Job, container_job
from vertex_sweeper.settings.image_name import ImageName

_TAG: Final = 16
"""How many hex digits of a hash a tag has."""

PACKAGES: Final = ".vertex-sweeper"
"""The folder beside the app's files that this package's wheel is in, for a Dockerfile that was made."""


@dataclass(frozen=True, slots=True)
class AppImage:
    """An image to be.

    Attributes:
        repository: The image without a tag.
        archive: The app's files, a compressed tar archive that is open for reading.
        code_hash: The archive's hash, in hex digits.
        dockerfile: The app's own Dockerfile among the files; None where one was made.
        made: The text of the one that was made; empty otherwise.
        packages: What stands in `PACKAGES` beside one that was made: names and contents.
    """

    repository: ImageName
    archive: IO[bytes]
    code_hash: str
    dockerfile: str | None
    made: str
    packages: Mapping[str, bytes]

    @property
    def name(self) -> ImageName:
        """The image with its tag, the code's hash.

        Where a Dockerfile was made it is part of the hash, and so is this package: another one makes another image of the same
        code.
        """
        if self.dockerfile == "Dockerfile":
            return self.repository.tagged(self.code_hash[:_TAG])
        digest = hashlib.sha256(f"{self.code_hash}\n{self.dockerfile}\n{self.made}".encode())
        for name, content in sorted(self.packages.items()):
            digest.update(f"\n{name}\n{hashlib.sha256(content).hexdigest()}".encode())
        return self.repository.tagged(digest.hexdigest()[:_TAG])


def with_digest(job: Job, name: ImageName, pinned: ImageName) -> Job:
    """The job with the image that was built, by its digest: a tag can be moved, and a digest cannot."""
    pinned_job = copy.deepcopy(job)
    for pool in container_job(pinned_job).get("workerPoolSpecs", []):
        container = pool.get("containerSpec", {})
        if container.get("imageUri") == str(name):
            container["imageUri"] = str(pinned)
    return pinned_job
