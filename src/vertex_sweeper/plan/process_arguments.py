"""The arguments that started this process, and whether they are the sweep's: only then do they tell how a trial starts.

A script may sweep by itself: it puts words into `sys.argv`, or calls Hydra with overrides of its own. Started again for a trial
it would do so again. `sys.orig_argv` has what the process was started with, whatever became of `sys.argv`.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
from argparse import ArgumentError, Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import PurePath
from typing import NamedTuple

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.space.hydra_api import alias_expander, argument_parser

REMEDY = "set hydra.sweeper.trial.command, as in [python, train.py]"

_NOTEBOOK = "a notebook"
_HOSTS = {
    "pytest": "pytest",
    "py.test": "pytest",
    "unittest": "unittest",
    "ipython": "IPython",
    "ipython3": "IPython",
    "ipykernel": _NOTEBOOK,
    "ipykernel_launcher": _NOTEBOOK,
    "colab_kernel_launcher": _NOTEBOOK,
}
_MOST_NAMES = 3


class CommandLine(NamedTuple):
    """A Python process's command line: the interpreter's options, the program (`-m module`, or one word), its arguments."""

    options: tuple[str, ...]
    program: tuple[str, ...]
    arguments: tuple[str, ...]


def split_command_line(words: Sequence[str]) -> CommandLine:
    """The parts of `sys.orig_argv` as the interpreter reads them: `-Im pkg` is an option and a module."""
    options: list[str] = []
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            return CommandLine(tuple(options), (word,), tuple(rest))
        if word == "--":
            return CommandLine(tuple(options), tuple(rest[:1]), tuple(rest[1:]))
        position = _letter_with_value(word)
        values = [word[position + 1 :] or rest.pop(0)] if position and (rest or word[position + 1 :]) else []
        if position and word[position] in "cm":
            options += [word[:position]] if position > 1 else []
            return CommandLine(tuple(options), (f"-{word[position]}", *values), tuple(rest))
        options += [word[: position + 1], *values] if position else [word]
        if word == "--check-hash-based-pycs" and rest:
            options.append(rest.pop(0))
    return CommandLine(tuple(options), (), ())


def _letter_with_value(word: str) -> int:
    """Where in a word of one-letter options the one is that takes a value; 0 where none does."""
    return next((at for at, letter in enumerate(word) if letter in "cmWX"), 0) if not word.startswith("--") else 0


def host_of(program: Sequence[str]) -> str:
    """What else this process is: a notebook or a run of tests, which started again would not start the app. Or nothing."""
    if hasattr(builtins, "__IPYTHON__"):
        return _NOTEBOOK if "ipykernel" in sys.modules else "IPython"
    # Children of a test inherit the variables, but not the module.
    if "_pytest.runner" in sys.modules and os.environ.keys() & {"PYTEST_CURRENT_TEST", "PYTEST_VERSION"}:
        return "pytest"
    name = PurePath(program[-1]).name if program else ""
    name = name.partition(".")[0] if program[:1] == ("-m",) else name.removesuffix(".py")
    return _HOSTS.get(name, "")


def hydra_flags(words: Sequence[str]) -> Namespace:
    """Hydra's own flags among these words; none where the words are not Hydra's."""
    parser = argument_parser()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            return parser.parse_known_args(list(words))[0]
        except (ArgumentError, SystemExit):  # what it says of a flag that is another program's
            return parser.parse_known_args([])[0]


def refuse_foreign_arguments(
    line: CommandLine, argv: Sequence[str], *, host: str, config: DictConfig, config_loader: ConfigLoader
) -> None:
    """Raises InvalidSweep, with one line, where a trial's command cannot be what started this process.

    Args:
        line: How the process was started.
        argv: `sys.argv` as it is by now.
        host: What else the process is, as `host_of` says it.
        config: The config of the multirun, with Hydra's record of the overrides.
        config_loader: Hydra's loader, which knows the app's aliases and its config without this sweep's overrides.
    """
    if host:
        raise InvalidSweep([f"this sweep was started inside {host}, and its trials cannot be started so: {REMEDY}"])
    record = OmegaConf.to_container(config.hydra.overrides, resolve=False)  # one by one they would be resolved
    assert isinstance(record, dict)
    expand = alias_expander(config_loader, config.hydra.job.config_name)
    typed = [(word, _expanded(word, expand)) for word in line.arguments]
    foreign = Counter(map(str, record["task"])) - Counter(expanded for _, expanded in typed)
    missing = list(dict.fromkeys(override.partition("=")[0] for override in foreign))
    given = [word for word, expanded in typed if expanded in {*record["task"], *record["hydra"]}]
    if not _multirun_flag(line, argv) and not _config_says_multirun(given, config, config_loader):
        missing.insert(0, "--multirun (-m)")
    if missing:
        more = f" and {len(missing) - _MOST_NAMES} more" if len(missing) > _MOST_NAMES else ""
        what = f"{', '.join(missing[:_MOST_NAMES])}{more}"
        raise InvalidSweep(
            [f"a trial's command cannot be derived, as the arguments that started this process lack {what}: {REMEDY}"]
        )


def _multirun_flag(line: CommandLine, argv: Sequence[str]) -> bool:
    # A debugger or profiler has flags of its own before the script, and leaves the script's part in `sys.argv`.
    own = tuple(argv[1:])
    parts = [line.arguments, own if line.arguments[len(line.arguments) - len(own) :] == own else ()]
    return any(hydra_flags(part).multirun for part in parts)


def _config_says_multirun(given: Sequence[str], config: DictConfig, config_loader: ConfigLoader) -> bool:
    """Whether Hydra, started with these overrides and no flag, would sweep."""
    try:
        composed = config_loader.load_configuration(
            config.hydra.job.config_name, list(given), run_mode=RunMode.MULTIRUN, validate_sweep_overrides=False
        )
    except Exception:  # noqa: BLE001 - then it would not sweep; see composition.py for what Hydra lets out
        return False
    mode: RunMode | None = composed.hydra.mode
    return mode is RunMode.MULTIRUN


def _expanded(word: str, expand: Callable[[str], str]) -> str:
    """The override that Hydra 1.4 makes of the word, where it is one of the app's aliases."""
    try:
        return expand(word)
    except HydraException:  # no override at all
        return word
