"""What is written of a turn: without the token, and as a team's hook has it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace as replaced

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from recorded_turns import DONE, SPEC, TEST, TOKEN, frame, taken, turn

from pytest_hydrasmoke import RecordedTurn
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._core.chat import OpenTurn
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.turn_account import Count, TurnAccount
from pytest_hydrasmoke._recordings.compare import played
from pytest_hydrasmoke._recordings.format import Events, NotWrittenError, Recorded, Refusal
from pytest_hydrasmoke._recordings.masking import Masking, recut
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.protocol import Reply


def masking(edit: Callable[[RecordedTurn], RecordedTurn | None] = lambda turn: turn) -> Masking:
    return Masking(Token(TOKEN), Reading(), edit)


@given(st.sets(st.integers(1, 90), max_size=6))
def test_the_token_is_masked_wherever_chunks_end_in_it(cuts: set[int]) -> None:
    stream = frame(f"It is {TOKEN}.") + DONE
    ends = [0, *sorted(cuts), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(ends)]
    made = masking().turn(TEST, *taken(*chunks))
    assert made is not None
    assert made.stream == stream.replace(TOKEN.encode(), b"*" * len(TOKEN))
    assert [len(chunk) for _, chunk in made.chunks] == [*map(len, chunks)]


def test_a_turn_is_written_as_it_was_read() -> None:
    asked = taken(frame("Hi"), DONE, run=2, instance=3, end="cut")
    chunks = [(400.0, frame("Hi")), (400.0, DONE)]
    made = Recorded(2, 3, SPEC, "Hello", None, "cut", chunks)
    assert masking().turn(TEST, *asked) == made
    asked = taken(run=2, instance=3, end="cut")
    asked[1].refusal = Reply(503, {"content-type": "text/plain"}, b"no")
    made = Recorded(2, 3, SPEC, "Hello", None, None, [], Refusal(503, "text/plain", b"no"))
    assert masking().turn(TEST, *asked) == made


def test_a_token_in_a_message_is_masked() -> None:
    made = masking().turn(TEST, *taken(DONE, message=f"Is it {TOKEN}?"))
    assert made is not None
    assert made.message == "Is it ********?"


def test_a_token_in_a_message_a_refusal_and_its_type_is_masked() -> None:
    asked = taken(message=f"Is it {TOKEN}?")
    asked[1].refusal = Reply(403, {"content-type": f"text/{TOKEN}"}, TOKEN.encode())
    made = masking().turn(TEST, *asked)
    assert made is not None
    assert made.message == "Is it ********?"
    assert made.refused == Refusal(403, "text/********", b"*" * 32)


def test_a_token_in_a_spec_and_among_the_providers_is_masked() -> None:
    asked = taken(DONE, spec={"agent_name": f"of {TOKEN}"})
    asked[1].account = TurnAccount(Count(0.0, 0, frozenset()))
    asked[1].account.found = Count(0.5, 2, frozenset({"anthropic", TOKEN}))
    made = masking().turn(TEST, *asked)
    assert made is not None
    assert made.spec == {"agent_name": "of ********"}
    assert made.llm_events == Events(2, ("anthropic", "********"), 0.5)


@pytest.mark.parametrize("escape", ["\\u{:04x}", "\\\\u{:04X}", "%{:02x}"])
def test_a_token_that_is_escaped_in_an_unknown_field_is_masked(escape: str) -> None:
    spelled = "".join(escape.format(ord(char)) for char in TOKEN)
    chunk = f'data: {{"content": "Hi", "x": {{"debug": "of {spelled}."}}}}\n\n'.encode()
    made = masking().turn(TEST, *taken(chunk[:40], chunk[40:], DONE))
    assert made is not None
    assert made.stream == chunk.replace(spelled.encode(), b"*" * len(spelled)) + DONE
    assert made.said is None


def test_a_token_in_pieces_keeps_its_turn_from_being_written() -> None:
    pieces = [frame(TOKEN[at : at + 4]) for at in range(0, len(TOKEN), 4)]
    told = "^its reply spells the token in pieces, over several events$"
    with pytest.raises(NotWrittenError, match=told):
        masking().turn(TEST, *taken(*pieces, DONE))


def test_without_a_token_a_stream_is_as_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN", raising=False)
    monkeypatch.delenv("OPS_BEARER_TOKEN", raising=False)
    made = Masking(None, Reading(), lambda turn: turn).turn(TEST, *taken(frame(TOKEN)))
    assert made is not None
    assert made.stream == frame(TOKEN)


def test_an_edit_changes_message_and_text_and_chunks_end_where_they_ended() -> None:
    def edit(given: RecordedTurn) -> RecordedTurn:
        return RecordedTurn(TEST, 1, "Hi", given.text.replace("me@corp.example", "x"))

    made = masking(edit).turn(TEST, *taken(frame("Mail "), frame("me@corp.example"), DONE))
    assert made is not None
    chunks = [chunk for _, chunk in made.chunks]
    assert (made.message, chunks) == ("Hi", [frame("Mail "), frame("x"), DONE])


def test_an_edit_sees_what_is_no_text_and_may_leave_it() -> None:
    made = masking(lambda given: given).turn(TEST, *taken(b"\xff"))
    assert made is not None
    assert made.stream == b"\xff"
    made = masking(lambda given: replaced(given, text=given.text + "!")).turn(TEST, *taken(b"\xff"))
    assert made is not None
    assert made.stream == b"\xff!"
    assert masking(lambda given: None).turn(TEST, *taken(b"\xff")) is None


def test_an_edit_is_given_the_turn_without_its_token() -> None:
    seen: list[RecordedTurn] = []
    stream = taken(frame(TOKEN), b"\xff", message=TOKEN, run=2)
    refused = taken(run=3)
    refused[1].refusal = Reply(503, {}, b"no \xff")
    for asked in (stream, refused):
        masking(seen.append).turn(TEST, *asked)
    told = frame("*" * len(TOKEN)).decode() + "\udcff"
    assert seen == [
        RecordedTurn(TEST, 2, "********", told),
        RecordedTurn(TEST, 3, "Hello", "no \udcff"),
    ]


def test_an_edit_may_tell_what_an_empty_stream_did_not() -> None:
    made = masking(lambda given: replaced(given, text="data: x\n\n")).turn(TEST, *taken())
    assert made is not None
    assert made.chunks == [(0.0, b"data: x\n\n")]


def test_an_edit_of_a_refusal_is_of_its_body() -> None:
    asked = taken()
    asked[1].refusal = Reply(503, {}, b"me")
    made = masking(lambda it: RecordedTurn(it.owner, 1, "Hi", it.text + TOKEN)).turn(TEST, *asked)
    assert made is not None
    assert (made.message, made.refused) == ("Hi", Refusal(503, "", b"me" + b"*" * 32))


LINES = st.lists(
    st.tuples(st.text("ab", max_size=6), st.text("ab", max_size=6)), min_size=1, max_size=4
)


@given(LINES, st.lists(st.integers(0, 30), max_size=8))
@example([("aaaa", "a"), ("b", "bb")], [0, 3])
@example([("aaa", "a"), ("b", "bbb"), ("c", "c")], [4])
def test_a_chunk_of_an_edited_text_ends_in_the_line_in_which_it_ended(
    lines: list[tuple[str, str]], cuts: list[int]
) -> None:
    old, new = ("\n".join(some).encode() for some in zip(*lines, strict=True))
    ends = [*sorted(min(cut, len(old)) for cut in cuts), len(old)]
    chunks = [old[start:end] for start, end in itertools.pairwise([0, *ends])]
    made = recut(replaced(turn(), chunks=[*enumerate(chunks)]), new)
    assert made.stream == new
    upto = 0
    for number, chunk in made.chunks:
        end, upto = ends[int(number)], upto + len(chunk)
        # The last character of a chunk is of its line, a line's end included.
        line = old[:end].count(b"\n") - old[:end].endswith(b"\n")
        assert upto in (0, len(new)) or new[: upto - 1].count(b"\n") == line


def test_a_text_of_other_lines_is_cut_in_proportion() -> None:
    def cut(text: bytes, *timed: tuple[int, bytes]) -> list[tuple[float, bytes]]:
        return [*recut(replaced(turn(), chunks=timed), text).chunks]

    chunks = (1, b"abcd"), (2, b"\n"), (3, b"efg")
    assert cut(b"0123456789abcdef", *chunks) == [(1, b"01234567"), (2, b"89"), (3, b"abcdef")]
    assert cut(b"", *chunks) == []
    assert cut(b"") == []
    assert cut(b"a\n", (1, b"ab\n"), (2, b"c")) == [(1, b"a\n")]


def test_events_are_told_as_far_as_they_were_counted() -> None:
    asked = taken(DONE)
    asked[1].ended = 10.0
    asked[1].account = TurnAccount(Count(0.0, 3, frozenset({"a"})))
    assert _events(asked) is None
    asked[1].account.found = Count(10.5, 4, frozenset({"a", "b"}))
    assert _events(asked) == Events(1, ("b",), 0.5)
    asked[1].account.found = Count(10.5, 4, frozenset({"a"}))
    assert _events(asked) == Events(1, ("a",), 0.5)
    asked[1].account.found = Count(10.568, 4, frozenset({"a"}))
    assert _events(asked) == Events(1, ("a",), 0.57)
    asked[1].account.found = Count(9.0, 2, frozenset({"a"}))
    assert _events(asked) == Events(0, (), 0.0)


def _events(asked: tuple[Recorded, OpenTurn]) -> Events | None:
    made = masking().turn(TEST, *asked)
    assert made is not None
    return made.llm_events


@given(st.lists(st.text("ab ", max_size=4)), st.sampled_from([None, "stop", "length"]))
def test_the_digest_of_a_live_turn_is_that_of_its_stream(
    texts: list[str], finish: str | None
) -> None:
    frames = [*map(frame, texts), frame("", finish_reason=finish), DONE]
    made = taken(*frames, content=Content())
    whole = masking().turn(TEST, *made)
    assert whole is not None
    assert whole.said == played(whole.stream, Reading()).digest


def test_where_something_was_taken_out_there_is_no_digest() -> None:
    made = taken(frame(f"It is {TOKEN}."), DONE, content=Content())
    whole = masking().turn(TEST, *made)
    assert whole is not None
    assert whole.said is None
