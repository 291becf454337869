"""The API's names for projects, locations, parents and jobs: formatted and parsed here only. Nothing of ours is imported.

A name may come from a file of another hand, and parts of it become parts of addresses: so it has letters, digits and dashes
only, where Google's own names have nothing else. Beside `api.py` only because one module would be too long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PROJECT: Final = r"[a-z0-9][a-z0-9.:-]*"
"""A project's id or number; ids of old have a domain in front, `example.com:name`."""

LOCATION: Final = r"[a-z][a-z0-9-]*"
ACCOUNT: Final = r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+"
"""A service account's address."""

TUNING_JOBS: Final = "hyperparameterTuningJobs"
CUSTOM_JOBS: Final = "customJobs"
"""What stands between a parent and the id of a job of each kind."""

_COLLECTION: Final = rf"(?:{TUNING_JOBS}|{CUSTOM_JOBS})"

ANY_PARENT: Final = r"projects/[^/\s]+/locations/[^/\s]+"
ANY_JOB: Final = rf"{ANY_PARENT}/{_COLLECTION}/[^/\s:]+"
"""As wide as the emulator takes names: projects of tests are called all sorts of things."""

LOCAL_PARENT: Final = "projects/local/locations/local"
"""What stands for the API's `parent` on this machine."""

_PARENT: Final = re.compile(rf"projects/({PROJECT})/locations/({LOCATION})")
_JOB: Final = re.compile(rf"{_PARENT.pattern}/({_COLLECTION})/([A-Za-z0-9_-]+)")


def format_parent(project: str, location: str) -> str:
    """What a job is created under."""
    return f"projects/{project}/locations/{location}"


def parse_parent(text: str) -> tuple[str, str]:
    """The project and the location of a parent. Raises ValueError for anything else: no job is below it."""
    match = _PARENT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:200]!r} must be projects/<project>/locations/<location>")
    return match[1], match[2]


def project_of(resource: str) -> str:
    """The project in the name of a job or of a parent."""
    return resource.split("/")[1] if resource.startswith("projects/") else "PROJECT"


def format_job(parent: str, id: str, *, collection: str = TUNING_JOBS) -> str:
    """A job's full name."""
    return f"{parent}/{collection}/{id}"


def split_job(name: str) -> tuple[str, str] | None:
    """The parent and the id of a job's name, whatever the project is called; None for what is no such name."""
    if not re.fullmatch(ANY_JOB, name):
        return None
    parent, _, id = name.rsplit("/", 2)
    return parent, id


def is_custom(name: str) -> bool:
    """Whether this is the name of a custom job, and not of a tuning job."""
    return name.rsplit("/", 2)[-2:][0] == CUSTOM_JOBS


@dataclass(frozen=True, slots=True)
class JobName:
    """A job's full name, in its parts."""

    project: str
    location: str
    collection: str
    id: str

    @classmethod
    def parse(cls, text: str) -> JobName:
        """Reads a full name. Raises ValueError for anything else: there is no job of such a name."""
        match = _JOB.fullmatch(text)
        if match is None:
            form = format_job("projects/<project>/locations/<location>", "<id>")
            raise ValueError(f"{text[:200]!r} is not the name of a tuning job or custom job: {form}")
        return cls(*match.groups())

    def __str__(self) -> str:
        return format_job(self.parent, self.id, collection=self.collection)

    @property
    def parent(self) -> str:
        """What the job was created under."""
        return format_parent(self.project, self.location)

    @property
    def console(self) -> str:
        """The page that shows the job."""
        # The address that Google's own SDK prints; the path is that of the product's new name.
        return f"https://console.cloud.google.com/agent-platform/locations/{self.location}/training/{self.id}?project={self.project}"
