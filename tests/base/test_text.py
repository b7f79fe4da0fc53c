"""A token that nothing shows, and a stranger's words made harmless."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import os
import pickle
import pprint
import re
import subprocess
import sys
import traceback
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_hydrasmoke import AsyncSmokeClient, ConfigError, SmokeClient
from pytest_hydrasmoke._base.text import (
    aside,
    cleaner,
    first_few,
    nearest,
    printable,
    safe_line,
    safe_text,
)
from pytest_hydrasmoke._base.token import Token, bare, hidden
from pytest_hydrasmoke._transport.links import Link

SECRET = "ops-4Q7zL9rT2xW8"


def shows(text: str) -> bool:
    """Return whether a text has any 8-character window of the token."""
    return any(SECRET[i : i + 8] in text for i in range(len(SECRET) - 7))


# The token

SHOWN_BY = {
    "f-string": lambda token: f"{token} {token!r} {token!s} {token:>40}",
    "percent": lambda token: "%s %r" % (token, token),  # noqa: UP031
    "in a container": lambda token: repr([token, {"token": token}, (token,)]),
    "pprint": pprint.pformat,
    "repr of a link": lambda token: repr(Link("https://router.example", token)),
    "dir": lambda token: repr(dir(token)),
    "attributes": lambda token: repr([getattr(token, name) for name in dir(token)]),
    "fields of a link": lambda token: repr(vars(Link("https://router.example", token))),
    "json": lambda token: json.dumps(token, default=str),
    "log record": lambda token: logging.LogRecord(
        "x", 10, "x.py", 1, "sent %s", (token,), None
    ).getMessage(),
}


def test_nothing_shows_a_token() -> None:
    for way, show in SHOWN_BY.items():
        try:
            text = show(Token(SECRET))
        except TypeError as error:  # a format that a Token does not take
            text = str(error)
        assert not shows(text), way
        assert way in ("dir", "attributes", "json", "f-string") or "Token(********)" in text
    for copied in (
        *(pickle.dumps, copy.copy, copy.deepcopy),
        lambda token: dataclasses.asdict(Link("https://x", token)),
    ):
        with pytest.raises(TypeError, match=r"^a Token can't be pickled or copied$"):
            copied(Token(SECRET))


def test_tokens_are_compared_by_what_they_hide() -> None:
    assert Token(SECRET) == Token(SECRET) == hidden(SECRET) == hidden(Token(SECRET))
    assert hash(Token(SECRET)) == hash(Token(SECRET))
    assert len({hash(Token(f"{SECRET}{i}")) for i in range(9)}) > 1
    assert Token(SECRET) != Token(SECRET + "x")
    assert Token(SECRET) != SECRET


def test_a_traceback_with_locals_does_not_show_a_token() -> None:
    token = Token(SECRET)
    try:
        raise RuntimeError("somewhere below")
    except RuntimeError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = "".join(shown.format())
    assert "token = Token(********)" in text
    assert not shows(text.replace(repr(SECRET), ""))
    assert token.reveal() == SECRET
    with pytest.raises(TypeError):
        vars(token)


BAD_TOKENS = {
    "": "is empty",
    " \t\n": "is empty",
    f"Bearer {SECRET}": 'begins with "Bearer ": give the token alone',
    f"bearer {SECRET}\n": 'begins with "Bearer ": give the token alone',
    f"{SECRET}\n": "has white space or a newline around it: remove it",
    f" {SECRET}": "has white space or a newline around it: remove it",
    f"{SECRET} x": "has white space in it",
    f"{SECRET}\r\nx: y": "has white space in it",
    f"{SECRET}é": "has a character that is not ASCII",
    f"{SECRET}\x00": "has a control character in it",
    f"{SECRET}\x7f": "has a control character in it",
    "x": "is too short (1 characters; at least 8)",
    "1234567": "is too short (7 characters; at least 8)",
}


def test_what_is_wrong_with_a_token_is_said_without_showing_it() -> None:
    for value, problem in BAD_TOKENS.items():
        assert (value, Token(value).problem) == (value, problem)
        for client in (SmokeClient, AsyncSmokeClient):
            with pytest.raises(ConfigError) as caught:
                client("https://router.example", token=value)
            assert str(caught.value) == (
                f"the token {problem}\n  next step: correct HYDRA_SMOKE_TOKEN or the token file"
            )
            assert not shows(str(caught.value) + repr(caught.value))


@given(st.text())
@example("12345678")
@example("!~!~!~!~")
@example("a:b@c/d?e#f=g&h")
def test_a_problem_is_told_for_every_text_but_a_token(value: str) -> None:
    assert (Token(value).problem is None) == bool(re.fullmatch(r"[\x21-\x7e]{8,}", value))
    assert Token(value).reveal() == value


# A stranger's words

HARMLESS = {
    "plain words": "plain words",
    "two\nlines\tand a tab": "two\nlines\tand a tab",
    "señor 🐙 «да»": "señor 🐙 «да»",
    "\x1b[31mred\x1b[0m": "\\x1b[31mred\\x1b[0m",
    "\x1b]0;title\x07": "\\x1b]0;title\\x07",
    "over\rwritten": "over\\x0dwritten",
    "\x00\x08\x7f\x85\x9b": "\\x00\\x08\\x7f\\x85\\x9b",
    "abc\u202ecba\u2066x": "abc\\u202ecba\\u2066x",
    "zero\u200bwidth\ufeff": "zero\\u200bwidth\\ufeff",
    "next\u2028line\u2029": "next\\u2028line\\u2029",
    "half \ud800": "half \\ud800",
    "tag \U000e0041": "tag \\U000e0041",
    # What is no format character, and yet draws nothing.
    "\u3164a\u034fb\ufe0fc": "\\u3164a\\u034fb\\ufe0fc",
    "\U000e0100\U000e01ef\U000e0fff": "\\U000e0100\\U000e01ef\\U000e0fff",
    "\u115f\u1160\u17b4\uffa0\u2800": "\\u115f\\u1160\\u17b4\\uffa0\\u2800",
    "::error::boo": ": :error::boo",
    "first\n::set-output name=a::b": "first\n: :set-output name=a::b",
    "  \t::debug::x": "  \t: :debug::x",
    "in::the::middle": "in::the::middle",
    ":::x": ": ::x",
    "a ##[error]b ##[group]": "a # #[error]b # #[group]",
    "###[x": "## #[x",
}


def test_words_are_made_harmless() -> None:
    assert {words: safe_text(words) for words in HARMLESS} == HARMLESS
    assert cleaner(str)("\x1b[31mred\x1b[0m\r\nplain\r") == "red\nplain\\x0d"
    text = "nothing to hide"
    assert cleaner(lambda it: "".join(list(it)))(text) is text


RUNNER_COMMAND = re.compile(r"^\s*::|##\[", re.MULTILINE)
ANY_TEXT = st.text(st.characters() | st.sampled_from("::##[[\n\t \x1b\r\u202e"), max_size=60)


@given(ANY_TEXT)
@example("\n::a")
@example("\x85::a")
@example("::::")
@example("####[")
@example("#\u200b#[")
def test_no_text_commands_a_runner_or_a_terminal(words: str) -> None:
    for shown in (safe_text(words), safe_line(words), safe_text(words, 5)):
        assert not RUNNER_COMMAND.search(shown)
        assert not [
            char
            for char in shown
            if char not in "\n\t" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        ]
        shown.encode()


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "Zs"]), max_size=500))
def test_harmless_words_are_shown_as_they_are(words: str) -> None:
    assert safe_text(words, 500) == words


def test_long_words_are_cut_and_the_rest_is_counted() -> None:
    assert safe_text("x" * 400) == "x" * 400
    assert safe_text("x" * 401) == "x" * 400 + "… (1 more characters)"
    assert safe_text("x" * 50, 10) == "x" * 10 + "… (40 more characters)"
    assert safe_line("x" * 201) == "x" * 200 + "… (1 more characters)"
    assert safe_line("  two\n\n lines\r\n\tand\u2028more ") == "two lines and more"
    assert safe_line(" \n ") == ""
    shown = {0: "", 1: "0", 3: "0, 1, 2", 4: "0, 1, 2 and 1 more", 9: "0, 1, 2 and 6 more"}
    assert {many: first_few([*map(str, range(many))]) for many in shown} == shown
    assert first_few(["a", "b", "c"], 1) == "a and 2 more"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", r"\xe9 \u2026"), ("latin-1", r"é \u2026"), ("utf-8", "é …"), (None, "é …")],
)
def test_what_a_streams_encoding_does_not_have_is_escaped(encoding: str | None, shown: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding) if encoding else io.StringIO()
    assert printable("é …", stream) == shown


def test_the_nearest_name_is_no_less_than_half_the_same() -> None:
    names = ["abxx", "abcx", "xxxx"]
    assert [nearest(name, iter(names)) for name in ("abcd", "xxab", "yyyy")] == [
        "abcx",
        "xxxx",
        None,
    ]


# An error without its frames


def frames(error: BaseException | None) -> int:
    return 0 if error is None else len(list(traceback.walk_tb(error.__traceback__)))


def test_an_error_and_what_it_came_of_lose_their_frames_but_not_what_was_handled_before() -> None:
    try:
        try:
            raise ValueError("first")
        except ValueError:
            raise KeyError("second")  # noqa: B904
    except KeyError as error:
        caught = error
    cause = LookupError("a cause, which comes of the error itself")
    cause.__context__ = caught
    caught.__cause__ = cause
    assert frames(caught)
    assert frames(caught.__context__)
    assert bare(caught) is caught
    assert [frames(it) for it in (caught, caught.__context__)] == [0, 0]
    try:
        raise ValueError("above")
    except ValueError as above:
        try:
            raise KeyError("below")
        except KeyError as error:
            below = error
        left = [frames(it) for it in (bare(below), above)]
    assert left == [0, 1]


def test_a_word_aside_needs_no_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    aside("nobody sees it")
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    aside("one")
    aside("two")
    assert stream.getvalue() == "one\ntwo\n"


class OwnStream:
    """Somebody's own, which can do no more than write."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)


