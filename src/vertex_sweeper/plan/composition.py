"""Composing, before anything is paid for, every config that trials may ask for, as far as that can be counted.

Hydra itself is asked: its message for a key that does not exist, an option that is not there, or a value the app's schema
refuses is better than any of ours, and it comes now instead of in the trial.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hydra.core.config_loader import ConfigLoader
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vertex_sweeper.messages import one_line
from vertex_sweeper.space.alike_values import AlikeValues
from vertex_sweeper.space.overrides import COMMAND_LINE, source_note
from vertex_sweeper_runtime.contract import Contract, Kind, Parameter, Scale, ServiceValue

log = logging.getLogger(__name__)

MOST_COMPOSITIONS = 200

Compose = Callable[[Sequence[str]], DictConfig]
"""Composes a trial's config from its overrides; raises what Hydra raises."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What composing found: mistakes, each a line, and how many values were left out at the limit."""

    mistakes: tuple[str, ...]
    compositions: int
    unchecked: int


def composer(config_loader: ConfigLoader, config_name: str | None) -> Compose:
    """Composes as a trial does: the same loader and config name, in RUN mode."""

    def compose(overrides: Sequence[str]) -> DictConfig:
        return config_loader.load_configuration(config_name, list(overrides), run_mode=RunMode.RUN)

    return compose


Record = Callable[[Mapping[str, ServiceValue], DictConfig], None]
"""Gets an assignment of values by parameter id, and the config that they compose to."""


def forget(sample: Mapping[str, ServiceValue], config: DictConfig) -> None:
    """The Record that keeps nothing."""


def check_compositions(
    contract: Contract,
    compose: Compose,
    *,
    most: int = MOST_COMPOSITIONS,
    sources: Mapping[str, str] | None = None,
    record: Record = forget,
    each: Callable[[DictConfig], bool] = lambda _: False,
) -> Checked:
    """Composes each option and each distinct literal at least once, many keys at a time, intervals at bounds and middle.

    Of literals that compose alike (see `alike_values.py`), two are composed; in configs for which `each` is true, all.
    `sources` says where parameters were written, by id: mistakes name the place. `record` gets each assignment and its config.
    """
    wanted = _wanted(contract)
    alike = AlikeValues(contract, wanted, each)
    rejections: list[Rejection] = []
    composed: list[Mapping[str, ServiceValue]] = []
    count = 0
    while count < most and (count == 0 or any(wanted.values())):
        sample, more = _sample(contract, wanted), False
        first = count == 0
        count += 1
        config, error = compose_or_say(compose, contract.overrides(sample))
        if config is not None:
            record(sample, config)
            composed.append(sample)
            more = alike.record(sample, config)
        else:
            found, extra = _blame(contract, sample, compose, error)
            count += extra
            rejections += found
        if first or more:
            log.info("checking the sweep: %s", _configs(contract, wanted, count=count, most=most))
    remedies = {rejection.id: _condition(contract, rejection, rejections, composed) for rejection in rejections if rejection.id}
    lines = _lines(rejections, sources or {}, remedies)
    return Checked(tuple(lines), count, unchecked=sum(map(len, wanted.values())))


def _configs(contract: Contract, wanted: Mapping[str, Sequence[ServiceValue]], *, count: int, most: int) -> str:
    """How many configs are composed in all, with so many behind us and these values before us."""
    left = {id: list(values) for id, values in wanted.items()}
    while count < most and any(left.values()):
        _sample(contract, left)
        count += 1
    return "1 config is composed" if count == 1 else f"{count} configs are composed"


def samples(contract: Contract) -> Iterator[dict[str, ServiceValue]]:
    """Trials that a service might ask for, by parameter id, with each value at least once."""
    wanted = _wanted(contract)
    yield _sample(contract, wanted)
    while any(wanted.values()):
        yield _sample(contract, wanted)


@dataclass(frozen=True, slots=True)
class Rejection:
    """What Hydra said, and of which override: its parameter's id, key and literal, all empty where it cannot be told."""

    id: str
    key: str
    literal: str
    error: str
    sample: Mapping[str, ServiceValue]


def _condition(
    contract: Contract, rejection: Rejection, rejections: Sequence[Rejection], composed: Sequence[Mapping[str, ServiceValue]]
) -> str:
    """The remedy for a key that only some options have; empty where what was composed does not show that."""
    refused = [other.sample for other in rejections if other.id == rejection.id]
    accepted = [sample for sample in composed if rejection.id in sample]
    for parameter in contract.parameters:
        without = {sample.get(parameter.id) for sample in refused}
        with_it = {sample.get(parameter.id) for sample in accepted}
        if parameter.kind is Kind.CATEGORICAL and parameter.id != rejection.id and with_it and not without & with_it:
            values = ",".join(parameter.literal(value) for value in parameter.values if value in with_it)
            where = f"{parameter.key}={values}"
            return f"; with {where} it composes: under hydra.sweeper.conditional, {where}, it is tuned there only"
    return ""


