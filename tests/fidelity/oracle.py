"""What the shim hands to Hydra for a trial, and what Hydra itself would have been given: two ways that meet in a comparison.

Ours goes through all that a sweep does: entries, search space, job, the local service's own choice of what is active, a
 hostile rendering, the contract as text, the shim. The other way asks Hydra alone, and the job only for which value was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import NamedTuple

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import OmegaConf

from tests.fidelity.drawn import Case, When, Written, parsed
from tests.support import App
from vertex_sweeper.job import build_contract, build_job
from vertex_sweeper.services.local.parameter_tree import Choice, ParameterSpec, choose, read_parameter_specs
from vertex_sweeper.settings import Settings
from vertex_sweeper.space.overrides import OverrideReader, merge
from vertex_sweeper.space.search_space import build_space
from vertex_sweeper.testing import HostileRendering
from vertex_sweeper_runtime import contract as contracts
from vertex_sweeper_runtime import contract_document
from vertex_sweeper_runtime.contract import Contract, Kind, ServiceValue
from vertex_sweeper_runtime.flags import trial_overrides
from vertex_sweeper_runtime.hydra_overrides import hydra_overrides
from vertex_sweeper_runtime.trial_environment import TrialContainer

COMMAND = ("torchrun", "--nproc_per_node=2", "train.py", "--config-name", "x")
SHIMS_OWN = hydra_overrides(TrialContainer(trial="3", job="4711", primary=True, sweep_directory="/tmp/it's here"))  # noqa: S108


class Sweep(NamedTuple):
    """A drawn case as a job and a contract."""

    case: Case
    agreed: Contract
    parameters: tuple[ParameterSpec, ...]


class DrawnTrial(NamedTuple):
    """The overrides of one trial: those that the shim makes, and those that Hydra would have been given."""

    found: list[str]
    wanted: list[str]


def planned(case: Case, loader: ConfigLoader) -> Sweep:
    """The job of a case, all its texts gone through their wire forms."""
    reader = OverrideReader(loader)
    given = reader.params(case.params) + reader.conditional(case.conditional)
    entries, repeated = merge(given, reader.command_line(case.command_line))
    assert (reader.mistakes, repeated) == ([], [])
    space = build_space(entries)
    settings = Settings()
    sent = build_contract(settings, space, command=COMMAND, groups=[key for key in space.keys if is_group(loader, key)])
    job = build_job(settings, space, sent, display_name="drawn", sweep_id="0")
    container = job["trialJobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    text = next(entry["value"] for entry in container["env"] if entry["name"] == contracts.VARIABLE)
    return Sweep(case, contract_document.decode(text), read_parameter_specs(job["studySpec"]["parameters"]))


def is_group(loader: ConfigLoader, key: str) -> bool:
    """Whether the app has a config group of this name."""
    assert isinstance(loader, ConfigLoaderImpl)
    return bool(loader.repository.group_exists(key))


def draw_trial(sweep: Sweep, dice: Random) -> DrawnTrial:
    """A trial that a service might ask for, in a rendering that it might choose."""
    choices = list(choose(sweep.parameters, value_of=lambda parameter: _draw(parameter, dice)))
    fixed = [item for item in sweep.agreed.sequence if isinstance(item, str)]
    arguments = HostileRendering(dice.randint(0, 9999)).render(choices, fixed)
    found = trial_overrides(sweep.agreed, [*COMMAND, *arguments])
    chosen = {choice.parameter.id: choice for choice in choices}
    return DrawnTrial(found, wanted_overrides(sweep, chosen))


def differences(trial: DrawnTrial) -> list[str]:
    """Where the two ways part, in text, type or value."""
    found = [(line, *_read(line)) for line in trial.found]
    wanted = [(line, *_read(line)) for line in trial.wanted]
    return [f"{ours} is not {theirs}" for ours, theirs in zip(found, wanted, strict=True) if ours != theirs]


def composed(app: App, overrides: Sequence[str]) -> tuple[str, ...]:
    """The app's config and Hydra's own record of the overrides; or Hydra's error, and of which override."""
    try:
        config = app.run(overrides)
    except HydraException as error:
        return (str(error),)
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    hydra = plain.pop("hydra")
    return repr(plain), repr(hydra["overrides"]["task"]), hydra["job"]["override_dirname"]


