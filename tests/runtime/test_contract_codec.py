"""The contract survives its way through an environment variable."""

from __future__ import annotations

import base64
import copy
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.trials import FIXED, FLAGS, sweep
from vertex_sweeper_runtime import contract, contract_document
from vertex_sweeper_runtime.contract import Condition, Contract, Kind, Parameter, Scale, Slot
from vertex_sweeper_runtime.errors import ContractError, FlagError
from vertex_sweeper_runtime.flags import trial_overrides

TEXT = st.text(max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.integers() | FLOATS
CONDITIONS = st.none() | st.builds(Condition, parent=TEXT, values=st.lists(NUMBERS | TEXT, max_size=3).map(tuple))


@st.composite
def parameters(draw: st.DrawFn) -> Parameter:
    kind = draw(st.sampled_from(Kind))
    id, key, when = draw(TEXT), draw(TEXT), draw(CONDITIONS)
    scale = draw(st.none() | st.sampled_from(Scale))
    if kind in {Kind.DOUBLE, Kind.INTEGER}:
        return Parameter(id=id, key=key, kind=kind, low=draw(NUMBERS), high=draw(NUMBERS), scale=scale, when=when)
    values = tuple(draw(st.lists(TEXT if kind is Kind.CATEGORICAL else NUMBERS, max_size=4)))
    literals = tuple(draw(TEXT) for _ in values)
    return Parameter(id=id, key=key, kind=kind, values=values, literals=literals, scale=scale, when=when)


CONTRACTS = st.builds(
    Contract,
    command=st.lists(TEXT, max_size=4).map(tuple),
    sequence=st.lists(TEXT | st.builds(Slot, id=TEXT), max_size=6).map(tuple),
    parameters=st.lists(parameters(), max_size=4).map(tuple),
    metrics=st.lists(TEXT, max_size=3).map(tuple),
    keep_alive=st.integers(0, 10**6),
    drift=TEXT,
    number=st.none() | st.integers(0, 10**18 - 1),
)


def pack(document: object) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(document).encode())).decode()


@given(agreed=CONTRACTS)
def test_what_is_encoded_is_decoded_again_with_every_type(agreed: Contract) -> None:
    decoded = contract_document.decode(contract_document.encode(agreed))
    assert decoded == agreed
    assert repr(decoded) == repr(agreed)  # 1 and 1.0 are equal, and not the same override


@given(agreed=CONTRACTS)
def test_nothing_that_a_service_might_expand_or_quote_is_in_the_text(agreed: Contract) -> None:
    assert re.fullmatch("[A-Za-z0-9_=-]+", contract_document.encode(agreed))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        pytest.param("", "cannot be read", id="empty"),
        pytest.param("ä", "cannot be read", id="not base64"),
        pytest.param(contract_document.encode(sweep("app"))[:40], "cannot be read", id="cut short"),
        pytest.param(contract_document.encode(sweep("app"))[4:], "cannot be read", id="its beginning gone"),
        pytest.param(pack([1]), "cannot be read", id="another document"),
        pytest.param(pack({"version": "new"}), "cannot be read", id="a version that is no number"),
        pytest.param(
            pack({"version": contract.VERSION + 1}), "upgrade hydra-vertex-sweeper in the training image", id="a newer version"
        ),
        pytest.param(pack({"version": 1, "command": []}), "not its shape", id="parts missing"),
    ],
)
def test_a_contract_that_cannot_be_read_is_refused(text: str, part: str) -> None:
    with pytest.raises(ContractError, match=part):
        contract_document.decode(text)


VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "zero": 0,
    "a negative number": -1,
    "a fraction": 1.5,
    "a huge number": 10**400,
    "an empty text": "",
    "a text": "x",
    "a text with NUL": "a\0b",
    "an empty list": [],
    "a list of numbers": [0, 1.0],
    "a list of texts": ["a", "b"],
    "a list of lists": [["a"]],
    "a list of bools": [True],
    "an empty object": {},
    "an object": {"parameter": "lr"},
}
Place = tuple[str | int, ...]


def places(document: Any, place: Place = ()) -> Iterator[Place]:
    """Each place of a document, the whole first."""
    yield place
    entries = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, value in entries:
        yield from places(value, (*place, key))


