"""What an app's config asks for of `hydra.sweeper` and `hydra.launcher`, so that trials are given that, and nothing else.

In a job of a Hydra multirun these are the sweep's own. A trial is a run by itself, and has Hydra's defaults there: the settings
of the sweep are not about it, and its image need not have the launcher.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from hydra.errors import HydraException
from omegaconf import Container, DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vertex_sweeper.credentials import credential_in, exposed_line
from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.space.omegaconf_api import as_written, children, dereferenced, is_interpolation, is_open, raw_value
from vertex_sweeper.space.overrides import OverrideReader
from vertex_sweeper.space.watched_config import WatchedConfig
from vertex_sweeper.space.written_values import NodePath

Compose = Callable[[Sequence[str]], DictConfig]

_NODES: Final = (("hydra", "sweeper"), ("hydra", "launcher"))
_TEXTS: Final = {("hydra", "help"), ("hydra", "hydra_help"), ("hydra", "overrides"), *_NODES}
_MAY_LEAD_THERE: Final = re.compile(r"sweeper|launcher|hydra[^}]*\$\{|\$\{\s*\$\{|\$\{hydra:?\}")
"""What names one of the nodes, or is put together from something else. Where a chain of them ends there, its last link does."""
_BY_NAME: Final = re.compile(r"hydra[:.]\s*((?:sweeper|launcher)(?:\.\w+)*)")
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ABSENT: Final = None  # `${hydra:…}` of a key that is not there is null


class _Kind(Enum):
    ASKED = "what an interpolation has asked for"


class HydraReferences:
    """Compares, for each trial that is composed, what its config asks for with what it would get in a job of the multirun.

    Args:
        compose_job: composes such a job's config: with all overrides of Hydra's own settings that the sweep was given.
    """

    def __init__(self, compose_job: Compose) -> None:
        self._compose_job = compose_job
        self._wanted: dict[NodePath, Any] = {}
        self._by: dict[NodePath, str] = {}
        self._differing: set[NodePath] = set()

    @property
    def wanted(self) -> list[NodePath]:
        """The keys that trials have to be given."""
        return list(self._wanted)

    @staticmethod
    def asks(config: DictConfig) -> bool:
        """Whether a trial's config may ask for something, as far as is seen without its values: those may decide for what."""
        return next(_candidates(config), None) is not None

    def record(self, overrides: Sequence[str], config: DictConfig) -> bool:
        """Looks at a trial's config and its overrides; whether it is the first to ask for something that it does not have."""
        if not self.asks(config):
            return False
        try:
            job = self._compose_job(overrides)
        except (HydraException, OmegaConfBaseException):
            return False  # a trial composes, and that is what counts
        before = len(self._wanted)
        for path, key in {**_asked(job), **_asked(config)}.items():
            wanted = _value(job, path)
            if isinstance(wanted, dict) and wanted:
                continue  # null in the trial, where the job goes on to something below
            if path not in self._wanted and repr(wanted) != repr(_value(config, path)):
                self._wanted[path], self._by[path] = wanted, key
            elif path in self._wanted and repr(self._wanted[path]) != repr(wanted):
                self._differing.add(path)
        return len(self._wanted) > before

    def missing(self, config: DictConfig) -> list[NodePath]:
        """What a trial with this config would still not have as it is in a job."""
        return [path for path, value in self._wanted.items() if repr(_value(config, path)) != repr(value)]

    def overrides(self, *, allow_secrets: bool) -> list[str]:
        """The overrides that trials need, in the order in which they were asked for.

        Raises InvalidSweep with what none can say.
        """
        reader = OverrideReader(None)
        mistakes = [self.mistake(path, "it is not the same in every trial") for path in self._wanted if path in self._differing]
        lines = []
        for path, value in self._wanted.items():
            # The names of our own settings are known; a launcher's may be anything.
            what = credential_in(str(path[-1]) if path[1] == "launcher" else "", str(value))
            if what is not None and not allow_secrets:
                mistakes.append(exposed_line(_name(path), f"{self._by[path]} asks for it, and {what}"))
                continue
            key, inner = _sayable(path, value)
            line = reader.fixed_line(f"++{key}", inner, self._by[path])
            lines += [] if line is None else [line]
        mistakes += reader.mistakes
        if mistakes:
            raise InvalidSweep(mistakes)
        return lines

    def mistake(self, path: NodePath, why: str) -> str:
        """The line for something that trials cannot be given."""
        rule = "and a trial would not have it as a job of this multirun has"
        remedy = "take it from a key of your own, or set it in the app's config"
        return f"{_name(path)}: {self._by[path]} asks for it, {rule} ({why}): {remedy}"


def _asked(config: DictConfig) -> dict[NodePath, str]:
    """Each value of the two nodes that the config asks for, and the first key that does. Leaves the config as it is."""
    config = copy.deepcopy(config)
    with open_dict(config.hydra):
        # What a trial will have; without it, what asks for it first would not come to ask for more.
        config.hydra.job.num, config.hydra.job.id, config.hydra.runtime.output_dir = 1, "trial_1", "."
    watched = WatchedConfig(config)
    paths: dict[str, NodePath] = {}
    for node in _NODES:
        paths |= {mark.name: path for mark, path in watched.mark_leaves(node, _Kind.ASKED)}
    asked: dict[NodePath, str] = {}
    for key, node in list(_candidates(config)):
        text = str(raw_value(node))
        with watched.asking() as marks:
            try:
                found = dereferenced(node)
                if isinstance(found, Container):
                    OmegaConf.to_container(found, resolve=True)
            except Exception:  # noqa: BLE001 - the trial may have what there is none of here, and go on
                for path in _BY_NAME.findall(text):
                    OmegaConf.select(config, f"hydra.{path}")
        for mark in marks:
            asked.setdefault(paths[mark.name], key)
    return asked


def _candidates(node: Any, path: NodePath = ()) -> Iterator[tuple[str, Any]]:
    """The config's interpolations that may lead to the two nodes, directly or by what they are put together from."""
    if path in _TEXTS:
        return
    if is_interpolation(node):
        if _MAY_LEAD_THERE.search(str(raw_value(node))):
            yield _name(path), node
    elif is_open(node):
        content = children(node)
        for key, child in content.items() if isinstance(content, Mapping) else enumerate(content):
            yield from _candidates(child, (*path, key))


def _value(config: DictConfig, path: NodePath) -> Any:
    """What is written there, as plain data."""
    node: Any = config
    for key in path:
        if not isinstance(node, DictConfig) or not is_open(node) or key not in children(node):
            return _ABSENT
        node = children(node)[key]
    return as_written(node)


def _sayable(path: NodePath, value: Any) -> tuple[str, Any]:
    """The path as an override's key, and what is to be set there: a dict from where on the names are not plain."""
    names = list(path)
    plain = 0
    while plain < len(names) and _PLAIN.fullmatch(str(names[plain])):
        plain += 1
    for name in reversed(names[plain:]):
        value = {name: value}
    return ".".join(map(str, names[:plain])), value


def _name(path: NodePath) -> str:
    return ".".join(map(str, path))
