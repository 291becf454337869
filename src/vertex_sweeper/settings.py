"""What the user may set under `hydra.sweeper`, as typed values that are valid from birth.

`read_settings` checks everything that can be known without looking at the search space: names (with the near match), types,
ranges, and rules between settings. Nothing is converted silently; every mistake is reported, together.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.near import near
from vertex_sweeper.outcome import Goal

RESERVED_METRICS = frozenset({"trial", "timestamp", "global_step", "checkpoint_path"})
"""Metric ids that would collide with cloudml-hypertune's own fields in the metric file."""

LONGEST_DISPLAY_NAME = 128
MOST_LABELS = 63
"""Vertex allows 64 labels; one is the sweep's own."""

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


SEARCH_SPACE_KEYS = ("params", "conditional")
"""Keys of `hydra.sweeper` that are the search space and not settings."""


def read_settings(section: Mapping[str, Any]) -> Settings:
    """The settings in `hydra.sweeper` (plain containers, interpolations resolved), without its search space.

    Raises InvalidSweep with every mistake.
    """
    known = {key: value for key, value in section.items() if key not in (*SEARCH_SPACE_KEYS, "_target_")}
    mistakes: list[str] = []
    settings: Settings = _read(Settings, known, "hydra.sweeper", mistakes, extra=SEARCH_SPACE_KEYS)
    mistakes += _broken_rules(settings)
    backend_is_known = not any(mistake.startswith("hydra.sweeper.backend:") for mistake in mistakes)
    if settings.backend is Backend.VERTEX and backend_is_known:
        mistakes += _missing_for_vertex(settings)
    if mistakes:
        raise InvalidSweep(mistakes)
    return settings


def _read(cls: type[Any], section: Mapping[str, Any], path: str, mistakes: list[str], *, extra: Sequence[str] = ()) -> Any:
    """An instance of a settings class; what is wrong stays at its default and is added to `mistakes`."""
    hints = get_type_hints(cls)
    names = [entry.name for entry in fields(cls)]
    values = {}
    for key, value in section.items():
        where = f"{path}.{key}"
        if key not in names:
            mistakes.append(f"{where}: unknown setting{near(str(key), [*names, *extra])}")
        elif value is None and key != "metrics" and not _optional(hints[key]):
            mistakes.append(f"{where}: must not be null")
        elif value is not None:
            try:
                values[key] = _value(hints[key], value, where, mistakes)
            except ValueError as error:
                mistakes.append(str(error))
    return cls(**values)


def _value(hint: Any, value: Any, where: str, mistakes: list[str]) -> Any:
    """`value` as the type that `hint` asks for. Raises ValueError; never converts between types."""
    if _optional(hint):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if isinstance(hint, type) and hasattr(hint, "__dataclass_fields__"):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where}: {value!r} must be a mapping of settings")
        return _read(hint, value, where, mistakes)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _member(hint, value, where)
    if get_origin(hint) in (Mapping, Sequence):
        return _container(hint, value, where)
    if type(value) is not hint:
        raise ValueError(f"{where}: {value!r} must be {_TYPE_NAMES[hint]}{_type_remedy(hint, value)}")
    return value


