"""What the service takes for a label: one rule for settings, `spec_overrides`, and the local service."""

from __future__ import annotations

import pytest

from vertex_sweeper.api import broken_label_rules


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("team", "vision"),
        ("team", ""),
        ("7", "7"),
        ("a-b_c", "-_"),
        ("größe", "süß"),
        ("キー", "値"),
        ("k" * 63, "v" * 63),
        ("k", "ß" * 63),  # 126 bytes
        ("k", "値" * 42),  # 126 bytes
    ],
)
def test_the_service_takes_a_label(key: str, value: str) -> None:
    assert broken_label_rules(key, value) == []


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("Team", "x", "'Team' must be lowercase"),
        ("team", "X", "'X' must be lowercase"),
        ("team", "a b", "'a b' must be lowercase"),
        ("team", "a.b", "'a.b' must be lowercase"),
        ("team", "a/b", "'a/b' must be lowercase"),
        ("team", "1.5", "'1.5' must be lowercase"),
        ("team", "a\n", "'a\\n' must be lowercase"),
        ("team", "ÄRGER", "lowercase"),
        ("", "x", "the key '' must begin with a letter or digit"),
        ("-a", "x", "the key '-a' must begin with a letter or digit"),
        ("_a", "x", "the key '_a' must begin with a letter or digit"),
        ("k" * 64, "x", "has 64 characters and 64 bytes"),
        ("k", "v" * 64, "has 64 characters and 64 bytes"),
        ("k", "値" * 43, "has 43 characters and 129 bytes"),
        ("値" * 43, "v", "has 43 characters and 129 bytes"),
        ("k", "\ud800", "must be lowercase"),
    ],
)
def test_a_label_that_the_service_refuses_is_told_by_its_rule(key: str, value: str, rule: str) -> None:
    assert rule in "; ".join(broken_label_rules(key, value))
