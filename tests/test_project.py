"""The house itself: which part may import which, what Hydra finds of the plugin, and what a wheel holds."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override, RangeSweep
from omegaconf import AnyNode, DictConfig, ListConfig, OmegaConf
from packaging.requirements import Requirement
from packaging.version import Version

from tests.sampled import SAMPLED

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PLUGIN = ROOT / "hydra_plugins" / "vertex_sweeper"
LAUNCHER = ROOT / "hydra_plugins" / "vertex_launcher"
PLUGINS = [PLUGIN, LAUNCHER]
ENGINE = ROOT / "src" / "vertex_sweeper"
RUNTIME = ROOT / "src" / "vertex_sweeper_runtime"
SOURCES = ("vertex_sweeper", "vertex_sweeper_runtime", "hydra_plugins")
PACKAGES = {
    "hydra_plugins.vertex_sweeper": PLUGIN,
    "hydra_plugins.vertex_launcher": LAUNCHER,
    "vertex_sweeper": ENGINE,
    "vertex_sweeper_runtime": RUNTIME,
}
MODULES = sorted(path for folder in PACKAGES.values() for path in folder.rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# The walls, as the sources show them.


def find_imports(tree: ast.AST, *, function: str = "") -> Iterator[tuple[str, str]]:
    """Yield each imported module with the function it is imported in, "" at the top; blocks for type checkers are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, function) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (("." * node.level) + (node.module or ""), function)
        inner = node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        yield from find_imports(node, function=inner)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def list_imports(path: Path) -> list[tuple[str, str]]:
    return list(find_imports(parsed(path)))


