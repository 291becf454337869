"""Sweeps drawn at random from all that Hydra's grammar can say: hostile texts, sweeps of every kind, groups, conditions.

One generator for everyone: it asks a `random.Random`, which hypothesis can stand behind as well as a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString

KEYS = 20  # the least number of overrides in a case
CONFIGS = {
    "config": "\n".join(
        [
            "defaults:",
            *(
                "- model: cnn",
                "- server/db@primary: mysql",
                "- server/db@backup: mysql",
                "- opt: [a, b]",
                "- pick: ???",
                "- _self_",
            ),
            "d: {a: 1, b: {c: [1, 2]}}",
            "seen: {num: '${hydra:job.num}', id: '${hydra:job.id}', name: '${hydra:job.name}', as: '${hydra:job.config_name}'}",
            "items: [1, 2, 3]",
            *(f"k{number}: null" for number in range(13)),
            *(f"c{number}: null" for number in range(9)),
            *(f"gone{number}: 5" for number in range(2)),
        ]
    ),
    **{f"model/{name}": f"kind: {name}\nheads: 1\n" for name in ("cnn", "vit", "virus")},
    **{f"server/db/{name}": f"driver: {name}\nport: 1\n" for name in ("mysql", "pg")},
    **{f"opt/{name}": f"{name}: 1\n" for name in ("a", "b", "c")},
    **{f"pick/{name}": f"picked: {name}\n" for name in ("one", "two")},
    **{f"extra/{name}": f"extra: {name}\n" for name in ("one", "two")},
}
"""An app with groups, one of them mandatory, packages, and keys that accept anything."""

When = tuple[str, tuple[str, ...]]
"""A parent's key, and the texts of its values."""


@dataclass(frozen=True)
class Written:
    """One override as a user wrote it: its line in Hydra's grammar, its YAML value, and the conditions it stands under."""

    line: str
    value: Any = field(default=None, hash=False)
    when: tuple[When, ...] = ()

    @property
    def key(self) -> str:
        """What stands before the first `=`: no key drawn here has one in it."""
        return self.line.partition("=")[0]


@dataclass(frozen=True)
class Case:
    """One sweep: what stands in `params` and `conditional`, what on the command line, and all of it in its final order."""

    params: Mapping[str, Any]
    conditional: Mapping[str, Any]
    command_line: Sequence[str]
    written: Sequence[Written] = field(repr=False)

    def without(self, line: str) -> Case:
        """The case less one unconditional override."""
        key = line.partition("=")[0]
        return Case(
            {name: value for name, value in self.params.items() if name != key},
            {} if any(written.when and written.when[0][0] == key for written in self.written) else self.conditional,
            [given for given in self.command_line if given.partition("=")[0] != key],
            [
                written
                for written in self.written
                if written.key != key and not any(parent == key for parent, _ in written.when)
            ],
        )


@lru_cache(maxsize=20_000)
def parsed(line: str) -> Override:
    """The override that Hydra reads here; asked for again and again."""
    return OverridesParser.create().parse_override(line)


_AROUND_ZERO = ("interval(-1e-3, 0)", "interval(0, 1)", "interval(-1, 1)", "interval(-0.0, 1e-300)", "interval(-1e300, -0.0)")
_CHARACTERS = "ab1.-+~=,:;@#%*?/\\'\"()[]{}$ \t\n_\u00e9\u4e16\U0001f600\udcff&|<>!`^"
_NUMBERS = [
    "1_000",
    "1e3",
    "1E-5",
    "1e-05",
    "0.10",
    "-0.0",
    "0",
    "00.5",
    "1.",
    ".5",
    "inf",
    "-inf",
    "nan",
    "1e400",
    "9007199254740993",
]
_WORDS = [
    *("abc", "true", "False", "TRUE", "null", "NULL", "a-b", "-x", "--flag", "--", "a.b", "*.txt", "/a/b", "a b", "x@y", "a:b"),
    *(
        "${k0}",
        "pre_${d.a}_post",
        "${oc.env:HOME}",
        "a\\,b",
        "a\\ b",
        "\\=",
        "c:\\\\x",
        "10abc",
        "0x10",
        "1:30",
        "yes",
        "a|b",
        "%",
    ),
]
_QUOTED = [
    "'1'",
    '"1.0"',
    "'null'",
    "'true'",
    "''",
    "' '",
    "'$(HOME)'",
    "'a=b'",
    "'${k0}'",
    '"it\'s"',
    "'say \"hi\"'",
    "'\\\\'",
    "'a\\b'",
]


