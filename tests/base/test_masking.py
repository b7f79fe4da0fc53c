"""A token is masked in every text and in bytes, however it is cut, spelled, encoded or escaped."""

from __future__ import annotations

import base64
import html
import inspect
import json
from collections.abc import Callable
from functools import partial
from itertools import product
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sizes import examples

from pytest_hydrasmoke._base.text import cleaner, harmless
from pytest_hydrasmoke._base.token import (
    WINDOW,
    Token,
    _Parts,
    _spelled,
    finder,
    has_token,
    hiding,
    scrubber,
    scrubbing,
)

SECRET = "ops-4Q7zL9rT2xW8"
SCRUB = scrubber(SECRET)
FEW = examples(15, 2_000)
TOKENS = st.text(st.characters(codec="ascii", min_codepoint=0x21, max_codepoint=0x7E), min_size=8)
MASKED = {
    "nothing of it": "nothing of it",
    SECRET: "********",
    f"Bearer {SECRET}.": "Bearer ********.",
    f"{SECRET} and {SECRET}": "******** and ********",
    SECRET * 3: "********",
    # As pytest cuts a long text short.
    f"'{SECRET[:10]}...{SECRET[-9:]}'": "'********...********'",
    SECRET[:8]: "********",
    **{SECRET[part]: SECRET[part] for part in (slice(7), slice(-7, None))},
    SECRET[:7] + "-" + SECRET[7:]: SECRET[:7] + "-********",
    # Something of it, yet no part that is long enough.
    f"{SECRET[:5]} {SECRET[3:9]}": f"{SECRET[:5]} {SECRET[3:9]}",
}


def test_parts_of_a_token_are_masked() -> None:
    for text, masked in MASKED.items():
        assert SCRUB(text) == scrubbing(Token(SECRET))(text) == masked
    # Each alone, of a token of which no two parts are alike.
    for length in range(WINDOW, 24):
        token = "".join(chr(0x30 + at) for at in range(length))
        for start in range(length - WINDOW + 1):
            assert scrubber(token)(f"({token[start : start + WINDOW]})") == "(********)"
    # Bytes that are no text, as they are shown; and a mask has nothing of the token.
    token = "ops-\udc80\udcff-token"
    assert scrubber(token)(f"<{token}>") == "<********>"
    assert scrubber("ab*cd*ef*")("<ab*cd*ef*>") == f"<{'…' * WINDOW}>"
    # What is escaped beside it stays.
    text = f"se\\u0065 %41 {SECRET[:5]}\\u00{ord(SECRET[5]):02x}{SECRET[6:]} \\x41 \\u00e9"
    assert SCRUB(text) == "se\\u0065 %41 ******** \\x41 \\u00e9"
    assert SCRUB("se\\u0065 %41") == "se\\u0065 %41"
    text = "a long text that has nothing of it, although ops-4Q7 is there " * 10
    assert SCRUB(text) is text
    assert cleaner(SCRUB)(text) is text
    # What is escaped may be the token only then.
    assert cleaner(scrubber("ab\\x07cd-ef"))("<ab\x07cd-ef>") == "<********>"


def test_a_token_is_masked_in_bytes_and_no_byte_is_moved() -> None:
    for token, mark in ((SECRET, b"*"), ("ops*4Q7zL9rT2xW8", b"#"), ("ops*4Q7#zL9~rT2xW8", b" ")):
        hide = hiding(Token(token))
        data = b"\xff " + token.encode() + b" \xe9 " + token[:8].encode() + b"."
        assert hide(data) == b"\xff " + mark * len(token) + b" \xe9 " + mark * 8 + b"."
        assert hide(b"nothing of it \xff") == b"nothing of it \xff"


