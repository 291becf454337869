"""What the task of a launched job returned or raised, as a small JSON file that whoever launched it reads.

    {"status": "returned", "value": …}      or "raised", or "not_representable", with what there is to say

JSON has no NaN and no infinity: such a number is `{"__float__": "nan"}`, and a dict that looks like that stands in
`{"__dict__": …}`. Nothing that is read is ever run.
"""

import json
import math
import os
import sys
import traceback as python_traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from vertex_sweeper_runtime.checked_json import Fields, parse

RETURN_VALUE_FILE: Final = "return_value.json"

RETURNED: Final = "returned"
RAISED: Final = "raised"
NOT_REPRESENTABLE: Final = "not_representable"

MOST_BYTES: Final = 10 << 20
LONGEST_TRACEBACK: Final = 200_000
DEEPEST: Final = 100

_FLOAT: Final = "__float__"
_DICT: Final = "__dict__"
_REMEDY: Final = "return numbers, texts, bools, null, and lists and dicts of them"


class Returned(NamedTuple):
    """What came back: `value` of a task that returned; type, message and traceback of what another one raised.

    `message` also says why a value could not be written.
    """

    status: str
    value: Any = None
    error_type: str = ""
    message: str = ""
    traceback: str = ""


def write_returned(path: str, value: Any) -> None:
    """Writes what the task returned; in its place why it cannot come back. A tuple comes back as a list."""
    try:
        text = json.dumps({"status": RETURNED, "value": _encoded(value, "", 0)}, allow_nan=False)
        why = f"the task returned {len(text)} bytes, and at most {MOST_BYTES} come back: return less"
        why = why if len(text) > MOST_BYTES else ""
    except ValueError as error:
        text, why = "", str(error)
    _write(path, json.dumps({"status": NOT_REPRESENTABLE, "message": why}) if why else text)


def write_raised(path: str, error: BaseException) -> None:
    """Writes what the task raised."""
    try:
        message = str(error)
    except Exception as hostile:  # noqa: BLE001 - whatever the app's own class does
        message = f"its message cannot be had ({type(hostile).__name__})"
    lines = "".join(python_traceback.format_exception(type(error), error, error.__traceback__))
    document = {
        "status": RAISED,
        "error_type": type(error).__name__,
        "message": message[:LONGEST_TRACEBACK],
        "traceback": lines[-LONGEST_TRACEBACK:],
    }
    _write(path, json.dumps(document))


def read_returned(text: str) -> Returned:
    """What was written. Raises ValueError, with one line, for anything else."""
    fields = Fields(parse(text), "the return value")
    status = fields.checked("status", lambda value: value in (RETURNED, RAISED, NOT_REPRESENTABLE), "one of three")
    if status == RETURNED:
        return Returned(status, _decoded(fields.any("value"), 0))
    return Returned(
        status,
        error_type=fields.text("error_type", ""),
        message=fields.text("message"),
        traceback=fields.text("traceback", ""),
    )


def remove_return(path: str | None) -> None:
    """Removes what an earlier attempt has left, if there is a place for it. Raises OSError."""
    if path is not None:
        with suppress(FileNotFoundError):
            os.remove(path)  # noqa: PTH107 - the runtime does without pathlib


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text)
    os.replace(beside, path)  # noqa: PTH105


def _encoded(value: Any, where: str, depth: int) -> Any:
    """The value in JSON's types. Raises ValueError, naming the place."""
    if depth > DEEPEST:
        raise ValueError(f"the task returned a value nested deeper than {DEEPEST} levels, or in a circle: {_REMEDY}")
    if value is None or type(value) in (bool, int):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if type(value) is float:
        return value if math.isfinite(value) else {_FLOAT: repr(value)}
    value = _plain(value)
    if isinstance(value, Mapping):
        return _encoded_mapping(value, where, depth)
    if isinstance(value, (list, tuple)):
        return [_encoded(item, f"{where}[{place}]", depth + 1) for place, item in enumerate(value)]
    number = _number(value)
    if number is None:
        at = f" at {where}" if where else ""
        raise ValueError(f"the task returned a {type(value).__name__}{at}, which cannot come back: {_REMEDY}")
    return _encoded(number, where, depth + 1)


def _encoded_mapping(value: Mapping[Any, Any], where: str, depth: int) -> Any:
    encoded = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise ValueError(f"the task returned a dict with the key {key!r:.80}, and only texts can be keys: {_REMEDY}")  # noqa: TRY004
        encoded[str.__str__(key)] = _encoded(item, f"{where}[{key!r:.40}]", depth + 1)
    return {_DICT: encoded} if list(encoded) in ([_FLOAT], [_DICT]) else encoded


def _plain(value: Any) -> Any:
    """A config of OmegaConf's as what it holds; anything else as it is."""
    omegaconf = sys.modules.get("omegaconf")
    if omegaconf is not None and omegaconf.OmegaConf.is_config(value):
        try:
            return omegaconf.OmegaConf.to_container(value, resolve=True)
        except Exception as error:  # an interpolation that cannot be resolved
            raise ValueError(f"the task returned a config that cannot be resolved ({error!s:.200})") from error
    return value


def _number(value: Any) -> Any:
    """The number that a scalar, a tensor or an array of one element is; None for anything else."""
    try:
        if hasattr(value, "item"):
            item = value.item()
            if type(item) in (bool, int, float, str):
                return item
        if hasattr(value, "__index__"):
            return int(value)
        if hasattr(value, "__float__"):
            return float(value)
    except Exception:  # noqa: BLE001 - an array of several, or whatever the app's own type raises
        return None
    return None


def _decoded(value: Any, depth: int) -> Any:
    if depth > 2 * DEEPEST:
        raise ValueError("the return value is nested too deeply")
    if isinstance(value, list):
        return [_decoded(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == [_FLOAT]:
        if value[_FLOAT] not in ("nan", "inf", "-inf"):
            raise ValueError(f"{value[_FLOAT]!r:.80} is no number that JSON lacks")
        return float(value[_FLOAT])
    if list(value) == [_DICT] and isinstance(value[_DICT], dict):
        value = value[_DICT]
    return {key: _decoded(item, depth + 1) for key, item in value.items()}