def _draw(parameter: ParameterSpec, dice: Random) -> ServiceValue:
    if parameter.kind is Kind.DOUBLE:
        zeros = (0.0, -0.0) if parameter.low <= 0 <= parameter.high else ()
        return dice.choice((float(parameter.low), float(parameter.high), dice.uniform(parameter.low, parameter.high), *zeros))
    if parameter.kind is Kind.INTEGER:
        return dice.randint(int(parameter.low), int(parameter.high))
    return dice.choice(parameter.values)


def wanted_overrides(sweep: Sweep, chosen: Mapping[str, Choice]) -> list[str]:
    """What the user wrote, in order, each sweep replaced by the element that was chosen; what is inactive is left out."""
    texts: dict[str, str] = {}
    slots = dict(zip(sweep.case.written, sweep.agreed.sequence, strict=True))
    lines: dict[Written, str] = {}
    for written in sorted(sweep.case.written, key=lambda one: len(one.when)):
        slot = slots[written]
        active = all(_holds(when, texts) for when in written.when)
        given = not isinstance(slot, str) and slot.id in chosen
        assert isinstance(slot, str) or given == active, (
            f"{written.line} under {written.when}: {'in' if given else 'not in'} the trial"
        )
        if active:
            text = _element_text(written, None if isinstance(slot, str) else chosen[slot.id])
            lines[written] = text
            texts[written.key] = text.partition("=")[2]
    return [lines[written] for written in sweep.case.written if written in lines]


def _holds(when: When, texts: Mapping[str, str]) -> bool:
    key, values = when
    return texts.get(key) in values


def _element_text(written: Written, choice: Choice | None) -> str:
    override = parsed(written.line)
    if not override.is_sweep_override():
        return written.line
    if override.is_interval_sweep():
        assert choice is not None
        return f"{written.key}={choice.value or abs(choice.value)!r}"  # type: ignore[arg-type]  # a number: of zero no sign is kept
    elements = list(dict.fromkeys(_elements(written.line, override)))
    return f"{written.key}={elements[0] if choice is None else _chosen(elements, choice)}"


def _elements(line: str, override: Override) -> Iterable[str]:
    if "glob(" in line:
        folder = {"model": ("cnn", "virus", "vit"), "pick": ("one", "two"), "server/db": ("mysql", "pg")}[override.key_or_group]
        return [name for name in folder if name.startswith("v") or "v*" not in line]
    return override.sweep_string_iterator()


def _chosen(elements: Sequence[str], choice: Choice) -> str:
    """The element that a service's value stands for: by its place among the labels, or by its number."""
    if choice.parameter.kind is Kind.CATEGORICAL:
        return elements[choice.parameter.values.index(choice.value)]
    (text,) = [text for text in elements if float(text) == float(choice.value)]
    return text


def _read(line: str) -> tuple[str, str]:
    override = parsed(line)
    # repr tells 1 from 1.0 and True, and nan from nothing.
    return override.get_key_element(), repr(override.value())


def check_elements_keep_their_values(case: Case) -> list[str]:
    """Elements of simple lists whose printed text Hydra reads as another value than the element had."""
    lost = []
    for written in case.written:
        sweep = parsed(written.line).value()
        if isinstance(sweep, ChoiceSweep) and sweep.simple_form and "(" not in written.line:
            values = [repr(Override._convert_value(item)) for item in sweep.list]
            texts = parsed(written.line).sweep_string_iterator()
            lost += [
                written.line for value, text in zip(values, texts, strict=True) if repr(parsed(f"x={text}").value()) != value
            ]
    return lost
