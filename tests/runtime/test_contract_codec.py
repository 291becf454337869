"""The contract survives its way through an environment variable."""

from __future__ import annotations

import base64
import json
import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.trials import sweep
from vertex_sweeper_runtime import contract
from vertex_sweeper_runtime.contract import Condition, Contract, Kind, Parameter, Scale, Slot
from vertex_sweeper_runtime.errors import ContractError

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
)


def pack(document: object) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(document).encode())).decode()


@given(agreed=CONTRACTS)
def test_what_is_encoded_is_decoded_again_with_every_type(agreed: Contract) -> None:
    decoded = contract.decode(contract.encode(agreed))
    assert decoded == agreed
    assert repr(decoded) == repr(agreed)  # 1 and 1.0 are equal, and not the same override


@given(agreed=CONTRACTS)
def test_nothing_that_a_service_might_expand_or_quote_is_in_the_text(agreed: Contract) -> None:
    assert re.fullmatch("[A-Za-z0-9_=-]+", contract.encode(agreed))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        pytest.param("", "cannot be read", id="empty"),
        pytest.param("ä", "cannot be read", id="not base64"),
        pytest.param(contract.encode(sweep("app"))[:40], "cannot be read", id="cut short"),
        pytest.param(contract.encode(sweep("app"))[4:], "cannot be read", id="its beginning gone"),
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
        contract.decode(text)


def test_a_contract_of_an_older_sweep_is_read_by_a_newer_image() -> None:
    document = json.loads(zlib.decompress(base64.urlsafe_b64decode(contract.encode(sweep("python", "train.py")))))
    del document["drift"]  # which version 2 brought
    assert contract.decode(pack(document | {"version": 1})) == sweep("python", "train.py")