class Tee(OwnStream):
    """One that tells where it leads, but not in which encoding."""

    encoding = None

    def fileno(self) -> int:
        return 2


def test_a_word_aside_goes_wherever_standard_error_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for own in (OwnStream(), Tee()):
        monkeypatch.setattr("sys.stderr", own)
        aside("one")
        assert own.written == ["one\n"]
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="ascii") as stream:
        monkeypatch.setattr("sys.stderr", stream)
        aside("\u2714")
        assert os.read(reader, 100) == b"\\u2714\n"
        os.close(reader)
        aside("nobody reads it")
    aside("it is closed")


@pytest.mark.parametrize("lost", ["reader", "space", "words"])
def test_a_word_aside_does_not_change_an_exit_code(lost: str) -> None:
    # pytest puts its stream back in the end.
    script = (
        "import sys; from pytest_hydrasmoke._base.text import aside; before = sys.stderr;"
        "aside('\u2714 one'); aside('two'); sys.stderr = before"
    )
    command = [sys.executable, "-c", script]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    env.pop("PYTHONUNBUFFERED", None)
    if lost == "space":
        with open("/dev/full", "w") as full:
            assert subprocess.run(command, stderr=full, env=env).returncode == 0
        return
    reader, writer = os.pipe()
    if lost == "reader":
        os.close(reader)
    assert subprocess.run(command, stderr=writer, env=env).returncode == 0
    os.close(writer)
    if lost == "words":
        with os.fdopen(reader) as words:
            assert words.read() == "\\u2714 one\ntwo\n"
