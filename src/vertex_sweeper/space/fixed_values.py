"""YAML values in `params` that are fixed: what they are as overrides, and what in them was meant to be swept.

In `params` a string is an expression and any other value is that value, whatever texts are in it. A text inside that Hydra's
grammar would read as a sweep or a function call, had it a key of its own, is refused: each trial would get the text. A sentence
is a text (`Hello, world`: it begins with a capital and goes on without, or a part of it has several words), although Hydra
would read its comma as a choice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hydra.errors import HydraException

from vertex_sweeper.space.expressions import holds_sweep
from vertex_sweeper.space.hydra_api import ChoiceSweep, OverridesParser, override_text
from vertex_sweeper.space.key_paths import leaves
from vertex_sweeper.space.other_spaces import as_choice, as_expression, quoted

_LONGEST_SHOWN = 100


def text_of(value: Any, parser: OverridesParser) -> str | None:
    """What stands behind `key=`, so that Hydra reads this very value; None where no text does."""
    try:
        text = override_text(quoted(value))
        if repr(parser.parse_override(f"x={text}").value()) == repr(value):  # repr tells 1 from '1', 1.0 and True
            return text
    except (HydraException, AssertionError):  # AssertionError: Hydra's printer meets a type that its grammar does not have
        pass
    return None


def hidden_expression(key: str, value: Any, parser: OverridesParser) -> str | None:
    """The line about a text in the value that was meant to be swept; None where there is none."""
    hidden = next(
        ((path, leaf) for path, leaf in leaves(value) if isinstance(leaf, str) and _is_expression(leaf, parser)), None
    )
    return None if hidden is None else f"{key}: {_no_expression(key, value, *hidden, parser)}"


def fixed_value_notes(key: str, value: Any) -> Iterator[str]:
    """A line for each list, and each mapping that other tools read as a search space: a sweep may have been meant."""
    if isinstance(value, list) and len(value) > 1:
        yield f"{key}: a fixed list; to sweep, write `{as_choice(value)}`"
    elif isinstance(value, Mapping):
        expression = as_expression(value)
        if expression is not None:
            yield f"{key}: a fixed mapping; to sweep, write `{expression}`"
            return
        for name, item in value.items():
            if isinstance(item, Mapping):
                yield from fixed_value_notes(f"{key}.{name}", item)


def _is_expression(text: str, parser: OverridesParser) -> bool:
    """Whether Hydra would sweep or evaluate the text if it had a key of its own."""
    if "," not in text and "(" not in text:
        return False
    try:
        value = parser.parse_override(f"x={text}").value()
    except HydraException:
        return False
    if isinstance(value, ChoiceSweep) and value.simple_form:
        return not _is_sentence(value)
    return holds_sweep(value) or re.match(r"\s*\w+\s*\(", text) is not None


def _is_sentence(sweep: ChoiceSweep) -> bool:
    parts = [part.strip() for part in sweep.list if isinstance(part, str)]
    if len(parts) < len(sweep.list):
        return False
    begins_like_one = parts[0][:1].isupper() and any(part[:1].islower() for part in parts[1:])
    return begins_like_one or any(re.search(r"\s", part) for part in parts)


def _no_expression(key: str, value: Any, path: tuple[str | int, ...], text: str, parser: OverridesParser) -> str:
    remedy = "list whole values side by side, as in `[a,b],[c,d]`"
    if all(isinstance(name, str) and re.fullmatch(r"[A-Za-z_][\w-]*", name) for name in path):
        remedy = f"give it its own dotted key, {'.'.join([key, *map(str, path)])}: {json.dumps(text, ensure_ascii=False)}"
    said = text_of(value, parser)
    whole = said if said is not None and len(said) <= _LONGEST_SHOWN else "{name: 'a,b'}"
    as_text = f"{key}: {json.dumps(whole, ensure_ascii=False)}"
    return (
        f"{text!r} stands inside a fixed value, where it would be a text and not be swept: {remedy}; if a text is meant, write "
        f"the whole value as an expression, in which quotes say so: {as_text}"
    )
