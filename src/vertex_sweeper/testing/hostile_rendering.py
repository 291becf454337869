"""A rendering of flags that does all that is not ruled out, so that tests show that a container reads all of it alike."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from vertex_sweeper.services.local.parameter_tree import Choice
from vertex_sweeper_runtime.contract import Kind, Scale, ServiceValue

_ROUND_OFF: Final = 1e-12
_EXACT: Final = 2**53
_ZEROS: Final = ("-0.0", "-0", "0.0000", "-0.0000", "0E-7")


@dataclass(frozen=True, slots=True)
class HostileRendering:
    """Everything a service might do: one token or two, any order, any place, any spelling of a number, round-off.

    Values stay what they are: a reader that snaps by tolerance gets back exactly what the service chose.
    """

    seed: int

    def render(self, choices: Sequence[Choice], args: Sequence[str]) -> list[str]:
        """The same choices and args in some order and spelling, which depends on the seed and on them."""
        content = [(choice.parameter.id, choice.value) for choice in choices]
        dice = random.Random(repr((self.seed, content, list(args))))  # noqa: S311 - variety, not secrecy
        flags = [_flag(choice, dice) for choice in dice.sample(list(choices), len(choices))]
        # Before, behind, or around the arguments; never among them: one of them may belong to the one before it.
        split = dice.choice((0, len(flags), dice.randint(0, len(flags))))
        before = [token for flag in flags[:split] for token in flag]
        behind = [token for flag in flags[split:] for token in flag]
        return [*before, *args, *behind]


def _flag(choice: Choice, dice: random.Random) -> list[str]:
    text = _spell(choice, dice)
    one_token = [f"--{choice.parameter.id}={text}"]
    return dice.choice((one_token, [f"--{choice.parameter.id}", text]))


def _spell(choice: Choice, dice: random.Random) -> str:
    value = choice.value
    if isinstance(value, str):
        return value
    if choice.parameter.kind is Kind.INTEGER and abs(value) >= _EXACT:
        return str(value)  # as a float it would be another number
    number = float(_perturb(choice, dice))
    spellings = [repr(number), _scientific(number, sign="+"), _scientific(number, sign=""), format(Decimal(repr(number)), "f")]
    if number.is_integer() and abs(number) < _EXACT:
        spellings.append(str(int(number)))
    return dice.choice(spellings if number else [*spellings, *_ZEROS])


def _scientific(number: float, *, sign: str) -> str:
    return format(Decimal(repr(number)).normalize(), "E").replace("E+", f"E{sign}")


def _perturb(choice: Choice, dice: random.Random) -> ServiceValue:
    domain, value = choice.parameter, choice.value
    size = abs(float(value))
    if domain.kind is Kind.DOUBLE and domain.scale is not Scale.LOG:
        size = max(size, float(domain.high) / 2 - float(domain.low) / 2)
    off = _ROUND_OFF * size * dice.choice((-1, 0, 1))
    if not (math.isfinite(float(value) + off) and math.isfinite(float(value) - off)):
        return value  # the largest of doubles
    if domain.kind is Kind.DISCRETE:
        neighbours = [abs(float(other) - float(value)) for other in domain.values if other != value]
        return float(value) + math.copysign(min([abs(off), *(gap / 4 for gap in neighbours)]), off)
    if domain.kind is Kind.DOUBLE and value in (domain.low, domain.high):
        return float(value) + math.copysign(off, -1 if value == domain.low else 1)  # only outwards: a reader can mend that
    return value
