"""The bearer token: only `reveal()` returns it, for the one header that carries it.

Printed or listed, it is `Token(********)`. A token in other text, such as a router's or a test's,
is masked where that text is shown.
"""

from __future__ import annotations

import base64
import html
import os
import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import NoReturn, TypeVar
from urllib.parse import quote

from pytest_hydrasmoke._options import SECRETS, variable

from .text import harmless

E = TypeVar("E", bound=BaseException)

VARIABLES = (*map(variable, SECRETS), "OPS_BEARER_TOKEN")
"""Environment variables that may hold a token."""
TOKEN_FORM = re.compile(r"[\x21-\x7e]{8,}")
WINDOW = 8
"""A part of a token with at least this many characters is secret, too."""


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
        value = self._reveal()
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
    own = () if token is None else (token.reveal(),)
    others = (value for name, value in os.environ.items() if name.upper() in VARIABLES)
    found = {value.strip() for value in (*own, *others)}
    return frozenset(value for value in found if len(value) >= WINDOW)


def has_token(text: str, token: Token | None) -> bool:
    """Return whether a text contains a whole token: this one, or the environment's."""
    return any(value in text for value in _known(token))


def scrubbing(token: Token | None) -> Callable[[str], str]:
    """Return a function that masks this token and the environment's in a text."""
    known = sorted(_known(token))
    return scrubber(*known) if known else str


_GRAM = 4
"""Of every `WINDOW` characters, a whole part of this length begins at a multiple of `_STEP`."""
_STEP = WINDOW - _GRAM + 1


_ESCAPED = re.compile(r"(?:(?<!\\)\\++(?:u00|x)|%)([2-7][0-9A-Fa-f])")
"""A visible ASCII character as JSON, Python or a URL may escape it, also within another text."""
_QUOTED = "'\"/"
"""What stands behind a backslash in a text in quotes."""
_DEEP = 8
"""Escapes within escapes that are looked into: each is a pass over the text."""


class _Parts(frozenset[str]):
    """Parts of tokens; the repr shows none of them."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "{********}"


_MARKS = "*#~ "
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
        found = find(data.decode("latin-1"))
        if not found:
            return data
        hidden = bytearray(data)
        for start, end in found:
            hidden[start:end] = mark * (end - start)
        return bytes(hidden)

    return hide


@lru_cache(8)
def scrubber(*values: str) -> Callable[[str], str]:
    """Return a function that masks every part of `values` of at least `WINDOW` characters."""
    find = finder(*values)
    # Made of a character that is in no token, so that a mask completes no window.
    mask = ("…" if any("*" in value for value in values) else "*") * WINDOW

    def scrub(text: str) -> str:
        shown, upto = list[str](), 0
        for start, end in find(text):
            shown += (text[upto:start], mask)
            upto = end
        return "".join([*shown, text[upto:]])

    return scrub


@lru_cache(8)
def finder(*values: str) -> Callable[[str], Spans]:
    """Return a function that finds every part of `values` of at least `WINDOW` characters.

    Parts, because pytest shortens long texts: the whole token may appear nowhere. Each is found
    verbatim, as a repr, JSON, a URL, HTML and `harmless` spell it, in base64 and in hexadecimal
    digits, and with any of its characters escaped.
    """
    spelled = {way for value in values for way in _spelled(value)}
    windows = _parts(spelled, WINDOW)
    grams = _parts(spelled, _GRAM)

    def find(text: str) -> Spans:
        found = _joined(_windows_in(text, windows, grams))
        # Most texts have no such character at all, which is seen faster.
        if not ("\\" in text or "%" in text):
            return found
        for plain, place in _unescaped(text):
            hidden = _joined(_windows_in(plain, windows, grams))
            found += [(place(at), place(end)) for at, end in hidden]
        return _joined(sorted(found))

    return find


def _parts(ways: Iterable[str], length: int) -> _Parts:
    return _Parts(way[at : at + length] for way in ways for at in range(len(way) - length + 1))


def _windows_in(text: str, windows: _Parts, grams: _Parts) -> Iterator[tuple[int, int]]:
    """Yield each window in a text, in order; looks closely only around parts of one."""
    places = range(0, len(text) - _GRAM + 1, _STEP)
    for hit in [at for at in places if text[at : at + _GRAM] in grams]:
        for at in range(max(hit - _STEP + 1, 0), hit + 1):
            if text[at : at + WINDOW] in windows:
                yield at, at + WINDOW


def _joined(spans: Iterable[tuple[int, int]]) -> Spans:
    """Return spans, in order, with those joined that touch."""
    whole: Spans = []
    for start, end in spans:
        if whole and start <= whole[-1][1]:
            whole[-1] = whole[-1][0], max(end, whole[-1][1])
        else:
            whole.append((start, end))
    return whole


def _spelled(value: str) -> set[str]:
    escaped = value.replace("\\", "\\\\")
    quoted = [escaped.replace(mark, f"\\{mark}") for mark in _QUOTED]
    # A variable may have bytes that are not text; as a token it is refused elsewhere.
    ways = {value, escaped, *quoted, quote(value, safe="", errors="replace"), html.escape(value)}
    # Text is made harmless where it becomes an error, and masked only where it is shown.
    ways |= set(map(harmless, ways))
    # What looks like an escape in the token itself is read as one beside a real one.
    ways |= {plain for way in ways for plain, _ in _unescaped(way)}
    return ways | set(_encoded(value.encode(errors="replace")))


def _encoded(data: bytes) -> Iterator[str]:
    """Yield bytes in hexadecimal digits and in base64, wherever in a longer text they begin."""
    yield data.hex()
    yield data.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for start, before in ((0, b""), (2, b"-"), (3, b"--")):
            # Characters that have no bits of what stands before or after.
            end = (len(before) + len(data)) * 8 // 6
            yield encode(before + data).decode()[start:end]


def _unescaped(text: str) -> Iterator[tuple[str, Callable[[int], int]]]:
    """Yield a text without its escapes, then without those that show by that, and so on.

    Each comes with a function from its places to those of `text`.
    """
    origin: Callable[[int], int] = int
    for _ in range(_DEEP):
        if _ESCAPED.search(text) is None:
            return
        text, place = _unescaped_once(text)
        origin = partial(_in_turn, place, origin)
        yield text, origin


def _in_turn(place: Callable[[int], int], origin: Callable[[int], int], at: int) -> int:
    return origin(place(at))


def _unescaped_once(text: str) -> tuple[str, Callable[[int], int]]:
    shown: list[str] = []
    places, origins = [0], [0]
    length = upto = 0
    for escape in _ESCAPED.finditer(text):
        before = text[upto : escape.start()]
        shown += (before, chr(int(escape[1], 16)))
        length, upto = length + len(before) + 1, escape.end()
        places += (length - 1, length)
        origins += (escape.start(), upto)

    def place(at: int) -> int:
        last = bisect_right(places, at) - 1
        return origins[last] + at - places[last]

    return "".join([*shown, text[upto:]]), place


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
