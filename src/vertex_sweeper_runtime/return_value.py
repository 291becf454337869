"""The file that brings a launched job's return value, or its exception, back to whoever launched it.

It is JSON in which every object has one key that says what it stands for: `{"dict": {...}}`, `{"float": "nan"}` for what JSON
has no number for, and `{"int": "0x..."}` for whole numbers that not every reader of JSON reads exactly.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
import traceback
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vertex_sweeper_runtime.checked_json import Fields, parse
from vertex_sweeper_runtime.trial_environment import RETURN_VALUE, output_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

RETURN_VALUE_FILE: Final = "return_value.json"

RETURNED: Final = "returned"
RAISED: Final = "raised"
NOT_REPRESENTABLE: Final = "not_representable"

MOST_BYTES: Final = 10 * 1000 * 1000
"""How long the file may be."""

_MOST_TRACEBACK: Final = 200 * 1000
_MOST_MESSAGE: Final = 20 * 1000
_DEEPEST: Final = 100
_MOST_BITS: Final = 53
_LONGEST_PLACE: Final = 200
_REMEDY: Final = "return numbers, text, bools, None, lists, or dicts with text keys"
_FLOATS: Final = ("nan", "inf", "-inf")


class Returned(NamedTuple):
    """What such a file says: `status` is RETURNED, with `value`; RAISED; or NOT_REPRESENTABLE, where `message` says why.

    `type`, `message` and `traceback` are the exception's, as Python writes them.
    """

    status: str
    value: Any = None
    type: str = ""
    message: str = ""
    traceback: str = ""


def return_value_path(environment: Mapping[str, str]) -> str | None:
    """The absolute path of a launched job's file in this environment; None where nothing outlives the container."""
    if given := environment.get(RETURN_VALUE):
        return os.path.abspath(given)  # noqa: PTH100 - the runtime does without pathlib
    folder = output_folder(environment)
    return None if folder is None else os.path.join(folder, RETURN_VALUE_FILE)  # noqa: PTH118


def write_returned(path: str, value: Any) -> None:
    """Writes what a task returned, or why that cannot be brought back.

    Numbers, text, bools, None, lists and dicts with text keys come back as they are; a tuple comes back as a list, what has
    `__float__` (numpy's scalars, arrays and tensors without dimensions) as a plain number, OmegaConf's containers as dicts and
    lists. Raises OSError where the file cannot be written.
    """
    try:
        text = _dump({"status": RETURNED, "value": _Encoding().encode(value, "value", ())})
    except _NotRepresentableError as error:
        text = _dump({"status": NOT_REPRESENTABLE, "message": str(error)})
    if len(text) > MOST_BYTES:
        text = _dump({"status": NOT_REPRESENTABLE, "message": _too_large()})
    _write(path, text)


