"""The config of the best trial: its overrides as a config file, so that `+best=best` composes that trial's config again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hydra.conf import HydraConf
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vertex_sweeper.job.rerun import GROUP
from vertex_sweeper.messages import printable
from vertex_sweeper.results.yaml_text import yaml_text
from vertex_sweeper.space.hydra_api import Override, OverridesParser, is_value_path
from vertex_sweeper.space.key_paths import KeyPath, group_key, key_path, overlap

_COMMAND_LINE_ONLY: Final = (("hydra", "searchpath"), ("hydra", "sweeper"), ("hydra", "launcher"))
"""What Hydra reads in no appended config; and what a trial has of sweeper and launcher where its app's config asks for it,
because a config cannot set what Hydra's defaults do not know."""


def best_config(
    overrides: Sequence[str],
    is_group: Callable[[Override], bool],
    *,
    pinned: Collection[str] = (),
    job: Mapping[str, int | str] | None = None,
    whole: str = "",
) -> str:
    """The text of `best/best.yaml`, for `python app.py --config-dir <sweep dir> +best=best`.

    Hydra puts such a config at the end of the defaults list, so its group choices and its values win. What a config cannot say
    is named in a comment (see `left_out`).

    Args:
        overrides: the trial's complete list, in its order.
        is_group: whether Hydra's config repository has a group of the override's `key_or_group`.
        pinned: the groups (`model`, `db@backup`) that the app's primary config itself has in an `override` line: on Hydra 1.3
            such a line wins over ours, though not over the command line.
        job: what the trial had in `hydra.job` and no override says: its `num` and `id`.
        whole: the command that runs the trial again, for an app where this config is not enough.
    """
    parts = _Parts.of(overrides, is_group, pinned)
    lines = ["# @package _global_", "# The best trial of a sweep. Use: --config-dir <the sweep's directory> +best=best"]
    if whole:
        lines += ["# In this sweep that is not the whole trial. This is, in the folder that the sweep was started in:"]
        lines += [f"#   {printable(whole)}"]
    elif parts.left_out:
        lines.append("# A config cannot say the following: add it to the command line, in this order (see also best.yaml).")
        lines += [f"#   {printable(line)}" for line in parts.left_out]
    document: dict[str, Any] = {}
    if parts.appended or parts.chosen:
        # Hydra wants overrides of group choices last; values come after all groups, as on the command line.
        choices = [{f"override /{key}": option} for key, option in parts.chosen.items()]
        document["defaults"] = [*parts.appended, "_self_", *choices]
    # One run, also where the app's own config or a chosen group says that it is a sweep; `-m` still wins over it.
    _merge_into(parts.values, {"hydra": {"mode": "RUN", **({"job": dict(job)} if job else {})}})
    document["hydra"] = parts.values.pop("hydra")
    return "\n".join(lines) + "\n" + yaml_text(document | parts.values)


def left_out(overrides: Sequence[str], is_group: Callable[[Override], bool], *, pinned: Collection[str] = ()) -> list[str]:
    """The overrides that `best_config` cannot express; given after `+best=best`, in this order, they complete it.

    These are what the app's config asks for of the sweeper and the launcher, choices of `pinned` groups, options in a folder of
    their group (`model=nested/deep`), deletions of values, elements of lists (`a.0=5`), `???`, a dict or list that takes the
    place of what an earlier override set to something else (`d=null d={a:1}`; configs merge), `hydra.searchpath`, keys that
    Hydra's own settings do not have (`+hydra.new=1`), and whatever follows one of these and touches the same keys.
    """
    return _Parts.of(overrides, is_group, pinned).left_out


