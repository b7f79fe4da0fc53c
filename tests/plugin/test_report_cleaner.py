"""What a report shows is cleaned, keeps its form, and is the same object where it is clean."""

from __future__ import annotations

import base64
import dataclasses
import inspect
import json
import textwrap
import warnings
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from plugin_tools import Project
from pydantic import BaseModel
from sizes import examples

from pytest_hydrasmoke._base.text import cleaner, harmless, harmless_in_rows, safe_text
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
from pytest_hydrasmoke._plugin.report_cleaner import ReportCleaner, clean_report, cleaned

SECRET = "ops-4Q7zL9rT2xW8"
REASON = "::error::boo " * 300
SCRUB = scrubber(SECRET)
CLEAN = cleaner(SCRUB)
FEW = examples(15, 2_000)
TOKENS = st.text(st.characters(codec="ascii", min_codepoint=0x21, max_codepoint=0x7E), min_size=8)


# --- a token in a text -----------------------------------------------------------------------

MASKED = {
    "nothing of it": "nothing of it",
    SECRET: "********",
    f"Bearer {SECRET}.": "Bearer ********.",
    f"{SECRET} and {SECRET}": "******** and ********",
    SECRET * 3: "********",
    # As pytest cuts a long text short.
    f"'{SECRET[:10]}...{SECRET[-9:]}'": "'********...********'",
    SECRET[:8]: "********",
    SECRET[:7]: SECRET[:7],
    SECRET[:7] + "-" + SECRET[7:]: SECRET[:7] + "-********",
    # Something of it, yet no part that is long enough.
    f"{SECRET[:5]} {SECRET[3:9]}": f"{SECRET[:5]} {SECRET[3:9]}",
}


@pytest.mark.parametrize("text", MASKED)
def test_parts_of_a_token_are_masked(text: str) -> None:
    assert SCRUB(text) == MASKED[text]
    assert scrubbing(Token(SECRET))(text) == MASKED[text]


@pytest.mark.parametrize("length", range(WINDOW, 40))
def test_each_part_of_a_token_is_masked_alone(length: int) -> None:
    # No two of its parts are alike.
    token = "".join(chr(0x30 + at) for at in range(length))
    for start in range(length - WINDOW + 1):
        assert scrubber(token)(f"({token[start : start + WINDOW]})") == "(********)"


@pytest.mark.parametrize(
    ("token", "spell"),
    [
        ("a\\b\\c\\d\\e\\f\\g", repr),
        ("a\\b\\c\\d\\e\\f\\g", json.dumps),
        ('a"b"c"d"e"f"g', json.dumps),
        ("a/b/c/d/e/f/g", lambda it: quote(it, safe="")),
        ("a+b=c&d?e#f%g", quote),
    ],
)
def test_a_token_is_masked_however_it_is_spelled(token: str, spell: Any) -> None:
    assert set(scrubber(token)(f"{spell(token)}")) <= set("*'\"")


@pytest.mark.parametrize(
    ("token", "mark"),
    [(SECRET, b"*"), ("ops*4Q7zL9rT2xW8", b"#"), ("ops*4Q7#zL9~rT2xW8", b" ")],
)
def test_a_token_is_masked_in_bytes_and_no_byte_is_moved(token: str, mark: bytes) -> None:
    hide = hiding(Token(token))
    data = b"\xff " + token.encode() + b" \xe9 " + token[:8].encode() + b"."
    assert hide(data) == b"\xff " + mark * len(token) + b" \xe9 " + mark * 8 + b"."
    assert hide(b"nothing of it \xff") == b"nothing of it \xff"


def test_bytes_are_the_same_where_there_is_no_token(no_environment: None) -> None:
    data = b"any"
    assert hiding(None)(data) is data


def test_bytes_that_are_no_text_are_masked_as_they_are_shown() -> None:
    token = "ops-\udc80\udcff-token"
    assert scrubber(token)(f"<{token}>") == "<********>"


