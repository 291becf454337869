"""The outcome of a sweep: what a job's snapshot says of its trials, in the user's own words.

A service reports labels and floats (`batch: 32.0`); an outcome holds Hydra keys and the literals the user wrote (`batch: 32`).
A snapshot may come from another version or another hand, so nothing in it is taken for granted: what cannot be understood is
kept as it stands and named in the trial's `reason`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vertex_sweeper.api import PRIMARY_REPLICA, Goal, JobState, TrialState, job_state, parse_datetime, trial_state
from vertex_sweeper.messages import printable
from vertex_sweeper.results.exit_codes import exit_code, explained
from vertex_sweeper_runtime.contract import Contract, Kind, ServiceValue, Slot


@dataclass(frozen=True, slots=True)
class TrialResult:
    """One trial as it stands.

    `number` is the trial's id and Hydra's job number. `state` is None when this version does not know it. `literals` holds what
    stands behind `key=` for each tuned Hydra key, in the order of the overrides, without those not active in this trial.
    `overrides` is the complete list that the trial was given, or empty where that cannot be told. `metrics` is what is finite
    of the final measurement. `started` is the service's own RFC 3339 text. `reason` says why the trial failed, or what is odd
    about it, and `exit_code` is what its command ended with, where the reason names that. `job` is the name of the job that ran
    this one trial, where the service has such a thing. `log` is the address the service gives of its replica: an emulator's, of
    its log. `device` is what it has of this machine's devices, where they are shared out.
    """

    number: int
    state: TrialState | None
    literals: Mapping[str, str]
    overrides: tuple[str, ...]
    metrics: Mapping[str, float]
    started: str | None = None
    seconds: float | None = None
    reason: str = ""
    job: str = ""
    exit_code: int | None = None
    log: str = ""
    device: str = ""

    @property
    def ended(self) -> bool:
        """Whether this trial will never change again."""
        return self.state is not None and self.state.ended


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole sweep as it stands: finished, failed, or still running.

    `trials` are sorted by number. `goals` are in the job's order: the first metric decides which trial is best. `error` is why
    the job ended badly. `keys` are all tuned Hydra keys, in the order of the overrides. `planned` is how many trials were asked
    for, `parallel` how many at a time.
    """

    state: JobState | None
    trials: tuple[TrialResult, ...]
    goals: Mapping[str, Goal]
    error: str = ""
    keys: tuple[str, ...] = ()
    planned: int | None = None
    parallel: int | None = None

    @property
    def metric(self) -> str:
        """The metric that decides which trial is best; empty if the job names none."""
        return next(iter(self.goals), "")

    def has_result(self, trial: TrialResult) -> bool:
        """Whether the trial can be the best one. NaN and infinity are no result."""
        return trial.state is TrialState.SUCCEEDED and _finite(trial, self.metric) if self.metric else bool(trial.metrics)

    @property
    def best(self) -> TrialResult | None:
        """The best trial by the first metric, the earlier one of equals; None as long as no trial has a result.

        Only trials that succeeded with a finite value count.
        """
        goal = self.goals.get(self.metric)
        candidates = self._finished([self.metric])
        if goal is None or not candidates:
            return None
        return min(candidates, key=lambda trial: (goal.cost(trial.metrics[self.metric]), trial.number))

    @property
    def pareto(self) -> tuple[TrialResult, ...]:
        """The trials, by number, than which no other is better in one metric and at least as good in all."""
        candidates = self._finished(self.goals)
        costs = [tuple(goal.cost(trial.metrics[id]) for id, goal in self.goals.items()) for trial in candidates]
        return tuple(
            trial for trial, cost in zip(candidates, costs, strict=True) if not any(_dominates(other, cost) for other in costs)
        )

    def _finished(self, metrics: Iterable[str]) -> list[TrialResult]:
        wanted = list(metrics)
        return [
            trial for trial in self.trials if trial.state is TrialState.SUCCEEDED and all(_finite(trial, id) for id in wanted)
        ]


def _finite(trial: TrialResult, metric: str) -> bool:
    return math.isfinite(trial.metrics.get(metric, math.nan))


def read_outcome(job: Mapping[str, Any], contract: Contract) -> Outcome:
    """The outcome that a job's snapshot stands for. Never raises for what a service may have put into the snapshot.

    Args:
        job: The job in the API's JSON form, as a service gives it.
        contract: The contract that its trials were given.
    """
    return OutcomeReader(contract).read(job)


