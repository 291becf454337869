"""The place that an override's key means, against where Hydra and its OmegaConf put the value."""

from __future__ import annotations

from typing import Any

import hydra
import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from vertex_sweeper.results.best_config import best_config
from vertex_sweeper.space.key_paths import key_path

OLD = hydra.__version__.startswith("1.3.")
KEYS = {
    "a": ("a",),
    "a.b": ("a", "b"),
    "a.b.c-d": ("a", "b", "c-d"),
    "$a": ("$a",),
    "a.$b": ("a", "$b"),
    "a.true": ("a", "true"),
    "a.null": ("a", "null"),
    "a.inf": ("a", "inf"),
    "_a": ("_a",),
}
NEW_KEYS = {
    r"a\.b": ("a.b",),
    r"a.b\.c": ("a", "b.c"),
    r"a\.b.c": ("a.b", "c"),
    r"a.b\.c\.d.e": ("a", "b.c.d", "e"),
    "a[b]": ("a", "b"),
    "a[b][c].d": ("a", "b", "c", "d"),
    r"a[b\.c]": ("a", "b.c"),
    r"a\[b": ("a[b",),
    r"a\]": ("a]",),
    r"a\[b\].c": ("a[b]", "c"),
    r"a.b\=c": ("a", "b=c"),
    r"a[b\]c]": ("a", "b]c"),
}
ALL = KEYS if OLD else {**KEYS, **NEW_KEYS}


def nested(path: tuple[str, ...], value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


@pytest.mark.parametrize(("key", "path"), ALL.items(), ids=ALL)
def test_a_key_means_the_place_where_hydra_puts_its_value(key: str, path: tuple[str, ...]) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"+{key}=5"])
    config = OmegaConf.create({})
    ConfigLoaderImpl._apply_overrides_to_config([override], config)
    assert OmegaConf.to_container(config) == nested(path, 5)
    assert key_path(override) == path


@pytest.mark.parametrize(("key", "path"), ALL.items(), ids=ALL)
def test_the_best_config_has_the_value_at_that_place(key: str, path: tuple[str, ...]) -> None:
    text = best_config([f"{key}=5"], lambda _: False)
    assert OmegaConf.create(text) == OmegaConf.create({**nested(path, 5), "hydra": {"mode": "RUN"}})


@pytest.mark.parametrize("key", ["a.0", "a.b.1"] if OLD else ["a.0", "a[0]", "a[-1]", "a[b][2].c", r"a\.b[0]"])
def test_a_number_may_be_an_element_of_a_list_and_is_left_to_the_command_line(key: str) -> None:
    text = best_config([f"{key}=5"], lambda _: False)
    assert f"#   {key}=5\n" in text
    assert OmegaConf.create(text) == {"hydra": {"mode": "RUN"}}