def test_a_mask_has_nothing_of_the_token() -> None:
    assert scrubber("ab*cd*ef*")("<ab*cd*ef*>") == f"<{'…' * WINDOW}>"


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HYDRA_SMOKE_TOKEN", "OPS_BEARER_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_environment")
def test_there_is_something_to_mask_where_there_is_a_token() -> None:
    assert scrubbing(None)(SECRET) == SECRET
    assert scrubbing(Token(SECRET))(SECRET) == "*" * WINDOW


@pytest.mark.usefixtures("no_environment")
def test_a_token_that_is_just_long_enough_is_masked() -> None:
    shortest = SECRET[:WINDOW]
    assert scrubbing(Token(shortest))(f"<{shortest}>") == f"<{'*' * WINDOW}>"
    assert scrubbing(Token(shortest[1:]))(shortest[1:]) == shortest[1:]


def test_parts_of_a_token_are_not_listed() -> None:
    assert repr(_Parts({SECRET})) == "{********}"


@pytest.mark.usefixtures("no_environment")
def test_every_token_of_the_environment_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
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
    find = inspect.getclosurevars(SCRUB).nonlocals["find"]
    closed_over = [inspect.getclosurevars(it).nonlocals for it in (SCRUB, find)]
    shown = repr(closed_over)
    assert shown.count("{********}") == 2
    assert not [
        SECRET[at : at + 4] for at in range(len(SECRET) - 3) if SECRET[at : at + 4] in shown
    ]


def test_a_text_without_a_token_is_the_same_object() -> None:
    text = "a long text that has nothing of it, although ops-4Q7 is there " * 10
    assert SCRUB(text) is text
    assert CLEAN(text) is text


