"""Whether what travels in a job looks like a credential: a variable by its name, any text by its shape.

A job's specification is stored, shown in the console and copied into files, so a credential must not stand in it. Values are
never part of a message here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_SHAPES: Final = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY",
    "a service account's key": r"\"private_key(_id)?\"\s*:|\"type\"\s*:\s*\"service_account\"",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})",
    "a GitLab token": r"\bglpat-[\w-]{16,}",
    "a Google API key": r"\bAIza[\w-]{30,}",
    "a Google access token": r"\bya29\.[\w-]{20,}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{20,}",
    "an AWS key": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    "a Slack token": r"\bxox[abeoprs]-[\w-]{10,}",
    "a secret key": r"\bsk-(?:[a-z0-9]+-){0,3}[A-Za-z0-9_]{20,}|\b[rs]k_(live|test)_[A-Za-z0-9]{16,}",
    "a JSON web token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+",
    "an address with a password in it": r"\b[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@",
    "an address with a credential in its query": (
        r"(?i)\b[a-z][a-z0-9+.-]*://\S*[?&;]([\w.-]*(token|secret|passw(or)?d|credentials?|signature|api[_-]?key|access[_-]?key)"
        r"|sig|key|auth|pwd)=(?!\$\{|\$\()[^\s&;#'\"]{4,}"
    ),
}

_SECRETS: Final = frozenset({"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "SECRETS", "CREDENTIAL", "CREDENTIALS", "APIKEY"})
_KEYS: Final = frozenset({"API", "ACCESS", "SECRET", "PRIVATE", "AUTH", "ACCOUNT", "ENCRYPTION", "SIGNING", "LICENSE"})
_TOKENS_OF_TEXT: Final = frozenset({"PAD", "BOS", "EOS", "UNK", "SEP", "CLS", "MASK", "STOP", "START", "END", "SPECIAL", "PER"})
"""What stands before TOKEN in the settings of a tokenizer."""
_ABOUT_ONE: Final = frozenset(
    {"FILE", "PATH", "DIR", "NAME", "ID", "VERSION", "LENGTH", "LEN", "COUNT", "TYPE", "PROJECT", "MANAGER"}
)
"""A last word that makes a variable say something about a secret and not the secret itself."""

_REFERENCE: Final = re.compile(r"(\.{0,2}/|~/|gs://|s3://|projects/)\S*")
_NO_SECRET: Final = re.compile(r"|true|false|yes|no|on|off|none|null|auto|[01]|\$\(\w+\)", re.IGNORECASE)
_RANDOM: Final = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9+/=]{16,}")


def credential_in(name: str, value: str) -> str | None:
    """What the variable looks like, for a message; None when it looks like no credential."""
    shape = _shape_of(value)
    if shape is not None:
        return f"its value looks like {shape}"
    if _NO_SECRET.fullmatch(value) or _REFERENCE.fullmatch(value):
        return None
    return "its name is that of a credential" if _named_like_one(name, value) else None


def credentials_in(env: Mapping[str, str], *, where: str) -> list[str]:
    """A line for each variable of a container that looks like a credential."""
    found = {name: credential_in(name, value) for name, value in env.items()}
    return [exposed_line(f"{where}.{name}", what) for name, what in found.items() if what]


def credentials_among(texts: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each place, beside its text, where a credential of a known form stands, whatever the place is called."""
    found = {where: shape for where, text in texts if (shape := _shape_of(text))}
    return [exposed_line(where, f"its value looks like {shape}") for where, shape in found.items()]


def credential_at(key: str, value: Any) -> str | None:
    """What the value of a config's key looks like, for a message; None when it looks like no credential.

    Of an app's own keys those that end in the word for one count (`db.password`, `hf_token`, `api_key`), and not those with the
    word somewhere else (`secret_dim`). A number is no token (`max_token`), and an interpolation is resolved in the trial.
    """
    text = str(value)
    shape = _shape_of(text)
    if shape is not None:
        return f"its value looks like {shape}"
    if "${" in text or isinstance(value, bool) or _NO_SECRET.fullmatch(text) or _REFERENCE.fullmatch(text):
        return None
    before, last = ["", "", *_words(key)][-2:]
    if last == "TOKEN":
        named = before not in _TOKENS_OF_TEXT and not isinstance(value, int | float)
    else:
        named = last in _SECRETS or (last == "KEY" and before in _KEYS)
    return "its name is that of a credential" if named else None


def hidden(text: str) -> str:
    """The text without what has the form of a credential."""
    for what, shape in _SHAPES.items():
        text = re.sub(shape, f"({what} is not shown)", text)
    return text


def holds_credential(name: str, value: str) -> bool:
    """Whether this variable of our own environment is none to read into a job, whatever it is set to."""
    return _named_like_one(name, value) or _shape_of(value) is not None


def shown(value: Any, name: str = "") -> str:
    """A value as messages show it: nothing that looks like a credential."""
    return "a value that is not shown" if credential_in(name, str(value)) else repr(value)


def _shape_of(text: str) -> str | None:
    return next((what for what, shape in _SHAPES.items() if re.search(shape, text)), None)


def exposed_line(where: str, what: str) -> str:
    """The line for a place where a credential stands."""
    return (
        f"{where}: {what}, and everybody who may see the job could read it: let hydra.sweeper.vertex.service_account "
        "have the access, or the app read it from Secret Manager; to insist: hydra.sweeper.trial.allow_secrets=true"
    )


def _named_like_one(name: str, value: str) -> bool:
    words = _words(name)
    if not words or words[-1] in _ABOUT_ONE:
        return False
    before = words[-2] if len(words) > 1 else ""
    if words[-1] == "TOKEN":
        return before not in _TOKENS_OF_TEXT
    if words[-1] == "KEY":
        # SORT_KEY=name is none; a key by any other name is told by its value.
        return before in _KEYS or _RANDOM.fullmatch(value) is not None
    return not _SECRETS.isdisjoint(words) or (words[-1] == "PWD" and before != "")


def _words(name: str) -> list[str]:
    # `apiKey`, `API_KEY` and `api-key` alike.
    return re.findall(r"[A-Z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).upper())
