"""The names of images: registry, repository, tag, digest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from vertex_sweeper.errors import InvalidSweep

_HUB: Final = "docker.io"
_COMPONENT: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_SHAPE: Final = re.compile(
    rf"(?:(?P<registry>localhost(?::[0-9]+)?|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?|[A-Za-z0-9-]+:[0-9]+)/)?"
    rf"(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_GOOGLE: Final = re.compile(r"(?:[a-z0-9-]+-docker\.pkg\.dev|(?:[a-z]+\.)?gcr\.io)")
_LOOPBACK: Final = re.compile(r"(?:localhost|127(?:\.[0-9]+){3})(?::[0-9]+)?")


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image's name in its parts.

    Attributes:
        registry: The host, `europe-west4-docker.pkg.dev`.
        repository: The path behind it, `my-project/train/app`.
        tag: The tag; empty without.
        digest: The digest, `sha256:…`; empty without.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> ImageName:
        """Reads a name as builders take it. Raises InvalidSweep for what is none.

        >>> str(ImageName.parse("europe-west4-docker.pkg.dev/p/train/app:1"))
        'europe-west4-docker.pkg.dev/p/train/app:1'
        """
        match = _SHAPE.fullmatch(text)
        if match is None:
            raise InvalidSweep(
                [f"{text[:200]!r} must be an image's name, such as europe-west4-docker.pkg.dev/PROJECT/REPOSITORY/app"]
            )
        parts = match.groupdict(default="")
        registry = parts["registry"] or _HUB
        alone = registry == _HUB and "/" not in parts["repository"]
        return cls(registry, f"library/{parts['repository']}" if alone else parts["repository"], parts["tag"], parts["digest"])

    def tagged(self, tag: str) -> ImageName:
        """The image of the same repository with this tag."""
        return replace(self, tag=tag, digest="")

    def pinned(self, digest: str) -> ImageName:
        """The image of the same repository with this digest."""
        return replace(self, tag="", digest=digest)

    @property
    def google(self) -> bool:
        """Whether it is in a registry of Google's, which alone gets a Google login."""
        return _GOOGLE.fullmatch(self.registry) is not None

    @property
    def loopback(self) -> bool:
        """Whether the registry is on this machine, where it is spoken to without TLS."""
        return _LOOPBACK.fullmatch(self.registry) is not None

    @property
    def python(self) -> str | None:
        """The image's Python where the name says it: of Docker's own images, and of Google's ready-made ones (`….py310`)."""
        own = re.match(r"(3\.[0-9]+)", self.tag) if (self.registry, self.repository) == (_HUB, "library/python") else None
        ready = re.search(r"\.py3([0-9]+)\b", f"{self.repository}:{self.tag}")
        if own:
            return own[1]
        return f"3.{ready[1]}" if ready else None

    @property
    def reference(self) -> str:
        """What a registry finds the image by: its digest, its tag, or `latest`."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag, digest = f":{self.tag}" if self.tag else "", f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def broken_repository(text: str) -> Iterator[str]:
    """The mistake in the name of an image that is built: it has nothing that only the build finds out."""
    try:
        image = ImageName.parse(text)
    except InvalidSweep as error:
        yield str(error)
        return
    if image.tag or image.digest:
        yield f"{text!r} must have no tag and no digest, because the code's hash is its tag"