class OutcomeReader:
    """Reads one job's snapshots, one after the other. What has ended is read once: it will never change."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._ended: dict[str, TrialResult] = {}

    def read(self, job: Mapping[str, Any]) -> Outcome:
        """The outcome as it stands. Never raises for what a service may have put into the snapshot."""
        trials: list[TrialResult] = []
        ended: dict[str, TrialResult] = {}
        for snapshot in _mappings(job.get("trials")):
            id = str(snapshot.get("id", ""))
            trial = self._ended.get(id) or _read_trial(snapshot, self._contract)
            trials.append(trial)
            if id and trial.ended:
                ended[id] = trial
        self._ended = ended
        return _outcome(job, self._contract, trials)


def _outcome(job: Mapping[str, Any], contract: Contract, trials: list[TrialResult]) -> Outcome:
    study = _mapping(job.get("studySpec"))
    goals = {
        str(entry["metricId"]): _goal(entry.get("goal")) for entry in _mappings(study.get("metrics")) if "metricId" in entry
    }
    slots = [item.id for item in contract.sequence if isinstance(item, Slot)]
    keys = {parameter.id: parameter.key for parameter in contract.parameters}
    planned, parallel = job.get("maxTrialCount"), job.get("parallelTrialCount")
    return Outcome(
        state=job_state(job),
        trials=tuple(sorted(trials, key=lambda trial: trial.number)),
        goals=goals,
        error=_one_line(explained(str(_mapping(job.get("error")).get("message", "")))),
        keys=tuple(dict.fromkeys(keys[id] for id in slots if id in keys)),
        planned=planned if isinstance(planned, int) else None,
        parallel=parallel if isinstance(parallel, int) else None,
    )


def _read_trial(trial: Mapping[str, Any], contract: Contract) -> TrialResult:
    state = trial_state(trial)
    numbers = {parameter.id for parameter in contract.parameters if parameter.kind is not Kind.CATEGORICAL}
    given = {str(entry.get("parameterId", "")): entry for entry in _mappings(trial.get("parameters"))}
    values = {id: entry.get("value", 0.0 if id in numbers else "") for id, entry in given.items()}  # JSON may leave zeros out
    reasons = [explained(str(trial.get("infeasibleReason") or ""))]
    if state is None and trial.get("state"):
        reasons.append(f"state {trial['state']} is not known here")
    measured = _metrics(trial)
    reasons += [f"{id} is {value}, which is no result" for id, value in measured.items() if not math.isfinite(value)]
    overrides: list[str] = []
    if values or (state is not None and state.ended):  # a trial that is only requested may have no values yet
        try:
            overrides = contract.overrides(values)
        except (ValueError, TypeError) as error:
            reasons.append(f"not a trial of this sweep: {error}")
    return TrialResult(
        number=_trial_number(trial.get("id")),
        state=state,
        literals=_literals(values, contract),
        overrides=tuple(overrides),
        metrics={id: value for id, value in measured.items() if math.isfinite(value)},
        started=str(trial["startTime"]) if trial.get("startTime") else None,
        seconds=_seconds(trial.get("startTime"), trial.get("endTime")),
        reason="; ".join(_one_line(reason) for reason in reasons if reason),
        job=str(trial.get("customJob") or ""),
        exit_code=exit_code(str(trial.get("infeasibleReason") or "")),
        log=str(_mapping(trial.get("webAccessUris")).get(PRIMARY_REPLICA) or ""),
        device=str(trial.get("device") or ""),
    )


def _literals(values: Mapping[str, ServiceValue], contract: Contract) -> dict[str, str]:
    parameters = {parameter.id: parameter for parameter in contract.parameters}
    known = [item.id for item in contract.sequence if isinstance(item, Slot) and item.id in values and item.id in parameters]
    literals: dict[str, str] = {}
    for id in known:
        parameter = parameters[id]
        try:
            literals[parameter.key] = parameter.literal(values[id])
        except (ValueError, TypeError):
            literals[parameter.key] = str(values[id])
    return literals | {id: str(value) for id, value in values.items() if id not in known}


def _metrics(trial: Mapping[str, Any]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for entry in _mappings(_mapping(trial.get("finalMeasurement")).get("metrics")):
        value = _float(entry.get("value", 0.0))  # the service leaves zeros out
        if value is not None and "metricId" in entry:
            metrics[str(entry["metricId"])] = value
    return metrics


def _float(value: object) -> float | None:
    try:
        return float(str(value))  # in JSON, what is not finite travels as the text "NaN" or "Infinity"
    except ValueError:
        return None


def _goal(spelling: object) -> Goal:
    try:
        return Goal(spelling)
    except ValueError:
        return Goal.MAXIMIZE  # what Vertex takes an unset goal for


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def _trial_number(id: object) -> int:
    try:
        return int(str(id))
    except ValueError:
        return 0


def seconds_between(start: object, now: datetime) -> float | None:
    """How long ago a time of the service's was, in seconds and never below zero; None when it is none.

    Args:
        start: RFC 3339 text, or whatever stands in its place.
        now: With a time zone.
    """
    started = _time(start)
    return max((now - started).total_seconds(), 0.0) if started is not None else None


def _seconds(start: object, end: object) -> float | None:
    started, ended = _time(start), _time(end)
    if started is None or ended is None:
        return None
    return (ended - started).total_seconds()


def _time(text: object) -> datetime | None:
    try:
        return parse_datetime(text)
    except ValueError:
        return None


def _one_line(text: str) -> str:
    return "; ".join(printable(line.strip()) for line in text.splitlines() if line.strip())


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list | tuple) else []
