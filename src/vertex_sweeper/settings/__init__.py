"""What the user may set under `hydra.sweeper` and `hydra.launcher`, as typed values that are valid from birth.

They know names, types, ranges and the rules between settings, and never the search space. No value changes silently, and every
mistake is reported, together.
"""

from vertex_sweeper.settings.devices import Devices, DeviceSharing
from vertex_sweeper.settings.launcher_words import in_launcher_words
from vertex_sweeper.settings.model import (
    DEFAULT_PARALLEL,
    DEFAULT_TRIALS,
    SEARCH_SPACE_KEYS,
    Backend,
    DriftPolicy,
    JobSettings,
    LaunchSettings,
    LocalSettings,
    MeasurementSelection,
    MedianStopping,
    OnInterrupt,
    OnRefusal,
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
from vertex_sweeper.settings.rules import SWEEP_LABEL

__all__ = [
    "DEFAULT_PARALLEL",
    "DEFAULT_TRIALS",
    "SEARCH_SPACE_KEYS",
    "SWEEP_LABEL",
    "Backend",
    "DeviceSharing",
    "Devices",
    "DriftPolicy",
    "JobSettings",
    "LaunchSettings",
    "LocalSettings",
    "MeasurementSelection",
    "MedianStopping",
    "OnInterrupt",
    "OnRefusal",
    "Reading",
    "SearchAlgorithm",
    "Settings",
    "Strategy",
    "StudyStopping",
    "TrialSettings",
    "VertexSettings",
    "WorkerPoolSettings",
    "in_launcher_words",
    "read_settings",
    "read_what_is_right",
    "set_settings",
]
