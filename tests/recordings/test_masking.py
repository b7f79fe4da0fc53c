"""What is written of a turn: without the token, and as a team's hook has it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace as replaced

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from recorded_turns import DONE, SPEC, TEST, TOKEN, frame, taken, turn
from sizes import examples

from pytest_hydrasmoke import RecordedTurn
from pytest_hydrasmoke._base.token import Token
from pytest_hydrasmoke._core.account import Count, TurnAccount
from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._recordings.compare import played
from pytest_hydrasmoke._recordings.format import NotWrittenError, Recorded, RecordedEvents, Refusal
from pytest_hydrasmoke._recordings.masking import Masking, recut
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._transport.protocol import Answer

Edit = Callable[[RecordedTurn], RecordedTurn | None]
STARS = b"*" * len(TOKEN)


def masked(asked: tuple[Recorded, OpenTurn], edit: Edit = lambda it: it) -> Recorded:
    made = Masking(Token(TOKEN), Reading(), edit).turn(TEST, *asked)
    assert made is not None
    return made


def refused(
    body: bytes, code: int = 503, message: str = "Hello", **headers: str
) -> tuple[Recorded, OpenTurn]:
    asked = taken(run=3, message=message, end="cut")
    asked[1].outcome.refusal = Answer(
        code, {k.replace("_", "-"): it for k, it in headers.items()}, body
    )
    return asked


def test_a_turn_is_written_as_it_was_read() -> None:
    asked = taken(frame("Hi"), DONE, run=2, instance=3, end="cut")
    chunks = [(400.0, frame("Hi")), (400.0, DONE)]
    assert masked(asked) == Recorded(2, 3, SPEC, "Hello", None, "cut", chunks)
    refusal = Refusal(503, "text/plain", b"no")
    made = Recorded(3, "shared", SPEC, "Hello", None, None, [], refusal)
    assert masked(refused(b"no", content_type="text/plain")) == made


@examples(30, 2_000)
@given(st.sets(st.integers(1, 90), max_size=6))
def test_the_token_is_masked_wherever_chunks_end_in_it(cuts: set[int]) -> None:
    stream = frame(f"It is {TOKEN}.") + DONE
    ends = [0, *sorted(cuts), len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(ends)]
    made = masked(taken(*chunks))
    assert made.stream == stream.replace(TOKEN.encode(), STARS)
    assert [len(chunk) for _, chunk in made.chunks] == [*map(len, chunks)]


def test_a_token_is_masked_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert masked(taken(DONE, message=f"Is it {TOKEN}?")).message == "Is it ********?"
    made = masked(refused(TOKEN.encode(), 403, TOKEN, content_type=f"text/{TOKEN}"))
    assert (made.message, made.refused) == ("********", Refusal(403, "text/********", STARS))
    asked = taken(DONE, spec={"agent_name": f"of {TOKEN}"})
    asked[1].account = TurnAccount(Count(0.0, 0, frozenset()))
    asked[1].account.found = Count(0.5, 2, frozenset({"anthropic", TOKEN}))
    made = masked(asked)
    assert made.spec == {"agent_name": "of ********"}
    assert made.llm_events == RecordedEvents(2, ("anthropic", "********"), 0.5)
    # Also where it is escaped, in a field that nobody knows.
    for escape in ("\\u{:04x}", "\\\\u{:04X}", "%{:02x}"):
        spelled = "".join(escape.format(ord(char)) for char in TOKEN)
        chunk = f'data: {{"content": "Hi", "x": {{"debug": "of {spelled}."}}}}\n\n'.encode()
        made = masked(taken(chunk[:40], chunk[40:], DONE, content=Content()))
        assert made.stream == chunk.replace(spelled.encode(), b"*" * len(spelled)) + DONE
        assert made.said is None, "what was taken out leaves no digest"
    # In pieces, it keeps its turn from being written.
    pieces = [frame(TOKEN[at : at + 4]) for at in range(0, len(TOKEN), 4)]
    told = "^its reply spells the token in pieces, over several events$"
    for content in (None, Content()):
        with pytest.raises(NotWrittenError, match=told):
            masked(taken(*pieces, DONE, content=content))
    # Without one, a stream is as it came.
    monkeypatch.delenv("HYDRA_SMOKE_TOKEN", raising=False)
    monkeypatch.delenv("OPS_BEARER_TOKEN", raising=False)
    plain = Masking(None, Reading(), lambda it: it).turn(TEST, *taken(frame(TOKEN)))
    assert plain is not None
    assert plain.stream == frame(TOKEN)


@examples(30, 2_000)
@given(st.lists(st.text("ab ", max_size=4)), st.sampled_from([None, "stop", "length"]))
def test_the_digest_of_a_live_turn_is_that_of_its_stream(
    texts: list[str], finish: str | None
) -> None:
    frames = [*map(frame, texts), frame("", finish_reason=finish), DONE]
    whole = masked(taken(*frames, content=Content()))
    assert whole.said == played(whole.stream, Reading()).digest
    hidden = masked(taken(*frames, frame(f"It is {TOKEN}."), DONE, content=Content()))
    assert hidden.said is None


def test_an_edit_is_given_the_turn_without_its_token() -> None:
    seen: list[RecordedTurn] = []
    edit = seen.append
    for asked in (taken(frame(TOKEN), b"\xff", message=TOKEN, run=2), refused(b"no \xff")):
        assert Masking(Token(TOKEN), Reading(), edit).turn(TEST, *asked) is None, "it is dropped"
    told = frame(STARS.decode()).decode() + "\udcff"
    assert seen == [
        RecordedTurn(TEST, 2, "********", told),
        RecordedTurn(TEST, 3, "Hello", "no \udcff"),
    ]


def test_an_edit_changes_message_and_text_and_chunks_end_where_they_ended() -> None:
    def edit(given: RecordedTurn) -> RecordedTurn:
        text = given.text.replace("me@corp.example", f"x {TOKEN}")
        return RecordedTurn(given.owner, 1, f"Hi {TOKEN}", text)

    made = masked(taken(frame("Mail "), frame("me@corp.example"), DONE), edit)
    chunks = [chunk for _, chunk in made.chunks]
    hidden = f"x {STARS.decode()}"
    assert (made.message, chunks) == ("Hi ********", [frame("Mail "), frame(hidden), DONE])
    made = masked(refused(b"me@corp.example"), edit)
    told = (made.run, made.message, made.refused)
    assert told == (3, "Hi ********", Refusal(503, "", hidden.encode()))
    # It may leave what is no text, or tell what an empty stream did not.
    assert masked(taken(b"\xff")).stream == b"\xff"
    louder = masked(taken(b"\xff"), lambda given: replaced(given, text=given.text + "!"))
    assert louder.stream == b"\xff!"
    told = masked(taken(), lambda given: replaced(given, text="data: x\n\n"))
    assert told.chunks == [(0.0, b"data: x\n\n")]


def test_an_edit_is_asked_whether_it_leaves_a_turn_of_an_earlier_run() -> None:
    seen: list[RecordedTurn] = []

    def edit(given: RecordedTurn) -> RecordedTurn:
        seen.append(given)
        return replaced(given, text=given.text.replace("me@corp.example", "x"))

    mail, other = turn(frame("me@corp.example")), turn(frame("Hello"))
    masking = Masking(None, Reading(), edit)
    assert [masking.leaves(TEST, it) for it in (mail, other)] == [False, True]
    assert [it.owner for it in seen] == [TEST, TEST]
    assert not Masking(None, Reading(), lambda given: None).leaves(TEST, other)


LINES = st.lists(
    st.tuples(st.text("ab", max_size=6), st.text("ab", max_size=6)), min_size=1, max_size=4
)


@examples(30, 2_000)
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
    asked[1].outcome.at = 10.0
    asked[1].account = TurnAccount(Count(0.0, 3, frozenset({"a"})))
    assert masked(asked).llm_events is None
    for at, count, names, told in (
        (10.5, 4, "ab", RecordedEvents(1, ("b",), 0.5)),
        (10.568, 4, "a", RecordedEvents(1, ("a",), 0.57)),
        (9.0, 2, "a", RecordedEvents(0, (), 0.0)),
    ):
        asked[1].account.found = Count(at, count, frozenset(names))
        assert masked(asked).llm_events == told
