"""The bearer token: only `reveal()` returns it, for the one header that carries it.

Printed or listed, it is `Token(********)`. A token in other text, such as a router's or a test's,
is masked where that text is shown.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn, TypeVar
from urllib.parse import quote

from pytest_hydrasmoke._options import variable

from .text import harmless

E = TypeVar("E", bound=BaseException)

VARIABLES = (variable("token"), "OPS_BEARER_TOKEN")
"""Environment variables that may hold a token: the first one set is used."""
TOKEN_FORM = re.compile(r"[\x21-\x7e]{8,}")
WINDOW = 8
"""A part of a token with at least this many characters is secret, too."""


def token_problem(value: str) -> str | None:
    """Return what is wrong with a token, without showing any of it; None if nothing is."""
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
    """Hold a bearer token so that nothing prints it.

    It accepts any text: code that receives a token hides it first, and only then validates it
    (`problem`), so that the frames of a failure have nothing to show.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        # A closure rather than an attribute: vars(), asdict() and a debugger's listing of
        # attributes do not reach into its cell.
        self._reveal: Callable[[], str] = lambda: value

    @property
    def problem(self) -> str | None:
        """What is wrong with it, without showing any of it; None if nothing is."""
        return token_problem(self._reveal())

    def reveal(self) -> str:
        """Return the token itself, for the one header that carries it."""
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
    """Wrap a token that may be wrapped already; never fails."""
    return token if isinstance(token, Token) else Token(token)


def _known(token: Token | None) -> frozenset[str]:
    """Return every token that this process could show: this one, and the environment's."""
    own = "" if token is None else token.reveal()
    found = {value.strip() for value in (own, *map(os.environ.get, VARIABLES)) if value}
    return frozenset(value for value in found if len(value) >= WINDOW)


def has_token(text: str, token: Token | None) -> bool:
    """Return whether a text contains a whole token: this one, or the environment's."""
    return any(value in text for value in _known(token))


def scrubbing(token: Token | None) -> Callable[[str], str]:
    """Return a function that masks this token and the environment's in a text."""
    known = sorted(_known(token))
    return scrubber(*known) if known else str


class _Parts(frozenset[str]):
    """Parts of tokens; the repr shows none of them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "{********}"


_MARKS = "*#~_ "
"""Candidates for the mask byte: the first that is in no token, as the space never is."""
Spans = list[tuple[int, int]]
"""Parts of a text as (start, end), in order."""


def hiding(token: Token | None) -> Callable[[bytes], bytes]:
    """Return a function that masks in bytes what `scrubbing` masks in text: byte for byte."""
    known = sorted(_known(token))
    if not known:
        return bytes
    find = finder(*known)
    mark = next(mark for mark in _MARKS if not any(mark in value for value in known)).encode()

    def hide(data: bytes) -> bytes:
        # One character per byte, whatever it is: a token is ASCII.
        for start, end in find(data.decode("latin-1")):
            data = data[:start] + mark * (end - start) + data[end:]
        return data

    return hide


@lru_cache(8)
def scrubber(*values: str) -> Callable[[str], str]:
    """Return a function that masks every part of `values` of at least `WINDOW` characters."""
    find = finder(*values)
    # Made of a character that is in no token, so that a mask completes no window.
    mask = ("…" if any("*" in value for value in values) else "*") * WINDOW

    def scrub(text: str) -> str:
        shown: list[str] = []
        upto = 0
        for start, end in find(text):
            shown += (text[upto:start], mask)
            upto = end
        return "".join([*shown, text[upto:]]) if shown else text

    return scrub


@lru_cache(8)
def finder(*values: str) -> Callable[[str], Spans]:
    """Return a function that finds every part of `values` of at least `WINDOW` characters.

    Parts, because pytest shortens long texts: the whole token may appear nowhere. Each is found
    verbatim, and as a repr, JSON, a URL and `harmless` spell it.
    """
    spelled = {way for value in values for way in _spelled(value)}
    windows = _Parts(
        way[at : at + WINDOW] for way in spelled for at in range(len(way) - WINDOW + 1)
    )
    # Each window contains one of these: a text without them needs no closer look.
    pieces = _Parts(way[at : at + 4] for way in spelled for at in range(0, len(way) - 3, 5))

    def find(text: str) -> Spans:
        found: Spans = []
        if not any(piece in text for piece in pieces):
            return found
        for at in range(len(text) - WINDOW + 1):
            if text[at : at + WINDOW] in windows:
                if found and at <= found[-1][1]:
                    found[-1] = (found[-1][0], at + WINDOW)
                else:
                    found.append((at, at + WINDOW))
        return found

    return find


def _spelled(value: str) -> set[str]:
    escaped = value.replace("\\", "\\\\")
    quoted = [escaped.replace(mark, f"\\{mark}") for mark in "'\""]
    # A variable may have bytes that are not text; as a token it is refused elsewhere.
    ways = {value, escaped, *quoted, quote(value, safe="", errors="replace")}
    # Text is made harmless where it becomes an error, and masked only where it is shown.
    return ways | set(map(harmless, ways))


def bare(error: E) -> E:
    """Remove the frames of an error and its causes; call it outside `except`.

    For errors raised below the code that puts the token into a request: those frames hold it. An
    exception that was being handled before keeps its frames.
    """
    above, chain = sys.exception(), list[BaseException]([error])
    while chain:
        current = chain.pop()
        current.__traceback__ = None
        for cause in (current.__cause__, current.__context__):
            if cause is not None and cause is not above and cause.__traceback__ is not None:
                chain.append(cause)
    return error