def with_value(document: Any, place: Place, value: Any) -> Any:
    """The document with another value at this place."""
    if not place:
        return value
    changed = copy.copy(document)
    changed[place[0]] = with_value(document[place[0]], place[1:], value)
    return changed


def unpacked(agreed: Contract) -> Any:
    return json.loads(zlib.decompress(base64.urlsafe_b64decode(contract_document.encode(agreed))))


@pytest.mark.parametrize("value", VALUES)
def test_whatever_stands_anywhere_in_a_contract_it_is_read_or_refused_in_one_line(value: str) -> None:
    log = Parameter(id="log", key="log", kind=Kind.DOUBLE, low=0.1, high=1, scale=Scale.LOG)
    agreed = sweep(
        "python", "train.py", keep_alive=5, groups=("model",), pinned=("model",), subdir="x", rerun=("a",), drift="y"
    )
    document = unpacked(agreed._replace(sequence=(*agreed.sequence, Slot("log")), parameters=(*agreed.parameters, log)))
    said = [error_of(pack(with_value(document, place, VALUES[value]))) for place in places(document)]
    refused = [line for line in said if line]
    assert len(refused) > 10
    assert [line for line in refused if len(line.splitlines()) > 1 or len(line) > 250] == []


def error_of(text: str) -> str:
    """Why a contract is refused, or nothing; what is read is a contract, and tells from its arguments whether they fit."""
    try:
        decoded = contract_document.decode(text)
        assert contract_document.decode(contract_document.encode(decoded)) == decoded
        trial_overrides(decoded, ["python", "train.py", *FIXED, *FLAGS, "--log=0.5"])
    except ContractError as error:
        return str(error)
    except FlagError:  # it is another contract now, and these arguments are not its own
        pass
    return ""


@pytest.mark.parametrize("place", [place for place in places(unpacked(sweep("python", "train.py"))) if place], ids=str)
def test_what_is_missing_from_a_contract_is_named(place: Place) -> None:
    document = unpacked(sweep("python", "train.py"))
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    if isinstance(holder, list) or place[-1] in ("groups", "pinned", "subdir", "rerun", "drift", "number", "when", "scale"):
        return
    del holder[place[-1]]
    with pytest.raises(ContractError, match=f"{place[-1]} of .* must be .* and is missing"):
        contract_document.decode(pack(document))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(base64.urlsafe_b64encode(zlib.compress(bytes(200_000_000), 9)).decode(), "more than", id="a bomb"),
        pytest.param(base64.urlsafe_b64encode(zlib.compress(100_000 * b"[")).decode(), "nested too deeply", id="deep"),
        pytest.param(base64.urlsafe_b64encode(zlib.compress(b'{"version": ' + 5000 * b"9" + b"}")).decode(), "", id="digits"),
        pytest.param(base64.urlsafe_b64encode(zlib.compress(b"\xff\xfe")).decode(), "", id="no text"),
        pytest.param(pack({"version": True}), "a whole number", id="a bool for a version"),
        pytest.param(pack({"version": 0}), "a whole number", id="version 0"),
        pytest.param(pack({"version": 10**30}), "a whole number", id="an absurd version"),
    ],
)
def test_a_hostile_word_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ContractError, match=f"VERTEX_SWEEPER_CONTRACT cannot be read .*{said}") as caught:
        contract_document.decode(text)
    assert len(str(caught.value).splitlines()) == 1


def test_a_parameter_without_a_place_is_not_left_at_its_default() -> None:
    agreed = sweep("python", "train.py")
    values: dict[str, float | str] = {"lr": 0.01, "layers": 3, "batch": 16, "optimizer": "adam"}
    assert agreed.overrides(values)
    for items in (agreed.sequence[:1] + agreed.sequence[2:], (*agreed.sequence, Slot("other"))):
        with pytest.raises(ValueError, match=r"(lr|other): a p"):
            agreed._replace(sequence=items).overrides(values)


def test_a_contract_of_an_older_sweep_is_read_by_a_newer_image() -> None:
    document = unpacked(sweep("python", "train.py"))
    del document["drift"]  # which version 2 brought
    assert contract_document.decode(pack(document | {"version": 1})) == sweep("python", "train.py")
