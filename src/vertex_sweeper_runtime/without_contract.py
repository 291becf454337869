"""The trial's arguments without a contract: a job that was written by hand, with `vertex-trial` before its command.

The command ends at a bare `--` (which is dropped); without one at the first token that ends in `.py`, or at the word after the
first `-m` or `-c`. Behind it, flags become overrides.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final

from vertex_sweeper_runtime.errors import FlagError
from vertex_sweeper_runtime.quoting import value

# Hydra's own command line, as of 1.3 and 1.4.
_WITH_VALUE: Final = frozenset(
    "--cfg -c --package -p --config-path -cp --config-name -cn --config-dir -cd --experimental-rerun".split()  # noqa: SIM905
)
_SWITCHES: Final = frozenset("--help -h --hydra-help --version --resolve --run -r --shell-completion -sc".split())  # noqa: SIM905
_INFO: Final = frozenset({"--info", "-i"})
_TOPICS: Final = frozenset({"all", "aliases", "config", "defaults", "defaults-tree", "plugins", "searchpath"})
_MULTIRUN: Final = frozenset({"--multirun", "-m"})


def trial_command(arguments: Sequence[str]) -> list[str]:
    """The command, Hydra's own flags, and the overrides, in this order: Hydra 1.3 wants its flags before any override.

    Raises FlagError with every mistake on its own line.
    """
    command, rest = _split(arguments)
    flags: list[str] = []
    overrides: list[str] = []
    mistakes: list[str] = []
    tokens = deque(rest)
    while tokens:
        token = tokens.popleft()
        try:
            if own := _hydra_flag(token, tokens):
                flags += own
            else:
                overrides.append(_override(token, tokens))
        except FlagError as error:
            mistakes.append(str(error))
    if mistakes:
        raise FlagError("\n".join(mistakes))
    return [*command, *flags, *overrides]


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    end = _command_length(arguments)
    rest = arguments[end:]
    if end == 0:
        raise FlagError("no command before the bare `--`: nothing to start")
    return arguments[:end], rest[1:] if "--" in rest[:1] else rest


def _command_length(arguments: Sequence[str]) -> int:
    if "--" in arguments:
        return arguments.index("--")
    for position, token in enumerate(arguments):
        if token.endswith(".py"):
            return position + 1
        if token in ("-m", "-c"):
            return position + 2
    if any(token.startswith("--") for token in arguments):
        raise FlagError("where the command ends is not clear (no `.py`, no `-m`): write a bare `--` behind it")
    return len(arguments)


def _hydra_flag(token: str, following: deque[str]) -> list[str]:
    """The tokens of a flag of Hydra's own, its value included; none when the token is something else."""
    name, equals, _ = token.partition("=")
    if token in _MULTIRUN:
        raise FlagError(f"{token}: a trial is one run, the job makes the sweep; leave it out")
    if token in _SWITCHES:
        return [token]
    if name in _WITH_VALUE:
        return [token] if equals else [token, _next(token, following)]
    if name in _INFO:
        if equals:
            return [token]
        # Its value is optional: what stands behind it must not be taken for one.
        return [f"{token}={following.popleft()}" if following and following[0] in _TOPICS else f"{token}=all"]
    return []


def _override(token: str, following: deque[str]) -> str:
    if not token.startswith("-"):
        if "=" in token or token.startswith("~"):
            return token
        raise FlagError(f"{token}: neither a flag nor an override")
    name, equals, text = token[2:].partition("=")
    if not token.startswith("--") or not name:
        raise FlagError(f"{token}: neither a flag of Hydra's nor of the form --key=value")
    if not equals:
        if following and following[0].startswith("--"):
            raise FlagError(f"{token}: no value follows (write {token}=VALUE when it begins with dashes)")
        text = _next(token, following)
    return f"{name}={value(text)}"


def _next(token: str, following: deque[str]) -> str:
    if not following:
        raise FlagError(f"{token}: no value follows")
    return following.popleft()
