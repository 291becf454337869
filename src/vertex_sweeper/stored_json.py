"""Reading back what we wrote: JSON documents that may be damaged, or of another hand.

A folder can be prepared, so nothing in it is taken for granted: a document is a regular file of a sensible size, and plain JSON
of a sensible depth and of the expected types. Whatever else it is, is a `DamagedDocument`, in one line.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vertex_sweeper_runtime.regular_files import read_regular

MOST_BYTES: Final = 64 * 2**20
MOST_LEVELS: Final = 100
"""How deep a document may be nested. Protobuf's own reader gives up there, too."""

_LONGEST_NUMBER: Final = 400
_SEAL: Final = b', "checksum": "'
_NAMES: Final = {
    dict: "a mapping",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}

Shape = Any
"""What a value must be: a type, a tuple of types, `[shape]` for a list, `{name: shape}` for a mapping.

In a mapping every name may be missing, and what is not mentioned may have any value; `{str: shape}` is for all of its values.
"""


class DamagedDocument(ValueError):
    """The file is not what was written; the message says why, without the path."""


def read_json(path: Path, *, most: int = MOST_BYTES) -> dict[str, Any]:
    """The JSON object in a file. Bytes that are no UTF-8 become what they are on the command line.

    Raises:
        DamagedDocument: It is no regular file, too large, or holds something else.
        OSError: It is not there, or cannot be read.
    """
    return parse_json(read_file(path, most=most))


def read_file(path: Path, *, most: int = MOST_BYTES) -> bytes:
    """All of a regular file. Raises DamagedDocument or OSError; never waits, as at a pipe it would."""
    try:
        return read_regular(str(path), most=most)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EFBIG):  # no regular file, or too large a one
            raise
        raise DamagedDocument(error.strerror) from None


def parse_json(content: bytes) -> dict[str, Any]:
    """The JSON object in these bytes. Raises DamagedDocument."""
    try:
        document = json.loads(
            content.decode("utf-8", "surrogateescape"),
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_float,
            parse_int=_int,
        )
        for text in _texts(document):
            text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise DamagedDocument("it has characters that are none") from None
    except RecursionError:
        raise DamagedDocument(f"nested more than {MOST_LEVELS} levels deep") from None
    except ValueError as error:
        raise DamagedDocument(str(error)) from None
    if not isinstance(document, dict):
        raise DamagedDocument("not a JSON object")
    return document


def sealed(document: Mapping[str, Any]) -> str:
    """The document as JSON text with a checksum of itself at its end, for `read_sealed`."""
    text = json.dumps(document, ensure_ascii=True, allow_nan=False)
    return f"{text[:-1]}{_SEAL.decode()}{_checksum(text.encode())}"


def read_sealed(path: Path) -> dict[str, Any]:
    """What `sealed` made a text of. Raises DamagedDocument, also where a single character was changed, or OSError."""
    content = read_file(path)
    text, seal, checksum = content.rpartition(_SEAL)
    document = parse_json(content)
    if not seal or checksum.decode("ascii", "replace") != _checksum(text + b"}"):
        raise DamagedDocument("its checksum does not fit: it was changed")
    del document["checksum"]
    return document


def check_complete(document: Mapping[str, Any], shape: Mapping[str, Shape]) -> None:
    """Raises DamagedDocument where the document has not that shape, or not all of its names."""
    check_shape(document, shape)
    missing = [name for name in shape if name not in document]
    if missing:
        raise DamagedDocument(f"it has no {missing[0]}")


def check_shape(value: object, shape: Shape, where: str = "") -> None:
    """Raises DamagedDocument where the value has not that shape; `where` is its place in the document."""
    for place, wrong in wrong_shapes(value, shape, where):
        raise DamagedDocument(f"{place or 'it'} {wrong}")


def wrong_shapes(value: object, shape: Shape, where: str = "") -> Iterator[tuple[str, str]]:
    """Each place of the value that has not its shape, and what is wrong there."""
    kinds = shape if isinstance(shape, tuple) else (shape if isinstance(shape, type) else type(shape),)
    if type(value) not in kinds and not (float in kinds and type(value) is int):
        wanted = " or ".join("null" if kind is type(None) else _NAMES[kind] for kind in kinds)
        shown = json.dumps(value) if value is None or isinstance(value, bool) else _NAMES.get(type(value), "something else")
        yield where, f"must be {wanted}, and is {shown}"
    elif isinstance(shape, list):
        for position, item in enumerate(value if isinstance(value, Sequence) else ()):
            yield from wrong_shapes(item, shape[0], f"{where}[{position}]")
    elif isinstance(shape, Mapping) and isinstance(value, Mapping):
        for name, item in value.items():
            if name in shape or str in shape:
                place = name if re.fullmatch(r"[\w-]+", name, re.ASCII) else ascii(name)
                yield from wrong_shapes(item, shape.get(name, shape.get(str)), f"{where}.{place}".lstrip("."))


def _checksum(text: bytes) -> str:
    return f'{hashlib.sha256(text).hexdigest()}"}}'


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise DamagedDocument("it has the same key twice")
    return document


def _no_number(text: str) -> float:
    raise DamagedDocument(f"{text} is no number")


def _float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text[:20])


def _int(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise DamagedDocument(f"a number of {len(text)} digits")
    return int(text)


def _texts(document: object) -> Iterator[str]:
    """All texts in a document, by level: a document that is too deep to walk through by recursion is refused."""
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > MOST_LEVELS:
            raise RecursionError
        below: list[object] = []
        for value in level:
            if isinstance(value, str):
                yield value
            elif isinstance(value, dict):
                yield from value
                below += value.values()
            elif isinstance(value, list):
                below += value
        level = below