class Drawing:
    """Draws cases. `half` allows texts that Hydra reads and cannot compose: half an interpolation, bytes that are no text."""

    def __init__(self, dice: Random, *, half: bool) -> None:
        self._dice = dice
        self._half = half

    def case(self) -> Case:
        """One sweep of at least KEYS overrides."""
        dice = self._dice
        written = [Written(f"k{number}={self._expression()}") for number in range(8)]
        written += [self._addition(number) for number in range(8, 11)]
        written += self._groups() + self._deletions()
        written += [self._yaml_value(number) for number in (11, 12)]
        written = dice.sample(written, len(written))
        children, conditional = self._conditions(written)
        split = dice.choice((0, len(written), dice.randint(0, len(written))))
        in_yaml = list(written[:split]) + [one for one in written[split:] if one.value is not None]
        on_command_line = [one for one in written[split:] if one.value is None]
        replaced = [
            Written(f"{one.key}={self._expression()}")
            for one in in_yaml
            if one.key.startswith("k") and not children and self._dice.random() < 0.1
        ]
        final = {one.key: one for one in in_yaml} | {one.key: one for one in replaced}
        params = {one.key: _as_yaml(one) for one in in_yaml}
        everything = [*final.values(), *children, *on_command_line]
        return Case(params, conditional, [one.line for one in (*replaced, *on_command_line)], everything)

    def _one_of(self, *makers: Callable[[], str]) -> str:
        return self._dice.choice(makers)()

    # Elements.

    def _text(self) -> str:
        text = "".join(self._dice.choices(_CHARACTERS, k=self._dice.randint(0, 8)))
        # Nor can Hydra 1.4 write what no encoding has into its own files.
        return text if self._half else text.replace("\udcff", "").replace("${", "$")

    def _quoted(self) -> str:
        return QuotedString(self._text(), self._dice.choice((Quote.single, Quote.double))).with_quotes()

    def _number(self) -> str:
        dice = self._dice
        return self._one_of(
            lambda: str(dice.randint(-10, 10)),
            lambda: str(dice.randint(-(2**70), 2**70)),
            lambda: repr(dice.uniform(-1e6, 1e6)),
            lambda: repr(10 ** dice.uniform(-300, 300)),
            lambda: dice.choice(_NUMBERS),
        )

    def _plain(self) -> str:
        return self._one_of(self._number, lambda: self._dice.choice(_WORDS))

    def _scalar(self) -> str:
        return self._one_of(self._quoted, self._quoted, self._plain, self._plain, lambda: self._dice.choice(_QUOTED))

    def _container(self) -> str:
        items = [self._scalar() for _ in range(self._dice.randint(0, 3))]
        inner = f"[{','.join(items)}]"
        first = items[0] if items else "{}"
        return self._dice.choice((inner, f"{{a:{first},b c:{inner}}}", f"[{inner},{{a:{first}}}]", f"{{1:{first},x\\:y:[]}}"))

    def _element(self) -> str:
        return self._one_of(self._scalar, self._scalar, self._scalar, self._container)

    def _several(self, make: Callable[[], str], least: int, most: int) -> str:
        return ",".join(make() for _ in range(self._dice.randint(least, most)))

    # Values.

    def _expression(self) -> str:
        return self._one_of(self._fixed, self._choice, self._choice, self._numbers, self._range, self._interval)

    def _fixed(self) -> str:
        functions = ("int(3.7)", "float(3)", "str([1,2])", "bool(1)", "sort([3,1,2])", "str('a b')", "int({a:1.5})", "")
        return self._one_of(self._element, self._element, self._element, lambda: self._dice.choice(functions))

    def _choice(self) -> str:
        in_functions = lambda: self._one_of(self._plain_in_a_function, self._container)  # noqa: E731 - named for what it is
        return self._one_of(
            lambda: self._several(self._element, 2, 4),
            lambda: self._several(self._element, 2, 4),
            lambda: f"choice({self._several(in_functions, 1, 4)})",
            lambda: f"tag(categorical, choice({self._several(in_functions, 2, 3)}))",
        )

    def _plain_in_a_function(self) -> str:
        # Hydra's functions take quotes off, and cannot take a null.
        return self._dice.choice(("abc", "a-b", "true", "'a b'", "'1'", "'x,y'", "1.5", "-3", "1e-5", "${k0}", "a.b", "'--x'"))

    def _numbers(self) -> str:
        dice = self._dice
        # Only of a DISCRETE is it known which element a value stands for, whatever the shuffle.
        apart = ",".join(map(str, dice.sample(range(-50, 50), 3)))
        listed = self._several(lambda: self._dice.choice((str(dice.randint(-50, 50)), repr(dice.uniform(-1e3, 1e3)))), 2, 5)
        return dice.choice(
            (listed, f"choice({listed})", f"sort({listed})", f"shuffle({apart})", f"float({listed})", f"str({listed})")
        )

    def _range(self) -> str:
        start, step = self._dice.randint(-5, 5), self._dice.choice((1, 2, -1, 0.5, -0.25, 0.1, 1e-3))
        plain = f"range({start},{start + self._dice.randint(1, 6) * step},{step})"
        return self._dice.choice(
            (plain, plain, f"shuffle({plain})", f"sort({plain})", f"float({plain})", f"range({self._dice.randint(2, 9)})")
        )

    def _interval(self) -> str:
        low = self._dice.randint(1, 9)
        bounds = f"{low},{low + self._dice.randint(1, 90)}"
        forms = ("interval({})", "int(interval({}))", "tag(log,interval({}))", "tag(reverse_log,int(interval({})))")
        return self._dice.choice((*forms, "tag(log, interval(1e-12,1e-3))", *_AROUND_ZERO)).format(bounds)

    # Whole overrides.

    def _addition(self, number: int) -> Written:
        key = self._dice.choice(
            (f"+n{number}", f"++k{number}", f"++n{number}.a", f"+new{number}.deep.x", f"+$n{number}", f"+n-{number}")
        )
        return Written(f"{key}={self._expression()}")

    def _groups(self) -> list[Written]:
        options = [
            ("model=cnn,vit", "model=vit", "model=glob(v*)", "model=choice(cnn,virus)", "~model"),
            ("pick=one,two", "pick=two", "pick=glob(*)"),
            ("server/db@primary=mysql,pg", "server/db@primary=glob(*)", "server/db@primary=pg", "~server/db@primary=mysql"),
            ("server/db@backup=pg,mysql", "~server/db@backup", "backup.port=1,2", "backup={port: 3},{port: 4}"),
            ("+extra=one,two", "+extra@some.where=two,one", "+extra@_global_=one", "+server/db@third=mysql,pg"),
            ("opt=[a,b],[c]", "opt=[c],a", "opt=[b]", "opt.a=1,2"),
            ("d={a:7},{b:{c:[]}}", "d.a=5,6", "d.b.c.0='x',y", "items=[9],[8,7]", "items.1=5,6"),
        ]
        return [Written(self._dice.choice(lines)) for lines in options]

    def _deletions(self) -> list[Written]:
        lines = [self._dice.choice((f"~gone{number}", f"~gone{number}=5")) for number in range(2)]
        return [Written(line) for line in lines]

    def _yaml_value(self, number: int) -> Written:
        values: tuple[Any, ...] = (
            5,
            -0.0,
            1e-5,
            True,
            [1, "2", None, "it's"],
            {"a": {1: "Hello, x", 2.5: [None, " ", ""]}, "b c": "1"},
            [[], {}],
        )
        value = self._dice.choice(values)
        return Written(f"k{number}={_printed(value)}", value)

    # Conditions.

    def _conditions(self, written: Sequence[Written]) -> tuple[list[Written], dict[str, Any]]:
        """Children under up to three parents, some of them parents themselves; written and as YAML."""
        parents = [one for one in written if one.value is None and _texts(one.line)]
        children: list[Written] = []
        blocks: dict[str, Any] = {}
        for number, parent in enumerate(self._dice.sample(parents, min(len(parents), 3))):
            for branch, texts in enumerate(self._branches(_texts(parent.line))):
                # Both branches have the same key, with another range in each.
                condition = f"{parent.key}={','.join(texts)}"
                child = Written(f"c{number}={self._expression()}", when=((parent.key, texts),))
                children.append(child)
                block: dict[str, Any] = {"params": {child.key: _as_yaml(child)}}
                inner = _texts(child.line)
                if inner and self._dice.random() < 0.5:
                    name = f"c{3 + 2 * number + branch}"
                    nested = Written(f"{name}={self._expression()}", when=(*child.when, (child.key, inner[:1])))
                    children.append(nested)
                    block["conditional"] = {f"{child.key}={inner[0]}": {"params": {nested.key: _as_yaml(nested)}}}
                blocks[condition] = block
        return children, blocks

    def _branches(self, texts: tuple[str, ...]) -> list[tuple[str, ...]]:
        some = tuple(self._dice.sample(texts, self._dice.randint(1, len(texts) - 1)))
        others = tuple(text for text in texts if text not in some)
        return [some, others][: self._dice.randint(1, 2)]


def _texts(line: str) -> tuple[str, ...]:
    """The different elements of an override that can be a parent; nothing for any other."""
    override = parsed(line)
    if not override.is_discrete_sweep() or "glob(" in line or "${" in line:
        return ()
    texts = tuple(dict.fromkeys(override.sweep_string_iterator()))
    return texts if len(texts) > 1 and all(_reads_back(text) for text in texts) else ()


def _reads_back(text: str) -> bool:
    return parsed(f"x={text}").get_value_element_as_str() == text


def _as_yaml(written: Written) -> Any:
    if written.value is not None or written.line.startswith("~"):
        return written.value if "=" not in written.line or written.value is not None else written.line.partition("=")[2]
    return written.line.partition("=")[2]


def _printed(value: Any) -> str:
    """A YAML value in Hydra's grammar, its texts in single quotes."""
    if isinstance(value, str):
        return QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list):
        return f"[{','.join(map(_printed, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{str(key).replace(' ', chr(92) + ' ')}:{_printed(item)}" for key, item in value.items()) + "}"
    return "null" if value is None else str(value)
