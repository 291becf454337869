"""What a command is about where that is a launch: a sweep directory with launched jobs, a folder of one, or a job's name."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from vertex_sweeper.api import specification
from vertex_sweeper.api_names import JobName
from vertex_sweeper.results import sweep_directory
from vertex_sweeper.results.launch_directory import is_launch, job_folder, sweep_directory_of
from vertex_sweeper.run.target import Target, contract_of, open_target


@dataclass(frozen=True, slots=True)
class LaunchTarget:
    """Launched jobs of a sweep directory: those of these numbers, or all."""

    directory: Path
    numbers: Container[int] | None = None

    def has(self, number: int) -> bool:
        """Whether this job is meant."""
        return self.numbers is None or number in self.numbers


def read_launch_target(text: str) -> LaunchTarget | None:
    """The launch that a user named by a path; None where it is none."""
    path = Path(text)
    if is_launch(path):
        return LaunchTarget(path)
    directory = sweep_directory_of(path)
    if directory is None or not path.is_dir() or not is_launch(directory):
        return None
    return LaunchTarget(directory, {int(path.name)})


def adopt_job(target: Target, directory: Path | None) -> LaunchTarget:
    """A launched job that was named, with a folder of its own in a sweep directory, `multirun/<job id>` by default.

    Raises:
        ServiceError: It is not there, or carries no contract.
        SweepDirectoryError: The folder is another job's.
    """
    name = str(target.name)
    job = open_target(target).service.get(name)
    number = contract_of(job).number or 0
    directory = (directory or Path("multirun") / JobName.parse(name).id).absolute()
    sweep_directory.adopt(job_folder(directory, number), target.address, {**specification(job), "name": name})
    return LaunchTarget(directory, {number})
