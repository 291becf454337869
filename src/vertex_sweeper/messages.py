"""One-line texts for a screen. What others have named or written is shown there, and never obeyed by the terminal.

Names, values, reasons and logs may come from a trial, from a service, or from a directory that somebody prepared. On their way
to a terminal they go through `printable`, whatever they are expected to be.
"""

from __future__ import annotations

import difflib
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
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


def did_you_mean(word: str, known: Iterable[str], *, most: int = 1) -> str:
    """The end of a line about a word that is not known: ` (did you mean X?)`, or nothing where no known word is like it.

    Args:
        word: what was written.
        known: what may be written.
        most: of how many words the question is at most.
    """
    return question(similar_words(word, known, most=most))


def similar_words(word: str, known: Iterable[str], *, most: int = 1, cutoff: float = 0.5) -> list[str]:
    """The known words that are most like this one, whatever their case, the most similar first.

    Args:
        word: what was written.
        known: what may be written.
        most: how many are returned at most.
        cutoff: how similar they are at least; at 1 they differ by case alone.
    """
    spellings = {spelling.lower(): spelling for spelling in known}
    return [spellings[match] for match in difflib.get_close_matches(word.lower(), list(spellings), n=most, cutoff=cutoff)]


def question(words: Sequence[str]) -> str:
    """The end of a line that asks whether one of these words was meant; nothing for none."""
    return f" (did you mean {' or '.join(words)}?)" if words else ""


def attach_command(target: Path | str) -> str:
    """The command that comes back to a job, by its sweep directory or its name."""
    return shell_line(["vertex-sweeper", "attach", str(target)])


def cancel_command(target: Path | str) -> str:
    """The command that ends a job, by its sweep directory or its name."""
    return shell_line(["vertex-sweeper", "cancel", str(target)])


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