def _lines(rejections: Sequence[Rejection], sources: Mapping[str, str], remedies: Mapping[str, str]) -> list[str]:
    """A line for each refused parameter: Hydra's message for its first value, and the other values it was refused for."""
    lines: list[str] = []
    for id in dict.fromkeys(rejection.id for rejection in rejections):
        first, *others = [rejection for rejection in rejections if rejection.id == id]
        if not id:
            lines += dict.fromkeys(rejection.error for rejection in (first, *others))
            continue
        also = [rejection.literal for rejection in others if rejection.literal != first.literal]
        so_for = f" (and so for {', '.join(dict.fromkeys(also))})" if also else ""
        source = source_note(sources.get(id, COMMAND_LINE))
        lines.append(f"{first.key}={first.literal}: {first.error}{so_for}{source}{remedies[id]}")
    return lines


def _wanted(contract: Contract) -> dict[str, list[ServiceValue]]:
    return {parameter.id: _candidates(parameter) for parameter in contract.parameters}


def compose_with(
    contract: Contract, compose: Compose, chosen: Mapping[str, ServiceValue]
) -> tuple[dict[str, ServiceValue], DictConfig | None]:
    """A complete assignment with these values in it, and its config; None where Hydra refuses it."""
    sample = _sample(
        contract, {parameter.id: [chosen[parameter.id]] if parameter.id in chosen else [] for parameter in contract.parameters}
    )
    return sample, compose_or_say(compose, contract.overrides(sample))[0]


def _candidates(parameter: Parameter) -> list[ServiceValue]:
    if parameter.kind in (Kind.DISCRETE, Kind.CATEGORICAL):
        return list(parameter.values)
    low, high = parameter.low, parameter.high
    middle = low / 2 + high / 2 if parameter.scale is not Scale.LOG else math.exp((math.log(low) + math.log(high)) / 2)
    return list(dict.fromkeys([low, round(middle) if parameter.kind is Kind.INTEGER else middle, high]))


def _sample(contract: Contract, wanted: Mapping[str, list[ServiceValue]]) -> dict[str, ServiceValue]:
    """A complete assignment with as many wanted values as fit into one; they are taken out of `wanted`."""
    sample: dict[str, ServiceValue] = {}
    for parameter in contract.parameters:
        if parameter.when is None or sample.get(parameter.when.parent) in parameter.when.values:
            value = _next(parameter, contract, wanted)
            sample[parameter.id] = _candidates(parameter)[0] if value is None else value
    for id, value in sample.items():
        if value in wanted[id]:
            wanted[id].remove(value)
    return sample


def _next(parameter: Parameter, contract: Contract, wanted: Mapping[str, list[ServiceValue]]) -> ServiceValue | None:
    """A value not composed yet, or one under which some child still has such a value."""
    if wanted[parameter.id]:
        return wanted[parameter.id][0]
    for child in contract.parameters:
        when = child.when
        if when is not None and when.parent == parameter.id and _next(child, contract, wanted) is not None:
            return when.values[0]
    return None


def _blame(contract: Contract, sample: Mapping[str, ServiceValue], compose: Compose, whole: str) -> tuple[list[Rejection], int]:
    """The parameters of a failing sample that Hydra refuses, with its message for each; and how many compositions it took.

    Parameters are added one by one to what composes, in the sample's order; one that fails is tried once more at the end, since
    what it lacked may have come later (a mandatory group that another parameter sets).
    """
    without = _error(compose, contract.render({}))
    accepted: dict[str, ServiceValue] = {}
    errors: dict[str, str] = {}
    count = 1
    for refused in (list(sample), errors):
        for id in list(refused):
            count += 1
            error = _error(compose, contract.render({**accepted, id: sample[id]}))
            if error:
                errors[id] = error
            else:
                accepted[id] = sample[id]
                errors.pop(id, None)
        if not accepted:
            break
    # What Hydra says without the parameter too, or of several alike, is not about that parameter.
    common = {without, *(error for error in errors.values() if list(errors.values()).count(error) > 1)}
    named = [(contract.parameter(id), sample[id], error) for id, error in errors.items() if error not in common]
    rejections = [
        Rejection(parameter.id, parameter.key, parameter.literal(value), error, sample) for parameter, value, error in named
    ]
    return rejections or [Rejection("", "", "", whole, sample)], count


def _error(compose: Compose, overrides: Sequence[str]) -> str:
    """Hydra's own message on one line, or nothing."""
    return compose_or_say(compose, overrides)[1]


def compose_or_say(compose: Compose, overrides: Sequence[str]) -> tuple[DictConfig | None, str]:
    """The config, or Hydra's own message on one line, without its list of places searched."""
    try:
        return compose(overrides), ""
    except Exception as error:  # noqa: BLE001 - Hydra lets YAML's errors, TypeErrors and assertions out for what a user wrote
        message = str(error).partition("\nConfig search path")[0]
        cause = str(error.__cause__).partition("\n")[0] if isinstance(error.__cause__, OmegaConfBaseException) else ""
        return None, one_line(f"{message} {cause}") or type(error).__name__
