"""When a whole study ends before its last trial, by the conditions of its `studyStoppingConfig`. Pure, the time is given."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vertex_sweeper.api import parse_duration, parse_time

CONFIG: Final = "studyStoppingConfig"
"""The field of a study spec that holds the conditions."""

COUNTS: Final = ("minNumTrials", "maxNumTrials", "maxNumTrialsNoProgress")
CONSTRAINTS: Final = ("minimumRuntimeConstraint", "maximumRuntimeConstraint")
NO_PROGRESS: Final = "maxDurationNoProgress"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study has come.

    Args:
        created: When the study was created, and `now` what time it is: seconds since 1970.
        trials: How many trials there are, running ones included.
        values: The objective's final value of each completed trial with the time of its completion, the earliest first; the
            larger the better. A completed trial is one that succeeded: an infeasible one is neither progress nor a lack of it.
    """

    created: float
    now: float
    trials: int
    values: Sequence[tuple[float, float]]


def why_to_stop(config: Mapping[str, Any], progress: Progress) -> str:
    """The condition by which the study is to stop; empty when it goes on.

    As the API describes it: conditions count in the order of its fields, and the ones that forbid an end come first. Their
    being met is a matter of this moment: the caller must keep the answer, for a study that was stopped stays so.
    """
    if not _passed(config.get("minimumRuntimeConstraint"), progress, absent=True):
        return ""
    if len(progress.values) < int(config.get("minNumTrials", 0)):
        return ""
    if _passed(config.get("maximumRuntimeConstraint"), progress, absent=False):
        return "its time is over (maximumRuntimeConstraint)"
    if "maxNumTrials" in config and progress.trials > int(config["maxNumTrials"]):
        return f"it has more than {config['maxNumTrials']} trials (maxNumTrials)"
    return _why_no_progress(config, progress)


def interrupts(config: Mapping[str, Any]) -> bool:
    """Whether running trials end, too, when the study is stopped."""
    return bool(config.get("shouldStopAsap", False))


def find_stopping_mistakes(config: Mapping[str, Any], *, metrics: int) -> Iterator[tuple[str, str]]:
    """Each field (of the API's JSON form) that is wrong, and what is wrong with it."""
    for field in COUNTS:
        if not _is_count(config.get(field, 1)):
            yield field, f"Must be a whole number of at least 1, got {config[field]!r}."
    for field in CONSTRAINTS:
        constraint = config.get(field, {"maxDuration": "0s"})
        try:
            if not isinstance(constraint, Mapping) or len(constraint) != 1:
                yield field, f"Exactly one of max_duration and end_time is needed, got {constraint!r}."
            elif "endTime" in constraint:
                parse_time(constraint["endTime"])
            else:
                parse_duration(constraint.get("maxDuration", ""))
        except ValueError as error:
            yield field, str(error)
    try:
        parse_duration(config.get(NO_PROGRESS, "0s"))
    except ValueError as error:
        yield NO_PROGRESS, str(error)
    # The reference: effective only for studies with a single objective.
    for field in ("maxNumTrialsNoProgress", NO_PROGRESS):
        if field in config and metrics > 1:
            yield field, f"Works with one metric only, got {metrics}."


def _is_count(value: object) -> bool:
    return bool(re.fullmatch(r"\d+", str(value))) and int(str(value)) >= 1


def _passed(constraint: Mapping[str, str] | None, progress: Progress, *, absent: bool) -> bool:
    if not constraint:
        return absent
    if "endTime" in constraint:
        return progress.now >= parse_time(constraint["endTime"])
    return progress.now - progress.created >= parse_duration(constraint["maxDuration"])


def _why_no_progress(config: Mapping[str, Any], progress: Progress) -> str:
    if not progress.values:
        return ""  # nothing that could have improved
    position, since = _last_improvement(progress.values)
    without_progress = len(progress.values) - 1 - position
    if "maxNumTrialsNoProgress" in config and without_progress >= int(config["maxNumTrialsNoProgress"]):
        return f"{without_progress} trials in a row brought nothing better (maxNumTrialsNoProgress)"
    if NO_PROGRESS in config and progress.now - since >= parse_duration(config[NO_PROGRESS]):
        return f"nothing better came for {config[NO_PROGRESS]} ({NO_PROGRESS})"
    return ""


def _last_improvement(values: Iterable[tuple[float, float]]) -> tuple[int, float]:
    position, (since, best) = 0, next(iter(values))
    for number, (time, value) in enumerate(values):
        if value > best:
            position, since, best = number, time, value
    return position, since
