"""What the user may set under `hydra.sweeper`, as typed values that are valid from birth.

`read_settings` checks everything that can be known without looking at the search space: names (with the near match), types,
ranges, and rules between settings. No value changes silently; every mistake is reported, together.
"""

from vertex_sweeper.settings.model import (
    DEFAULT_PARALLEL,
    DEFAULT_TRIALS,
    SEARCH_SPACE_KEYS,
    Backend,
    DriftPolicy,
    LocalSettings,
    MeasurementSelection,
    MedianStopping,
    OnInterrupt,
    SearchAlgorithm,
    Settings,
    Strategy,
    StudyStopping,
    TrialSettings,
    VertexSettings,
    WorkerPoolSettings,
    set_settings,
)
from vertex_sweeper.settings.reader import Reading, read_settings, read_what_is_right
from vertex_sweeper.settings.rules import LONGEST_DISPLAY_NAME, SWEEP_LABEL

__all__ = [
    "DEFAULT_PARALLEL",
    "DEFAULT_TRIALS",
    "LONGEST_DISPLAY_NAME",
    "SEARCH_SPACE_KEYS",
    "SWEEP_LABEL",
    "Backend",
    "DriftPolicy",
    "LocalSettings",
    "MeasurementSelection",
    "MedianStopping",
    "OnInterrupt",
    "Reading",
    "SearchAlgorithm",
    "Settings",
    "Strategy",
    "StudyStopping",
    "TrialSettings",
    "VertexSettings",
    "WorkerPoolSettings",
    "read_settings",
    "read_what_is_right",
    "set_settings",
]
