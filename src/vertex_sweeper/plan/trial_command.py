"""The trial's command, derived from how the sweep itself was started.

A script, a module (`python -m pkg.train`) and a console entry point are told apart; interpreter options and Hydra's flags that
choose the config are kept. The result is a list of words: nothing ever goes through a shell.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from vertex_sweeper.errors import InvalidSweep
from vertex_sweeper.job.rerun import has_flag
from vertex_sweeper.plan.process_arguments import REMEDY, CommandLine, host_of, hydra_flags, split_command_line


@dataclass(frozen=True, slots=True)
class Start:
    """How this process was started: what `sys` and `__main__` say, and what else it is (see `host_of`)."""

    argv: Sequence[str]
    original: Sequence[str]
    main: ModuleType | None
    executable: str
    directory: Path
    host: str = ""

    @property
    def line(self) -> CommandLine:
        """The command line that started it."""
        return split_command_line(self.original)

    @classmethod
    def of_this_process(cls) -> Start:
        """The process that runs the sweep."""
        host = host_of(split_command_line(sys.orig_argv).program)
        return cls(sys.argv, sys.orig_argv, sys.modules.get("__main__"), sys.executable, Path.cwd(), host)


def trial_command(given: Sequence[str] | None, start: Start, *, portable: bool) -> tuple[str, ...]:
    """The words that start one trial: the command that was set, or the one that started the sweep.

    Which config is tuned is decided by the flags that the sweep was started with. So they stand behind a command that was set,
    too, unless it has its own.
    """
    if given is None:
        return derive_command(start, portable=portable)
    _refuse_multirun(given)
    flags = _hydra_flags(start, portable=portable)
    pairs = zip(flags[::2], flags[1::2], strict=True)
    return (*given, *(word for pair in pairs if not has_flag(given, pair[0]) for word in pair))


def derive_command(start: Start, *, portable: bool) -> tuple[str, ...]:
    """The words that start one trial: program, script or module, and Hydra's own flags, but no overrides.

    `portable` is for a container, where only paths relative to the working directory exist; raises InvalidSweep for others, and
    where there is nothing to start (a notebook).
    """
    line = start.line
    spec = getattr(start.main, "__spec__", None)
    # A profiler's module may stay `__main__` while it runs a script; and of `python folder`, the name is `__main__`.
    if spec is not None and spec.name not in (None, "__main__") and start.argv[0] not in line.arguments:
        module = spec.name.removesuffix(".__main__")
        return ("python", *line.options, "-m", module, *_hydra_flags(start, portable=portable))
    script = _script(start, line)
    if script is None:
        raise InvalidSweep([f"this sweep was not started from a script, so its trials' command is unknown: {REMEDY}"])
    if script.suffix != ".py" and _is_entry_point(script, start):
        return (script.name, *_hydra_flags(start, portable=portable))
    path = _portable(script, start, "the script", portable=portable)
    return ("python", *line.options, path, *_hydra_flags(start, portable=portable))


def _script(start: Start, line: CommandLine) -> Path | None:
    """The script that runs: of a debugger or profiler it is an argument, and stands in `sys.argv` all the same."""
    name = start.argv[0] if start.argv and start.argv[0] in start.original else "".join(line.program[-1:])
    script = Path(name) if name else None
    return script if script is not None and (start.directory / script).exists() else None


def _refuse_multirun(command: Sequence[str]) -> None:
    script = next((at for at, word in enumerate(command) if word.endswith(".py")), len(command))
    found = [word for at, word in enumerate(command) if word == "--multirun" or (word == "-m" and at > script)]
    if found:
        rule = f"{found[0]} in it starts a sweep, and a trial is one run"
        raise InvalidSweep([f"hydra.sweeper.trial.command: {rule}: leave it out"])


def _is_entry_point(script: Path, start: Start) -> bool:
    found = shutil.which(script.name)
    beside = (start.directory / script).parent == Path(start.executable).parent
    return beside or (found is not None and Path(found).resolve() == (start.directory / script).resolve())


def _hydra_flags(start: Start, *, portable: bool) -> list[str]:
    """`--config-name`, `--config-path` and `--config-dir` as they were given; Hydra 1.3 wants flags before overrides."""
    given = hydra_flags(start.argv[1:])
    flags = []
    if given.config_path:
        # A relative one is relative to the script and means the same in the container.
        flags += ["--config-path", _portable_if_absolute(given.config_path, start, "--config-path", portable=portable)]
    if given.config_name:
        flags += ["--config-name", given.config_name]
    if given.config_dir:
        flags += ["--config-dir", _portable(Path(given.config_dir), start, "--config-dir", portable=portable)]
    return flags


def _portable_if_absolute(path: str, start: Start, what: str, *, portable: bool) -> str:
    if not Path(path).is_absolute() or not portable:
        return path
    raise InvalidSweep([_not_portable(Path(path), start, what)])


def _portable(path: Path, start: Start, what: str, *, portable: bool) -> str:
    """The path relative to the working directory; an absolute one is left as it is where no container is involved."""
    absolute = (start.directory / path).resolve()
    directory = start.directory.resolve()
    if absolute.is_relative_to(directory):
        return absolute.relative_to(directory).as_posix()
    if portable:
        raise InvalidSweep([_not_portable(absolute, start, what)])
    return str(absolute)


def _not_portable(path: Path, start: Start, what: str) -> str:
    return f"{what} {path} is outside the working directory {start.directory}, and a container would not have it: {REMEDY}"
