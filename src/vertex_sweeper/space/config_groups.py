"""What Hydra's config sources hold of config groups: search-space files, and the package that each option goes to.

Everything is asked of the repository from which Hydra would compose this very sweep, so a file is found wherever a config may
be: in the app's folder or package, in `--config-dir`, on `hydra.searchpath`, in the ConfigStore.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vertex_sweeper.messages import one_line
from vertex_sweeper.space.hydra_api import Override, chosen_options, config_repository, is_value_path, read_config
from vertex_sweeper.space.key_paths import group_and_package, without_prefix

GLOBAL = "_global_"


@dataclass(frozen=True, slots=True)
class SpaceFile:
    """A search-space file as it was written, interpolations and all.

    `name` is how messages call it, `source` the config source it is from, `package` what its `# @package` header says.
    """

    name: str
    source: str
    package: str | None
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PlacedOption:
    """Where an option's config goes: its package, and the override key of every group that is chosen beside it, by package."""

    package: str
    groups: Mapping[str, str]


class GroupFiles:
    """Hydra's config sources as one sweep sees them: with its `hydra.searchpath`."""

    def __init__(self, config_loader: ConfigLoader, config_name: str | None, hydra_overrides: Sequence[str]) -> None:
        self.config_loader = config_loader
        self._config_name = config_name
        self._hydra_overrides = list(hydra_overrides)
        self._repository = config_repository(config_loader, config_name, self._hydra_overrides)

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The sweep's own config with these overrides. Raises what Hydra raises."""
        return self.config_loader.load_configuration(self._config_name, [*self._hydra_overrides, *overrides], RunMode.MULTIRUN)

    def compose_job(self, overrides: Sequence[str]) -> DictConfig:
        """The config of a job of this multirun with these overrides. Raises what Hydra raises."""
        return self.config_loader.load_configuration(self._config_name, [*self._hydra_overrides, *overrides], RunMode.RUN)

    def composes(self, overrides: Sequence[str]) -> bool:
        """Whether there is a config with these overrides and no others; what is to be chosen yet may be missing."""
        try:
            self.config_loader.load_configuration(self._config_name, list(overrides), RunMode.MULTIRUN)
        except Exception:  # noqa: BLE001 - Hydra lets YAML's errors, TypeErrors and assertions out for what a user wrote
            return False
        return True

    def is_group(self, override: Override) -> bool:
        """Whether an override without a dict for a value chooses an option, as Hydra decides it."""
        return not is_value_path(override) and self.has_group(override.key_or_group)

    def has_group(self, name: str) -> bool:
        """Whether any source has this config group."""
        return bool(self._repository.group_exists(name))

    def space_file(self, path: str) -> SpaceFile | None:
        """The search-space file at this config path, if there is one. Raises ValueError for one that cannot be read as such."""
        name = f"{path}.yaml"
        try:
            found = read_config(self._repository, path)
        except (HydraException, OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
            raise ValueError(f"{name}: cannot be read: {_one_line(error)}") from error
        if found is None:
            return None
        content = found.content
        if found.has_defaults:
            raise ValueError(f"{name}: a defaults list is not composed here: write its keys out")
        if not isinstance(content, dict):
            raise ValueError(f"{name}: must be a mapping of keys to expressions, and is {content!r}")  # noqa: TRY004 - what is wrong is the file
        params = {str(key): value for key, value in content.items() if key != "defaults"}  # typed configs keep theirs
        wrong = [f"{key} is {_shown(item)}" for key, value in params.items() for item in _unsayable(value)]
        if wrong:
            raise ValueError(f"{name}: {', '.join(wrong)}: give an expression, or a plain value")
        source = "" if found.provider == "main" else found.path
        return SpaceFile(name, source, None if found.package == "_group_" else found.package, params)

    def place_option(self, key: str, option: str, overrides: Sequence[str]) -> PlacedOption:
        """Where Hydra puts `option` of the group that `key` chooses, when it composes with these overrides.

        Raises ValueError with what Hydra says when it does not compose so.
        """
        try:
            options, known = chosen_options(self.config_loader, self._config_name, [*self._hydra_overrides, *overrides])
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise ValueError(_one_line(error).partition(" Config search path")[0]) from error
        key = without_prefix(key)
        path = f"{group_and_package(key)[0]}/{option}"
        found = [option for option in options if option.path == path]
        packages = {option.package for option in [one for one in found if one.override_key == key] or found}
        if len(packages) != 1:
            told = f"to {' and '.join(sorted(packages))}" if packages else "nowhere"
            raise ValueError(f"Hydra puts it {told}: say which with a `# @package` header")
        groups = {_package(chosen): chosen for chosen in known}
        return PlacedOption(packages.pop(), groups)


def _package(override_key: str) -> str:
    group, package = group_and_package(override_key)
    return group.replace("/", ".") if not package else package.removeprefix(GLOBAL)


def _unsayable(value: Any) -> Iterator[Any]:
    """The parts of a YAML or structured value that no override can say."""
    if isinstance(value, dict):
        for item in value.values():
            yield from _unsayable(item)
    elif isinstance(value, list):
        for item in value:
            yield from _unsayable(item)
    elif value == "???" or not (value is None or isinstance(value, str | int | float)):
        yield value


def _shown(value: Any) -> str:
    return "missing (???)" if value == "???" else f"of type {type(value).__name__}"


def _one_line(error: Exception) -> str:
    return one_line(error) or type(error).__name__
