"""The names Vertex AI gives to things, and the addresses they are found at."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vertex_sweeper.errors import JobNotFound

_JOB = re.compile(r"projects/([^/\s]+)/locations/([^/\s]+)/hyperparameterTuningJobs/([^/\s]+)")


def format_parent(project: str, location: str) -> str:
    """What a job is created under."""
    return f"projects/{project}/locations/{location}"


def project_of(resource: str) -> str:
    """The project in the name of a job or of a parent."""
    return resource.split("/")[1] if resource.startswith("projects/") else "PROJECT"


def api_host(location: str) -> str:
    """The regional endpoint; the client's own default is the global one, which does not know regional jobs."""
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
                f"{text!r} is not the name of a tuning job: "
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
