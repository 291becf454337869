"""What can go wrong in a container apart from the training itself.

TrialError                  the shim stops, and says why on one line
├── ContractError           the contract cannot be read here (also a ValueError)
├── FlagError               the arguments do not fit the contract (also a ValueError)
├── ClusterError            CLUSTER_SPEC does not say which replica this is (also a ValueError)
├── DriftError              the trial's config is not the one that its sweep composed, and must be
├── SweepInTrialError       the command started a sweep or launch
├── CannotRunError          a module is missing, or the command ended before its task began
└── MetricError             the command ended well but a metric is missing

Every class carries the exit code of the shim. Vertex runs a container again after exit codes 6, 11, 134 and 139, so none of
ours is one of these: a trial that was refused once would be refused again, and paid for again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PERMANENT: Final[Mapping[int, str]] = {
    64: "the arguments do not fit the contract, or the contract cannot be read",
    65: "the command ended well, and a metric is missing",
    66: "the config is not the one that was composed for the sweep",
    67: "the command started a sweep inside the trial",
    68: "CLUSTER_SPEC does not say which replica this is",
    69: "a module is missing, or the command ended before its task began",
    71: "the image has no Python 3.10 or newer",
    72: "the code is not in the bucket, or cannot be read there",
    73: "the code in the bucket is not what the sweep sent",
    74: "the requirements cannot be installed",
    75: "no folder of the container can be written",
    76: "the image has nothing to install the requirements with",
    126: "the command cannot be started",
    127: "the command is not there",
}
"""The shim's own exit codes, and what each says: what was so in one trial will be so in the next."""


class TrialError(Exception):
    """The shim stops here; the message is one line for the trial's log."""

    exit_code = 70


class ContractError(TrialError, ValueError):
    """The contract variable is damaged, or written by a newer version than this container understands."""

    exit_code = 64


class FlagError(TrialError, ValueError):
    """An argument is unknown, missing, repeated, or outside its parameter's domain."""

    exit_code = 64


class ClusterError(TrialError, ValueError):
    """CLUSTER_SPEC cannot be read, or names no replica: nobody can tell whether this one reports."""

    exit_code = 68


class DriftError(TrialError):
    """The task was not started: the image composes another config than the machine that started the sweep."""

    exit_code = 66


class SweepInTrialError(TrialError):
    """A sweep or launch was to begin inside a trial or launched job: each of its own would start one too, without end."""

    exit_code = 67


class CannotRunError(TrialError):
    """The command failed for want of a module, or before its task began: nothing was trained."""

    exit_code = 69


class MetricError(TrialError):
    """The command exited with 0 but did not report every metric that the study waits for."""

    exit_code = 65
