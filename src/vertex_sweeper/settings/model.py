"""The settings as typed values, with their defaults: what `hydra.sweeper` may hold, apart from the search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from vertex_sweeper.outcome import Goal

SEARCH_SPACE_KEYS = ("params", "conditional", "search_space")
"""Keys of `hydra.sweeper` that are the search space and not settings."""

DEFAULT_TRIALS = 20
DEFAULT_PARALLEL = 2


class Backend(Enum):
    """Who runs the job."""

    VERTEX = "vertex"
    LOCAL = "local"


class Algorithm(Enum):
    """The study's search algorithm; `bayesian` is what the API calls unspecified."""

    BAYESIAN = "bayesian"
    RANDOM = "random"
    GRID = "grid"


class Measurement(Enum):
    """Which of a trial's measurements counts as its result."""

    LAST = "last"
    BEST = "best"


class OnInterrupt(Enum):
    """What Ctrl-C does to a job on Vertex; a local job is always cancelled."""

    DETACH = "detach"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSettings:
    """What runs, and on what: the container and the machine of one trial. Times in seconds, sizes in GB."""

    command: Sequence[str] | None = None
    image: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    machine_type: str = "n1-standard-4"
    accelerator_type: str | None = None
    accelerator_count: int | None = None
    disk_type: str | None = None
    disk_size_gb: int | None = None
    replica_count: int = 1
    timeout: int | None = None
    keep_alive: int | None = None
    enable_web_access: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexSettings:
    """Where the job runs on Vertex, as whom, and where its output goes."""

    project: str | None = None
    location: str | None = None
    endpoint: str | None = None
    service_account: str | None = None
    network: str | None = None
    base_output_directory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """How trials run on this machine. The same seed gives the same suggestions for the same order of completions."""

    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a sweep but its search space. Counts that the user left open are None here."""

    backend: Backend = Backend.VERTEX
    metrics: Mapping[str, Goal] = field(default_factory=lambda: {"objective": Goal.MINIMIZE})
    algorithm: Algorithm = Algorithm.BAYESIAN
    measurement_selection: Measurement = Measurement.LAST
    max_trial_count: int | None = None
    parallel_trial_count: int | None = None
    max_failed_trial_count: int | None = None
    display_name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    on_interrupt: OnInterrupt = OnInterrupt.DETACH
    trial: TrialSettings = field(default_factory=TrialSettings)
    vertex: VertexSettings = field(default_factory=VertexSettings)
    local: LocalSettings = field(default_factory=LocalSettings)
