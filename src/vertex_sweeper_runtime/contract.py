"""The contract: what the submitting side and the container agree on, as one versioned document.

The submitting side writes it into the environment variable `VARIABLE` of the container; the shim reads it there. It holds the
trial's parameters, the one sequence in which all overrides are handed to Hydra, the command, and the metrics. It travels as
base64url of zlib of JSON: Vertex expands `$(NAME)` inside the values of environment variables, and no such text survives here.

The values here are named tuples and not dataclasses: every trial imports this module, and `dataclasses` alone would cost it as
much as everything else the shim needs (change one with `value._replace(field=...)`).
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

SHIM: Final = "vertex-trial"
"""The program that stands before a trial's command."""

VARIABLE: Final = "VERTEX_SWEEPER_CONTRACT"
VERSION: Final = 3  # which brought `number`; 2 brought `drift`

TOLERANCE: Final = 1e-9
"""How far, relative to the larger number, a flag may be off an allowed value: services round in the last digits."""

Number = int | float
ServiceValue = int | float | str
"""What a service hands out or reports for a parameter: a number, or a CATEGORICAL label."""


class Kind(Enum):
    """Vertex's four kinds of parameters."""

    DOUBLE = "DOUBLE"
    INTEGER = "INTEGER"
    DISCRETE = "DISCRETE"
    CATEGORICAL = "CATEGORICAL"


class Scale(Enum):
    """Vertex's scale types, with the API's own spelling."""

    LINEAR = "UNIT_LINEAR_SCALE"
    LOG = "UNIT_LOG_SCALE"
    REVERSE_LOG = "UNIT_REVERSE_LOG_SCALE"


class Slot(NamedTuple):
    """The place of a parameter in the sequence of overrides."""

    id: str


class Condition(NamedTuple):
    """A parameter exists in a trial only when its parent has one of these values (as the service writes them)."""

    parent: str
    values: tuple[ServiceValue, ...]


class Parameter(NamedTuple):
    """One tuned Hydra key: how the service names and bounds it, and which override text each value stands for.

    `id` is what the service calls it, `key` what Hydra does (`model.lr`, `+x`, `db@backup`). DOUBLE and INTEGER have `low` and
    `high`, both inclusive. DISCRETE and CATEGORICAL have `values` (numbers, ascending; or plain labels) and, at the same
    positions, `literals`: the text that stands behind `key=` in the trial, exactly as Hydra prints the element.
    """

    id: str
    key: str
    kind: Kind
    low: Number = 0
    high: Number = 0
    values: tuple[ServiceValue, ...] = ()
    literals: tuple[str, ...] = ()
    scale: Scale | None = None
    when: Condition | None = None

    def decode(self, rendered: ServiceValue) -> ServiceValue:
        """The parameter's own value for whatever a service wrote for it.

        Accepts `128`, `128.0` and `1.28E2` alike, and numbers that are off by `TOLERANCE`; snaps them to the value that was
        meant, or to the bound. A DOUBLE's zero has no sign: `-0.0` is 0.0. Raises ValueError for any other value.
        """
        if self.kind is Kind.CATEGORICAL:
            if rendered in self.values:
                return rendered
            raise ValueError(f"{self.id}: {rendered!r} is none of its labels ({_listed(self.values)})")
        number = _number(self.id, rendered)
        if self.kind is Kind.DISCRETE:
            nearest = min(self.values, key=lambda value: abs(float(value) - number), default=math.nan)
            if _close(number, float(nearest)):
                return nearest
            raise ValueError(f"{self.id}: {rendered} is none of its values ({_listed(self.values)})")
        if self.kind is Kind.INTEGER:
            number = _integer(self.id, number, rendered)
        return self._bounded(number, rendered)

    def literal(self, rendered: ServiceValue) -> str:
        """The override text (what stands behind `key=`) for whatever a service wrote for this parameter."""
        value = self.decode(rendered)
        if self.kind in (Kind.DISCRETE, Kind.CATEGORICAL):
            return self.literals[self.values.index(value)]
        return repr(value)

    def _bounded(self, number: Number, rendered: ServiceValue) -> Number:
        if self.kind is Kind.DOUBLE:
            within = float(min(max(number, self.low), self.high))  # inside the bounds the very number
            # Round-off is relative to the value on a logarithmic scale, and to the range on any other (its half is a double).
            half = 0.0 if self.scale is Scale.LOG else float(self.high) / 2 - float(self.low) / 2
            if math.isclose(number, within, rel_tol=TOLERANCE, abs_tol=max(TOLERANCE * 2e-3 * half, math.ulp(within))):
                return within + 0.0  # of the two zeros the one without a sign
        elif self.low <= number <= self.high:
            return number
        raise ValueError(f"{self.id}: {rendered} is outside [{self.low!r}, {self.high!r}]")