def test_every_token_is_masked_that_is_given_or_in_the_environment_and_long_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HYDRA_SMOKE_TOKEN", "OPS_BEARER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    data, shortest = b"any", SECRET[:WINDOW]
    assert hiding(None)(data) is data
    assert scrubbing(None)(SECRET) == SECRET
    assert scrubbing(Token(shortest))(f"<{shortest}>") == f"<{'*' * WINDOW}>"
    assert scrubbing(Token(shortest[1:]))(shortest[1:]) == shortest[1:]
    first, second = "first-9f1c2d", "second*7e8a"
    monkeypatch.setenv("HYDRA_SMOKE_TOKEN", f" {first}\n")
    monkeypatch.setenv("OPS_BEARER_TOKEN", second)
    text = f"{first} {second} {SECRET}"
    assert scrubbing(None)(text) == f"{'…' * 8} {'…' * 8} {SECRET}"
    # One mask is no part of another token.
    assert scrubbing(Token(SECRET))(text) == " ".join(["…" * 8] * 3)
    assert has_token(f"x{second}x", None)
    assert has_token(SECRET, Token(SECRET))
    assert not has_token(SECRET[:-1], Token(SECRET))
    monkeypatch.setenv("OPS_BEARER_TOKEN", "short")
    assert scrubbing(None)("short") == "short"


def test_a_listing_of_locals_does_not_show_what_is_looked_for() -> None:
    assert repr(_Parts({SECRET})) == "{********}"
    find = inspect.getclosurevars(SCRUB).nonlocals["find"]
    shown = repr([inspect.getclosurevars(it).nonlocals for it in (SCRUB, find)])
    assert shown.count("{********}") == 2
    parts = [SECRET[at : at + 4] for at in range(len(SECRET) - 3)]
    assert not [part for part in parts if part in shown]


SPELLINGS: tuple[Callable[[str], str], ...] = (
    *(repr, json.dumps, partial(quote, safe="")),
    *(html.escape, harmless),
)


@FEW
@given(TOKENS, st.text(), st.text())
@example("*" * 8, "", "")
@example("\\'\"\\'\"\\'\"%", "", "")
@example("a\\b\\c\\d\\e\\f\\g", "", "")
@example('a"b"c/d"e/f"g', "", "")
@example("a+b=c&d?e#f%g", "", "")
@example("a" * 800, "…", "a")
@example("::<a>&##[b", "", "")
def test_no_window_of_any_token_is_left(token: str, before: str, after: str) -> None:
    spelled = [before + spell(token) + after for spell in (str, *SPELLINGS)]
    for text in (*spelled, token[3:] + token):
        shown = scrubber(token)(text)
        assert not any(token[at : at + WINDOW] in shown for at in range(len(token) - WINDOW + 1))
    for spell in SPELLINGS:
        assert set(scrubber(token)(spell(token))) <= set("*…'\"")


def test_parts_of_a_token_in_a_form_are_masked_with_their_slashes() -> None:
    token = "a/b=c d/e=f/g=h"
    assert scrubber(token)(f"it={quote_plus(token)}") == "it=********+********"


def slowly(token: str, text: str) -> list[tuple[int, int]]:
    """Find the windows of a token by looking at every place of a text."""
    ways = _spelled(token)
    windows = {way[at : at + WINDOW] for way in ways for at in range(len(way) - WINDOW + 1)}
    found: list[tuple[int, int]] = []
    for at in range(len(text) - WINDOW + 1):
        if text[at : at + WINDOW] in windows:
            if found and at <= found[-1][1]:
                found[-1] = (found[-1][0], at + WINDOW)
            else:
                found.append((at, at + WINDOW))
    return found


