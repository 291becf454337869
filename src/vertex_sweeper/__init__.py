"""The submitting side: sweep expressions → search space → job → service → outcome.

The road starts at `vertex_sweeper.sweep.run_sweep`, which the Hydra plugin calls. What stands here is for people who catch our
errors; everything else is imported from where it lives, when a sweep starts.
"""

from vertex_sweeper.errors import (
    InvalidJob,
    InvalidSweep,
    JobNotFound,
    MissingExtra,
    ServiceError,
    SweepDirectoryError,
    SweepError,
    SweepFailed,
)

__all__ = [
    "InvalidJob",
    "InvalidSweep",
    "JobNotFound",
    "MissingExtra",
    "ServiceError",
    "SweepDirectoryError",
    "SweepError",
    "SweepFailed",
]
