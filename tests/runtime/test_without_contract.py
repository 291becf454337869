"""Arguments without a contract: where the command ends, what becomes an override, and what stays."""

from __future__ import annotations

import pytest
from hydra._internal.utils import get_args_parser

from vertex_sweeper_runtime import without_contract
from vertex_sweeper_runtime.errors import FlagError
from vertex_sweeper_runtime.without_contract import trial_command


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        pytest.param("python train.py --a=1", "python train.py a=1", id="a script"),
        pytest.param("torchrun --nproc_per_node=4 train.py --a=1", "torchrun --nproc_per_node=4 train.py a=1", id="a launcher"),
        pytest.param("python -u -m pkg.train --a=1", "python -u -m pkg.train a=1", id="a module"),
        pytest.param("bash -c exec --a=1", "bash -c exec a=1", id="a command line"),
        pytest.param("my-train -- --a=1", "my-train a=1", id="bare dashes"),
        pytest.param("run -m a train.py -- --a=1", "run -m a train.py a=1", id="bare dashes decide"),
        pytest.param("my-train a=1", "my-train a=1", id="no flags, nothing to convert"),
    ],
)
def test_the_command_ends_where_it_says(arguments: str, command: str) -> None:
    assert trial_command(arguments.split()) == command.split()


@pytest.mark.parametrize(
    ("tokens", "overrides"),
    [
        pytest.param(["--lr=0.1", "--n", "3"], ["lr=0.1", "n=3"], id="both forms"),
        pytest.param(["--lr", "-5"], ["lr=-5"], id="a negative number in two tokens"),
        pytest.param(["--a.b-c_d=1"], ["a.b-c_d=1"], id="a dotted key"),
        pytest.param(["--+a=1", "--++b=2"], ["+a=1", "++b=2"], id="a key with plus"),
        pytest.param(["--a=1,2", "--b=choice(1,2)"], ["a='1,2'", "b='choice(1,2)'"], id="no sweeps"),
        pytest.param(["--a=[1,2]", "--b", "x=y"], ["a='[1,2]'", "b='x=y'"], id="no lists, no assignments"),
        pytest.param(["--a=", "--b=two words"], ["a=''", "b='two words'"], id="empty, and with a space"),
        pytest.param(
            ["a=1,2", "+b=1", "++c=[1]", "~d", "db@x=y"], ["a=1,2", "+b=1", "++c=[1]", "~d", "db@x=y"], id="overrides"
        ),
        pytest.param(["--run=5", "--version=2"], ["run=5", "version=2"], id="a value on what is a switch for Hydra"),
        pytest.param(["a=1", "-cn", "x", "--b=2"], ["-cn", "x", "a=1", "b=2"], id="Hydra's flags first"),
        pytest.param(
            ["--config-name=x", "--config-dir", "--d"],
            ["--config-name=x", "--config-dir", "--d"],
            id="Hydra's flags as they are",
        ),
        pytest.param(["--info", "a=1"], ["--info=all", "a=1"], id="an optional value left out"),
        pytest.param(["-i", "config", "a=1"], ["-i=config", "a=1"], id="an optional value given"),
        pytest.param(["-c", "job", "--resolve", "--a=1"], ["-c", "job", "--resolve", "a=1"], id="showing the config"),
    ],
)
def test_flags_become_overrides_and_the_rest_stays(tokens: list[str], overrides: list[str]) -> None:
    assert trial_command(["python", "train.py", *tokens]) == ["python", "train.py", *overrides]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        pytest.param("my-train --a=1", ["where the command ends is not clear"], id="no end of the command"),
        pytest.param("-- --a=1", ["no command"], id="no command"),
        pytest.param("t.py --a --b=1", ["--a: no value follows"], id="no value, a flag follows"),
        pytest.param("t.py --a", ["--a: no value follows"], id="no value at the end"),
        pytest.param("t.py -cn", ["-cn: no value follows"], id="no value for Hydra's flag"),
        pytest.param("t.py word", ["word: neither a flag nor an override"], id="a stray word"),
        pytest.param("t.py -x=1", ["-x=1: neither"], id="one dash"),
        pytest.param("t.py --=1", ["--=1: neither"], id="no key"),
        pytest.param("t.py -m", ["-m: a trial is one run"], id="a multirun"),
        pytest.param("t.py --multirun word --a", ["--multirun:", "word:", "--a:"], id="several"),
    ],
)
def test_what_cannot_be_converted_is_refused_with_one_line_for_each_mistake(arguments: str, parts: list[str]) -> None:
    with pytest.raises(FlagError) as caught:
        trial_command(arguments.split())
    lines = str(caught.value).split("\n")
    assert [line.startswith(part) for line, part in zip(lines, parts, strict=True)] == [True] * len(parts)


def test_every_flag_of_hydras_command_line_is_known_with_its_arity() -> None:
    known: dict[str, frozenset[str]] = {
        "value": without_contract._WITH_VALUE,
        "switch": without_contract._SWITCHES | without_contract._MULTIRUN,
        "optional": without_contract._INFO,
    }
    of_hydra: dict[str, set[str]] = {"value": set(), "switch": set(), "optional": set()}
    for action in get_args_parser()._actions:
        kind = {0: "switch", "?": "optional"}.get(action.nargs or ("" if action.nargs is None else 0), "value")
        of_hydra[kind].update(action.option_strings)
        if kind == "optional":
            assert set(action.choices or ()) <= without_contract._TOPICS
    assert of_hydra == known
