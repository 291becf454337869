"""The table in the docs says what becomes of every sweep expression in Hydra's documentation and tests, on either version."""

from __future__ import annotations

import pytest

from tests.fidelity.grammar import PAGE, VERSION, outcome, rows

TABLE = rows(PAGE.read_text(encoding="utf-8"))


def test_the_table_is_all_there() -> None:
    assert len(TABLE) > 150
    assert len({row[0] for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_the_table_says_what_becomes_of_an_expression(row: tuple[str, str, str]) -> None:
    assert outcome(row[0]) == row[VERSION]
