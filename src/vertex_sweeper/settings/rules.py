"""Rules on single settings and between them, that types cannot say: a line for each one broken."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vertex_sweeper.outcome import Goal
from vertex_sweeper.settings.model import DEFAULT_TRIALS, Algorithm, Settings

RESERVED_METRICS = frozenset({"trial", "timestamp", "global_step", "checkpoint_path"})
"""Metric ids that would collide with cloudml-hypertune's own fields in the metric file."""

LONGEST_DISPLAY_NAME = 128
MOST_LABELS = 63
"""Vertex allows 64 labels; one is the sweep's own."""


def broken_rules(settings: Settings) -> list[str]:
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


def missing_for_vertex(settings: Settings) -> list[str]:
    """What backend vertex needs and is not set, or cannot be what it is set to."""
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
