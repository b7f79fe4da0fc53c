"""What must not be shown: the token, and a server's words as they came.

A token is shown by nothing but `reveal()`. Words of a server or an agent are shown only as
`safe_text()` leaves them: a stranger may have shaped them, and a pipeline's log obeys commands.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn, TypeVar
from urllib.parse import quote

from ._options import variable

E = TypeVar("E", bound=BaseException)

VARIABLES = (variable("token"), "OPS_BEARER_TOKEN")
"""Where the environment may hold a token: the first of them is used."""
TOKEN_FORM = re.compile(r"[\x21-\x7e]{8,}")
# Colours are what logs and tools often have, and no reader misses: dropped, not shown as escapes.
_DRESS = re.compile(r"\x1b\[[\d;:]*m|\r(?=\n)")
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U00016fe4\U0001d159\U000e0000-\U000e0fff]"
)
"""What draws nothing and is no format character: the rest of Unicode's property
Default_Ignorable_Code_Point, and four signs that are blank all the same."""
WINDOW = 8
"""So many characters of a token, in their order, are a part of it that must not be shown."""


def token_problem(value: str) -> str | None:
    """Say what is wrong with a token, without showing any of it; None if nothing is."""
    if TOKEN_FORM.fullmatch(value):
        return None
    if not value.strip():
        return "is empty"
    if value[:7].lower() == "bearer ":
        return 'begins with "Bearer ": give the token alone'
    if value != value.strip():
        return "has white space or a newline around it: remove it"
    if re.search(r"\s", value):
        return "has white space in it"
    if not value.isascii():
        return "has a character that is not ASCII"
    if not value.isprintable():
        return "has a control character in it"
    return f"is too short ({len(value)} characters; at least 8)"


class Token:
    """Hold a bearer token so that nothing prints it; only `reveal()` gives it.

    It takes any text: whoever is given a token hides it first, and only then looks whether it can
    be one (`problem`), so that the frames of what fails have nothing to show.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        # A closure rather than an attribute: vars(), asdict() and a debugger's listing of
        # attributes do not reach into its cell.
        self._reveal: Callable[[], str] = lambda: value

    @property
    def problem(self) -> str | None:
        """What is wrong with it, in words that show none of it; None if nothing is."""
        return token_problem(self._reveal())

    def reveal(self) -> str:
        """Give the token itself, for the one header that carries it."""
        return self._reveal()

    def __repr__(self) -> str:
        return "Token(********)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Token can't be pickled or copied")


def hidden(token: str | Token) -> Token:
    """Hide a token that may be hidden already; never fails."""
    return token if isinstance(token, Token) else Token(token)


def _known(token: Token | None) -> frozenset[str]:
    """Give every token that this process could show: the given one, and its environment's."""
    given = "" if token is None else token.reveal()
    found = {it.strip() for it in (given, *map(os.environ.get, VARIABLES)) if it}
    return frozenset(it for it in found if len(it) >= WINDOW)


def has_token(text: str, token: Token | None) -> bool:
    """Tell whether a whole token is in a text: the given one, or one of the environment."""
    return any(it in text for it in _known(token))


def scrubbing(token: Token | None) -> Callable[[str], str]:
    """Give what masks a token in a text, and the environment's, whichever of them is in use."""
    known = sorted(_known(token))
    return scrubber(*known) if known else str


class _Parts(frozenset[str]):
    """Parts of tokens, which a listing of a frame's locals does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "{********}"


@lru_cache(8)
def scrubber(*values: str) -> Callable[[str], str]:
    """Make a function that masks every part of any of `values` of `WINDOW` characters and more.

    Parts, since pytest cuts long texts short: the whole may be nowhere to be found. Each is known
    as it is, and as a repr, JSON, a URL and `harmless` spell it.
    """
    spelled = {way for it in values for way in _spelled(it)}
    windows = _Parts(it[at : at + WINDOW] for it in spelled for at in range(len(it) - WINDOW + 1))
    # Wherever a window begins, one of these begins at every fifth character of it: five times
    # fewer places to look at in a text that has none.
    pieces = _Parts(window[at : at + 4] for window in windows for at in range(5))
    # Made of what no token has, so that no mask completes a window.
    mask = ("…" if any("*" in it for it in values) else "*") * WINDOW

    def scrub(text: str) -> str:
        if pieces.isdisjoint(text[at : at + 4] for at in range(0, len(text), 5)):
            return text
        shown: list[str] = []
        end = 0
        for at in range(len(text) - WINDOW + 1):
            if text[at : at + WINDOW] in windows:
                if at > end or not shown:
                    shown += (text[end:at], mask)
                end = at + WINDOW
        return "".join([*shown, text[end:]]) if shown else text

    return scrub


def _spelled(value: str) -> set[str]:
    escaped = value.replace("\\", "\\\\")
    quoted = [escaped.replace(mark, f"\\{mark}") for mark in "'\""]
    ways = {value, escaped, *quoted, quote(value, safe="")}
    # Words are made harmless where they become an error, and masked where they are shown.
    return ways | set(map(harmless, ways))


def _visible(char: str) -> str:
    # Cc: controls (ANSI, OSC, bell, CR); Cf: bidi and zero-width marks; Zl/Zp: line separators.
    if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp") and not _UNSEEN.match(char):
        return char
    number = ord(char)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def harmless(text: str) -> str:
    """Make words harmless to print, and leave all of them.

    Control and direction characters become visible escapes, and what a pipeline's runner would
    take for a command (`::command::` at a line's start, `##[command]` anywhere) is broken up.
    """
    shown = re.sub(r"[^\n\t\x20-\x7e]+", lambda odd: "".join(map(_visible, odd[0])), text)
    shown = re.sub(r"^([^\S\n]*):(?=:)", r"\1: ", shown, flags=re.MULTILINE)
    return re.sub(r"##(?=\w*\[)", "# #", shown)


def cleaner(scrub: Callable[[str], str]) -> Callable[[str], str]:
    """Make what cleans a text, all of it, of the token and of harm.

    It gives the same object where there is nothing to clean.
    """

    def clean(text: str) -> str:
        masked = scrub(_DRESS.sub("", text))
        shown = harmless(masked)
        if shown != masked:
            # What was made visible may spell the token.
            shown = scrub(shown)
        return text if shown == text else shown

    return clean


def safe_text(text: str, limit: int = 400) -> str:
    """Give a server's words as `harmless` leaves them: `limit` characters, then how many more."""
    shown, more = harmless(text[:limit]), len(text) - limit
    return f"{shown}… ({more} more characters)" if more > 0 else shown


def safe_line(text: str, limit: int = 200) -> str:
    """Like `safe_text`, on one line."""
    return safe_text(" ".join(text.split()), limit)


def bare(error: E) -> E:
    """Take an error's frames off it, and off all that it came of; to be raised outside of `except`.

    For what was raised below where the token is put into a request: those frames have it. What
    was being handled before keeps its own.
    """
    above, chain = sys.exception(), list[BaseException]([error])
    while chain:
        it = chain.pop()
        it.__traceback__ = None
        for cause in (it.__cause__, it.__context__):
            if cause is not None and cause is not above and cause.__traceback__ is not None:
                chain.append(cause)
    return error
