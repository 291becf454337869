"""The names Vertex AI gives to things, and the addresses they are found at.

A name may come from a file of another hand, and parts of it become parts of addresses: so it has letters, digits and dashes
only, where Google's own names have nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from vertex_sweeper.errors import JobNotFound, ServiceError

PROJECT: Final = r"[a-z0-9][a-z0-9.:-]*"
"""A project's id or number; ids of old have a domain in front, `example.com:name`."""

LOCATION: Final = r"[a-z][a-z0-9-]*"
ACCOUNT: Final = r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+"
"""A service account's address."""

_PARENT = re.compile(rf"projects/({PROJECT})/locations/({LOCATION})")
_JOB = re.compile(rf"{_PARENT.pattern}/hyperparameterTuningJobs/([A-Za-z0-9_-]+)")


def format_parent(project: str, location: str) -> str:
    """What a job is created under."""
    return f"projects/{project}/locations/{location}"


def parse_parent(text: str) -> tuple[str, str]:
    """The project and the location of a parent. Raises JobNotFound for anything else: no job is below it."""
    match = _PARENT.fullmatch(text)
    if match is None:
        raise JobNotFound(f"{text[:200]!r} must be projects/<project>/locations/<location>")
    return match[1], match[2]


def project_of(resource: str) -> str:
    """The project in the name of a job or of a parent."""
    return resource.split("/")[1] if resource.startswith("projects/") else "PROJECT"


def api_host(location: str) -> str:
    """The regional endpoint; the client's own default is the global one, which does not know regional jobs.

    Raises ServiceError for what is no location: an address must not be made of just any text.
    """
    if not re.fullmatch(LOCATION, location):
        raise ServiceError(f"{location[:200]!r} must be a region, such as europe-west4", acted=False)
    return f"{location}-aiplatform.googleapis.com"


@dataclass(frozen=True, slots=True)
class JobName:
    """A tuning job's full name, in its parts."""

    project: str
    location: str
    id: str

    @classmethod
    def parse(cls, text: str) -> JobName:
        """Reads a full name. Raises JobNotFound for anything else: there is no job of such a name."""
        match = _JOB.fullmatch(text)
        if match is None:
            raise JobNotFound(
                f"{text[:200]!r} is not the name of a tuning job: "
                "projects/<project>/locations/<location>/hyperparameterTuningJobs/<id>"
            )
        return cls(*match.groups())

    def __str__(self) -> str:
        return f"{self.parent}/hyperparameterTuningJobs/{self.id}"

    @property
    def parent(self) -> str:
        """What the job was created under."""
        return format_parent(self.project, self.location)

    @property
    def console(self) -> str:
        """The page that shows the job."""
        # The address that Google's own SDK prints; the path is that of the product's new name.
        return f"https://console.cloud.google.com/agent-platform/locations/{self.location}/training/{self.id}?project={self.project}"
