"""The engine, where a sweep is started: search space and settings → job → service → outcome.

The Hydra plugin calls `vertex_sweeper.sweep.run_sweep`. The errors are exported here, for callers who catch them; the rest is
imported from its room, when a sweep starts.
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
