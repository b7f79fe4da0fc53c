"""What must not be shown: the token, and a server's words as they came.

A token is shown by nothing but `reveal()`. Words of a server or an agent are shown only as
`safe_text()` leaves them: a stranger may have shaped them, and a pipeline's log obeys commands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import NoReturn

from ._errors import ConfigError

TOKEN_FORM = re.compile(r"[\x21-\x7e]{8,}")


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

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        problem = token_problem(value)
        if problem is not None:
            raise ConfigError(
                f"the token {problem}", next_step="correct HYDRA_SMOKE_TOKEN or the token file"
            )
        # A closure rather than an attribute: vars(), asdict() and a debugger's listing of
        # attributes do not reach into its cell.
        self._reveal: Callable[[], str] = lambda: value

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


def _visible(char: str) -> str:
    # Cc: controls (ANSI, OSC, bell, CR); Cf: bidi and zero-width marks; Zl/Zp: line separators.
    if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return char
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


def safe_text(text: str, limit: int = 400) -> str:
    """Make a server's words harmless to print: at most `limit` characters, then how many more.

    Control and direction characters become visible escapes, and what a pipeline's runner would
    take for a command (`::command::` at a line's start, `##[command]` anywhere) is broken up.
    """
    shown, more = text[:limit], len(text) - limit
    if not (shown.isascii() and shown.isprintable()):
        shown = "".join(map(_visible, shown))
    shown = re.sub(r"^(\s*):(?=:)", r"\1: ", shown, flags=re.MULTILINE)
    shown = re.sub(r"##(?=\w*\[)", "# #", shown)
    return f"{shown}… ({more} more characters)" if more > 0 else shown


def safe_line(text: str, limit: int = 200) -> str:
    """Like `safe_text`, on one line."""
    return safe_text(" ".join(text.split()), limit)
