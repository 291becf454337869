"""What a service refuses: all mistakes of a job's specification, in one message of the service's own form."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from vertex_sweeper.api import (
    CLOSEST_DISCRETE_VALUES,
    LONGEST_DISPLAY_NAME,
    MOST_DISCRETE_VALUES,
    MOST_LABELS,
    PARENT_VALUES,
    VALUE_SPECS,
    broken_label_rules,
    container_job,
    is_custom_job,
)
from vertex_sweeper.errors import InvalidJob
from vertex_sweeper.job.field_types import find_not_json, find_wrong_types
from vertex_sweeper.services.local.parameter_tree import (
    kind_of,
    matches,
    read_values,
)
from vertex_sweeper.services.local.study import study_stopping
from vertex_sweeper.services.local.study.early_stopping import RULES
from vertex_sweeper.services.local.worker_pools import Mistake, find_container_job_mistakes
from vertex_sweeper_runtime.contract import Kind, ServiceValue

_LOGARITHMIC: Final = ("UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE")
_SCALES: Final = ("SCALE_TYPE_UNSPECIFIED", "UNIT_LINEAR_SCALE", *_LOGARITHMIC)
_OF_TUNING_JOBS: Final = ("maxTrialCount", "parallelTrialCount", "maxFailedTrialCount", "studySpec", "trialJobSpec")
_ALGORITHMS: Final = ("ALGORITHM_UNSPECIFIED", "GRID_SEARCH", "RANDOM_SEARCH")


def check_job(spec: Mapping[str, Any], *, needs_image: bool = False, slots: int = 0) -> None:
    """Raises InvalidJob when the service would refuse this job, with every mistake found.

    Args:
        spec: The job.
        needs_image: Whether a container without an image is a mistake. The API wants one; a local run has no use for it.
        slots: How many trials at a time have devices of their own; 0 where devices are not shared out.
    """
    mistakes = list(find_local_mistakes(spec, needs_image=needs_image))
    if not mistakes and 0 < slots < int(spec.get("parallelTrialCount", 1)):
        rule = f"Must be at most {slots}, as many as have devices, got {spec['parallelTrialCount']}."
        mistakes = [("parallel_trial_count", rule)]
    if mistakes:
        numbered = (f"{number}.Field: {field}; Message: {message}" for number, (field, message) in enumerate(mistakes, 1))
        raise InvalidJob("List of found errors: " + "  ".join(numbered), fields=mistakes)


def find_local_mistakes(spec: Mapping[str, Any], *, needs_image: bool = False) -> Iterator[Mistake]:
    """All mistakes of a job; of one that has wrong types these alone, as the rest cannot be told."""
    wrong = find_wrong_types(spec)
    found = [] if wrong else list(_find_mistakes(spec, needs_image=needs_image))
    yield from found
    for field, mistake in wrong or (() if found else find_not_json(spec)):
        yield field if field.startswith("labels") else _snake(field), f"It {mistake}."


def _find_mistakes(spec: Mapping[str, Any], *, needs_image: bool) -> Iterator[Mistake]:
    name = spec.get("displayName", "")
    if not name:
        yield "display_name", "A display name is required."
    elif len(name) > LONGEST_DISPLAY_NAME:
        yield "display_name", f"At most {LONGEST_DISPLAY_NAME} characters are allowed, got {len(name)}."
    yield from _check_labels(spec.get("labels", {}))
    custom = is_custom_job(spec)
    if custom:
        for field in (field for field in _OF_TUNING_JOBS if field in spec):
            yield _snake(field), "A custom job, one with a job_spec, has no such field."
    else:
        yield from _check_study(spec)
    yield from find_container_job_mistakes(container_job(spec), custom=custom, needs_image=needs_image)


def _check_study(spec: Mapping[str, Any]) -> Iterator[Mistake]:
    yield from _check_counts(spec)
    study = spec.get("studySpec", {})
    algorithm = study.get("algorithm", "ALGORITHM_UNSPECIFIED")
    if algorithm not in _ALGORITHMS:
        yield "study_spec.algorithm", f"{algorithm!r} is none of {', '.join(_ALGORITHMS)}."
    yield from _check_metrics(study.get("metrics", ()))
    parameters = study.get("parameters", ())
    if not parameters:
        yield "study_spec.parameters", "At least one parameter is required."
    places = [(f"study_spec.parameters[{position}]", spec) for position, spec in enumerate(parameters)]
    yield from _check_siblings(places, grid=algorithm == "GRID_SEARCH", taken=set())
    yield from _check_stopping(study)


def _check_labels(labels: Mapping[str, str]) -> Iterator[Mistake]:
    if len(labels) > MOST_LABELS:
        yield "labels", f"At most {MOST_LABELS} are allowed, got {len(labels)}."
    for key, value in labels.items():
        for broken in broken_label_rules(key, value):
            yield f"labels.{key}", f"The label is not allowed: {broken}."


def _check_counts(spec: Mapping[str, Any]) -> Iterator[Mistake]:
    for field, name in (("max_trial_count", "maxTrialCount"), ("parallel_trial_count", "parallelTrialCount")):
        if int(spec.get(name, 0)) < 1:
            yield field, f"Must be at least 1, got {spec.get(name, 0)}."
    failed, most = int(spec.get("maxFailedTrialCount", 0)), int(spec.get("maxTrialCount", 0))
    if failed < 0 or failed > most:
        yield "max_failed_trial_count", f"Must be between 0 and max_trial_count ({most}), got {failed}."


def _check_metrics(metrics: Sequence[Mapping[str, Any]]) -> Iterator[Mistake]:
    if not metrics:
        yield "study_spec.metrics", "At least one metric is required."
    ids = [metric.get("metricId", "") for metric in metrics]
    for position, (id, metric) in enumerate(zip(ids, metrics, strict=True)):
        field = f"study_spec.metrics[{position}]"
        if not id or re.search(r"\s", id):
            yield f"{field}.metric_id", f"Must not be empty or contain white space, got {id!r}."
        if id in ids[:position]:
            yield f"{field}.metric_id", f"Must be unique, got {id!r} again."
        if metric.get("goal", "MAXIMIZE") not in ("GOAL_TYPE_UNSPECIFIED", "MAXIMIZE", "MINIMIZE"):
            yield f"{field}.goal", f"{metric['goal']!r} is neither MAXIMIZE nor MINIMIZE."


def _check_stopping(study: Mapping[str, Any]) -> Iterator[Mistake]:
    rules = [rule for rule in RULES if rule in study]
    if len(rules) > 1:
        yield "study_spec", f"At most one rule stops trials early, got {' and '.join(map(_snake, rules))}."
    for field in (*rules, study_stopping.CONFIG):
        if not isinstance(study.get(field, {}), Mapping):
            yield f"study_spec.{_snake(field)}", f"Must be a mapping, got {study[field]!r}."
    config = study.get(study_stopping.CONFIG, {})
    if not isinstance(config, Mapping):
        return
    for field, message in study_stopping.find_stopping_mistakes(config, metrics=len(study.get("metrics", ()))):
        yield f"study_spec.study_stopping_config.{_snake(field)}", message


def _check_siblings(specs: Sequence[tuple[str, Mapping[str, Any]]], *, grid: bool, taken: set[str]) -> Iterator[Mistake]:
    for place, spec in specs:
        id = spec.get("parameterId", "")
        if id in taken:
            yield f"{place}.parameter_id", f"Must be unique, got {id!r} again."
        taken.add(id)
        yield from _check_parameter(spec, field=place, grid=grid, taken=taken)


def _check_parameter(spec: Mapping[str, Any], *, field: str, grid: bool, taken: set[str]) -> Iterator[Mistake]:
    id = spec.get("parameterId", "")
    if not id or re.search(r"\s", id):
        yield f"{field}.parameter_id", f"Must not be empty or contain white space, got {id!r}."
    kind = kind_of(spec)
    if kind is None:
        yield field, f"{id!r} needs exactly one of {', '.join(VALUE_SPECS.values())}."
        return
    domain, value_field = spec[VALUE_SPECS[kind.value]], f"{field}.{_snake(VALUE_SPECS[kind.value])}"
    if grid and kind is Kind.DOUBLE:
        yield value_field, f"{id!r} is a DOUBLE, and GRID_SEARCH does not allow one."
    scale = spec.get("scaleType", "SCALE_TYPE_UNSPECIFIED")
    if scale not in _SCALES:
        yield f"{field}.scale_type", f"{scale!r} is none of {', '.join(_SCALES)}."
    elif kind is Kind.CATEGORICAL and scale != "SCALE_TYPE_UNSPECIFIED":
        yield f"{field}.scale_type", f"{id!r} is CATEGORICAL and can't have a scale, got {scale}."
    try:
        checks = {Kind.DISCRETE: _check_discrete, Kind.CATEGORICAL: _check_categorical}.get(kind, _check_bounds)
        for message in checks(kind, domain, scale in _LOGARITHMIC):
            yield value_field, f"{id!r}: {message}"
    except (TypeError, ValueError) as error:
        yield value_field, f"{id!r}: {error}."
        return
    yield from _check_conditions(spec, field=field, kind=kind, grid=grid, taken=taken)


def _check_bounds(kind: Kind, domain: Mapping[str, Any], logarithmic: bool) -> Iterator[str]:  # noqa: FBT001
    number: Callable[[Any], float] = int if kind is Kind.INTEGER else float
    low, high = number(domain.get("minValue", 0)), number(domain.get("maxValue", 0))
    if not (math.isfinite(low) and math.isfinite(high)):
        yield f"Bounds must be finite, got {low} and {high}."
    elif low > high:
        yield f"min_value must not be above max_value, got {low} and {high}."
    elif logarithmic and low <= 0:
        yield f"On a logarithmic scale min_value must be above 0, got {low}."


def _check_discrete(kind: Kind, domain: Mapping[str, Any], logarithmic: bool) -> Iterator[str]:  # noqa: FBT001
    values = [float(value) for value in read_values(kind, domain)]
    if not values:
        yield "At least one value is required."
        return
    if len(values) > MOST_DISCRETE_VALUES:
        yield f"At most {MOST_DISCRETE_VALUES} values are allowed, got {len(values)}."
    if not all(math.isfinite(value) for value in values):
        yield "Values must be finite."
        return
    for one, other in itertools.pairwise(values):
        # A distance of just 1e-10 is allowed, and differences of doubles have round-off.
        if not other - one > CLOSEST_DISCRETE_VALUES * (1 - 1e-5):
            yield f"Values must be ascending and at least {CLOSEST_DISCRETE_VALUES:g} apart, got {one!r} before {other!r}."
            break
    if logarithmic and values[0] <= 0:
        yield f"On a logarithmic scale values must be above 0, got {values[0]}."


def _check_categorical(kind: Kind, domain: Mapping[str, Any], logarithmic: bool) -> Iterator[str]:  # noqa: ARG001, FBT001
    values = read_values(kind, domain)
    if not values:
        yield "At least one value is required."
    if len(set(values)) < len(values):
        yield "Values must be unique."


def _check_conditions(spec: Mapping[str, Any], *, field: str, kind: Kind, grid: bool, taken: set[str]) -> Iterator[Mistake]:
    conditions = spec.get("conditionalParameterSpecs", ())
    if conditions and kind is Kind.DOUBLE:
        yield f"{field}.conditional_parameter_specs", f"{spec.get('parameterId')!r} is a DOUBLE and can't be a parent."
        return
    brought: dict[str, list[ServiceValue]] = {}
    for position, entry in enumerate(conditions):
        place = f"{field}.conditional_parameter_specs[{position}]"
        child = entry.get("parameterSpec", {})
        id = child.get("parameterId", "")
        holder = entry.get(PARENT_VALUES[kind.value], {})
        try:
            values = read_values(kind, holder)
        except (TypeError, ValueError) as error:
            yield place, f"{error}."
            continue
        if not values:
            yield place, f"A {kind.name} parent needs {_snake(PARENT_VALUES[kind.value])} with at least one value."
        for value in values:
            if not _takes(kind, spec[VALUE_SPECS[kind.value]], value):
                yield place, f"{spec.get('parameterId')!r} never has the value {value!r}."
        # One parent may have several children of one id, provided that no trial gets two of them.
        if id in brought and any(matches(one, other) for one in brought[id] for other in values):
            yield place, f"{id!r} has two specs for one value of {spec.get('parameterId')!r}."
        inner = taken - {id} if id in brought else taken
        brought.setdefault(id, []).extend(values)
        yield from _check_siblings([(f"{place}.parameter_spec", child)], grid=grid, taken=inner)
        taken |= inner


def _takes(kind: Kind, domain: Mapping[str, Any], value: ServiceValue) -> bool:
    if kind is Kind.INTEGER:
        return int(domain.get("minValue", 0)) <= int(value) <= int(domain.get("maxValue", 0))
    return any(matches(value, own) for own in read_values(kind, domain))


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
