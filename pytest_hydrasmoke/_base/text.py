"""Texts as they are shown: a server's words made safe, long ones cut, mistyped ones compared.

Words of a server or an agent are shown only after `safe_text()`: anybody may have written them, and
a pipeline's runner executes commands that it finds in a log.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TextIO

# Colours, common in the output of tools, are dropped: as escapes they would only be noise.
_DROPPED = re.compile(r"\x1b\[[\d;:]*m|\r(?=\n)")
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U00016fe4\U0001d159\U000e0000-\U000e0fff]"
)
"""Invisible characters outside the category Cf: the rest of Unicode's property
Default_Ignorable_Code_Point, and four blank characters."""


def _visible(char: str) -> str:
    # Cc: controls (ANSI, OSC, bell, CR); Cf: bidi and zero-width marks; Cs: lone surrogates;
    # Zl/Zp: line separators.
    if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") and not _UNSEEN.match(char):
        return char
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def harmless(text: str) -> str:
    """Make text harmless to print, and keep all of it.

    Control and direction characters become visible escapes, and what a pipeline's runner would take
    for a command (`::command::` at a line's start, `##[command]` anywhere) is broken up.
    """
    shown = re.sub(r"[^\n\t\x20-\x7e]+", lambda part: "".join(map(_visible, part[0])), text)
    shown = re.sub(r"^([^\S\n]*):(?=:)", r"\1: ", shown, flags=re.MULTILINE)
    return re.sub(r"##(?=\w*\[)", "# #", shown)


def harmless_in_rows(text: str, width: int) -> str:
    """Make text harmless that other code breaks into rows of at most `width` columns.

    A row may begin in the middle of a line: at a word, or in one wider than a row, with the
    brackets that pytest puts around the text.
    """

    def broken_up(word: re.Match[str]) -> str:
        may_begin = word[0].lstrip().startswith("::") or len(f"({word[0]})") > width
        return re.sub(":(?=:)", ": ", word[0]) if may_begin else word[0]

    return re.sub(r"[^ \t\n]+", broken_up, harmless(text))


def cleaner(scrub: Callable[[str], str]) -> Callable[[str], str]:
    """Return a function that removes the token from a text of any length, and makes it harmless.

    That function returns the same object if nothing has to change.
    """

    def clean(text: str) -> str:
        masked = scrub(_DROPPED.sub("", text))
        shown = harmless(masked)
        if shown != masked:
            # Escaping may complete the token's spelling.
            shown = scrub(shown)
        return text if shown == text else shown

    return clean


def safe_text(text: str, limit: int = 400) -> str:
    """Return `limit` characters of a server's words, made harmless, and how many more there are."""
    shown, more = harmless(text[:limit]), len(text) - limit
    return f"{shown}… ({more} more characters)" if more > 0 else shown


def first_few(names: Sequence[str], most: int = 3) -> str:
    """Return the first few names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def safe_line(text: str, limit: int = 200) -> str:
    """Like `safe_text`, on one line."""
    return safe_text(" ".join(text.split()), limit)


def printable(text: str, stream: TextIO) -> str:
    """Return a text with escapes for characters outside a stream's encoding."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def aside(line: str) -> None:
    """Write a line on standard error, for people.

    Nobody may read it any more, as after Ctrl-C in a pipeline, and Python has None in place of a
    stream that was closed (`2>&-`). Without a buffer: what stays there Python writes as it exits,
    and where that fails the exit code is another one.
    """
    stream: TextIO | None = sys.stderr
    if stream is None:
        return
    text = f"{line}\n"
    with suppress(OSError, ValueError):
        try:
            number, words = stream.fileno(), text.encode(stream.encoding, "backslashreplace")
        except (AttributeError, OSError, TypeError):  # One in memory, or somebody's own.
            stream.write(text)
        else:
            os.write(number, words)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return what a mistyped name may have meant: the known one most like it, if any is."""
    import difflib  # Only for a mistake.

    return next(iter(difflib.get_close_matches(name, known, cutoff=0.5)), None)
