"""A recording as a file: what is written is read back, under a name that is one on any disk."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_turns import DONE, SPEC, TEST, frame, refusal, turn

from pytest_hydrasmoke._recordings.format import (
    Events,
    NotWrittenError,
    Recorded,
    as_text,
    overlaid,
    owner_in,
    path_of,
    turns_of,
)

# The file

ASCII = st.text('a"\\\n\x1f\x7f', min_size=1).map(str.encode)


turns = st.builds(
    Recorded,
    chunks=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1) | ASCII)),
    run=st.integers(1, 9),
    instance=st.one_of(
        st.none(), st.just("shared"), st.integers(0, 9), st.just({"of": TEST, "number": 1})
    ),
    spec=st.just(SPEC),
    message=st.text(min_size=1),
    llm_events=st.none() | st.builds(Events, st.integers(0, 9), st.just(("a", "b")), st.just(0.8)),
    end=st.sampled_from(["closed", "cut", "stalled", "left"]),
    said=st.none() | st.just("0123456789abcdef"),
)


@given(st.lists(turns), st.text())
def test_what_is_written_is_read_back_byte_for_byte(some: list[Recorded], owner: str) -> None:
    text = as_text(owner, some, "2026-11-26")
    raw = text.encode()
    assert turns_of(raw) == some
    assert owner_in(raw) == owner
    assert [it.stream for it in some] == [b"".join(part for _, part in it.chunks) for it in some]
    # As an editor, and a review, count lines.
    assert len(text.splitlines()) == text.count("\n")


def test_a_refusal_is_read_back() -> None:
    some = [refusal(b'{"detail": "booting"}'), refusal(b"\xff")]
    assert turns_of(as_text(TEST, some, "2026-11-26").encode()) == some


def test_a_file_has_a_chunk_a_line_and_says_what_it_is() -> None:
    some = turn(frame("Ready"), "\u2028é".encode()[:-1])
    lines = as_text(TEST, [some], "2026-11-26").splitlines()
    assert lines == [
        '{"format": "pytest-hydrasmoke recording", "version": 1, "recorded": "2026-11-26",',
        f'"of": "{TEST}",',
        '"turns": [',
        '{"run": 1, "instance": "shared", "spec": {"manifest_id": "hermes-basic"},',
        '"message": "Hello",',
        '"llm_events": null,',
        '"end": "closed",',
        '"chunks": [',
        r'[400,"data: {\"choices\": [{\"delta\": {\"content\": \"Ready\"}}]}\n\n"],',
        '[401,{"base64": "4oCoww=="}]',
        "]}",
        "]}",
    ]


def test_what_can_t_be_seen_is_spelled_and_nothing_is_no_line() -> None:
    text = as_text(TEST, [turn(message="a\x7fb"), turn(b"c\x7f", b"\\\x7f"), turn()], "2026-11-26")
    assert '"message": "a\\u007fb",' in text
    assert "\x7f" not in text
    assert text.endswith('"chunks": [\n]}\n]}\n')


OPENAI = (
    b'data: {"id":"chatcmpl-9aXc2","object":"chat.completion.chunk","created":1764000000,'
    b'"model":"gpt-4o","choices":[{"index":0,"delta":{"content":" word"},'
    b'"finish_reason":null}]}\n\n'
)
ANTHROPIC = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":" word"}}\n\n'
)


@pytest.mark.parametrize(
    ("chunk", "most"), [(OPENAI, 1.3), (ANTHROPIC, 1.3), (b"data:  tok\n\n", 2.2)]
)
def test_a_file_is_hardly_larger_than_its_stream(chunk: bytes, most: float) -> None:
    stream = [chunk] * 500
    text = as_text(TEST, [turn(*stream)], "2026-11-26")
    assert len(text.encode()) <= most * len(b"".join(stream))


HEAD = b'{"format": "pytest-hydrasmoke recording", "version": '


@pytest.mark.parametrize("text", [b"{", b"[]", b"{}", HEAD + b"1}", HEAD + b'1, "turns": [7]}'])
def test_a_damaged_file_has_no_turns(text: bytes) -> None:
    assert turns_of(text) == []


def test_a_file_of_another_release_is_not_replaced() -> None:
    told = "it has version 2 of the format, not 1: update pytest-hydrasmoke, or move it away"
    with pytest.raises(NotWrittenError, match=re.escape(told)):
        turns_of(HEAD + b"2}")


@pytest.mark.parametrize(
    "text",
    [
        b'{"of": "x"}',
        b'{"format": "pytest-hydrasmoke recording"}',
        b'"pytest-hydrasmoke recording", "of": "\\x"',
    ],
)
def test_a_file_that_tells_no_owner_is_nobody_s(text: bytes) -> None:
    assert owner_in(text) is None


# Names


@pytest.mark.parametrize(
    ("owner", "path"),
    [
        ("tests/test_agent.py::test_answers", "tests/test_agent/test_answers.json"),
        (TEST, "tests/test_agent/test_answers[de].json"),
        ("tests/test_a.py::test_x[a-b=1,2 c]", "tests/test_a/test_x[a-b=1,2 c].json"),
        ("test_a.py::test_class::test_x", "test_a/test_class.test_x.json"),
        ("fixture tests::agent", "tests/fixture agent.json"),
        ("fixture ::agent[de]", "fixture agent[de].json"),
        ("fixture ::agent[a b]", "fixture agent[a b].json"),
        ("test_a.py::test_x[1.5]", "test_a/test_x[1.5].json"),
        ("hook pytest_x", "hook pytest_x.json"),
    ],
)
def test_a_plain_name_stays(owner: str, path: str) -> None:
    assert path_of(owner).as_posix() == path


@pytest.mark.parametrize(
    ("owner", "path"),
    [
        ("test_a.py::TestIt::test_x", "test_a/testit.test_x-#.json"),
        ("test_a.py::test_x[a/b::c]", "test_a/test_x[a_b.c]-#.json"),
        ("test_a.py::test_x[é:*?]", "test_a/test_x[____]-#.json"),
        ("con.py::aux", "_con/_aux-#.json"),
        ("test_a.py::test_\ud800", "test_a/test__-#.json"),
        ("../up.py::test_x", "__/up/test_x-#.json"),
        ("a.py::b.c", "a/b.c-#.json"),
        ("a.yaml::b.", "a.yaml/b_-#.json"),
        ("a.py::test_b[x::y]", "a/test_b[x.y]-#.json"),
        (f"a.py::{'b' * 300}", f"a/{'b' * 100}-#.json"),
        (f"{'a/' * 30}b.py::c", "a/a/a/a/a/a/b/c-#.json"),
    ],
)
def test_a_name_that_has_to_be_changed_has_a_digest(owner: str, path: str) -> None:
    assert re.sub(r"-[0-9a-f]{8}\.json$", "-#.json", path_of(owner).as_posix()) == path


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_two_owners_share_a_name_on_any_disk(one: str, other: str) -> None:
    names = [path_of(f"test_a.py::{it}").as_posix() for it in (one, other)]
    assert (names[0].lower() == names[1].lower()) == (one == other)
    assert all(re.fullmatch(r"[a-z0-9_\-.,=+\[\] /]{1,130}", it) for it in names)


# Turns of which a run may have seen a part


def test_a_run_that_saw_an_owner_in_part_keeps_the_rest() -> None:
    other, gone = turn(DONE, instance=1), turn(b"3", message="Old")
    old = [turn(b"1"), turn(b"2"), gone, other]
    assert overlaid(old, [turn(b"4")], whole=True) == [turn(b"4"), turn(b"2"), other]
    # Another test's set-up may have said it.
    assert overlaid(old, [turn(b"4")], whole=False) == [turn(b"4"), turn(b"2"), gone, other]
    new = [turn(b"4"), turn(b"5"), turn(b"6", message="New")]
    assert overlaid(old[:1], new, whole=True) == new
    assert overlaid([], old, whole=True) == old


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("place", ["shared", None])
def test_what_was_said_on_another_spec_stays(place: str | None, whole: bool) -> None:
    small, large = (
        turn(b"1", instance=place, spec={"tier_id": tier}) for tier in ("small", "large")
    )
    again = turn(b"2", instance=place, spec={"tier_id": "large"})
    assert overlaid([small, large], [again], whole=whole) == [small, again]


def test_an_instance_of_its_own_has_the_spec_of_its_last_recording() -> None:
    old = turn(b"1", instance=0, spec={"tier_id": "small"})
    new = turn(b"2", instance=0, spec={"tier_id": "large"})
    assert overlaid([old], [new], whole=False) == [new]
