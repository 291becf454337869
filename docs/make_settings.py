"""Writes the tables of `settings.md`, from the settings themselves.

make docs
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from vertex_sweeper.job.fields import CONTAINER_ELSEWHERE, ELSEWHERE, FIELDS_OF_SETTINGS, POOL_PLACES, WORKER_POOLS
from vertex_sweeper.settings import JobSettings, LaunchSettings, Settings
from vertex_sweeper.settings.durations import Seconds
from vertex_sweeper.settings.model import ABOUT

PAGE = Path(__file__).parent / "settings.md"
BEGIN = "<!-- made by docs/make_settings.py: begin -->"
END = "<!-- made by docs/make_settings.py: end -->"

_POOL = {**CONTAINER_ELSEWHERE, **{place.setting: place.field for place in POOL_PLACES}}
_FIELDS = {
    **ELSEWHERE,
    **{place.setting: place.field for place in FIELDS_OF_SETTINGS},
    **{f"trial.{name}": f"{WORKER_POOLS}[0].{field}" for name, field in _POOL.items()},
    **{f"trial.worker_pools[].{name}": f"{WORKER_POOLS}[1…].{field}" for name, field in _POOL.items()},
}
_TYPES = {int: "whole number", Seconds: "time", bool: "`true` or `false`", float: "number", str: "text", Any: "anything"}


_HEAD = "| setting | type | default | in the job |  |\n| --- | --- | --- | --- | --- |"


def render(text: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join([*_sections(), *_launcher()])
    return f"{before}{BEGIN}\n\n{tables}\n{END}{after}"


def _sections() -> Iterator[str]:
    todo: list[tuple[str, type[Any]]] = [("", Settings)]
    while todo:
        path, cls = todo.pop(0)
        yield f"### {f'`{path}`' if path else 'The sweep'}\n"
        if path:
            yield f"{(cls.__doc__ or '').strip()}\n"
        yield _HEAD
        hints = get_type_hints(cls)
        for entry in fields(cls):
            inner, is_list = _section_of(hints[entry.name])
            where = f"{path}.{entry.name}".removeprefix(".")
            if inner is not None:
                todo.append((f"{where}[]" if is_list else where, inner))
            if inner is None or entry.default is None:
                yield _row(entry, hints[entry.name], where)
        yield ""


def _launcher() -> Iterator[str]:
    shared = [entry.name for entry in fields(JobSettings)]
    names = [f"`{name}`" for name in shared]
    yield "### The launcher: `hydra.launcher`\n"
    yield f"{', '.join(names[:-1])} and {names[-1]} are as in `hydra.sweeper`; a launched job's `jobSpec` has what a sweep's"
    yield "`trialJobSpec` has. Beside them:\n"
    yield _HEAD
    hints = get_type_hints(LaunchSettings)
    yield from (_row(entry, hints[entry.name], entry.name) for entry in fields(LaunchSettings) if entry.name not in shared)
    yield ""


def _row(entry: Field[Any], hint: Any, path: str) -> str:
    field = _FIELDS.get(path)
    about = entry.metadata[ABOUT]
    return f"| `{entry.name}` | {_type(hint)} | {_default(entry)} | {f'`{field}`' if field else ''} | {about} |"


def _section_of(hint: Any) -> tuple[type[Any] | None, bool]:
    """The settings class that a setting holds, if it does, and whether it holds a list of them."""
    parts = [part for part in (hint, *get_args(hint)) if part is not type(None)]
    for part in parts:
        if isinstance(part, type) and is_dataclass(part):
            return part, False
        if get_origin(part) is Sequence:
            inner, _ = _section_of(get_args(part)[0])
            if inner is not None:
                return inner, True
    return None, False


def _type(hint: Any) -> str:
    inner, is_list = _section_of(hint)
    if inner is not None:
        return "list of settings" if is_list else "settings"
    kinds = [part for part in get_args(hint) if part is not type(None)]
    if get_origin(hint) is Mapping:
        return f"mapping to {_type(kinds[-1])}"
    if get_origin(hint) is Sequence:
        return "list of words"
    if hint not in _TYPES and kinds:
        return " or ".join(map(_type, kinds))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{member.value.lower()}`" for member in hint)
    return _TYPES[hint]


def _default(entry: Field[Any]) -> str:
    value = entry.default if entry.default_factory is MISSING else entry.default_factory()
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return "`{" + ", ".join(f"{key}: {item.value.lower()}" for key, item in value.items()) + "}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def main() -> int:
    """Writes the page."""
    PAGE.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