def write_raised(path: str, error: BaseException) -> None:
    """Writes what a task raised, with the end of its traceback. Raises OSError where the file cannot be written."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the app's own type
        message = "(its text cannot be made)"
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - the same
        text = ""
    document = {
        "status": RAISED,
        "type": _clean(name),
        "message": _clean(message)[:_MOST_MESSAGE],
        "traceback": _clean(text)[-_MOST_TRACEBACK:],
    }
    _write(path, _dump(document))


def read_returned(text: str | bytes) -> Returned:
    """What one of the two has written. Raises ValueError, with one line, for anything else."""
    if len(text) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes")
    document = Fields(parse(text))
    status = document.text("status")
    try:
        if status == RETURNED:
            return Returned(status, value=_decode(document.any("value")))
        if status == NOT_REPRESENTABLE:
            return Returned(status, message=_read_text(document.text("message")))
        if status == RAISED:
            texts = {field: _read_text(document.text(field)) for field in ("type", "message", "traceback")}
            return Returned(status, **texts)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    raise ValueError(f"status of the document is {status[:60]!r}")


class _NotRepresentableError(Exception):
    """A value has no place in the file; the message is one line."""


class _Encoding:
    """One value on its way into JSON; counts at least a byte for each part, as shared parts can make it endless."""

    def __init__(self) -> None:
        self._bytes = 0

    def encode(self, value: Any, place: str, around: tuple[int, ...]) -> Any:
        """The value in JSON's types. `place` says in words where it is, `around` has the ids of what holds it."""
        try:
            return self._encode(value, place, around)
        except _NotRepresentableError:
            raise
        except Exception as error:  # whatever the app's own type raises
            raise _cannot(value, place, f" that raises {type(error).__name__} when it is read") from error

    def _encode(self, value: Any, place: str, around: tuple[int, ...]) -> Any:
        self._count(5)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, Enum):
            raise _cannot(value, place)
        if isinstance(value, str):
            return self._text(value, place)
        value = _plain_container(value)
        if isinstance(value, (list, tuple, dict)):
            if id(value) in around:
                raise _cannot(value, place, " that contains itself")
            if len(around) >= _DEEPEST:
                raise _cannot(value, place, f" at more than {_DEEPEST} levels")
            return self._container(value, place, (*around, id(value)))
        return self._number(_plain_number(value, place))

    def _container(self, value: Any, place: str, around: tuple[int, ...]) -> Any:
        if not isinstance(value, dict):
            return [self.encode(item, f"{place}[{index}]", around) for index, item in enumerate(value)]
        encoded = {}
        for key, item in value.items():
            if type(key) is not str:
                raise _cannot(key, place, " as a key of a dict")
            encoded[self._text(key, place)] = self.encode(item, f"{place}[{key!r:.60}]", around)
        return {"dict": encoded}

    def _text(self, value: str, place: str) -> str:
        if type(value) is not str:
            raise _cannot(value, place)
        self._count(len(value))
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _cannot(value, place, " with half a surrogate pair") from None
        return value

    def _number(self, value: float) -> Any:
        if isinstance(value, float):
            return value if math.isfinite(value) else {"float": repr(value)}
        if value.bit_length() <= _MOST_BITS:
            return value
        self._count(value.bit_length() // 4)
        return {"int": hex(value)}

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > MOST_BYTES:
            raise _NotRepresentableError(_too_large())


def _plain_container(value: Any) -> Any:
    omegaconf = sys.modules.get("omegaconf")  # a value of its has it imported
    if omegaconf is not None and isinstance(value, (omegaconf.DictConfig, omegaconf.ListConfig)):
        return omegaconf.OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
    return value


def _plain_number(value: Any, place: str) -> Any:
    """The bool, int or float that a value is or holds."""
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, type) or not hasattr(value, "__float__") or len(getattr(value, "shape", ())) > 0:
        raise _cannot(value, place)
    if not hasattr(value, "item"):
        return float(value)
    scalar = value.item()
    if type(scalar) in (bool, int, float):
        return scalar
    if type(scalar) is type(value):  # numpy's longdouble
        return float(value)
    raise _cannot(value, place)


def _cannot(value: Any, place: str, why: str = "") -> _NotRepresentableError:
    where = place if len(place) <= _LONGEST_PLACE else f"{place[:_LONGEST_PLACE]}…"
    name = ascii(type(value).__name__)[1:-1][:60]
    return _NotRepresentableError(f"the task returned a {name}{why} (at {where}), which cannot be brought back: {_REMEDY}")


def _too_large() -> str:
    return f"the task returned more than {MOST_BYTES // 10**6} MB, which cannot be brought back: write it to a file instead"


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, str):
        return _read_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number that no double holds")
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"an object of {len(value)} keys where one says what it stands for")
    ((kind, content),) = value.items()
    if kind == "dict" and isinstance(content, dict):
        return {_read_text(key): _decode(item) for key, item in content.items()}
    if kind == "float" and content in _FLOATS:
        return float(content)
    if kind == "int" and isinstance(content, str) and re.fullmatch("-?0x[0-9a-f]+", content):
        return int(content, 16)
    raise ValueError(f"an object that stands for nothing known: {kind[:60]!r}")


def _read_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text with half a surrogate pair") from None
    return text


def _clean(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _dump(document: Any) -> str:
    return json.dumps(document, allow_nan=False)


def _write(path: str, text: str) -> None:
    """Writes the file beside its place, and renames it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - the runtime does without pathlib
    beside = f"{path}.{os.getpid()}"
    try:
        with open(beside, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
        os.replace(beside, path)  # noqa: PTH105
    except OSError:
        with suppress(OSError):
            os.remove(beside)  # noqa: PTH107
        raise
