"""Recordings as files: what is written is read back, under a name that is one on any disk."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace as replaced
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_hydrasmoke import ConfigError, RecordedTurn, TransportError
from pytest_hydrasmoke._base.errors import TransportTimeoutError
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._core.played import played
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.tape import Tape
from pytest_hydrasmoke._core.turn_account import Baseline, Counted, TurnAccount
from pytest_hydrasmoke._run.recording import (
    Events,
    FormatError,
    Refusal,
    Turn,
    VersionError,
    as_text,
    overlaid,
    owner_in,
    path_of,
    turns_of,
)
from pytest_hydrasmoke._run.recording_words import compared
from pytest_hydrasmoke._run.recordings import Recordings, replace
from pytest_hydrasmoke._run.taped import Masking, NotWrittenError, recut
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.protocol import Reply

TOKEN = "q7XwZt3mLk9vRb2yNd5Hc8Fj4Gs6Pa1T"
TEST = "tests/test_agent.py::test_answers[de]"
SPEC = {"manifest_id": "hermes-basic"}


def frame(text: str, **more: object) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}, **more}]})}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def turn(*chunks: bytes, message: str = "Hello", instance: int | str = "shared") -> Turn:
    times = list(range(400, 400 + len(chunks)))
    return Turn(1, instance, SPEC, message, None, "closed", times, list(chunks), None)


def refusal(body: bytes) -> Turn:
    return Turn(2, None, {}, "Hello", None, None, [], [], Refusal(503, "text/plain", body))


def tape(*chunks: bytes, text: str = "", message: str = "Hello") -> Tape:
    made = Tape(message, 1, "shared", SPEC, [0.4] * len(chunks), list(chunks), [text])
    made.end = "closed"
    return made


# The file

ASCII = st.text('a"\\\n\x1f\x7f', min_size=1).map(str.encode)


def _turn(timed: list[tuple[int, bytes]], **more: Any) -> Turn:
    times, chunks = [at for at, _ in timed], [chunk for _, chunk in timed]
    return Turn(times=times, chunks=chunks, refused=None, **more)


turns = st.builds(
    _turn,
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1) | ASCII)),
    run=st.integers(1, 9),
    instance=st.one_of(
        st.none(), st.just("shared"), st.integers(0, 9), st.just({"of": TEST, "number": 1})
    ),
    spec=st.just(SPEC),
    message=st.text(min_size=1),
    llm_events=st.none() | st.builds(Events, st.integers(0, 9), st.just(("a", "b")), st.just(0.8)),
    end=st.sampled_from(["closed", "cut", "stalled", "left"]),
)


@given(st.lists(turns), st.text())
def test_what_is_written_is_read_back_byte_for_byte(some: list[Turn], owner: str) -> None:
    text = as_text(owner, some, "2026-11-26")
    raw = text.encode()
    assert turns_of(raw) == some
    assert owner_in(raw) == owner
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
    text = as_text(TEST, [turn(message="a\x7fb")], "2026-11-26")
    assert '"message": "a\\u007fb",' in text
    assert text.endswith('"chunks": [\n]}\n]}\n')


@pytest.mark.parametrize("times", [[400], [400, 401, 402]])
def test_a_chunk_without_its_time_is_not_written(times: list[float]) -> None:
    with pytest.raises(ValueError, match="zip"):
        as_text(TEST, [replaced(turn(frame("Ready"), DONE), times=times)], "2026-11-26")


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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"{", "it is damaged: JSONDecodeError"),
        (b"[]", "it is damaged: AttributeError"),
        (b'{"format": "pytest-hydrasmoke recording", "version": 1}', "damaged: KeyError: 'turns'"),
        (b'{"format": "pytest-hydrasmoke recording", "version": 2}', "it has version 2"),
        (b"{}", "it is no recording"),
    ],
)
def test_what_is_no_recording_says_why(text: bytes, problem: str) -> None:
    with pytest.raises(FormatError, match=re.escape(problem)) as caught:
        turns_of(text)
    assert str(caught.value).startswith("it ")
    assert isinstance(caught.value, VersionError) == ("version 2" in problem)


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


# The folder


def test_a_file_that_was_moved_is_found_by_its_owner(tmp_path: Path) -> None:
    first = Recordings(tmp_path)
    first.write(TEST, as_text(TEST, [turn(DONE)], "2026-11-26"))
    home = tmp_path / path_of(TEST)
    moved = home.rename(tmp_path / "moved.json")
    (tmp_path / "other.json").write_text("{}")
    again = Recordings(tmp_path)
    assert again.owners == {TEST: moved}
    assert again.read(TEST) == moved.read_bytes()
    again.write(TEST, as_text(TEST, [], "2026-11-27"))
    assert not home.exists()
    assert b"2026-11-27" in moved.read_bytes()


def test_what_is_somebody_else_s_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / path_of(TEST)
    replace(path, "{}")
    with pytest.raises(FileExistsError, match="is no recording of it: move it away"):
        Recordings(tmp_path).read(TEST)


def test_a_file_that_can_t_be_replaced_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    with pytest.raises(OSError, match=r"x\.json"):
        replace(tmp_path / "x.json", "{}")
    assert [it.name for it in tmp_path.iterdir()] == ["x.json"]


def test_what_a_killed_run_has_left_half_written_is_removed(tmp_path: Path) -> None:
    half = tmp_path / "tests" / ".hydra-smoke-0123456789abcdef.tmp"
    replace(half, "{")
    (tmp_path / "tests" / "a.tmp").touch()
    some = Recordings(tmp_path)
    some.begin()
    some.end()
    some.end()
    assert sorted(it.name for it in tmp_path.rglob("*.*")) == ["a.tmp"]


def test_a_disk_is_no_folder_of_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = Recordings(tmp_path)
    some.write(TEST, as_text(TEST, [turn(DONE)], "2026-11-26"))
    monkeypatch.setattr("pytest_hydrasmoke._run.recordings._MOST", 3)
    with pytest.raises(ConfigError, match="very much in it: give a folder for recordings alone"):
        some.begin()
    # It has become so while it is recorded into: what is not found is written where it belongs.
    assert Recordings(tmp_path).path(TEST) == tmp_path / path_of(TEST)
    monkeypatch.undo()
    some.begin()
    some.end()


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    assert Recordings(tmp_path).owners == {}


def test_a_folder_that_can_t_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file/recordings can't be written: Not a directory"):
        Recordings(tmp_path / "file" / "recordings").begin()


# What changed


@pytest.mark.parametrize(
    ("new", "told"),
    [
        (turn(frame("I am", id="2"), frame(" ready."), DONE), None),
        (
            turn(frame("I am set, dear friend."), DONE),
            "text: 'I am set, dear friend.', and was 'I am ready.'",
        ),
        (
            turn(frame("I am ready.", finish_reason="length"), DONE),
            "finish reason: 'length', and was 'None'",
        ),
        (
            replaced(turn(frame("I am ready."), DONE), end="cut"),
            "ending: 'cut', and was 'closed'",
        ),
        (
            replaced(turn(frame("I am ready."), DONE), llm_events=Events(1, ("a",), 0.1)),
            "LLM events: '1 of a', and was 'None'",
        ),
    ],
)
def test_the_first_words_that_changed_are_told(new: Turn, told: str | None) -> None:
    old = turn(frame("I am ready."), DONE)
    kept, change = compared([old, old], [old, new], Reading())
    assert change == (told and f"turn 2, {told}")
    assert kept == [old, new if told else old]


def test_turns_that_say_the_same_stay_whole_wherever_they_are() -> None:
    def says(message: str, text: str, at: int = 1) -> Turn:
        return replaced(turn(message=message), times=[at, at], chunks=[frame(text), DONE])

    old = [says("a", "1"), says("b", "2"), says("gone", "3"), says("a", "4")]
    new = [says("new", "0", 2), says("b", "2", 2), says("a", "1", 2), says("a", "5", 2)]
    kept, change = compared(old, new, Reading())
    assert kept == [new[0], old[1], old[0], new[3]]
    assert change == "turn 1, new: 'new'; and 1 more turn; removed: 'gone'"
    assert compared(old, [old[1], old[0], old[3]], Reading())[1] == "removed: 'gone'"
    assert compared(old, list(reversed(old[:3])), Reading())[1] == "removed: 'a'"
    assert compared(old, [], Reading())[1] == "removed: 'a' and 3 more"


def test_a_changed_message_is_told_with_the_one_that_it_replaces() -> None:
    before, after = turn(DONE, message="Are you ready?"), turn(DONE, message="Are you ready now?")
    assert differs(before, after) == (
        "turn 1, new: 'Are you ready now?'; removed: 'Are you ready?'"
    )


def test_long_words_are_shown_where_they_differ() -> None:
    before, now = "one two three four five six seven eight", "one two three four 5 six seven eight"
    told = differs(turn(frame(before), DONE), turn(frame(now), DONE))
    assert told == (
        "turn 1, text: '… two three four 5 six seven …', "
        "and was '… two three four five six seven …'"
    )


def test_refusals_tools_and_failures_are_compared() -> None:
    call = {"index": 0, "id": "1", "function": {"name": "find", "arguments": "{}"}}
    with_tool = turn(frame("", delta={"tool_calls": [call]}), DONE)
    failed = turn(b'data: {"error": {"message": "no"}}\n\n')
    assert differs(refusal(b"a"), refusal(b"b")) == "turn 1, refusal: '503 b', and was '503 a'"
    assert differs(turn(DONE), with_tool) == "turn 1, tools: 'find({}) -> None', and was ''"
    assert differs(failed, failed) is None
    assert differs(failed, turn()) is None


def test_what_a_turn_was_and_is_told_in_words() -> None:
    one = turn(DONE)
    other = {"manifest_id": "other"}
    assert differs(one, replaced(one, spec=other)) == (
        "turn 1, spec: \"{'manifest_id': 'other'}\", and was \"{'manifest_id': 'hermes-basic'}\""
    )
    refused = replaced(one, end=None, times=[], chunks=[], refused=Refusal(503, "", b"no"))
    assert differs(refused, one) == "turn 1, ending: 'closed', and was 'refused'"
    two = replaced(one, llm_events=Events(2, ("a", "b"), 0.1))
    none = replaced(one, llm_events=Events(0, (), 0.1))
    assert differs(none, two) == "turn 1, LLM events: '2 of a, …', and was '0 of nobody'"
    assert differs(refusal(b"\xff"), refusal(b"b")) == (
        "turn 1, refusal: '503 b', and was '503 \ufffd'"
    )
    told = differs(turn(frame("1 2 3 4"), DONE), turn(frame("1 2 3 5"), DONE))
    assert told == "turn 1, text: '1 2 3 5', and was '1 2 3 4'"
    asked = turn(DONE, message="m" * 100)
    words = compared([], [asked, asked], Reading())[1]
    assert words is not None
    first, _, rest = words.partition("; ")
    assert ("m" * 60 in first, "m" * 61 in first, rest) == (True, False, "and 1 more turn")
    words = compared([], [asked] * 4, Reading())[1]
    assert words is not None
    assert words.endswith("; and 3 more turns")


def differs(old: Turn, new: Turn) -> str | None:
    return compared([old], [new], Reading())[1]


def test_a_run_that_saw_an_owner_in_part_keeps_the_rest() -> None:
    other = turn(DONE, instance=1)
    old = [turn(b"1"), turn(b"2"), turn(b"3", message="Old"), other]
    assert overlaid(old, [turn(b"4")]) == [turn(b"4"), turn(b"2"), other]
    assert overlaid(old[:1], [turn(b"4"), turn(b"5"), turn(b"6", message="New")]) == [
        turn(b"4"),
        turn(b"5"),
        turn(b"6", message="New"),
    ]
    assert overlaid([], old) == old


# Without the token, and as a team's hook has it


def masking(edit: Callable[[RecordedTurn], RecordedTurn | None] | None = None) -> Masking:
    return Masking(Token(TOKEN), Reading(), edit)


@given(st.sets(st.integers(1, 90), max_size=6))
def test_the_token_is_masked_wherever_chunks_end_in_it(cuts: set[int]) -> None:
    stream = frame(f"It is {TOKEN}.") + DONE
    ends = [0, *sorted(cuts), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(ends)]
    made = masking().turn(TEST, tape(*chunks, text=f"It is {TOKEN}."))
    assert made is not None
    assert made.stream == stream.replace(TOKEN.encode(), b"*" * len(TOKEN))
    assert [*map(len, made.chunks)] == [*map(len, chunks)]


def test_a_turn_is_written_as_it_was_taped() -> None:
    asked = replaced(tape(frame("Hi"), DONE, text="Hi"), run=2, instance=3, end="cut")
    chunks = [frame("Hi"), DONE]
    made = Turn(2, 3, SPEC, "Hello", None, "cut", [400.0, 400.0], chunks, None)
    assert masking().turn(TEST, asked) == made
    asked = replaced(tape(), run=2, instance=3, end="cut")
    asked.refusal = Reply(503, {"content-type": "text/plain"}, b"no")
    made = Turn(2, 3, SPEC, "Hello", None, None, [], [], Refusal(503, "text/plain", b"no"))
    assert masking().turn(TEST, asked) == made


def test_a_token_in_a_message_is_masked() -> None:
    made = masking().turn(TEST, tape(DONE, message=f"Is it {TOKEN}?"))
    assert made is not None
    assert made.message == "Is it ********?"


def test_a_token_in_a_message_a_refusal_and_its_type_is_masked() -> None:
    asked = tape(message=f"Is it {TOKEN}?")
    asked.refusal = Reply(403, {"content-type": f"text/{TOKEN}"}, TOKEN.encode())
    made = masking().turn(TEST, asked)
    assert made is not None
    assert made.message == "Is it ********?"
    assert made.refused == Refusal(403, "text/********", b"*" * 32)


def test_a_token_in_pieces_keeps_its_turn_from_being_written() -> None:
    pieces = [frame(TOKEN[at : at + 4]) for at in range(0, len(TOKEN), 4)]
    told = "^its reply spells the token in pieces, over several events$"
    with pytest.raises(NotWrittenError, match=told):
        masking().turn(TEST, tape(*pieces, DONE, text=TOKEN))


def test_without_a_token_a_stream_is_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN", raising=False)
    monkeypatch.delenv("OPS_BEARER_TOKEN", raising=False)
    made = Masking(None, Reading(), None).turn(TEST, tape(frame(TOKEN), text=TOKEN))
    assert made is not None
    assert made.chunks == [frame(TOKEN)]


def test_an_edit_changes_message_and_text_and_chunks_end_where_they_ended() -> None:
    def edit(given: RecordedTurn) -> RecordedTurn:
        return RecordedTurn(TEST, 1, "Hi", given.text.replace("me@corp.example", "x"))

    made = masking(edit).turn(TEST, tape(frame("Mail "), frame("me@corp.example"), DONE))
    assert made is not None
    assert (made.message, made.chunks) == (
        "Hi",
        [frame("Mail "), frame("x"), DONE],
    )


def test_an_edit_sees_what_is_no_text_and_may_leave_it() -> None:
    made = masking(lambda given: given).turn(TEST, tape(b"\xff"))
    assert made is not None
    assert made.stream == b"\xff"
    made = masking(lambda given: replaced(given, text=given.text + "!")).turn(TEST, tape(b"\xff"))
    assert made is not None
    assert made.stream == b"\xff!"
    assert masking(lambda given: None).turn(TEST, tape(b"\xff")) is None


def test_an_edit_is_given_the_turn_without_its_token() -> None:
    seen: list[RecordedTurn] = []
    stream = replaced(tape(frame(TOKEN), b"\xff", text=TOKEN, message=TOKEN), run=2)
    refused = replaced(tape(), run=3)
    refused.refusal = Reply(503, {}, b"no \xff")
    for asked in (stream, refused):
        masking(seen.append).turn(TEST, asked)
    told = frame("*" * len(TOKEN)).decode() + "\udcff"
    assert seen == [
        RecordedTurn(TEST, 2, "********", told),
        RecordedTurn(TEST, 3, "Hello", "no \udcff"),
    ]


def test_an_edit_may_tell_what_an_empty_stream_did_not() -> None:
    made = masking(lambda given: replaced(given, text="data: x\n\n")).turn(TEST, tape())
    assert made is not None
    assert (made.times, made.chunks) == ([0.0], [b"data: x\n\n"])


def test_an_edit_of_a_refusal_is_of_its_body() -> None:
    asked = tape()
    asked.refusal = Reply(503, {}, b"me")
    made = masking(lambda it: RecordedTurn(it.owner, 1, "Hi", it.text + TOKEN)).turn(TEST, asked)
    assert made is not None
    assert (made.message, made.refused) == ("Hi", Refusal(503, "", b"me" + b"*" * 32))


LINES = st.lists(
    st.tuples(st.text("ab", max_size=6), st.text("ab", max_size=6)), min_size=1, max_size=4
)


@given(LINES, st.lists(st.integers(0, 30), max_size=8))
def test_a_chunk_of_an_edited_text_ends_in_the_line_in_which_it_ended(
    lines: list[tuple[str, str]], cuts: list[int]
) -> None:
    old, new = ("\n".join(some).encode() for some in zip(*lines, strict=True))
    ends = [*sorted(min(cut, len(old)) for cut in cuts), len(old)]
    chunks = [old[start:end] for start, end in itertools.pairwise([0, *ends])]
    made = recut(replaced(turn(), times=range(len(ends)), chunks=chunks), new)
    assert made.stream == new
    for number, upto in zip(made.times, itertools.accumulate(map(len, made.chunks)), strict=True):
        end = ends[int(number)]
        line, begun = old[:end].count(b"\n"), old[:end].endswith(b"\n")
        # The last character of a chunk is of its line, a line's end included.
        assert upto == len(new) or new[: upto - 1].count(b"\n") == (line - 1 if begun else line)


def test_a_text_of_other_lines_is_cut_in_proportion() -> None:
    def cut(text: bytes, *timed: tuple[int, bytes]) -> list[tuple[float, bytes]]:
        times, chunks = [at for at, _ in timed], [chunk for _, chunk in timed]
        made = recut(replaced(turn(), times=times, chunks=chunks), text)
        return list(zip(made.times, made.chunks, strict=True))

    chunks = (1, b"abcd"), (2, b"\n"), (3, b"efg")
    assert cut(b"0123456789abcdef", *chunks) == [(1, b"01234567"), (2, b"89"), (3, b"abcdef")]
    assert cut(b"", *chunks) == []
    assert cut(b"") == []
    assert cut(b"a\n", (1, b"ab\n"), (2, b"c")) == [(1, b"a\n")]


def test_events_are_told_as_far_as_they_were_counted() -> None:
    asked = tape(DONE)
    asked.over = 10.0
    asked.account = TurnAccount(Baseline(0.0, 3, frozenset({"a"})))
    assert _events(asked) is None
    asked.account.found = Counted(10.5, 4, frozenset({"a", "b"}))
    assert _events(asked) == Events(1, ("b",), 0.5)
    asked.account.found = Counted(10.5, 4, frozenset({"a"}))
    assert _events(asked) == Events(1, ("a",), 0.5)
    asked.account.found = Counted(10.568, 4, frozenset({"a"}))
    assert _events(asked) == Events(1, ("a",), 0.57)
    asked.account.found = Counted(9.0, 2, frozenset({"a"}))
    assert _events(asked) == Events(0, (), 0.0)


def _events(asked: Tape) -> Events | None:
    made = masking().turn(TEST, asked)
    assert made is not None
    return made.llm_events


def test_no_answer_at_all_is_a_stream_that_was_lost_or_came_too_late() -> None:
    asked = tape()
    asked.refused(TransportError("lost", reached=True))
    assert asked.end == "cut"
    asked.refused(TransportTimeoutError("late", reached=True))
    assert asked.end == "stalled"
    asked.refused(ConfigError("the run is over"))
    assert asked.end == "stalled"


@given(st.lists(st.text("ab ", max_size=4)), st.sampled_from([None, "stop", "length"]))
def test_the_digest_of_a_live_turn_is_that_of_its_stream(
    texts: list[str], finish: str | None
) -> None:
    frames = [*map(frame, texts), frame("", finish_reason=finish), DONE]
    made = replaced(tape(*frames), text=texts, finish_reason=finish, content=Content())
    whole = masking().turn(TEST, made)
    assert whole is not None
    assert whole.said == played(whole.stream, Reading()).digest


def test_the_same_words_are_known_by_their_digest_unless_something_was_taken_out() -> None:
    def live(content: str, asked: str = "Hello") -> Turn:
        made = tape(frame(content, id=asked), DONE, text=content, message=asked)
        made.content = Content()
        whole = masking().turn(TEST, made)
        assert whole is not None
        return whole

    first = live("I am ready.")
    assert first.said == live("I am ready.", "Hi").said != live("I am set.").said
    assert turns_of(as_text(TEST, [first], "2026-11-26").encode()) == [first]
    # As somebody has edited it.
    edited = replaced(first, times=[400], chunks=[frame("I am rea") + DONE])
    assert differs(edited, live("I am ready.")) is None
    assert differs(edited, live("I am set.")) == "turn 1, text: 'I am set.', and was 'I am rea'"
    assert live(f"It is {TOKEN}.").said is None
