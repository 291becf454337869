"""One-line texts for a screen. What others have named or written is shown there, and never obeyed by the terminal.

Names, values, reasons and logs may come from a trial, from a service, or from a directory that somebody prepared. On their way
to a terminal they go through `printable`, whatever they are expected to be.
"""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Sequence
from typing import Final

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of what moves the cursor, turns the writing round, breaks lines, or is nothing to look at."""


def seen(letter: str) -> bool:
    """Whether a terminal shows the character where it stands, and does nothing else."""
    return letter.isprintable() or unicodedata.category(letter) not in _UNSEEN


def printable(text: object) -> str:
    r"""The text on one line: what a terminal would not show is written as Python writes it, `\x1b`, `\n`, `\u202e`.

    Letters of all languages stay. A text that has been here stays as it is.
    """
    line = str(text)
    if line.isprintable():
        return line
    return "".join(letter if seen(letter) else letter.encode("unicode_escape").decode("ascii") for letter in line)


def one_line(text: object) -> str:
    """A message of somebody else's as a part of one of our lines: its line breaks and indentation are spaces."""
    return printable(" ".join(str(text).split()))


def shell_line(words: Sequence[str]) -> str:
    r"""The words on one line for a shell, whatever they hold; what cannot be printed is written as escapes (`$'a\x0ab'`)."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word.isprintable():
        # Hydra's own quotes stay as they are where nothing in the word means something between double quotes.
        return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)
    # Quotes and backslashes too: a reader that does not know this way of quoting still finds where the word ends.
    letters = [
        letter if letter.isprintable() and letter not in "'\\" else "".join(f"\\x{byte:02x}" for byte in _bytes(letter))
        for letter in word
    ]
    return f"$'{''.join(letters)}'"


def _bytes(letter: str) -> bytes:
    # A byte of a command line that is no text, or half of a character from JSON.
    return letter.encode("utf-8", "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass")