def belongs(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def all_modules() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", MODULES, ids=named)


def test_the_finder_of_imports_sees_them_all() -> None:
    source = "import a.b\nif TYPE_CHECKING:\n    import e\ndef f():\n    if 1:\n        from g.h import i\nfrom . import j\n"
    assert list(find_imports(ast.parse(source))) == [("a.b", ""), ("g.h", "f"), (".", "")]


OURS_IN_PLUGINS = {
    PLUGIN / "sweeper.py": [("vertex_sweeper_runtime.inside_trial", "sweep"), ("vertex_sweeper.sweep", "sweep")],
    LAUNCHER / "launcher.py": [("vertex_sweeper_runtime.inside_trial", "launch"), ("vertex_sweeper.launch", "launch")],
    LAUNCHER / "config.py": [("hydra_plugins.vertex_sweeper.config", "__deepcopy__")],
}


@pytest.mark.parametrize("path", sorted(path for plugin in PLUGINS for path in plugin.rglob("*.py")), ids=named)
def test_a_scanned_module_imports_hydra_alone_and_ours_only_where_it_is_used(path: Path) -> None:
    light = {"__future__", "typing", "collections.abc", "hydra", "omegaconf"}
    strangers = [(module, function) for module, function in list_imports(path) if not belongs(module, *light)]
    assert strangers == OURS_IN_PLUGINS.get(path, [])


def test_the_namespace_of_the_plugins_is_shared_with_others() -> None:
    assert not (PLUGIN.parent / "__init__.py").exists()


@pytest.mark.parametrize("plugin", PLUGINS, ids=named)
def test_the_plugin_package_itself_is_empty(plugin: Path) -> None:
    assert (plugin / "__init__.py").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("path", sorted(RUNTIME.rglob("*.py")), ids=named)
def test_the_runtime_never_imports_the_engine_and_only_the_standard_library_at_import(path: Path) -> None:
    imports = list_imports(path)
    assert [module for module, _ in imports if belongs(module, "vertex_sweeper", "hydra_plugins", "optuna", "google")] == []
    own = {"vertex_sweeper_runtime", *sys.stdlib_module_names}
    if path == RUNTIME / "metric_callback.py":
        own |= {"hydra", "omegaconf"}  # the callback, which Hydra itself imports; the shim must not, see below
    assert [module for module, function in imports if not function and not belongs(module, *own)] == []


@pytest.mark.parametrize("path", sorted(ENGINE.rglob("*.py")), ids=named)
def test_the_engine_never_imports_the_plugin(path: Path) -> None:
    assert [module for module, _ in list_imports(path) if belongs(module, "hydra_plugins")] == []


@all_modules()
def test_google_is_imported_behind_the_vertex_service_and_the_emulator_only(path: Path) -> None:
    allowed = {ENGINE / "services" / "vertex", ENGINE / "emulator"} & set(path.parents)
    google = [module for module, _ in list_imports(path) if belongs(module, "google", "grpc")]
    assert allowed or google == []


def test_the_suggestion_library_is_imported_by_one_module() -> None:
    importers = [named(path) for path in MODULES if any(belongs(module, "optuna") for module, _ in list_imports(path))]
    assert len(importers) <= 1, importers


INSIDES = {ENGINE / "space" / "hydra_api.py", ENGINE / "space" / "omegaconf_api.py"}
INSIDES_MODULES = (
    "hydra._internal",
    "hydra.core.override_parser",
    "hydra.core.default_element",
    "omegaconf._",
    "omegaconf.base",
)
EXCEPTIONS = {
    RUNTIME / "fingerprint.py": {"_get_node", "_value"},
    RUNTIME / "metric_callback.py": {"_return_value"},
    ENGINE / "launch.py": {"_return_value"},
    PLUGIN / "config.py": {"_set_value", "_get_parent", "_deepcopy_impl"},
}
"""What the runtime and the plugin use, which cannot import the engine: `tests/space/test_hydra_api.py` tries it."""


def list_insides() -> set[str]:
    """The private names of Hydra's and OmegaConf's classes, and what only some versions of Hydra have."""
    classes = [ConfigLoaderImpl, Override, RangeSweep, DictConfig, ListConfig, AnyNode, OmegaConf]
    private = {name for cls in classes for name in dir(cls) if re.match("_[a-z]", name)}
    version = {"get_override_aliases", "is_value_path", "transformers", "execution_whitelist", "defaults_list", "known_choices"}
    return private | version | {"_content", "_return_value"}


def find_attributes(tree: ast.AST) -> Iterator[str]:
    """Yield each attribute that is read of something else than `self` or `cls`, and each string that is an attribute's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
            yield node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "super()":
            yield node.func.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@all_modules()
def test_one_adapter_names_what_is_private_in_hydra_and_omegaconf(path: Path) -> None:
    if path in INSIDES:
        return
    tree = parsed(path)
    assert [module for module, _ in list_imports(path) if module.startswith(INSIDES_MODULES)] == []
    read = set(find_attributes(tree)) & list_insides()
    assert read <= EXCEPTIONS.get(path, set())


@pytest.mark.parametrize(
    "path", [path for room in ("space", "plan", "results") for path in sorted((ENGINE / room).rglob("*.py"))], ids=named
)
def test_the_parts_of_a_key_are_read_in_one_module(path: Path) -> None:
    """Where `+a@b` ends and begins is decided once: two readings of a key once differed."""
    calls = [node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    read = [ast.unparse(call) for call in calls if re.search(r"\.(lstrip\('\+~?|partition\('@)", ast.unparse(call))]
    assert path == ENGINE / "space" / "key_paths.py" or read == []


@pytest.mark.parametrize(
    "path",
    [ENGINE / "space" / "search_space.py", ENGINE / "results" / "outcome.py", *sorted((ENGINE / "job").glob("*.py"))],
    ids=named,
)
def test_a_pure_part_of_the_engine_imports_nothing_that_does_io(path: Path) -> None:
    assert [
        m for m, _ in list_imports(path) if belongs(m, "os", "subprocess", "shutil", "socket", "tempfile", "urllib", "time")
    ] == []


# The rooms of the engine: what each may import, which is its `__init__`'s sentence. The ground floor everybody may.

GROUND = {
    "",
    "api",
    "api_names",
    "atomic_files",
    "credentials",
    "endpoint",
    "errors",
    "extras",
    "finding",
    "log_tail",
    "messages",
    "stored_json",
}
ADDRESSES = {"services.address", "services.checks"}
ROOMS: dict[str, set[str]] = {
    "space": set(),
    "settings": set(),
    "job": {"space", "settings"},
    "services": {"settings", "job"},
    "results": {"space", "settings", "job", "services.address"},
    "plan": {"space", "settings", "job", *ADDRESSES, "services.local.devices"},
    "terminal": {"settings", "results", "services.address", "services.finding"},
    "run": {"settings", "job", "services", "results", "terminal"},
    "emulator": {"services"},
    "cli": {"settings", "job", "plan", "services", "results", "terminal", "run", "emulator"},
    "testing": {"services"},
}


def ours(path: Path) -> set[str]:
    """What a module imports of the engine, without the package's name: modules where it says so, else packages."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and belongs(node.module or "", "vertex_sweeper"):
            package = (node.module or "").removeprefix("vertex_sweeper").removeprefix(".")
            for alias in node.names:
                inner = f"{package}.{alias.name}".removeprefix(".")
                folder = ENGINE / inner.replace(".", "/")
                found.add(inner if folder.is_dir() or folder.with_suffix(".py").exists() else package)
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("vertex_sweeper.") for alias in node.names if belongs(alias.name, "vertex_sweeper")
            }
    return found