class Contract(NamedTuple):
    """All that a container must know of its sweep.

    `sequence` holds, in the user's order, fixed overrides (text, as given) and ids of parameters (`Slot`): order decides
    configs (`d.a=5 d={a:9}`), so the shim emits this order whatever the order of its arguments. `keep_alive` is for how many
    seconds a failed container stays up for a look inside.

    The next four are for whoever writes the results and has only the job, not the app: which of the keys are config groups,
    which of these the app's primary config itself overrides, `hydra.sweep.subdir` as it is written (None: not known), and what
    a rerun by `+best=best` needs beside it on the command line (None: that is not enough, whatever stands there).
    `drift` is the text of a `fingerprint.Fingerprint`, or empty: only the callback in the app's process reads it.
    `number` is the `hydra.job.num` of a launched job, which has neither parameters nor metrics; None in a sweep's trials.
    """

    command: tuple[str, ...]
    sequence: tuple[str | Slot, ...]
    parameters: tuple[Parameter, ...]
    metrics: tuple[str, ...]
    keep_alive: int = 0
    groups: tuple[str, ...] = ()
    pinned: tuple[str, ...] = ()
    subdir: str | None = None
    rerun: tuple[str, ...] | None = ()
    drift: str = ""
    number: int | None = None

    def parameter(self, id: str) -> Parameter:
        """The parameter with this id. Raises KeyError."""
        for parameter in self.parameters:
            if parameter.id == id:
                return parameter
        raise KeyError(id)

    def overrides(self, values: Mapping[str, ServiceValue]) -> list[str]:
        """The trial's overrides, in the contract's order, for the values a service chose (by parameter id).

        Raises ValueError, with every mistake on its own line, for an unknown id, a value outside its domain, a missing
        parameter, or one whose parent's value rules it out.
        """
        known = {parameter.id for parameter in self.parameters}
        placed = {item.id for item in self.sequence if not isinstance(item, str)}
        mistakes = [f"{id}: not a parameter of this sweep" for id in values if id not in known]
        mistakes += [f"{id}: a parameter without a place among the overrides" for id in sorted(known - placed)]
        mistakes += [f"{id}: a place among the overrides without a parameter" for id in sorted(placed - known)]
        decoded: dict[str, ServiceValue] = {}
        for parameter in self.parameters:
            if parameter.id in values:
                try:
                    decoded[parameter.id] = parameter.decode(values[parameter.id])
                except ValueError as error:
                    mistakes.append(str(error))
        mistakes += self._misplaced(decoded, given=values)
        if mistakes:
            raise ValueError("\n".join(mistakes))
        return self.render(decoded)

    def render(self, values: Mapping[str, ServiceValue]) -> list[str]:
        """The overrides for just these values, in the contract's order, whether or not they make a whole trial.

        Raises ValueError for a value outside its parameter's domain.
        """
        given = (parameter for parameter in self.parameters if parameter.id in values)
        texts = {parameter.id: f"{parameter.key}={parameter.literal(values[parameter.id])}" for parameter in given}
        overrides = (item if isinstance(item, str) else texts.get(item.id) for item in self.sequence)
        return [text for text in overrides if text is not None]

    def _misplaced(self, decoded: Mapping[str, ServiceValue], *, given: Mapping[str, ServiceValue]) -> Iterator[str]:
        for parameter in self.parameters:
            when = parameter.when
            if when is not None and when.parent in given and when.parent not in decoded:
                continue  # its parent's value is a mistake already told: whether the child belongs here is not known
            active = when is None or decoded.get(when.parent) in when.values
            if active and parameter.id not in given:
                yield f"{parameter.id}: no value given"
            if when is not None and not active and parameter.id in given:
                yield f"{parameter.id}: given, but {when.parent} is not {_listed(when.values)}"


def _number(id: str, rendered: ServiceValue) -> float:
    try:
        number = float(rendered)
    except (ValueError, OverflowError):
        raise ValueError(f"{id}: {rendered!r} is not a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{id}: {rendered!r} is not a finite number")
    return number


def _integer(id: str, number: float, rendered: ServiceValue) -> int:
    if isinstance(rendered, str):
        try:
            return int(rendered)  # exact beyond 2**53, where a float is not
        except ValueError:
            pass  # `128.0`, `1.28E2`
    whole = round(number)
    if _close(number, whole) and abs(number - whole) < 1e-3:  # noqa: PLR2004 - a large number's tolerance is more than 1
        return whole
    raise ValueError(f"{id}: {rendered!r} is not a whole number")


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE * 1e-3)


def _listed(values: Sequence[ServiceValue], most: int = 8) -> str:
    shown = ", ".join(map(str, values[:most]))
    return shown if len(values) <= most else f"{shown}, … {len(values)} in all"
