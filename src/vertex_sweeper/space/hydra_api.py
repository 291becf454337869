"""Hydra's insides: the one module that uses what Hydra has no public name for.

Each function says what it is for, since which version Hydra has it, and what breaks without it. Where Hydra has changed it
raises `UnsupportedHydra`, and leaves nothing out silently. `tests/space/test_hydra_api.py` tries each one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.default_element import DefaultsTreeNode, InputDefault
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    OverrideType,
    Quote,
    QuotedString,
    RangeSweep,
    Sweep,
    Transformer,
    ValueType,
)
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.errors import UnsupportedHydra

__all__ = [
    "ChoiceSweep",
    "FoundConfig",
    "Glob",
    "IntervalSweep",
    "Option",
    "Override",
    "OverrideType",
    "OverridesParser",
    "Quote",
    "QuotedString",
    "RangeSweep",
    "Sweep",
    "ValueType",
    "alias_expander",
    "argument_parser",
    "chosen_options",
    "config_repository",
    "execution_whitelist",
    "is_hydra_1_3",
    "is_value_path",
    "overridden_groups",
    "override_text",
    "override_with_groups",
    "range_casts",
    "read_config",
    "using_hydra_config",
]


def is_hydra_1_3() -> bool:
    """Whether the installed Hydra is a 1.3, which lacks aliases, value paths, casts of ranges, and the execution whitelist."""
    return str(hydra.__version__).startswith("1.3.")


def config_repository(config_loader: ConfigLoader, config_name: str | None, hydra_overrides: Sequence[str]) -> Any:
    """The repository that a composition with these overrides reads configs and groups from, `hydra.searchpath` included.

    Private in 1.3 and 1.4. The loader's own `repository` lacks `hydra.searchpath`: without this one, groups and search-space
    files on it are not found.

    Args:
        config_loader: Hydra's.
        config_name: the app's primary config; None for an app without one.
        hydra_overrides: the overrides of Hydra's own settings.
    """
    make = _part(config_loader, "_parse_overrides_and_create_caching_repo", "reading configs from hydra.searchpath")
    _, repository = make(config_name, list(hydra_overrides))
    return repository


def overridden_groups(config_loader: ConfigLoader, config_name: str | None) -> list[str]:
    """The groups that the primary config itself has an `override` line for, as `group` or `group@package`.

    `repository` and the items of a defaults list have no public name in 1.3 and 1.4. On 1.3 such a line wins over an appended
    config: without this list `best/best.yaml` would name an option that the rerun does not use.
    """
    purpose = "finding the groups that the primary config overrides"
    repository = _part(config_loader, "repository", purpose)
    primary = repository.load_config(config_name) if config_name is not None else None
    defaults = [] if primary is None else _part(primary, "defaults_list", purpose) or []
    overridden = [default for default in defaults if _part(default, "is_override", purpose)()]
    return [f"{one.group}@{one.package}" if one.package else one.group for one in overridden]


@dataclass(frozen=True, slots=True)
class FoundConfig:
    """A config as its source holds it: `content` with interpolations, its `# @package` header, and where it is from.

    `has_defaults` tells of a defaults list, which is not in `content`; `path` is the source's address, `provider` its name.
    """

    content: Any
    package: str | None
    has_defaults: bool
    provider: str
    path: str


def read_config(repository: Any, path: str) -> FoundConfig | None:
    """The config at this path of `config_repository`; None where there is none. Without a public name in 1.3 and 1.4.

    Without it search-space files would be found in one folder only.

    Raises:
        HydraException, OmegaConfBaseException, YAMLError, OSError, ValueError: the config cannot be read.
    """
    purpose = "reading search-space files"
    if not _part(repository, "config_exists", purpose)(path):
        return None
    found = repository.load_config(path)
    header, defaults = _part(found, "header", purpose), _part(found, "defaults_list", purpose)
    content = OmegaConf.to_container(_part(found, "config", purpose), resolve=False, enum_to_str=True)
    return FoundConfig(content, header.get("package"), bool(defaults), _part(found, "provider", purpose), found.path)


@dataclass(frozen=True, slots=True)
class Option:
    """An option that the defaults list has chosen: its config path, override key (`group@package`), and its package."""

    path: str
    override_key: str
    package: str


def chosen_options(
    config_loader: ConfigLoader, config_name: str | None, overrides: Sequence[str]
) -> tuple[list[Option], list[str]]:
    """All options that a composition with these overrides chooses, and the override keys of all groups in it.

    The defaults tree has no public name in 1.3 and 1.4. Without it nobody can tell which package an option goes to, to which
    the keys of a search-space file are relative.

    Raises:
        HydraException, OmegaConfBaseException, ValueError: what Hydra says where the overrides do not compose.
    """
    purpose = "finding the package of a group's option"
    composed = config_loader.compute_defaults_list(config_name, list(overrides), RunMode.MULTIRUN)
    choices = _part(_part(composed, "overrides", purpose), "known_choices", purpose)
    defaults = _defaults_of(_part(composed, "defaults_tree", purpose))
    return [Option(one.get_config_path(), one.get_override_key(), one.get_final_package()) for one in defaults], list(choices)


def _defaults_of(tree: DefaultsTreeNode | InputDefault) -> Iterator[InputDefault]:
    """Each default of the tree that is a config of its own."""
    if isinstance(tree, InputDefault):
        if not tree.is_self() and not tree.is_deleted():
            yield tree
        return
    if not tree.node.is_virtual():
        yield tree.node
    for child in tree.children or ():
        yield from _defaults_of(child)


def alias_expander(config_loader: ConfigLoader, config_name: str | None) -> Callable[[str], str]:
    """What makes of an override the one that Hydra reads: another one where it is one of the app's `hydra.aliases`.

    Since 1.4, without a public name. Without it a trial could read a key as an alias and set another one. The expander raises
    HydraException for a line that is no override.
    """
    if is_hydra_1_3():
        return str
    aliases = _part(config_loader, "get_override_aliases", "expanding hydra.aliases")(config_name)
    expand: Callable[[str], str] = _part(aliases, "expand", "expanding hydra.aliases")
    return expand


def is_value_path(override: Override) -> bool:
    """Whether the key is written with brackets or escapes, and so never names a group. Since 1.4.

    Without it `model[a]=b` would be taken for the choice of an option.
    """
    return False if is_hydra_1_3() else bool(_part(override, "is_value_path", "telling values from groups"))


def range_casts(sweep: RangeSweep) -> Sequence[Any]:
    """The casts around a range, `float(range(1,4))`. Since 1.4; Hydra 1.3 applies them to the range's ends.

    Without it a range of floats would be tuned as one of whole numbers.
    """
    return () if is_hydra_1_3() else tuple(_part(sweep, "transformers", "reading casts of ranges"))


def override_with_groups(parser: OverridesParser, line: str, config_loader: ConfigLoader | None) -> Override:
    """The parsed override, whose `glob()` can list a group's options.

    `config_loader` is a field of an Override in 1.3 and 1.4 that `parse_override` leaves empty; `glob()` fails without it.

    Raises:
        HydraException: the line is no override.
    """
    override = parser.parse_override(line)
    _part(override, "config_loader", "listing the options of a glob()")
    override.config_loader = config_loader
    return override


def override_text(value: Any) -> str:
    """A value in the override grammar, as Hydra prints an element of a sweep. Without a public name in 1.3 and 1.4.

    Any other printer may differ from Hydra's, and a trial would get another value.

    Raises:
        AssertionError: the grammar has no such value.
    """
    return str(_part(Transformer, "str", "printing values as overrides")(value))


def argument_parser() -> argparse.ArgumentParser:
    """Hydra's command-line parser, which knows each spelling of its flags (`-cn x`, `--config-name=x`). Private in 1.3 and 1.4.

    Without it the flags that choose the config would be missing from a trial's command.
    """
    try:
        from hydra._internal.utils import get_args_parser
    except ImportError as error:
        raise _unsupported("hydra._internal.utils.get_args_parser", "reading Hydra's flags") from error
    return get_args_parser()


def execution_whitelist(hydra_context: HydraContext) -> Any:
    """The app's execution whitelist; None where there is none. Since 1.4.

    Without it a whitelist that refuses our callback is found only when the first trial fails.
    """
    return None if is_hydra_1_3() else _part(hydra_context, "execution_whitelist", "checking the execution whitelist")


@contextmanager
def using_hydra_config(config: DictConfig) -> Iterator[None]:
    """While it lasts `${hydra:…}` reads this config. `cfg` is an attribute of HydraConfig without a public setter for None.

    Without it the process would keep another config than Hydra has set.
    """
    instance = HydraConfig.instance()
    before = _part(instance, "cfg", "resolving ${hydra:…}")
    try:
        instance.set_config(config)
        yield
    finally:
        instance.cfg = before


def _part(owner: Any, name: str, purpose: str) -> Any:
    """An attribute that Hydra is known to have. Raises UnsupportedHydra where it is gone."""
    try:
        return getattr(owner, name)
    except AttributeError as error:
        kind = owner if isinstance(owner, type) else type(owner)
        raise _unsupported(f"{kind.__name__}.{name}", purpose) from error


def _unsupported(name: str, purpose: str) -> UnsupportedHydra:
    return UnsupportedHydra(f"Hydra {hydra.__version__} has no {name}, which is needed for {purpose}: install another version")