def _container(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is Sequence:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ValueError(f"{where}: {value!r} must be a list of strings, one for each word: [python, train.py]")
        return tuple(value)
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: {value!r} must be a mapping, as in {{name: value}}")  # noqa: TRY004 - collected with all other mistakes
    _, kind = get_args(hint)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {str(key): _member(kind, item, f"{where}.{key}") for key, item in value.items()}
    wrong = [f"{where}.{key}: {item!r} must be a string: quote it" for key, item in value.items() if not isinstance(item, str)]
    if kind is str and wrong:
        raise ValueError("\n".join(wrong))
    return dict(value)


def _member(cls: type[Enum], value: Any, where: str) -> Enum:
    spellings = {member.value if cls is not Goal else member.value.lower(): member for member in cls}
    if isinstance(value, str) and value.lower() in spellings:
        return spellings[value.lower()]
    raise ValueError(f"{where}: {value!r} must be one of {', '.join(spellings)}{near(str(value), list(spellings))}")


def _broken_rules(settings: Settings) -> list[str]:
    """Rules on single values and between settings, that types cannot say."""
    path = "hydra.sweeper"
    counts = {
        "max_trial_count": settings.max_trial_count,
        "parallel_trial_count": settings.parallel_trial_count,
        "max_failed_trial_count": settings.max_failed_trial_count,
        "trial.replica_count": settings.trial.replica_count,
        "trial.accelerator_count": settings.trial.accelerator_count,
        "trial.disk_size_gb": settings.trial.disk_size_gb,
        "trial.timeout": settings.trial.timeout,
        "trial.keep_alive": settings.trial.keep_alive,
    }
    mistakes = [f"{path}.{key}: {count} must be 1 or more" for key, count in counts.items() if count is not None and count < 1]
    most = settings.max_trial_count
    if most is None and settings.algorithm is not Algorithm.GRID:
        most = DEFAULT_TRIALS
    for key in ("parallel_trial_count", "max_failed_trial_count"):
        count = counts[key]
        if most is not None and count is not None and count > most >= 1:
            mistakes.append(f"{path}.{key}: {count} must not be more than max_trial_count, {most}")
    mistakes += _broken_metrics(settings.metrics)
    mistakes += _broken_labels(settings.labels)
    if settings.display_name is not None and not 1 <= len(settings.display_name) <= LONGEST_DISPLAY_NAME:
        mistakes.append(
            f"{path}.display_name: must have 1 to {LONGEST_DISPLAY_NAME} characters, and has {len(settings.display_name)}"
        )
    return mistakes


def _broken_metrics(metrics: Mapping[str, Goal]) -> list[str]:
    path = "hydra.sweeper.metrics"
    mistakes = [] if metrics else [f"{path}: must name at least one metric: {{val_acc: maximize}}"]
    for id in metrics:
        if not id or re.search(r"\s", id):
            mistakes.append(f"{path}: {id!r} must not be empty or contain white space: rename the metric")
        elif id in RESERVED_METRICS:
            mistakes.append(f"{path}: {id!r} is a field of the metric file itself: rename the metric")
    return mistakes


def _broken_labels(labels: Mapping[str, str]) -> list[str]:
    # Vertex: at most 64 lowercase letters, digits, `_` and `-`.
    path = "hydra.sweeper.labels"
    mistakes = [f"{path}: {len(labels)} labels, and at most {MOST_LABELS} are possible"] if len(labels) > MOST_LABELS else []
    return mistakes + [
        f"{path}.{key}: {text!r} must be lowercase letters, digits, '_' and '-', 64 at most"
        for key, value in labels.items()
        for text in (key, value)
        if not re.fullmatch(r"[a-z0-9_-]{0,64}", text) or not key
    ]


def _missing_for_vertex(settings: Settings) -> list[str]:
    needed = {
        "vertex.project": (settings.vertex.project, "the project that pays"),
        "vertex.location": (settings.vertex.location, "a region such as europe-west4"),
        "trial.image": (settings.trial.image, "the training image, with hydra-vertex-sweeper installed"),
    }
    mistakes = [
        f"hydra.sweeper.{key}: must be set for backend=vertex ({what}); to try on this machine: hydra.sweeper.backend=local"
        for key, (value, what) in needed.items()
        if not value
    ]
    prefix = settings.vertex.base_output_directory
    if prefix is not None and not prefix.startswith("gs://"):
        mistakes.append(f"hydra.sweeper.vertex.base_output_directory: {prefix!r} must begin with gs://")
    return mistakes


_TYPE_NAMES: Mapping[type, str] = {int: "a whole number", bool: "true or false", str: "a string"}


def _type_remedy(hint: type, value: Any) -> str:
    if hint is str:
        return ": quote it"
    return f": write it without quotes, {value}" if isinstance(value, str) and value.lstrip("-").isdigit() else ""


def _optional(hint: Any) -> bool:
    return get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)
