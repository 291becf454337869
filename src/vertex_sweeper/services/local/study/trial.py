"""A trial's record: what it tries, its state, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vertex_sweeper.api import TrialState, parse_time
from vertex_sweeper.services.local.parameter_tree import Choice, ParameterSpec, choose
from vertex_sweeper.services.local.study.measurement import Measurement
from vertex_sweeper.stored_json import check_complete, check_shape
from vertex_sweeper_runtime.contract import Kind, ServiceValue

_SCALAR: Final = (int, float, str)
_MEASUREMENT: Final = {
    "stepCount": str,
    "elapsedDuration": str,
    "metrics": [{"metricId": str, "value": float}],
}
_RECORD: Final = {
    "number": int,
    "values": {str: _SCALAR},
    "drawn": {},
    "state": str,
    "started": str,
    "ended": str,
    "measurements": [_MEASUREMENT],
    "final": (dict, type(None)),
    "reason": str,
    "failed": bool,
    "device": str,
}


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """How a trial ended: without a reason it succeeded. `failed` says whether it counts towards the job's failed trials."""

    measurements: Sequence[Measurement] = ()
    final: Measurement | None = None
    reason: str = ""
    failed: bool = False


@dataclass(slots=True)
class Trial:
    """One trial's record.

    `drawn` is its suggester's own, `revision` the study's at the trial's last change, `device` what it has of the machine's
    devices, where they are shared out.
    """

    number: int
    choices: tuple[Choice, ...]
    state: TrialState = TrialState.REQUESTED
    started: str = ""
    ended: str = ""
    outcome: TrialOutcome = field(default_factory=TrialOutcome)
    revision: int = 1
    drawn: Mapping[str, Any] = field(default_factory=dict)
    device: str = ""

    def to_record(self) -> dict[str, Any]:
        """All of it as plain data, values exact: what is shown of a trial has floats for all numbers."""
        outcome = self.outcome
        return {
            "number": self.number,
            "values": {choice.parameter.id: choice.value for choice in self.choices},
            "drawn": dict(self.drawn),
            "state": self.state.value,
            "started": self.started,
            "ended": self.ended,
            "measurements": [measurement.to_json() for measurement in outcome.measurements],
            "final": outcome.final.to_json() if outcome.final else None,
            "reason": outcome.reason,
            "failed": outcome.failed,
            "device": self.device,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], parameters: Sequence[ParameterSpec]) -> Trial:
        """What `to_record` gave. Raises KeyError, TypeError or ValueError for anything else."""
        check_complete(record, _RECORD)
        values, final = record["values"], record["final"]
        check_shape(final or {}, _MEASUREMENT, "final")
        for time in (record["started"], record["ended"]):
            if time:
                parse_time(time)
        return cls(
            number=record["number"],
            choices=tuple(choose(parameters, value_of=lambda parameter: _value_of(parameter, values))),
            drawn=record["drawn"],
            state=TrialState(record["state"]),
            started=record["started"],
            ended=record["ended"],
            device=record["device"],
            outcome=TrialOutcome(
                measurements=[Measurement.from_json(one) for one in record["measurements"]],
                final=Measurement.from_json(final) if final else None,
                reason=record["reason"],
                failed=bool(record["failed"]),
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """In the API's JSON form, and beside it the device; what is not known yet is left out."""
        outcome = self.outcome
        entry: dict[str, Any] = {
            "id": str(self.number),
            "state": self.state.value,
            "parameters": [choice.to_json() for choice in self.choices],
            "finalMeasurement": outcome.final.to_json() if outcome.final else None,
            "measurements": [measurement.to_json() for measurement in outcome.measurements],
            "startTime": self.started,
            "endTime": self.ended,
            "infeasibleReason": outcome.reason,
            "device": self.device,
        }
        return {name: value for name, value in entry.items() if value}


def _value_of(parameter: ParameterSpec, values: Mapping[str, ServiceValue]) -> ServiceValue:
    value = values[parameter.id]
    if isinstance(value, str) is not (parameter.kind is Kind.CATEGORICAL):
        raise ValueError(f"{parameter.id} is {parameter.kind.name}, and its value is not")
    return value
