"""Which turns have changed from one recording to the next."""

from __future__ import annotations

import json
from dataclasses import replace as replaced
from typing import Any

import pytest
from recorded_turns import DONE, differs, frame, refusal, turn

from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._recordings.compare import Words, compared, played
from pytest_hydrasmoke._recordings.format import Recorded, RecordedEvents

READY = turn(frame("I am ready."), DONE)
BASIC = {"manifest_id": "hermes-basic", "tier_id": "tier-1"}
SAYS = b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": %b}\n\n'
CLAUDE = SAYS % b'{"type": "text_delta", "text": "I am ready."}'
FAILED = turn(b'data: {"error": {"message": "no"}}\n\n')


def called(**arguments: str) -> bytes:
    find = {"name": "find", "arguments": json.dumps(arguments)}
    return frame("", delta={"tool_calls": [{"index": 0, "id": "1", "function": find}]})


def thinks(words: str) -> bytes:
    return frame("", delta={"reasoning_content": words})


def counted(*providers: str, turn: Recorded = READY) -> Recorded:
    return replaced(turn, llm_events=RecordedEvents(len(providers), providers, 0.1))


def said(text: str) -> str:
    """Return the digest of a turn's words."""
    digest = Words(text, "", "", None, ("OpenAI chat",), complete=True).digest
    assert digest is not None
    return digest


def modelled(name: str) -> bytes:
    chunk = {"model": name, "choices": [{"delta": {"content": "Hi"}}]}
    return f"data: {json.dumps(chunk)}\n\n".encode()


def used(tokens: int) -> Recorded:
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
    chunk = f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode()
    return turn(frame("Hi"), chunk, DONE)


FIRST = replaced(READY, said=said("I am ready."))
AGAIN = replaced(FIRST, chunks=[(400, frame("I am ready.", id="2")), (401, DONE)])
EDITED = replaced(FIRST, chunks=[(400, frame("I am rea") + DONE)])
SET = turn(frame("I am set."), DONE)
THOUGHT = turn(thinks("Am I?"), frame("I am ready."), DONE)
OLD = "5f0c1d2e3a4b5968"
"""A digest of an earlier release."""
DIFFERENCES: dict[str, tuple[Recorded, Recorded, bool]] = {
    # What is recorded, what it has become, and whether that is a change.
    "another id": (READY, AGAIN, False),
    "a text": (READY, SET, True),
    "a long text": (
        turn(frame("one two three four five six seven eight"), DONE),
        turn(frame("one two three four 5 six seven eight"), DONE),
        True,
    ),
    "three words before": (
        turn(frame("one two three four"), DONE),
        turn(frame("one two three 4"), DONE),
        True,
    ),
    "a finish reason": (
        READY,
        turn(frame("I am ready.", finish_reason="length"), DONE),
        True,
    ),
    "LLM events": (READY, counted("a"), True),
    "more LLM events": (
        counted(),
        counted("a", "b"),
        True,
    ),
    # What nobody counted this time may be as it was.
    "no LLM events": (counted("a"), READY, False),
    "no LLM events and a text": (counted("a"), SET, True),
    "a refusal": (refusal(b"a"), refusal(b"b"), True),
    "no text": (refusal(b"\xff"), refusal(b"b"), True),
    "no refusal any more": (
        replaced(refusal(b"no"), run=1, instance="shared", spec=READY.spec),
        turn(DONE),
        True,
    ),
    "a tool": (
        turn(DONE),
        turn(called(), DONE),
        True,
    ),
    "a failure": (
        FAILED,
        turn(),
        True,
    ),
    "another failure": (FAILED, turn(b'data: {"error": {"message": "never"}}\n\n'), False),
    "a model": (
        turn(b'data: {"content": "Hi", "model": "claude-4"}\n\n'),
        turn(b'data: {"content": "Hi", "model": "claude-5"}\n\n'),
        True,
    ),
    "an end": (
        turn(b"data: Hi\n\n", DONE),
        turn(b"data: Hi\n\n"),
        True,
    ),
    # What nobody understands says what it is.
    "unknown events": (
        turn(b'event: speech\ndata: {"words": "ready"}\n\n'),
        turn(b'event: speech\ndata: {"words": "down"}\n\n'),
        True,
    ),
    "the same unknown events": (
        turn(b"event: speech\ndata: {}\n\n"),
        turn(b"event: speech\ndata: {}\n\n"),
        False,
    ),
    "a runtime": (
        READY,
        turn(CLAUDE, frame(""), DONE),
        True,
    ),
    "no runtime": (
        turn(CLAUDE, DONE),
        turn(b"data: I am ready.\n\n", DONE),
        True,
    ),
    "reasoning": (READY, THOUGHT, True),
    "no reasoning": (THOUGHT, READY, True),
    # A model thinks in other words each time.
    "other reasoning": (turn(thinks("Yes."), frame("I am ready."), DONE), THOUGHT, False),
    "usage": (used(1), used(2), False),
    "a spec": (
        READY,
        replaced(READY, spec={"manifest_id": "other"}),
        True,
    ),
    "a spec in another order": (
        replaced(READY, spec=BASIC),
        replaced(READY, spec=dict(reversed(BASIC.items()))),
        False,
    ),
    "a digest of an earlier release": (replaced(READY, said=OLD), AGAIN, False),
    "reasoning since an earlier release": (
        replaced(READY, said=OLD),
        replaced(THOUGHT, said="0"),
        True,
    ),
    # What somebody has edited is as it was while the agent says the same.
    "edited": (EDITED, AGAIN, False),
    "edited and cut": (
        EDITED,
        replaced(AGAIN, end="cut"),
        True,
    ),
    "edited without a digest": (
        replaced(EDITED, said=None),
        replaced(AGAIN, said=None),
        True,
    ),
    "several models": (
        turn(modelled("a"), modelled("b")),
        turn(modelled("a"), modelled("c")),
        True,
    ),
    "events that are no text, and say nothing": (
        turn(b": \xff\n\n"),
        turn(b": x\n\n"),
        True,
    ),
    "all at once": (
        turn(frame("I am ready.", finish_reason="stop"), DONE),
        counted(
            *("a", "a"),
            turn=replaced(
                turn(thinks("Am I?"), called(), frame("I am set.", finish_reason="length"), DONE),
                end="cut",
            ),
        ),
        True,
    ),
}


