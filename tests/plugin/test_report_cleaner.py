"""What a report shows is cleaned, keeps its form, and is the same object where it is clean."""

from __future__ import annotations

import base64
import textwrap
import warnings
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from plugin_tools import TOKEN, Project, shows_token
from pydantic import BaseModel
from sizes import examples

from pytest_hydrasmoke._base.text import cleaner, harmless, harmless_in_rows, safe_text
from pytest_hydrasmoke._base.token import WINDOW, scrubber
from pytest_hydrasmoke._plugin.report_cleaner import ReportCleaner, clean_report, cleaned

SECRET = "ops-4Q7zL9rT2xW8"
REASON = "::error::boo " * 300
SCRUB = scrubber(SECRET)
CLEAN = cleaner(SCRUB)
FEW = examples(15, 2_000)


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
@example("abcdefghi-::error::b", 20, 0)
def test_no_row_of_a_text_is_a_command(text: str, width: int, taken: int) -> None:
    # As pytest breaks the reason of a skip, beside a test's name.
    rows = textwrap.wrap(
        f"{' ' * taken} ({harmless_in_rows(text, width)})",
        width,
        drop_whitespace=True,
        replace_whitespace=False,
    )
    assert not [row for row in "\n".join(rows).splitlines()[1:] if row.lstrip().startswith("::")]


def test_what_is_harmless_in_rows_keeps_a_node_id_and_no_blank_hides_a_command() -> None:
    assert harmless_in_rows("a \xa0::error::boo", 80) == "a \xa0: :error: :boo"
    reason = "see tests/test_a.py::TestIt::test_b (and ::error::)"
    shown = "see tests/test_a.py::TestIt::test_b (and : :error: :)"
    assert harmless_in_rows(reason, 80) == shown


def test_a_reason_that_pytest_shows_in_rows(project: Project) -> None:
    texts = [f"def test_{way}():\n    pytest.{way}({REASON!r})\n" for way in ("skip", "xfail")]
    project.write("test_it.py", "import pytest\n" + "".join(texts))
    result = project.fake("-vv", "-rA", "test_it.py")
    rows = [row for row in result.outlines if "boo" in row]
    assert len(rows) > 40
    assert not [row for row in rows if row.lstrip().startswith("::")]


class Drawn:
    """As pytest's own: something that is drawn on a terminal."""

    def __init__(self, *parts: object) -> None:
        self.parts = list(parts)

    def toterminal(self, tw: object) -> None: ...

    def __str__(self) -> str:
        return "\n".join(map(str, self.parts))


class Late(Drawn):
    """Shows what nobody finds in it."""

    def __str__(self) -> str:
        return "".join(reversed(str(self.parts[0])))


@dataclass(frozen=True, slots=True)
class Frozen:
    words: str


class Model(BaseModel):
    secret: str
    """A token may have a field's name in it."""
    parts: tuple[Frozen, ...] = ()

    def __copy__(self) -> Model:
        assert SECRET in self.secret, "nothing has to change"
        return super().__copy__()


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


# --- values -----------------------------------------------------------------------------------

