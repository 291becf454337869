"""Which suggester a job has, by its study's algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vertex_sweeper.api import is_custom_job
from vertex_sweeper.services.local.parameter_tree import read_parameter_specs
from vertex_sweeper.services.local.suggest.base import Suggester
from vertex_sweeper.services.local.suggest.grid import GridSuggester
from vertex_sweeper.services.local.suggest.optuna import Algorithm, OptunaSuggester


def make_suggester(spec: Mapping[str, Any], *, metrics: Mapping[str, bool], seed: int) -> Suggester:
    """The suggester of a valid job; `metrics` says of each whether it is to be maximised.

    Raises MissingExtra where what it needs is not installed.
    """
    if is_custom_job(spec):
        return GridSuggester(())  # its one point has no value
    study = spec["studySpec"]
    parameters = read_parameter_specs(study["parameters"])
    algorithm = Algorithm(study.get("algorithm", Algorithm.BAYESIAN.value))
    if algorithm is Algorithm.GRID:
        return GridSuggester(parameters)
    return OptunaSuggester(parameters, metrics=metrics, algorithm=algorithm, seed=seed)