@pytest.mark.parametrize("case", DIFFERENCES)
def test_a_turn_stays_whole_unless_its_words_have_changed(case: str) -> None:
    old, new, changed = DIFFERENCES[case]
    kept, change = compared([READY, old], [READY, new], Reading())
    assert change == ("turn 2 changed" if changed else None)
    assert kept == [READY, new if changed else old]


def test_what_a_hook_would_record_otherwise_now_is_recorded_anew() -> None:
    asked: list[Recorded] = []

    def left(turn: Recorded) -> bool:
        asked.append(turn)
        return turn.message == "left"

    old = [replaced(FIRST, message=it) for it in ("left", "edited", "equal", "other words")]
    new = [replaced(AGAIN, message=it.message) for it in old]
    new[2], new[3] = old[2], replaced(SET, message="other words")
    kept, change = compared(old, new, Reading(), left)
    assert kept == [old[0], new[1], old[2], new[3]]
    assert change == "turn 2 changed, and 1 more"
    assert asked == old[:2]
    assert compared(old[3:], new[3:], Reading(), lambda turn: False)[1] == "turn 1 changed"


def test_turns_that_say_the_same_stay_whole_wherever_they_are() -> None:
    def says(message: str, text: str, at: int = 1) -> Recorded:
        return replaced(turn(message=message), chunks=[(at, frame(text)), (at, DONE)])

    old = [says("a", "1"), says("b", "2"), says("gone", "3"), says("a", "4")]
    new = [says("new", "0", 2), says("b", "2", 2), says("a", "1", 2), says("a", "5", 2)]
    kept, change = compared(old, new, Reading())
    assert kept == [new[0], old[1], old[0], new[3]]
    assert change == "turn 1 is new, and 1 more; 1 turn removed"
    assert compared(old, [old[1], old[0], old[3]], Reading())[1] == "1 turn removed"
    assert compared(old, [], Reading())[1] == "4 turns removed"
    asked = turn(DONE, message="m" * 100)
    assert compared([], [asked] * 4, Reading())[1] == "turn 1 is new, and 3 more"
    before, after = turn(DONE, message="Are you ready?"), turn(DONE, message="Are you ready now?")
    assert differs(before, after) == "turn 1 is new; 1 turn removed"


def test_another_order_on_an_instance_is_a_change() -> None:
    one, two = turn(DONE, message="One"), turn(DONE, message="Two")
    kept, change = compared([one, two], [two, one], Reading())
    assert (kept, change) == ([two, one], "its messages came in another order")
    # Several instances may be used at once, and those of a client are not told apart.
    for first, second in ((0, 1), (None, None)):
        old = [replaced(one, instance=first), replaced(two, instance=second)]
        assert compared(old, old[::-1], Reading())[1] is None


def test_a_stream_says_text_tools_thoughts_and_finish_reason_up_to_where_it_breaks_off() -> None:
    again = called(a="1").replace(b'"index": 0, "id": "1"', b'"index": 1, "id": "2"')
    stream = thinks("Well.") + called(a="1") + again + frame("Found.", finish_reason="stop") + DONE
    tools = "find({'a': '1'}) -> None, find({'a': '1'}) -> None"
    assert played(stream, Reading()) == Words(
        *("Found.", tools, "Well.", "stop", ("OpenAI chat",)), complete=True
    )
    assert played(frame("I am") + FAILED.stream, Reading()).text == "I am"
    said = (
        b'{"event": "message.delta", "delta": "Yes."}',
        b'{"event": "reasoning.available", "text": "Yes."}',
    )
    repeated = b"".join(b"data: %b\n\n" % it for it in said)
    assert played(repeated, Reading()) == Words("Yes.", "", "", None, ("Hermes",))
    whole = frame("I am ready.") + DONE
    assert played(whole.rstrip(), Reading()) == played(whole, Reading())
    assert played(b"", Reading()) == Words("", "", "", None, ())


def test_the_digest_tells_runtimes_and_whether_there_is_reasoning() -> None:
    one = Words("Found.", "", "Well.", "stop", ("OpenAI chat",))
    assert one._replace(reasoning="Let me see.").digest == one.digest == "11f752dcfb38cf57"
    changes: list[dict[str, Any]] = [
        *({"reasoning": ""}, {"runtimes": ("Anthropic",)}, {"runtimes": ()}),
        *({"text": "Lost."}, {"tools": "find"}, {"finish_reason": "length"}),
        *({"models": ("claude-5",)}, {"complete": True}, {"failed": True}),
    ]
    assert len({it.digest for it in (one, *(one._replace(**it) for it in changes))}) == 10
    assert Words("", "", "", None, ()).digest is None, "its events are what it says"
