"""The filter of a list of jobs: `state="JOB_STATE_SUCCEEDED" AND labels.team=vision`, as the API documents it.

Fields and what they may be compared with are those that the API documents for this list. AND, OR, NOT and parentheses follow
Google's common grammar of filters, in which OR binds closer than AND, and terms side by side mean AND.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, Final

from vertex_sweeper.api import JobState
from vertex_sweeper.emulator.api_error import ApiError, invalid

Matches = Callable[[Mapping[str, Any]], bool]
"""Whether a job is in the list. What it sees of a job: `displayName`, `state`, `createTime` (a datetime), `labels`."""

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<sign><=|>=|!=|[=<>:()])|(?P<word>[^\s"=<>!:()]+)|(?P<end>$))"""
)
_NAMES: Final = {"display_name": "displayName", "create_time": "createTime"}
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": lambda one, other: bool(one == other),
    "!=": lambda one, other: bool(one != other),
    "<": lambda one, other: bool(one < other),
    "<=": lambda one, other: bool(one <= other),
    ">": lambda one, other: bool(one > other),
    ">=": lambda one, other: bool(one >= other),
}
_SIGNS: Final = {"displayName": ("=", "!=", ":"), "state": ("=", "!="), "createTime": tuple(_ORDERS)}


def parse_filter(text: str) -> Matches:
    """What the filter means; an empty one lets every job through. Raises ApiError (INVALID_ARGUMENT)."""
    if not text.strip():
        return lambda _: True
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise self._error(f"{text[place:].strip()[:20]!r} is not understood")
            if match.lastgroup != "end":
                self._tokens.append((str(match.lastgroup), match.group(str(match.lastgroup))))
            place = match.end()
        self._next = 0

    def parse(self) -> Matches:
        found = self._conjunction()
        if self._next < len(self._tokens):
            raise self._error(f"{self._tokens[self._next][1]!r} is not expected there")
        return found

    def _conjunction(self) -> Matches:
        terms = [self._disjunction()]
        while self._next < len(self._tokens) and not self._sees("sign", ")"):
            self._takes("word", "AND")
            terms.append(self._disjunction())
        return lambda job: all(term(job) for term in terms)

    def _disjunction(self) -> Matches:
        terms = [self._term()]
        while self._takes("word", "OR"):
            terms.append(self._term())
        return lambda job: any(term(job) for term in terms)

    def _term(self) -> Matches:
        if self._takes("word", "NOT"):
            denied = self._term()
            return lambda job: not denied(job)
        if self._takes("sign", "("):
            inner = self._conjunction()
            if not self._takes("sign", ")"):
                raise self._error("a parenthesis is not closed")
            return inner
        kind, field = self._take("a field")
        _, sign = self._take("a comparison")
        value_kind, value = self._take("a value")
        if kind != "word" or value_kind == "sign":
            raise self._error(f"`{field}{sign}{value}` is not understood")
        return self._comparison(field, sign, _unquote(value))

    def _comparison(self, given: str, sign: str, value: str) -> Matches:
        field = _NAMES.get(given, given)
        if field.startswith("labels."):
            return self._label(field.removeprefix("labels."), sign, value)
        if field not in _SIGNS:
            raise self._error(f"{given!r} is not a field that can be asked for: display_name, state, create_time, labels.KEY")
        if sign not in _SIGNS[field]:
            raise self._error(f"{given} supports {', '.join(_SIGNS[field])} and not {sign!r}")
        if sign == ":":
            pattern = re.compile(".*".join(map(re.escape, value.split("*"))), re.DOTALL)
            return lambda job: pattern.fullmatch(job[field]) is not None
        wanted: Any = value
        if field == "createTime":
            wanted = self._time(value)
        elif field == "state" and value not in {state.value for state in JobState}:
            raise self._error(f"{value!r} is not a state of a job")
        order = _ORDERS[sign]
        return lambda job: order(job[field], wanted)

    def _label(self, key: str, sign: str, value: str) -> Matches:
        if sign == "=":
            return lambda job: job["labels"].get(key) == value
        if (sign, value) == (":", "*"):
            return lambda job: key in job["labels"]
        raise self._error(f"a label is asked for as labels.{key}=VALUE or labels.{key}:*")

    def _time(self, text: str) -> datetime:
        try:
            time = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            raise self._error(f"{text!r} is not a time such as 2021-05-18T00:00:00Z") from None
        return time if time.tzinfo else time.replace(tzinfo=timezone.utc)

    def _sees(self, kind: str, text: str) -> bool:
        return self._next < len(self._tokens) and self._tokens[self._next] == (kind, text)

    def _takes(self, kind: str, text: str) -> bool:
        seen = self._sees(kind, text)
        self._next += seen
        return seen

    def _take(self, what: str) -> tuple[str, str]:
        if self._next >= len(self._tokens):
            raise self._error(f"it ends where {what} is expected")
        self._next += 1
        return self._tokens[self._next - 1]

    def _error(self, why: str) -> ApiError:
        return invalid("filter", f"Invalid filter {self._text!r}: {why}.")


def _unquote(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token.startswith('"') else token
