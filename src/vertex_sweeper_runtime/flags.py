"""The trial's arguments, read by the contract: which values the service chose, and whether the fixed part is whole.

Vertex appends one flag per parameter to `containerSpec.args`. The form (`--id=value` or `--id value`) and the order are not
documented, and it may or may not have expanded `$(NAME)` in the arguments: every answer is accepted, anything else refused.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from vertex_sweeper_runtime.contract import Contract
from vertex_sweeper_runtime.errors import FlagError

_EXPANSION: Final = r"\$?\$\([^)]*\)"


def trial_overrides(contract: Contract, arguments: Sequence[str]) -> list[str]:
    """The overrides of the trial that these arguments (the command first) describe, in the contract's order.

    Raises FlagError with every mistake on its own line: a trial never trains on defaults by accident.
    """
    length = len(contract.command)
    head, rest = arguments[:length], arguments[length:]
    if len(head) < length or not all(_matches(given, meant) for given, meant in zip(head, contract.command, strict=True)):
        raise FlagError(f"the command must begin with {list(contract.command)}, as the sweep wrote it, and is {list(head)}")
    values, others, mistakes = _split(contract, rest)
    mistakes += _check_fixed(contract, others)
    if contract.parameters and not values and not mistakes:
        raise FlagError(
            f"none of the {len(contract.parameters)} parameters was given (does this worker pool get the trial's flags?)"
        )
    try:
        overrides = contract.overrides(values)
    except ValueError as error:
        mistakes += str(error).split("\n")
    if mistakes:
        raise FlagError("\n".join(mistakes))
    return overrides


def _split(contract: Contract, arguments: Sequence[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """The values by parameter id, the arguments that are no flags, and the mistakes."""
    known = {parameter.id for parameter in contract.parameters}
    values: dict[str, str] = {}
    others: list[str] = []
    mistakes: list[str] = []
    tokens = deque(arguments)
    while tokens:
        token = tokens.popleft()
        if not token.startswith("--"):
            others.append(token)
            continue
        id, equals, value = token[2:].partition("=")
        if id not in known:
            mistakes.append(f"{token}: no parameter of this sweep has the id {id!r}")
            if not equals and tokens and not tokens[0].startswith("--") and tokens[0] not in contract.sequence:
                tokens.popleft()  # its value, and no second mistake
            continue
        if not equals and not tokens:
            mistakes.append(f"{token}: no value follows")
            continue
        # Whatever stands behind a flag of two tokens is its value, also where it looks like a flag or an override.
        value = value if equals else tokens.popleft()
        if id in values:
            mistakes.append(f"{id}: given twice ({values[id]!r} and {value!r})")
        values[id] = value
    return values, others, mistakes


def _check_fixed(contract: Contract, arguments: Sequence[str]) -> list[str]:
    """The mistakes among the fixed overrides: all of the contract's are given, or none, and nothing else is."""
    missing = [item for item in contract.sequence if isinstance(item, str)]
    total = len(missing)
    unknown = []
    for argument in arguments:
        if argument in missing:
            missing.remove(argument)
        else:
            unknown.append(argument)
    left = []
    for argument in unknown:
        # The longest text is the most particular pattern.
        patterns = [item for item in sorted(missing, key=len, reverse=True) if _matches(argument, item)]
        if patterns:
            missing.remove(patterns[0])
        else:
            left.append(argument)
    mistakes = [f"{argument}: neither a flag nor an override of this sweep" for argument in left]
    if len(missing) < total:
        mistakes += [f"{item}: an override of this sweep, but not among the arguments" for item in missing]
    return mistakes


def _matches(given: str, meant: str) -> bool:
    if given == meant:
        return True
    if "$(" not in meant:
        return False
    pattern = ".*".join(re.escape(part) for part in re.split(_EXPANSION, meant))
    return re.fullmatch(pattern, given, re.DOTALL) is not None