VALUES: dict[str, tuple[object, object]] = {
    "a list of pairs": ([("a", SECRET), 5, None], [("a", "********"), 5, None]),
    "a dictionary": ({"k": SECRET, SECRET: 1}, {"k": "********", "********": 1}),
    "a dataclass": (Frozen(f"a {SECRET}"), Frozen("a ********")),
    "a model": (
        Model(secret=f"x {SECRET}", parts=(Frozen(SECRET),)),
        Model(secret="x ********", parts=(Frozen("********"),)),
    ),
    "bytes": (SECRET.encode(), "b'********'"),
    "bytearray": (bytearray(SECRET.encode()), "bytearray(b'********')"),
    "set": ({SECRET}, "{'********'}"),
    "frozenset": (frozenset([SECRET]), "frozenset({'********'})"),
    "said": (Said(), "said ********"),
    "shown": (Shown(), "<shown ********>"),
    "an exception": (ValueError(f"no {SECRET}"), "no ********"),
    "a mapping": (MappingProxyType({"x": SECRET}), "{'x': '********'}"),
    "digits": (int("4" * 9), "********"),
    "in a list": ([Shown()], ["<shown ********>"]),
    "in a tuple": (("a", Said()), ("a", "said ********")),
    "in a dictionary": ({"k": SECRET.encode()}, {"k": "b'********'"}),
    "beside others": ([ValueError(SECRET), b"\xff"], ["********", b"\xff"]),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_of_any_type_is_cleaned_and_keeps_its_form(name: str) -> None:
    value, shown = VALUES[name]
    assert cleaned(value, cleaner(scrubber(SECRET, "4" * 9))) == shown


def test_what_is_drawn_is_cleaned_in_its_place_and_a_value_in_itself_ends() -> None:
    drawn = Drawn(SECRET, Drawn("deep", f"x {SECRET}"))
    assert "********" in str(cleaned(base64.b64encode(SECRET.encode()), CLEAN))
    [shown] = cleaned([drawn], CLEAN)
    assert shown is drawn
    assert str(drawn) == "********\ndeep\nx ********"
    value: list[object] = [SECRET]
    value.append(value)
    assert SECRET not in repr(cleaned(value, CLEAN)[0])


def test_clean_values_are_the_same_objects() -> None:
    clean = cleaner(scrubber(SECRET, "4" * 9))
    model = Model(secret="words", parts=(Frozen("words"),))
    value = [("a", "b"), {"k": ["v"]}, Frozen("words"), Frozen, Drawn("x"), b"bytes", model]
    assert cleaned(value, clean) is value
    for one in (b"bytes", {1}, frozenset("x"), 5, 10**12, -1.5, True, None, Broken(), Said):
        assert cleaned(one, clean) is one
    # The names of a model's fields are no values.
    assert cleaned(model, lambda text: text.replace("secret", "?")) is model


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


@pytest.mark.parametrize(
    ("longrepr", "shown"),
    [
        # A skip has its place.
        (("test_x.py", 3, f"Skipped: {SECRET}"), ("test_x.py", 3, "Skipped: ********")),
        # What turns up when it is drawn is cleaned as text.
        (Late(SECRET[::-1]), "********"),
    ],
)
def test_what_a_report_shows_keeps_its_form(longrepr: object, shown: object) -> None:
    seen = report(longrepr)
    clean_report(seen, CLEAN)
    assert seen.longrepr == shown


def test_a_clean_report_is_left_alone() -> None:
    seen = report(Drawn("nothing"), sections=[("Captured log call", "words")])
    before = dict(vars(seen))
    clean_report(seen, CLEAN)
    assert all(vars(seen)[name] is value for name, value in before.items())


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


CARELESS = """
import os

TOKEN = os.environ["OPS_BEARER_TOKEN"]

class Header:
    def __str__(self): return f"Bearer {TOKEN}"

RAW = TOKEN.encode()
VALUES = {"bytes": RAW, "set": {TOKEN}, "object": Header(), "headers": {"authorization": RAW}}

def test_it(record_property, record_testsuite_property):
    for name, value in VALUES.items():
        record_property(name, value)
        record_testsuite_property(name, value)
    record_property("plain", {5: b"x"})
"""


def test_a_property_of_any_type_in_a_junit_file_has_no_token(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_BEARER_TOKEN", TOKEN)
    project.write("test_it.py", CARELESS)
    project.fake("test_it.py", "--junit-xml=junit.xml", "-ojunit_family=xunit1")
    text = (project.path / "junit.xml").read_text("utf-8")
    assert not shows_token(text)
    assert text.count("Bearer ********") == 2
    assert 'name="plain" value="{5: b\'x\'}"' in text
