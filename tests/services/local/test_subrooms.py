"""Which of the local service's rooms may know which, as the sources show it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_project import ENGINE, MODULES, belongs, list_imports, named

LOCAL = ENGINE / "services" / "local"
PACKAGE = "vertex_sweeper.services.local"
TREE = f"{PACKAGE}.parameter_tree"

KNOWN = {
    "study": {TREE},
    "suggest": {TREE},
    "execute": {TREE, f"{PACKAGE}.study"},
    "records": {TREE, f"{PACKAGE}.study", f"{PACKAGE}.execute", f"{PACKAGE}.validation"},
}
"""What each room may import of the local service besides itself."""


@pytest.mark.parametrize("path", [path for room in KNOWN for path in sorted((LOCAL / room).glob("*.py"))], ids=named)
def test_a_room_of_the_local_service_imports_what_it_may_know(path: Path) -> None:
    allowed = (f"{PACKAGE}.{path.parent.name}", *KNOWN[path.parent.name])
    ours = [module for module, _ in list_imports(path) if belongs(module, PACKAGE)]
    assert [module for module in ours if not belongs(module, *allowed)] == []


@pytest.mark.parametrize("path", sorted((LOCAL / "records").glob("*.py")), ids=named)
def test_the_records_know_only_the_reaper_of_what_executes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [line for line in text.splitlines() if f"{PACKAGE}.execute" in line]
    assert set(found) <= {f"from {PACKAGE}.execute import reaper"}


@pytest.mark.parametrize("path", sorted((LOCAL / "study").glob("*.py")), ids=named)
def test_a_studys_rules_know_neither_processes_nor_the_clock_nor_files(path: Path) -> None:
    outside = ("os", "io", "pathlib", "subprocess", "threading", "time", "shutil", "tempfile", "socket")
    assert [module for module, _ in list_imports(path) if belongs(module, *outside)] == []
    assert "open(" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_only_a_suggester_imports_optuna_and_nothing_imports_the_suites_for_others(path: Path) -> None:
    imports = [module for module, _ in list_imports(path)]
    assert path.parent == LOCAL / "suggest" or not [module for module in imports if belongs(module, "optuna")]
    assert path.parent == ENGINE / "testing" or not [m for m in imports if belongs(m, "vertex_sweeper.testing")]


@pytest.mark.parametrize("path", sorted((ENGINE / "emulator").glob("*.py")), ids=named)
def test_the_emulator_knows_neither_a_sweeps_plan_nor_its_results_nor_the_terminal(path: Path) -> None:
    strangers = [f"vertex_sweeper.{room}" for room in ("plan", "results", "run", "terminal", "cli", "sweep", "space")]
    assert [module for module, _ in list_imports(path) if belongs(module, *strangers)] == []


WITHOUT_PYTEST = """
import sys
sys.modules["pytest"] = None
from vertex_sweeper.testing import Gate, HostileRendering
import vertex_sweeper.testing as testing
for name in ("ServiceSuite", "ExecutorSuite"):
    try:
        getattr(testing, name)
    except ImportError as error:
        print(error)
"""


def test_without_pytest_the_suites_say_what_to_install_and_the_rest_works() -> None:
    result = subprocess.run([sys.executable, "-c", WITHOUT_PYTEST], capture_output=True, text=True, check=True)
    lines = [f"vertex_sweeper.testing.{name} needs pytest: pip install pytest" for name in ("ServiceSuite", "ExecutorSuite")]
    assert result.stdout.splitlines() == lines


def test_all_that_is_exported_for_others_is_there() -> None:
    from vertex_sweeper import testing

    assert all(getattr(testing, name).__name__ == name for name in testing.__all__)
    with pytest.raises(AttributeError, match="Suite"):
        testing.Suite  # noqa: B018 - the access is what raises
