"""What must not be shown: the token, and a server's words as they came.

A token is shown by nothing but `reveal()`. Words of a server or an agent are shown only as
`safe_text()` leaves them: a stranger may have shaped them, and a pipeline's log obeys commands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import NoReturn
from urllib.parse import quote

from ._errors import ConfigError

TOKEN_FORM = re.compile(r"[\x21-\x7e]{8,}")
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

    Raises `ConfigError` for a text that can't be one.
    """

    __slots__ = ("_reveal", "_scrubber")

    def __init__(self, value: str) -> None:
        problem = token_problem(value)
        if problem is not None:
            raise ConfigError(
                f"the token {problem}", next_step="correct HYDRA_SMOKE_TOKEN or the token file"
            )
        # A closure rather than an attribute: vars(), asdict() and a debugger's listing of
        # attributes do not reach into its cell.
        self._reveal: Callable[[], str] = lambda: value
        self._scrubber = cache(lambda: scrubber(value))

    def reveal(self) -> str:
        """Give the token itself, for the one header that carries it."""
        return self._reveal()

    def scrub(self, text: str) -> str:
        """Mask what a text shows of it; the same object where that is nothing."""
        return self._scrubber()(text)

    def __repr__(self) -> str:
        return "Token(********)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and other.reveal() == self.reveal()

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Token can't be pickled or copied")


def scrubbing(token: Token | None) -> Callable[[str], str]:
    """Give what masks a token in a text, where there is a token."""
    return str if token is None else token.scrub


def scrubber(value: str) -> Callable[[str], str]:
    """Make a function that masks every part of `value` of `WINDOW` characters and more.

    Parts, since pytest cuts long texts short: the whole may be nowhere to be found. It is known
    as it is, and as a repr, JSON and a URL spell it.
    """
    escaped = value.replace("\\", "\\\\")
    quoted = [escaped.replace(mark, f"\\{mark}") for mark in "'\""]
    spelled = {value, escaped, *quoted, quote(value, safe="")}
    windows = {it[at : at + WINDOW] for it in spelled for at in range(len(it) - WINDOW + 1)}
    # Wherever a window begins, one of these begins at every fifth character of it: five times
    # fewer places to look at in a text that has none.
    pieces = {window[at : at + 4] for window in windows for at in range(5)}
    # Made of what the token has not, so that no mask completes a window.
    mask = ("…" if "*" in value else "*") * WINDOW

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


def _visible(char: str) -> str:
    # Cc: controls (ANSI, OSC, bell, CR); Cf: bidi and zero-width marks; Zl/Zp: line separators.
    if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return char
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


def harmless(text: str) -> str:
    """Make words harmless to print, and leave all of them.

    Control and direction characters become visible escapes, and what a pipeline's runner would
    take for a command (`::command::` at a line's start, `##[command]` anywhere) is broken up.
    """
    shown = re.sub(r"[^\n\t\x20-\x7e]+", lambda odd: "".join(map(_visible, odd[0])), text)
    shown = re.sub(r"^([^\S\n]*):(?=:)", r"\1: ", shown, flags=re.MULTILINE)
    return re.sub(r"##(?=\w*\[)", "# #", shown)


def safe_text(text: str, limit: int = 400) -> str:
    """Give a server's words as `harmless` leaves them: `limit` characters, then how many more."""
    shown, more = harmless(text[:limit]), len(text) - limit
    return f"{shown}… ({more} more characters)" if more > 0 else shown


def safe_line(text: str, limit: int = 200) -> str:
    """Like `safe_text`, on one line."""
    return safe_text(" ".join(text.split()), limit)
