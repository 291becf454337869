"""JSON of another hand: unpacked within bounds, and read field by field, each as the type that it must have.

Whatever is wrong with a document is a ValueError with one line that names the place; nothing else is ever raised.
"""

from __future__ import annotations

import base64
import json
import sys
import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_BYTES: Final = 16 * 1024 * 1024
"""How large a packed document may be. One environment variable, 128 KiB on Linux, can unpack to 96 MiB."""

_SHOWN: Final = 60
_REQUIRED: Final = object()


def pack(document: Any) -> str:
    """The document as one word of letters, digits, `-`, `_` and `=`: nothing expands or quotes any of it."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode()


def unpack(word: str) -> Any:
    """The document that `pack` wrote."""
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(base64.b64decode(word, altchars=b"-_", validate=True), MOST_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacking.eof:
        raise ValueError(f"more than {MOST_BYTES} bytes" if len(text) == MOST_BYTES else "its end is missing")
    return parse(text)


def parse(text: str | bytes) -> Any:
    """What a JSON text holds."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


class Fields:
    """The fields of a JSON object. A field that may be missing has a default, which is not checked; lists become tuples."""

    def __init__(self, value: Any, name: str = "the document") -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{name} must be an object and is {_shown(value)}")  # noqa: TRY004 - one error for all damage
        self._values: Mapping[str, Any] = value
        self._name = name

    def any(self, field: str, default: Any = _REQUIRED) -> Any:
        """A value of whatever type."""
        return self.checked(field, lambda _: True, "there", default)

    def text(self, field: str, default: Any = _REQUIRED) -> str:
        """A text."""
        text: str = self.checked(field, is_text, "a text", default)
        return text

    def texts(self, field: str, default: Any = _REQUIRED) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(self.checked(field, lambda value: _all(value, is_text), "a list of texts", default))

    def integer(self, field: str, *, least: int, most: int) -> int:
        """A whole number between two others; a bool is none."""
        what = f"a whole number from {least} to {most}"
        integer: int = self.checked(field, lambda value: type(value) is int and least <= value <= most, what)
        return integer

    def number(self, field: str) -> int | float:
        """A number that a double can hold; a bool is none."""
        number: int | float = self.checked(field, is_number, "a number")
        return number

    def numbers(self, field: str) -> tuple[int | float, ...]:
        """A list of such numbers."""
        return tuple(self.checked(field, lambda value: _all(value, is_number), "a list of numbers"))

    def items(self, field: str) -> list[Any]:
        """A list."""
        items: list[Any] = self.checked(field, lambda value: isinstance(value, list), "a list")
        return items

    def checked(self, field: str, fits: Callable[[Any], bool], what: str, default: Any = _REQUIRED) -> Any:
        """The value, if it fits; `what` says in words what does."""
        value = self._values.get(field, _REQUIRED)
        if value is _REQUIRED and default is not _REQUIRED:
            return default
        if value is _REQUIRED or not fits(value):
            found = "missing" if value is _REQUIRED else _shown(value)
            raise ValueError(f"{field} of {self._name} must be {what} and is {found}")
        return value


def is_text(value: Any) -> bool:
    """Whether this is a text."""
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    """Whether this is a number that a double can hold: neither a bool nor infinite nor NaN."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _all(values: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(values, list) and all(map(fits, values))


def _shown(value: Any) -> str:
    # `repr` keeps it on one line, but fails for a number of more digits than Python is willing to write.
    try:
        text = repr(value)
    except ValueError:
        text = "a huge number"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