@dataclass(slots=True)
class _Parts:
    """A list of overrides, sorted into what the parts of a config file can say."""

    appended: list[dict[str, Any]] = field(default_factory=list)
    chosen: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    _blocked: list[KeyPath] = field(default_factory=list)

    @classmethod
    def of(cls, overrides: Sequence[str], is_group: Callable[[Override], bool], pinned: Collection[str]) -> _Parts:
        parts = cls()
        deleted: dict[str, Any] = {}
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            names = tuple(name for part in key_path(override) for name in part.split("/"))
            if names[:2] in _COMMAND_LINE_ONLY:
                parts.left_out.append(override.input_line or "")
            elif not _names_group(override, is_group):
                parts._add_value(override)
            elif override.key_or_group == GROUP:
                parts.left_out.append(override.input_line or "")
            elif override.is_add():
                parts.appended.append({f"/{_appended_key(override)}": override.value()})
            elif group_key(override) in pinned or (not override.is_delete() and _in_folder(override)):
                parts.left_out.append(override.input_line or "")
            elif override.is_delete():
                deleted[group_key(override)] = None
            else:
                parts.chosen[group_key(override)] = override.value()
        parts.chosen |= deleted  # to Hydra a deletion of a group is stronger than a choice, whatever their order
        return parts

    def _add_value(self, override: Override) -> None:
        path = key_path(override)
        if any(overlap(path, blocked) for blocked in self._blocked) or not self._merge(override, path):
            self._blocked.append(path)
            self.left_out.append(override.input_line or "")

    def _merge(self, override: Override, path: KeyPath) -> bool:
        """Adds the override's value to the values as the command line would; False, and no change, if a config can't say it."""
        change = override.is_add() or override.is_force_add() or override.type.name == "CHANGE"  # else a deletion, or 1.4's own
        if not change or override.is_sweep_override() or override.package is not None:
            return False
        # A number in a path may mean a list's element; `defaults` at the top of a file is the defaults list.
        if path[:1] in ((), ("defaults",)) or any(part.lstrip("-").isdigit() for part in path):
            return False
        value: Any = override.value()
        for part in reversed(path):
            value = {part: value}
        if not _mergeable(self.values, value) or (path[0] == "hydra" and not _fits_hydra(path, value)):
            return False
        _merge_into(self.values, value)
        return True


def _names_group(override: Override, is_group: Callable[[Override], bool]) -> bool:
    # Hydra takes a dict for a value even behind a group's name, and so Hydra 1.4 does for keys with brackets.
    return not is_value_path(override) and not isinstance(override.value(), dict) and is_group(override)


def _fits_hydra(path: KeyPath, value: Mapping[str, Any]) -> bool:
    """Whether an appended config may say this of Hydra's own settings: only the command line extends their schema."""
    if path == ("hydra",):
        return False
    try:
        OmegaConf.merge(OmegaConf.structured(HydraConf), value["hydra"])
    except OmegaConfBaseException:
        return False
    return True


def _appended_key(override: Override) -> str:
    if _in_folder(override) and override.package is None:
        return f"{override.key_or_group}@{override.key_or_group.replace('/', '.')}"
    return group_key(override)


def _in_folder(override: Override) -> bool:
    # In a file, Hydra 1.4 reads `model: nested/deep` as `model/nested: deep`: another group, with another package.
    value: Any = override.value()
    options = value if isinstance(value, list) else [value]
    return any("/" in str(option) for option in options)


def _mergeable(into: dict[Any, Any], value: dict[Any, Any]) -> bool:
    """Whether merging twice, here and then into the app's config, is the same as what the command line does step by step."""
    for key, new in value.items():
        if new == "???":  # a config that says so leaves the value as it is, an override takes it away
            return False
        old = into.get(key, new)
        # An override that makes a dict or a list of a scalar starts afresh; a config merges with what the app has there.
        if isinstance(new, dict | list) and not isinstance(old, type(new)):
            return False
        if isinstance(new, dict) and not _mergeable({} if old is new else old, new):
            return False
    return True


def _merge_into(into: dict[Any, Any], value: dict[Any, Any]) -> None:
    for key, new in value.items():
        if isinstance(new, dict):
            if not isinstance(into.get(key), dict):
                into[key] = {}
            _merge_into(into[key], new)
        else:
            into[key] = new
