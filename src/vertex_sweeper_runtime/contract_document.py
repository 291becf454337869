"""A contract as the text of an environment variable, and back: JSON, packed into one word."""

from __future__ import annotations

from typing import Any, Final

from vertex_sweeper_runtime.checked_json import Fields, is_number, is_text, pack, unpack
from vertex_sweeper_runtime.contract import VARIABLE, VERSION, Condition, Contract, Kind, Parameter, Scale, ServiceValue, Slot
from vertex_sweeper_runtime.errors import ContractError

_LATEST_VERSION: Final = 10**6

_LONGEST_WAIT: Final = 2**31 - 1
"""What an alarm of the system takes."""

_HIGHEST_NUMBER: Final = 10**18 - 1
"""As many digits as a trial's id may have."""

_KINDS: Final = {kind.value: kind for kind in Kind}
_SCALES: Final = {scale.value: scale for scale in Scale}


def encode(contract: Contract) -> str:
    """The contract as the text of an environment variable: letters, digits, `-`, `_` and `=`."""
    return pack({"version": VERSION, **to_document(contract)})


def decode(text: str) -> Contract:
    """The contract that `encode` wrote. Raises ContractError when it is damaged, of a newer version, or of another shape."""
    try:
        document = Fields(unpack(text))
        version = document.integer("version", least=1, most=_LATEST_VERSION)
    except ValueError as error:
        raise ContractError(
            f"{VARIABLE} cannot be read ({error}): it must be passed to the container as the sweep wrote it"
        ) from error
    if version > VERSION:
        raise ContractError(
            f"{VARIABLE} has version {version} and this container understands up to {VERSION}: "
            "upgrade hydra-vertex-sweeper in the training image"
        )
    try:
        return from_document(document)
    except ValueError as error:
        raise ContractError(f"{VARIABLE} has version {version} but not its shape: {error}") from error


def to_document(contract: Contract) -> dict[str, Any]:
    """All of the contract, in JSON's types."""
    return {
        "command": contract.command,
        "sequence": [item if isinstance(item, str) else {"parameter": item.id} for item in contract.sequence],
        "parameters": [_parameter_to_json(parameter) for parameter in contract.parameters],
        "metrics": contract.metrics,
        "keep_alive": contract.keep_alive,
        "groups": contract.groups,
        "pinned": contract.pinned,
        "subdir": contract.subdir,
        "rerun": contract.rerun,
        "drift": contract.drift,
        "number": contract.number,
    }


def from_document(document: Fields) -> Contract:
    """The contract of such a document. Raises ValueError, with one line, where something in it has another type."""
    return Contract(
        command=document.texts("command"),
        sequence=tuple(
            item if isinstance(item, str) else Slot(Fields(item, "an item of sequence").text("parameter"))
            for item in document.items("sequence")
        ),
        parameters=tuple(_parameter_from_json(Fields(entry, "a parameter")) for entry in document.items("parameters")),
        metrics=document.texts("metrics"),
        keep_alive=document.integer("keep_alive", least=0, most=_LONGEST_WAIT),
        groups=document.texts("groups", ()),
        pinned=document.texts("pinned", ()),
        subdir=document.checked("subdir", lambda value: value is None or is_text(value), "a text or null", None),
        rerun=_rerun_from_json(document),
        drift=document.text("drift", ""),
        number=document.checked("number", _is_job_number, f"null or a whole number up to {_HIGHEST_NUMBER}", None),
    )


def _is_job_number(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= _HIGHEST_NUMBER)


def _rerun_from_json(document: Fields) -> tuple[str, ...] | None:
    return None if document.any("rerun", ()) is None else document.texts("rerun", ())


def _parameter_to_json(parameter: Parameter) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": parameter.id, "key": parameter.key, "kind": parameter.kind.value}
    if parameter.kind in (Kind.DOUBLE, Kind.INTEGER):
        entry |= {"low": parameter.low, "high": parameter.high}
    else:
        entry |= {"values": parameter.values, "literals": parameter.literals}
    if parameter.scale is not None:
        entry["scale"] = parameter.scale.value
    if parameter.when is not None:
        entry["when"] = {"parent": parameter.when.parent, "values": parameter.when.values}
    return entry


def _parameter_from_json(entry: Fields) -> Parameter:
    parameter = Parameter(
        id=entry.text("id"),
        key=entry.text("key"),
        kind=_KINDS[entry.checked("kind", lambda value: is_text(value) and value in _KINDS, "one of Vertex's kinds")],
        scale=_SCALES.get(
            entry.checked("scale", lambda value: is_text(value) and value in _SCALES, "a scale of Vertex's", None)
        ),
        when=_condition_from_json(entry.any("when", None)),
    )
    if parameter.kind in (Kind.DOUBLE, Kind.INTEGER):
        return parameter._replace(low=entry.number("low"), high=entry.number("high"))
    values: tuple[ServiceValue, ...] = entry.numbers("values") if parameter.kind is Kind.DISCRETE else entry.texts("values")
    literals = entry.texts("literals")
    if len(values) != len(literals):
        raise ValueError(f"a parameter has {len(values)} values and {len(literals)} literals")
    return parameter._replace(values=values, literals=literals)


def _condition_from_json(value: Any) -> Condition | None:
    if value is None:
        return None
    when = Fields(value, "a condition")
    values = when.items("values")
    if not all(is_text(item) or is_number(item) for item in values):
        raise ValueError("values of a condition must be a list of texts and numbers")
    return Condition(parent=when.text("parent"), values=tuple(values))
