"""Writes what `docs/structure.md` has from the code itself: the rooms, who imports whom, the way of a sweep's config.

make docs
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "structure.md"
SOURCES: Final = {"vertex_sweeper": ROOT / "src", "vertex_sweeper_runtime": ROOT / "src", "hydra_plugins": ROOT}

PLUGIN: Final = "the plugin"
RUNTIME: Final = "vertex_sweeper_runtime"
GROUND: Final = "ground"
ENTRIES: Final = ("sweep", "launch")
"""The modules that the plugins call."""
Arrows = Mapping[str, set[str]]
"""For each room those that it imports."""


def room_of(module: str) -> str:
    """The room of a module, by its dotted name.

    >>> room_of("vertex_sweeper.space.conditions"), room_of("vertex_sweeper.services.local.study.trial")
    ('space', 'services')
    >>> room_of("vertex_sweeper.errors"), room_of("vertex_sweeper.sweep"), room_of("vertex_sweeper_runtime.trial")
    ('ground', 'sweep.py', 'vertex_sweeper_runtime')
    """
    package, *parts = module.split(".")
    if package != "vertex_sweeper":
        return RUNTIME if package == RUNTIME else PLUGIN
    if len(parts) == 1 and parts[0] in ENTRIES:
        return f"{parts[0]}.py"
    folder = ROOT / "src" / "vertex_sweeper" / (parts[0] if parts else "")
    return parts[0] if parts and folder.is_dir() else GROUND


def find_arrows() -> dict[str, set[str]]:
    """Which rooms import which, also inside functions."""
    arrows: dict[str, set[str]] = {}
    for package, folder in SOURCES.items():
        for path in sorted((folder / package).rglob("*.py")):
            module = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
            room = room_of(module)
            imported = {room_of(name) for name in _imports(ast.parse(path.read_text(encoding="utf-8")))}
            arrows.setdefault(room, set()).update(imported - {room})
    return arrows


def _imports(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom) and node.module == "vertex_sweeper":
            names = [f"vertex_sweeper.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name.split(".")[0] in SOURCES)


def floors(arrows: Arrows) -> dict[str, int]:
    """How high each room stands: above all that it imports. Raises ValueError for rooms that import each other in a circle."""
    found: dict[str, int] = {}

    def height(room: str, above: tuple[str, ...] = ()) -> int:
        if room in above:
            raise ValueError("a circle of rooms: " + " → ".join([*above[above.index(room) :], room]))
        if room not in found:
            found[room] = 1 + max((height(below, (*above, room)) for below in sorted(arrows.get(room, ()))), default=0)
        return found[room]

    for room in arrows:
        height(room)
    return found


def reduce_arrows(arrows: Arrows) -> dict[str, set[str]]:
    """The arrows without those that a longer way shows too.

    >>> reduce_arrows({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {"a": {"b"}, "b": {"c"}, "c": set()}
    True
    """

    def reached(room: str) -> set[str]:
        below = arrows.get(room, set())
        return below.union(*(reached(each) for each in below)) if below else set()

    return {
        room: {each for each in below if not any(each in reached(other) for other in below)} for room, below in arrows.items()
    }


def diagram(arrows: Arrows) -> str:
    """The rooms as a Mermaid flowchart, those that use others above them."""
    height = floors(arrows)
    ids = {room: re.sub(r"\W", "_", room) for room in arrows}
    rooms = sorted(arrows, key=lambda room: (-height[room], room))
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {ids[room]}["{room}"]' for room in rooms]
    lines += [f"    {ids[room]} --> {ids[below]}" for room in rooms for below in sorted(reduce_arrows(arrows)[room])]
    return "\n".join([*lines, "```"])


def rooms() -> str:
    """A row for each room, the lowest first: what its `__init__` says of it."""
    lines = ["| room | what it is | what it knows, and what it must not |", "| --- | --- | --- |"]
    height = floors(find_arrows())
    found = (ROOT / "src" / "vertex_sweeper").glob("*/__init__.py")
    for path in sorted(found, key=lambda path: (height[path.parent.name], path.parent.name)):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        first, _, rest = text.partition("\n\n")
        second = " ".join(rest.partition("\n\n")[0].split())
        lines.append(f"| `{path.parent.name}/` | {' '.join(first.split())} | {second} |")
    return "\n".join(lines)


# A sweep that runs here, in a process of its own, of which every call is looked at.

APP: Final = """
import hydra
@hydra.main(version_base=None, config_path=None)
def train(config):
    return float(config.lr)
train()
"""

WATCHED: Final = """
import json, runpy, sys, threading
from omegaconf import DictConfig

found, swept = set(), []

def belongs(value):
    if not isinstance(value, DictConfig):
        return type(value).__name__.endswith("Settings")
    while value._get_parent() is not None:
        value = value._get_parent()
    return value is swept[0]

def look(frame, event, argument):
    code, module = frame.f_code, frame.f_globals.get("__name__", "")
    if event == "call" and code.co_name == "run_sweep":
        swept.append(frame.f_locals["config"])
    public = module.startswith("vertex_sweeper.") and code.co_name.isidentifier() and code.co_name[0] != "_"
    if event == "call" and swept and public:
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if any(belongs(frame.f_locals.get(name)) for name in names):
            found.add(f"{module}.{code.co_name}")

sys.argv = sys.argv[1:]
threading.setprofile(look)
sys.setprofile(look)
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    sys.setprofile(None)
    print(json.dumps(sorted(found)))
"""

SWEEP: Final = (
    "hydra/sweeper=vertex",
    "hydra.sweeper.backend=local",
    "hydra.sweeper.max_trial_count=2",
    "hydra.sweeper.metrics={objective: maximize}",
    "hydra.sweeper.trial.command=[python, train.py]",
    "hydra.sweep.dir=swept",
    "+lr=interval(0, 1)",
)


@cache
def config_path() -> dict[str, list[str]]:
    """The public functions that a sweep's config, or the settings that it becomes, is handed to, by their modules.

    Of a sweep that runs on this machine; `space` and `plan`, whose matter the config is, are left out.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.py").write_text(APP, encoding="utf-8")
        ran = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", WATCHED, "train.py", "-m", *SWEEP],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    modules: defaultdict[str, list[str]] = defaultdict(list)
    for name in json.loads(ran.stdout.splitlines()[-1]):
        module, _, function = name.rpartition(".")
        if room_of(module) not in {"space", "plan"}:
            modules[module.removeprefix("vertex_sweeper.")].append(function)
    return dict(modules)


def route(path: Mapping[str, list[str]]) -> str:
    """The modules and functions of `config_path` as a list."""
    return "\n".join(f"- `{module}`: {', '.join(f'`{name}`' for name in names)}" for module, names in sorted(path.items()))


def written(page: str, name: str, text: str) -> str:
    """The page with this text between the comments `<!-- name -->` and `<!-- end of name -->`."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"{PAGE} has no place for the {name}")
    return pattern.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page)


def made_anew(page: str) -> str:
    """The page with its table, diagram and list as the code is now."""
    made = {"rooms": rooms(), "diagram": diagram(find_arrows()), "route": route(config_path())}
    for name, text in made.items():
        page = written(page, name, text)
    return page


def main() -> None:
    """Writes all of it into the page."""
    PAGE.write_text(made_anew(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