def test_every_folder_of_the_engine_is_a_room_and_every_module_beside_them_is_on_the_ground_floor() -> None:
    assert {path.parent.name for path in ENGINE.glob("*/__init__.py")} == set(ROOMS)
    assert {path.stem for path in ENGINE.glob("*.py")} == {*(GROUND - {""}), "__init__", "sweep", "launch"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_its_sentence_admits(room: str) -> None:
    strangers = {
        f"{named(path)}: {module}"
        for path in sorted((ENGINE / room).rglob("*.py"))
        for module in ours(path)
        if module not in GROUND and not belongs(module, room, *ROOMS[room])
    }
    assert strangers == set()


@pytest.mark.parametrize("module", sorted(GROUND - {""}))
def test_a_module_on_the_ground_floor_imports_no_room(module: str) -> None:
    assert ours(ENGINE / f"{module}.py") <= GROUND


def test_the_words_of_the_api_import_nothing_of_ours_and_do_no_io() -> None:
    imports = {module for module, _ in list_imports(ENGINE / "api.py")}
    assert [module for module in imports if belongs(module, *SOURCES, "os", "pathlib", "time", "io", "socket")] == []


@pytest.mark.parametrize(
    ("part", "admitted"),
    [
        ("study", {"study"}),
        ("suggest", {"suggest", "study"}),
        ("execute", {"execute", "study"}),
        ("records", {"records", "study", "execute"}),
    ],
)
def test_a_part_of_the_local_service_imports_what_its_sentence_admits(part: str, admitted: set[str]) -> None:
    local = "services.local"
    for path in sorted((ENGINE / "services" / "local" / part).rglob("*.py")):
        others = {module.removeprefix(f"{local}.") for module in ours(path) if belongs(module, local)}
        assert {other for other in others if other.split(".")[0] not in admitted and "." in other} == set(), named(path)


def test_rooms_say_what_they_are() -> None:
    for room in ROOMS:
        text = ast.get_docstring(ast.parse((ENGINE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
        first, _, rest = text.partition("\n\n")
        assert first.endswith("."), room
        assert rest, f"{room}/__init__.py does not say what the room knows and what it must not know"


@cache
def structure() -> Any:
    spec = importlib.util.spec_from_file_location("draw_structure", ROOT / "docs" / "draw_structure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_on_the_structure_is_as_the_code_is_now() -> None:
    """Else `make docs` writes it anew. Rooms that import each other in a circle are an error of that."""
    page = (ROOT / "docs" / "structure.md").read_text(encoding="utf-8")
    assert structure().made_anew(page) == page


def test_a_sweeps_config_passes_through_few_modules_outside_space_and_plan() -> None:
    assert len(structure().config_path()) <= 9


def test_what_the_page_on_the_structure_names_is_there() -> None:
    page = (ROOT / "docs" / "structure.md").read_text(encoding="utf-8")
    names = re.findall(r"`([\w./]+(?:\.py|/))`", page)
    places = (
        ROOT,
        ENGINE,
        ROOT / "src",
        *PLUGINS,
        ROOT / "tests",
        *(ROOT / "tests").iterdir(),
    )
    assert [name for name in names if not any((place / name).exists() for place in places)] == []


@pytest.mark.parametrize("name", SAMPLED)
def test_a_test_of_which_a_part_is_tried_is_there(name: str) -> None:
    path, _, function = name.partition("::")
    if "::" in function:  # of a class, which may have it from Hydra's suite
        module = importlib.import_module(f"tests.{path.removesuffix('.py').replace('/', '.')}")
        assert callable(attrgetter(function.replace("::", "."))(module))
        return
    assert f"def {function}(" in (ROOT / "tests" / path).read_text(encoding="utf-8")


@all_modules()
def test_a_module_has_at_most_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


@all_modules()
def test_a_function_has_at_most_40_lines(path: Path) -> None:
    nodes = ast.walk(parsed(path))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > 40] == []


# Words that once stood here for something that Hydra, Vertex or plain English has a word for.
RIDDLES = {
    "road",
    "door",
    "seam",
    "near",
    "hints",
    "effects",
    "travelling",
    "entries",
    "verdict",
    "nursery",
    "onlooker",
    "moments",
    "keeper",
    "mirror",
    "refusal",
    "guardian",
    "barren",
}


def words_in(name: str) -> set[str]:
    """The words of a name or text; the setting `on_refusal` and its type are called as users know them."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", re.sub("on_refusal|OnRefusal", "", name))}


@all_modules()
def test_names_and_messages_are_in_plain_words(path: Path) -> None:
    tree = parsed(path)
    names = {node.name for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert {name for name in {path.stem, *names} if words_in(name) & RIDDLES} == set()
    assert {text for text in texts if words_in(text) & RIDDLES} == set()


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")]), ids=named)
def test_pages_are_in_plain_words(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert set(re.findall(r"\w+", prose.lower())) & RIDDLES == set()


# The walls and the plugin, as a fresh process of an installed environment shows them.


def run_fresh(*command: str, folder: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Start this interpreter in another folder; without PYTHONPATH, so that only what is installed is found."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "HYDRA"))}
    result = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert not check or result.returncode == 0, result.stderr
    return result


APP = """
import hydra
@hydra.main(version_base=None, config_path=None)
def run(config):
    pass
run()
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    return tmp_path


def test_the_scan_imports_nothing_heavy(tmp_path: Path) -> None:
    program = """
import json, sys, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from hydra.core.plugins import Plugins
    names = [found.__name__ for found in Plugins.instance().discover()]
print(json.dumps([names, sorted(sys.modules), [str(w.message) for w in caught if "vertex" in str(w.message)]]))
"""
    names, modules, warned = json.loads(run_fresh("-c", program, folder=tmp_path).stdout)
    assert (names.count("VertexSweeper"), names.count("VertexLauncher")) == (1, 1)
    assert warned == []
    assert {"hydra_plugins.vertex_sweeper.config", "hydra_plugins.vertex_launcher.config"} <= set(modules)
    heavy = (
        "vertex_sweeper",
        "vertex_sweeper_runtime",
        "optuna",
        "google.cloud.aiplatform",
        "google.cloud.aiplatform_v1",
        "google.api_core",
        "grpc",
        "sklearn",
        "numpy",
        "hypertune",
    )
    assert [module for module in modules if belongs(module, *heavy)] == []


def test_the_shim_starts_without_hydra(tmp_path: Path) -> None:
    program = "import sys, vertex_sweeper_runtime.trial; print(*sorted(sys.modules))"
    modules = run_fresh("-c", program, folder=tmp_path).stdout.split()
    assert [module for module in modules if belongs(module, "hydra", "omegaconf", "yaml", "hypertune", "vertex_sweeper")] == []


def test_an_installed_plugin_is_discovered_from_another_folder(app: Path) -> None:
    shown = run_fresh("app.py", "hydra/sweeper=vertex", "--cfg", "hydra", "--package", "hydra.sweeper", folder=app).stdout
    assert "_target_: hydra_plugins.vertex_sweeper.sweeper.VertexSweeper" in shown
    assert "machine_type: n1-standard-4" in shown


@pytest.mark.parametrize("group", ["hydra/sweeper", "hydra/launcher"])
def test_a_plain_run_of_an_app_that_selects_a_plugin_imports_no_engine(group: str, app: Path) -> None:
    source = APP.replace(
        "    pass", "    import sys; print([m for m in sys.modules if m.split('.')[0].startswith('vertex_sweeper')])"
    )
    (app / "app.py").write_text(source, encoding="utf-8")
    (app / "main.yaml").write_text(f"defaults: [{{override {group}: vertex}}]\n", encoding="utf-8")
    assert run_fresh("app.py", "--config-dir", ".", "--config-name", "main", folder=app).stdout.strip() == "[]"


LAUNCHER_ALONE = """
import json, sys
executed = []
sys.addaudithook(lambda name, args: executed.append(getattr(args[0], "co_filename", "")) if name == "exec" else None)
from hydra import compose, initialize
from omegaconf import OmegaConf
with initialize(version_base=None, config_path=None):
    overrides = ["hydra/launcher=vertex", "hydra.launcher.bakend=local", "hydra.launcher.labels.team=vision"]
    overrides.append("hydra.launcher._target_=hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher")
    changed, after = (compose(overrides=o, return_hydra_config=True).hydra.launcher for o in (overrides, overrides[:1]))
names = [name.replace("\\\\", "/") for name in executed]
times = sum(name.endswith("vertex_sweeper/config.py") for name in names)
print(json.dumps([OmegaConf.to_container(changed), OmegaConf.to_container(after), times]))
"""


def test_the_launchers_settings_are_complete_without_the_sweeper_and_its_module_is_executed_once(tmp_path: Path) -> None:
    changed, after, times = json.loads(run_fresh("-c", LAUNCHER_ALONE, folder=tmp_path).stdout)
    assert times == 1
    assert after["_target_"] == "hydra_plugins.vertex_launcher.launcher.VertexLauncher"
    assert (after["trial"]["machine_type"], after["parallel"], after["labels"]) == ("n1-standard-4", None, {})
    given = {"bakend": "local", "_other_target_": "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"}
    assert changed == {**after, **given, "labels": {"team": "vision"}}


COMPOSE = """
import json, sys
from hydra import compose, initialize
from omegaconf import OmegaConf
with initialize(version_base=None, config_path=None):
    found = [compose(overrides=o, return_hydra_config=True).hydra.sweeper for o in json.loads(sys.argv[1])]
print(json.dumps([OmegaConf.to_container(config) for config in found]))
"""


def compose_sweepers(folder: Path, *overrides: list[str]) -> list[dict[str, object]]:
    """Compose `hydra.sweeper` several times in one fresh process, each time with other overrides."""
    composed = [["hydra/sweeper=vertex", *each] for each in overrides]
    answer: list[dict[str, object]] = json.loads(run_fresh("-c", COMPOSE, json.dumps(composed), folder=folder).stdout)
    return answer


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        pytest.param("hydra.sweeper.bakend=local", "bakend", "local", id="a key that does not exist"),
        pytest.param("hydra.sweeper.labels.team=vision", "labels", {"team": "vision"}, id="a label"),
        pytest.param(
            "hydra.sweeper.metrics.val_acc=maximize", "metrics", {"val_acc": "maximize"}, id="a metric where there was null"
        ),
        pytest.param(
            "hydra.sweeper.params={model.lr:'interval(0,1)'}", "params", {"model.lr": "interval(0,1)"}, id="a dotted key"
        ),
        pytest.param("hydra.sweeper.trial.env.A=1", "trial", None, id="a variable of the trial"),
    ],
)
def test_a_new_key_reaches_the_sweeper_without_a_plus(override: str, key: str, value: object, tmp_path: Path) -> None:
    [config] = compose_sweepers(tmp_path, [override])
    assert config[key] == value if value is not None else config[key]["env"] == {"A": 1}  # type: ignore[index]


def test_the_stored_settings_are_not_changed_by_a_sweep(tmp_path: Path) -> None:
    before, changed, after = compose_sweepers(tmp_path, [], ["hydra.sweeper.backend=local", "hydra.sweeper.labels.a=b"], [])
    assert (changed["backend"], changed["labels"]) == ("local", {"a": "b"})
    assert before == after


def test_yaml_selects_the_sweeper_and_sets_it(app: Path) -> None:
    text = "defaults:\n  - override hydra/sweeper: vertex\nhydra:\n  sweeper:\n    backend: local\n    labels: {team: vision}\n"
    (app / "main.yaml").write_text(text, encoding="utf-8")
    shown = run_fresh(
        "app.py", "--config-dir", ".", "--config-name", "main", "--cfg", "hydra", "-p", "hydra.sweeper", folder=app
    ).stdout
    assert "backend: local" in shown
    assert "team: vision" in shown
    assert "algorithm: bayesian" in shown


def test_the_bench_of_the_scan_compares_ours_with_another(tmp_path: Path) -> None:
    if importlib.util.find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        pytest.skip("needs hydra-joblib-launcher")
    result = run_fresh(str(ROOT / "bench" / "scan.py"), "--rounds", "1", folder=tmp_path, check=False)
    assert re.fullmatch(
        r"scan of vertex_sweeper and vertex_launcher .*\nscan of hydra_joblib_launcher .*\nratio [\d.]+ .*\n", result.stdout
    ), result.stderr


# The package.


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build a wheel from a copy: setuptools leaves its work in `build/`, where the editable install lives."""
    if Version(importlib.metadata.version("setuptools")) < Version("70.1"):
        pytest.skip("needs setuptools 70.1 or newer, which builds wheels by itself")
    if importlib.util.find_spec("build") is None or not hasattr(importlib.import_module("build"), "ProjectBuilder"):
        pytest.skip("needs the package build")
    copy = tmp_path_factory.mktemp("a copy")
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    for name in ("src", "hydra_plugins"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    run_fresh("-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", ".", folder=copy)
    [path] = (copy / "dist").iterdir()
    return zipfile.ZipFile(path)


def test_a_wheel_holds_our_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    expected = {f"{name.replace('.', '/')}/py.typed" for name in PACKAGES}
    for name, folder in PACKAGES.items():
        expected |= {f"{name.replace('.', '/')}/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.py")}
    info = f"hydra_vertex_sweeper-{importlib.metadata.version('hydra-vertex-sweeper')}.dist-info"
    expected |= {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt")}
    assert {name for name in wheel.namelist() if not name.startswith(f"{info}/licenses/")} == expected
    assert f"{info}/licenses/LICENSE" in wheel.namelist()


def list_requirements(wheel: zipfile.ZipFile, extra: str = "") -> dict[str, Requirement]:
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    lines = re.findall(r"^Requires-Dist: (.*)$", wheel.read(name).decode(), flags=re.MULTILINE)
    found = [Requirement(line) for line in lines]
    wanted = [
        r for r in found if (not extra and r.marker is None) or (extra and r.marker and r.marker.evaluate({"extra": extra}))
    ]
    own = {name for r in wanted if r.name == "hydra-vertex-sweeper" for name in r.extras}
    others = {requirement.name: requirement for requirement in wanted if requirement.name != "hydra-vertex-sweeper"}
    return others | {name: found for extra in own for name, found in list_requirements(wheel, extra).items()}


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        ("", {"hydra-core", "cloudml-hypertune"}),
        ("vertex", {"google-cloud-aiplatform"}),
        ("local", {"optuna", "nvidia-ml-py"}),
        ("emulator", {"google-cloud-aiplatform", "optuna", "nvidia-ml-py", "cryptography"}),
        ("all", {"google-cloud-aiplatform", "optuna", "nvidia-ml-py", "cryptography"}),
    ],
)
def test_an_install_brings_what_its_place_needs_and_no_more(wheel: zipfile.ZipFile, extra: str, names: set[str]) -> None:
    assert set(list_requirements(wheel, extra)) == names


@pytest.mark.parametrize(
    ("version", "admitted"), [("1.2.0", False), ("1.3.8", True), ("1.4.0rc3", True), ("1.4.0", True), ("1.5.0", False)]
)
def test_the_versions_of_hydra_that_are_tested_are_admitted(wheel: zipfile.ZipFile, version: str, admitted: bool) -> None:  # noqa: FBT001 - a table's column
    specifier = list_requirements(wheel)["hydra-core"].specifier
    assert specifier.contains(version, prereleases=True) == admitted
    assert not specifier.prereleases, "pip would choose a pre-release of Hydra for everybody"
