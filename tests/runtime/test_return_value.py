"""What a task returned or raised comes back from its file as it was."""

from __future__ import annotations

import enum
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vertex_sweeper_runtime.return_value import (
    MOST_BYTES,
    Returned,
    read_returned,
    return_value_path,
    write_raised,
    write_returned,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def there_and_back(value: Any) -> Returned:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new" / "return_value.json"
        write_returned(str(path), value)
        assert [file.name for file in path.parent.iterdir()] == [path.name]
        return read_returned(path.read_bytes())


@given(value=VALUES)
def test_what_goes_in_comes_back_with_every_type(value: Any) -> None:
    found = there_and_back(value)
    assert found.status == "returned", found.message
    assert repr(found.value) == repr(value)  # NaN is unlike itself, and 1 equals 1.0 and True


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        pytest.param((1, (2.0,)), [1, [2.0]], id="tuples"),
        pytest.param(10**5000, 10**5000, id="an int of many digits"),
        pytest.param(OmegaConf.create({"a": [1, "${b}"], "b": None}), {"a": [1, None], "b": None}, id="OmegaConf"),
    ],
)
def test_what_is_like_a_plain_value_comes_back_as_one(value: Any, plain: Any) -> None:
    found = there_and_back(value)
    assert found == Returned("returned", plain), found.message


def test_numpys_numbers_come_back_as_plain_ones() -> None:
    numpy = pytest.importorskip("numpy")
    value = [
        numpy.float64(0.1),
        numpy.int64(2**62 + 1),
        numpy.bool_(0),
        numpy.array(3),
        numpy.float32(0.5),
        numpy.longdouble(2),
    ]
    assert repr(there_and_back(value).value) == repr([0.1, 2**62 + 1, False, 3, 0.5, 2.0])
    assert "a ndarray (at value)" in there_and_back(numpy.array([1])).message
    assert "a complex128 (at value)" in there_and_back(numpy.complex128(1)).message


class Hostile:
    def __float__(self) -> float:
        raise OSError("no")


class Text(str):
    __slots__ = ()


class Choice(enum.IntEnum):
    ONE = 1


def circular() -> Any:
    value: list[Any] = []
    value.append({"a": value})
    return value


def deep(levels: int, *, twice: bool = False) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value, value] if twice else [value]
    return value


@pytest.mark.parametrize(
    ("make", "line"),
    [
        pytest.param(lambda: {"a": [0, 1, 2, object()]}, "a object (at value['a'][3])", id="an object"),
        pytest.param(lambda: {1: 2}, "a int as a key of a dict (at value)", id="a key"),
        pytest.param(lambda: {"a": "\ud800"}, "a str with half a surrogate pair (at value['a'])", id="a surrogate"),
        pytest.param(lambda: {"\ud800": 1}, "a str with half a surrogate pair (at value)", id="a key's surrogate"),
        pytest.param(lambda: Text("a"), "a Text (at value)", id="a str subclass"),
        pytest.param(lambda: [Choice.ONE], "a Choice (at value[0])", id="an enum"),
        pytest.param(lambda: [Hostile()], "a Hostile that raises OSError when it is read (at value[0])", id="__float__"),
        pytest.param(lambda: 1j, "a complex (at value)", id="a complex"),
        pytest.param(lambda: float, "a type (at value)", id="a class"),
        pytest.param(circular, "a list that contains itself (at value[0]['a'])", id="circular"),
        pytest.param(lambda: deep(5000), "a list at more than 100 levels (at value[0]", id="deep"),
        pytest.param(lambda: OmegaConf.create({"a": "???"}), "a DictConfig that raises MissingManda", id="OmegaConf's ???"),
        pytest.param(lambda: deep(90, twice=True), "more than 10 MB", id="endless by sharing"),
        pytest.param(lambda: "ä" * (MOST_BYTES // 3), "more than 10 MB", id="a long text"),
    ],
)
def test_what_cannot_be_brought_back_is_named_on_one_line(make: Callable[[], Any], line: str) -> None:
    found = there_and_back(make())
    assert (found.status, found.value) == ("not_representable", None)
    assert found.message.startswith("the task returned ")
    assert line in found.message
    assert found.message.isprintable()


def test_an_exception_that_cannot_be_shown_comes_back_too(tmp_path: Path) -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError

    write_raised(str(tmp_path / "odd"), OddError())
    assert read_returned((tmp_path / "odd").read_bytes()).type.endswith("OddError")
    write_raised(str(tmp_path / "long"), ValueError("\ud800" + "x" * 10**6))
    found = read_returned((tmp_path / "long").read_bytes())
    assert found.message.startswith("\\ud800xxx")
    assert found.traceback.endswith("xxx\n")
    assert len(found.traceback) == 200_000


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"status": "x"}', '{"status": 1}', '{"status": "returned"}', '{"status": "raised", "type": 1}',
        '{"status": "not_representable"}', b"\xff",
        *(f'{{"status": "returned", "value": {value}}}' for value in (
            "NaN", "1e999", '"\\ud800"', "{}", '{"a": 1}', '{"float": "1"}', '{"float": []}', '{"int": "1"}', '{"dict": []}',
            '{"dict": {}, "int": "0x1"}', "[" * 10**5, "[" * 700 + "{}" + "]" * 700, "9" * 5000,
        )),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_line(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"\A.+\Z"):
        read_returned(text)


@given(value=VALUES)
def test_any_json_is_a_value_or_an_error(value: Any) -> None:
    with suppress(ValueError):
        assert read_returned(json.dumps({"status": "returned", "value": value})).status == "returned"


def test_the_file_stands_where_the_environment_says() -> None:
    assert return_value_path({}) is None
    assert return_value_path({"AIP_MODEL_DIR": "gs://b/x/4/model/"}) == "/gcs/b/x/4/return_value.json"
    assert return_value_path({"AIP_MODEL_DIR": "gs://b/x/4/model/", "VERTEX_SWEEPER_RETURN_VALUE": "/a/b"}) == "/a/b"