@pytest.mark.parametrize("spell", [repr, json.dumps, lambda it: quote(it, safe="")])
@FEW
@given(TOKENS, st.text(), st.text())
@example("*" * 8, "", "")
@example("\\'\"\\'\"\\'\"%", "", "")
@example("a" * 800, "…", "a")
def test_no_window_of_any_token_is_left(spell: Any, token: str, before: str, after: str) -> None:
    for text in (before + token + after, before + spell(token) + after, token[3:] + token):
        shown = scrubber(token)(text)
        assert not any(token[at : at + WINDOW] in shown for at in range(len(token) - WINDOW + 1))


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


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, bytes.hex])
@FEW
@given(TOKENS, st.binary(max_size=7), st.binary(max_size=7))
@example("?>~?>~?>~", b"", b"")
def test_a_token_is_masked_where_it_is_encoded(
    encode: Any, token: str, before: bytes, after: bytes
) -> None:
    encoded = encode(before + token.encode() + after)
    text: str = encoded if isinstance(encoded, str) else encoded.decode()
    bits = 4 if encode is bytes.hex else 6
    # The characters that nothing but the token has a part in.
    own = text[-(-len(before) * 8 // bits) : (len(before) + len(token)) * 8 // bits]
    for spelled in (text, text.upper()) if encode is bytes.hex else (text,):
        shown = scrubber(token)(spelled)
        own = own.upper() if spelled.isupper() else own
        assert not any(own[at : at + WINDOW] in shown for at in range(len(own) - WINDOW + 1))


ESCAPES = {
    "json": "\\u{:04x}",
    "json, upper case": "\\u{:04X}",
    "json in json": "\\\\u{:04x}",
    "python": "\\x{:02x}",
    "url": "%{:02X}",
}


@pytest.mark.parametrize("name", ESCAPES)
@FEW
@given(TOKENS.filter(lambda token: "\\" not in token), st.data())
@example("%41%42%43%44", None)
def test_a_token_is_masked_whichever_of_its_characters_are_escaped(
    name: str, token: str, data: st.DataObject | None
) -> None:
    # A backslash of the token's own before an escape is not told from the escape's.
    places = range(len(token))
    which = places if data is None else data.draw(st.sets(st.sampled_from(places), min_size=1))
    spelled = "".join(
        ESCAPES[name].format(ord(char)) if at in which else char for at, char in enumerate(token)
    )
    assert set(scrubber(token)(spelled)) <= set("*…")
    hidden = hiding(Token(token))(f'"x": "{spelled}"'.encode())
    assert len(hidden) == len(spelled) + 7
    assert len(set(hidden[6:-1])) == 1


def test_what_is_escaped_beside_a_token_stays() -> None:
    text = f"se\\u0065 %41 {SECRET[:5]}\\u00{ord(SECRET[5]):02x}{SECRET[6:]} \\x41 \\u00e9"
    assert SCRUB(text) == "se\\u0065 %41 ******** \\x41 \\u00e9"
    assert SCRUB("se\\u0065 %41") == "se\\u0065 %41"


# --- a text as a report has it ----------------------------------------------------------------

CLEANED = {
    "plain\n\ttext, and «more» 🐙": "plain\n\ttext, and «more» 🐙",
    "E   AssertionError: x\n::error::boo\n": "E   AssertionError: x\n: :error::boo\n",
    "bare\r::error::boo": "bare\\x0d::error::boo",
    "dos\r\nlines\r\n": "dos\nlines\n",
    "\x1b[1;31mred\x1b[0m and \x1b[2Kgone": "red and \\x1b[2Kgone",
    # What a colour tears apart, a reader of the plain text sees whole.
    f"{SECRET[:7]}\x1b[31m{SECRET[7:]}": "********",
    ":\x1b[0m:error::boo": ": :error::boo",
    "\n" * 20_000 + " " * 20_000 + "::x": "\n" * 20_000 + " " * 20_000 + ": :x",
}


@pytest.mark.parametrize("text", CLEANED, ids=lambda text: ascii(text[:20]))
def test_texts_are_cleaned(text: str) -> None:
    assert CLEAN(text) == CLEANED[text]


@pytest.mark.parametrize(
    "token", ["abc##[defgh", "##[abcdefgh", "abcdefg##[", "::abcdefgh", "a\\x1bcdefgh", "##[#::##["]
)
@pytest.mark.parametrize("before", ["", "# ", "#", "x", "first\n", " \t"])
def test_masking_and_neutralising_do_not_undo_each_other(token: str, before: str) -> None:
    # Also where words were made harmless, and cut, before they are masked.
    told = before + token
    for text in (told, harmless(told), safe_text(told), repr(told), told.replace("\\x1b", "\x1b")):
        shown = cleaner(scrubber(token))(text)
        plain = shown.replace("# #", "##").replace(": :", "::")
        assert not any(token[at : at + WINDOW] in plain for at in range(len(token) - WINDOW + 1))
        assert harmless(shown) == shown


@FEW
@given(
    st.text(st.sampled_from(":\n\t\v \xa0#[-ex\u2014"), max_size=200).map("".join),
    st.integers(20, 40),
    st.integers(0, 19),
)
@example("a ::error::boo" * 20, 40, 0)
@example("x" * 40 + "::error::boo", 40, 0)
@example("x" * 20 + "::error::boo" * 3, 40, 10)
def test_no_row_of_a_text_is_a_command(text: str, width: int, taken: int) -> None:
    # As pytest breaks the reason of a skip, beside a test's name.
    rows = textwrap.wrap(
        "x" * taken + harmless_in_rows(text, width),
        width,
        drop_whitespace=True,
        replace_whitespace=False,
    )
    assert not [row for row in "\n".join(rows).splitlines()[1:] if row.lstrip().startswith("::")]


def test_a_row_may_begin_with_a_blank_that_is_no_space() -> None:
    assert harmless_in_rows("a \xa0::error::boo", 80) == "a \xa0: :error: :boo"


def test_a_node_id_in_a_reason_is_kept() -> None:
    reason = "see tests/test_a.py::TestIt::test_b (and ::error::)"
    shown = "see tests/test_a.py::TestIt::test_b (and : :error: :)"
    assert harmless_in_rows(reason, 80) == shown


@pytest.mark.parametrize("way", ["skip", "xfail"])
def test_a_reason_that_pytest_shows_in_rows(project: Project, way: str) -> None:
    project.write("test_it.py", f"import pytest\n\ndef test_it():\n    pytest.{way}({REASON!r})\n")
    result = project.fake("-vv", "-rA", "test_it.py")
    rows = [row for row in result.outlines if "boo" in row]
    assert len(rows) > 20
    assert not [row for row in rows if row.lstrip().startswith("::")]


class Drawn:
    """As pytest's own: something that is drawn on a terminal."""

    def __init__(self, *parts: object) -> None:
        self.parts = list(parts)

    def toterminal(self, tw: object) -> None: ...

    def __str__(self) -> str:
        return "\n".join(map(str, self.parts))


@dataclass(frozen=True, slots=True)
class Frozen:
    words: str


def test_values_are_cleaned_wherever_a_text_is() -> None:
    drawn = Drawn(SECRET, Drawn("deep", f"x {SECRET}"))
    value: object = [("a", SECRET), {"k": SECRET, SECRET: 1}, Frozen(SECRET), 5, None, drawn]
    shown = cleaned(value, CLEAN)
    assert shown[:5] == [("a", "********"), {"k": "********", "********": 1}, *shown[2:5]]
    assert shown[2:5] == [Frozen("********"), 5, None]
    assert shown[5] is drawn
    assert str(drawn) == "********\ndeep\nx ********"


class Model(BaseModel):
    secret: str
    parts: tuple[Frozen, ...] = ()


def test_a_model_keeps_the_names_of_its_fields() -> None:
    """A token may have one of them in it."""
    made = Model(secret=f"x {SECRET}", parts=(Frozen(SECRET),))
    assert cleaned(made, CLEAN) == Model(secret="x ********", parts=(Frozen("********"),))
    assert cleaned(Model(secret="my secret"), lambda text: text.replace("secret", "?")) == Model(
        secret="my ?"
    )


def test_clean_values_are_the_same_objects() -> None:
    model = Model(secret="words", parts=(Frozen("words"),))
    value = [("a", "b"), {"k": ["v"]}, Frozen("words"), Frozen, Drawn("x"), b"bytes", model]
    assert cleaned(value, CLEAN) is value


class Said:
    """What only its text shows."""

    def __str__(self) -> str:
        return f"said {SECRET}"


class Shown:
    def __repr__(self) -> str:
        return f"<shown {SECRET}>"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError(SECRET)


WRITTEN = {
    "bytes": (SECRET.encode(), "b'********'"),
    "bytearray": (bytearray(SECRET.encode()), "bytearray(b'********')"),
    "set": ({SECRET}, "{'********'}"),
    "frozenset": (frozenset([SECRET]), "frozenset({'********'})"),
    "said": (Said(), "said ********"),
    "shown": (Shown(), "<shown ********>"),
    "an exception": (ValueError(f"no {SECRET}"), "no ********"),
    "a mapping": (MappingProxyType({"x": SECRET}), "{'x': '********'}"),
    "digits": (int("4" * 9), "********"),
    "in a list": ([Shown()], "['<shown ********>']"),
    "in a tuple": (("a", Said()), "('a', 'said ********')"),
    "in a dictionary": ({"k": SECRET.encode()}, "{'k': \"b'********'\"}"),
    "in base64": (base64.b64encode(SECRET.encode()), None),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_value_of_any_type_is_written_without_the_token(name: str) -> None:
    value, shown = WRITTEN[name]
    clean = cleaner(scrubber(SECRET, "4" * 9))
    written = str(cleaned(value, clean))
    assert "********" in written
    assert shown is None or written == shown


def test_a_value_of_any_type_without_the_token_is_the_same_object() -> None:
    clean = cleaner(scrubber(SECRET, "4" * 9))
    for value in (b"bytes", {1}, frozenset("x"), 5, 10**12, -1.5, True, None, Broken(), Said):
        assert cleaned(value, clean) is value
    assert cleaned([ValueError("x"), b"\xff"], SCRUB)[1] == b"\xff"


def test_a_value_in_itself_ends() -> None:
    value: list[object] = [SECRET]
    value.append(value)
    assert SECRET not in repr(cleaned(value, CLEAN)[0])


# --- reports ----------------------------------------------------------------------------------


def report(longrepr: Any, **more: Any) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=f"test_x.py::test[{SECRET}]",
        location=("test_x.py", 1, "test"),
        keywords={SECRET: 1},
        outcome="failed",
        longrepr=longrepr,
        when="call",
        **more,
    )


def test_all_that_a_report_shows_is_cleaned_but_names() -> None:
    seen = report(
        f"no {SECRET}",
        sections=[("Captured stdout call", f"::error::{SECRET}")],
        user_properties=[("reply", SECRET)],
        extras=[{"content": SECRET}],
    )
    clean_report(seen, CLEAN)
    assert seen.longrepr == "no ********"
    assert seen.sections == [("Captured stdout call", ": :error::********")]
    assert seen.user_properties == [("reply", "********")]
    assert vars(seen)["extras"] == [{"content": "********"}]
    assert SECRET in seen.nodeid
    assert SECRET in seen.keywords


def test_a_clean_report_is_left_alone() -> None:
    drawn = Drawn("nothing")
    seen = report(drawn, sections=[("Captured log call", "words")])
    before = dict(vars(seen))
    clean_report(seen, CLEAN)
    assert all(vars(seen)[name] is value for name, value in before.items())


def test_a_skip_has_its_place() -> None:
    seen = report(("test_x.py", 3, f"Skipped: {SECRET}"))
    clean_report(seen, CLEAN)
    assert seen.longrepr == ("test_x.py", 3, "Skipped: ********")


def test_what_turns_up_when_it_is_drawn_is_cleaned_as_text() -> None:
    class Late(Drawn):
        def __str__(self) -> str:
            return "".join(reversed(str(self.parts[0])))

    seen = report(Late(SECRET[::-1]))
    clean_report(seen, CLEAN)
    assert seen.longrepr == "********"


def test_warnings_are_cleaned() -> None:
    scrub = ReportCleaner(SCRUB)
    bad = warnings.WarningMessage(DeprecationWarning(f"x {SECRET}"), DeprecationWarning, "x.py", 1)
    scrub.pytest_warning_recorded(bad)
    assert str(bad.message) == "x ********"
    assert bad.category is DeprecationWarning
    words = DeprecationWarning("fine")
    good = warnings.WarningMessage(words, DeprecationWarning, "x.py", 1, line=f"warn('{SECRET}')")
    scrub.pytest_warning_recorded(good)
    assert good.message is words
    assert good.line == "warn('********')"


@pytest.mark.parametrize(
    ("error", "shown"),
    [(pytest.exit.Exception(f"for {SECRET}"), "for ********"), (KeyboardInterrupt("x"), "x")],
)
def test_the_reason_of_an_exit_is_cleaned(error: BaseException, shown: str) -> None:
    with pytest.raises(type(error)) as caught:
        raise error
    ReportCleaner(SCRUB).pytest_keyboard_interrupt(caught)
    assert str(error) == shown


def test_a_token_s_fields_are_cleaned_out_of_dataclasses_without_losing_their_type() -> None:
    shown = cleaned(Frozen(f"a {SECRET}"), CLEAN)
    assert dataclasses.asdict(shown) == {"words": "a ********"}
