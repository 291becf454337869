"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    path
    for folder in (ROOT / "src", ROOT / "docs")
    for path in sorted(folder.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_examples_of_a_module_give_what_they_say(path: Path) -> None:
    if ROOT / "src" in path.parents:
        module = importlib.import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
    else:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0