@st.composite
def tokens_and_texts(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a token, and a text of its parts, as they are and as they are spelled."""
    token = draw(TOKENS)
    ways = sorted(_spelled(token))
    parts = st.sampled_from(ways).flatmap(
        lambda way: st.tuples(st.integers(0, len(way)), st.integers(0, len(way))).map(
            lambda ends: way[min(ends) : max(ends)]
        )
    )
    return token, "".join(draw(st.lists(parts | st.text(max_size=3), max_size=12)))


@FEW
@given(tokens_and_texts())
@example(("aaaaaaaa", "a" * 23))
@example(("abcabcabc", "abcab" * 9))
def test_looking_only_around_hits_finds_what_looking_everywhere_does(
    drawn: tuple[str, str],
) -> None:
    token, text = drawn
    found = finder(token)(text)
    slow = slowly(token, text)
    if "\\" in text or "%" in text:
        # More is found there: what its escapes stand for.
        assert all(any(start <= at and end <= to for start, to in found) for at, end in slow)
    else:
        assert found == slow


@FEW
@given(TOKENS, st.binary(max_size=7), st.binary(max_size=7))
@example("?>~?>~?>~", b"", b"")
def test_a_token_is_masked_where_it_is_encoded(token: str, before: bytes, after: bytes) -> None:
    data = before + token.encode() + after
    encoded = [(it(data).decode(), 6) for it in (base64.b64encode, base64.urlsafe_b64encode)]
    for text, bits in (*encoded, (data.hex(), 4), (data.hex().upper(), 4)):
        # The characters that nothing but the token has a part in.
        own = text[-(-len(before) * 8 // bits) : (len(before) + len(token)) * 8 // bits]
        shown = scrubber(token)(text)
        assert not any(own[at : at + WINDOW] in shown for at in range(len(own) - WINDOW + 1))


def test_of_an_encoded_text_no_character_is_masked_that_is_not_the_token_s_alone() -> None:
    scrub = scrubber(SECRET)
    for before, after in product(range(4), range(4)):
        text = base64.b64encode(b"<" * before + SECRET.encode() + b">" * after).decode()
        start, end = -(-before * 8 // 6), (before + len(SECRET)) * 8 // 6
        assert scrub(text) == f"{text[:start]}********{text[end:]}"


ESCAPES = ("\\u{:04x}", "\\u{:04X}", "\\\\u{:04x}", "\\x{:02x}", "%{:02X}")
"""Of JSON in lower and upper case, JSON in JSON, Python and a URL."""


@FEW
@given(TOKENS.filter(lambda token: "\\" not in token), st.data())
@example("%41%42%43%44", None)
def test_a_token_is_masked_whichever_of_its_characters_are_escaped(
    token: str, data: st.DataObject | None
) -> None:
    # A backslash of the token's own before an escape is not told from the escape's.
    places = range(len(token))
    which = places if data is None else data.draw(st.sets(st.sampled_from(places), min_size=1))
    for escape in ESCAPES:
        spelled = "".join(
            escape.format(ord(char)) if at in which else char for at, char in enumerate(token)
        )
        assert set(scrubber(token)(spelled)) <= set("*…")
        hidden = hiding(Token(token))(f'"x": "{spelled}"'.encode())
        assert len(hidden) == len(spelled) + 7
        assert len(set(hidden[6:-1])) == 1


def test_escapes_within_escapes_are_looked_into_eight_deep() -> None:
    scrub = scrubber("abcdefgh")
    deep = {number: f"%{'25' * number}61bcdefgh" for number in (0, 7, 8, 5_000)}
    assert [number for number, text in deep.items() if scrub(text) == "*" * WINDOW] == [0, 7]
    # Nobody waits for an agent that says this: a look at each of them from each is an hour.
    backslashes = "\\" * (1 << 20)
    assert scrub(backslashes + "%41") == backslashes + "%41"


@pytest.mark.parametrize(
    "token", ["000000000000%200", "A%20B%41CDEF", "ABCD%252525EFGH", "AB%20CD%20EFGH"]
)
def test_a_token_that_looks_escaped_is_masked_whichever_of_its_characters_are(token: str) -> None:
    scrub, places = scrubber(token), range(len(token))
    for escape, pair in product(ESCAPES, product(places, places)):
        spelled = "".join(
            escape.format(ord(char)) if at in pair else char for at, char in enumerate(token)
        )
        assert set(scrub(spelled)) == {"*"}
