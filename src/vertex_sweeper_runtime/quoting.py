"""How a text is written so that Hydra reads exactly that text back, encoded from Hydra's override grammar.

Standard library only: the shim must not pay for Hydra's parser. The tests hold these few rules against the real one.
"""

import re

# What Hydra's lexer reads as one plain token, where it is the whole value. Anything else is safe between quotes.
_INTEGER = r"(?:0|[1-9](?:_?[0-9])*)"
_POINT = rf"(?:{_INTEGER}\.|{_INTEGER}?\.[0-9](?:_?[0-9])*)"
_EXPONENT = rf"(?:{_INTEGER}|{_POINT})[eE][+-]?[0-9](?:_?[0-9])*"
_WORD = "[A-Za-z_][A-Za-z0-9_-]*"  # `true`, `null` and `nan` among them: Hydra decides what they are
_PLAIN = rf"[+-]?(?:{_POINT}|{_EXPONENT}|[Ii][Nn][Ff]|[Nn][Aa][Nn]|{_INTEGER})|{_WORD}"
# Not compiled here: most trials need none of it.
_BEFORE_QUOTE = r"(\\*)('|\Z)"
_BEFORE_INTERPOLATION = r"(\\*)\$\{"


def quote(text: str) -> str:
    """The text between single quotes, as Hydra's grammar wants it.

    A backslash means itself there, unless a run of them ends at a quote: these are doubled, and the quote gets one more.
    """
    return f"'{re.sub(_BEFORE_QUOTE, _doubled_before_quote, text)}'"


def literal(text: str) -> str:
    r"""An override's value that ends up in the config as this very text, also where it holds `${`.

    Hydra hands OmegaConf what stands between the quotes, and OmegaConf takes `${` for an interpolation unless an odd number
    of backslashes stands before it.
    """
    return quote(re.sub(_BEFORE_INTERPOLATION, r"\1\1\\${", text))


def value(text: str) -> str:
    """The text of a flag as an override's value: a number, bool, null or word as it is, anything else as a string.

    Nothing becomes a sweep, a list or a function call.
    """
    return text if re.fullmatch(_PLAIN, text) else quote(text)


def _doubled_before_quote(match: re.Match[str]) -> str:
    backslashes, end = match[1], match[2]
    return backslashes * 2 + (r"\'" if end else "")
