"""What changed between two recordings, in words."""

from __future__ import annotations

import json
from dataclasses import replace as replaced

import pytest
from recorded_turns import DONE, differs, frame, refusal, turn

from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._recordings.compare import Said, compared, played
from pytest_hydrasmoke._recordings.format import Events, Recorded, Refusal


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
            "finish reason: 'length', and was none",
        ),
        (
            replaced(turn(frame("I am ready."), DONE), end="cut"),
            "ending: 'cut', and was 'closed'",
        ),
        (
            replaced(turn(frame("I am ready."), DONE), llm_events=Events(1, ("a",), 0.1)),
            "LLM events: '1 of a', and was not counted",
        ),
    ],
)
def test_the_first_words_that_changed_are_told(new: Recorded, told: str | None) -> None:
    old = turn(frame("I am ready."), DONE)
    kept, change = compared([old, old], [old, new], Reading())
    assert change == (told and f"turn 2, {told}")
    assert kept == [old, new if told else old]


def test_turns_that_say_the_same_stay_whole_wherever_they_are() -> None:
    def says(message: str, text: str, at: int = 1) -> Recorded:
        return replaced(turn(message=message), chunks=[(at, frame(text)), (at, DONE)])

    old = [says("a", "1"), says("b", "2"), says("gone", "3"), says("a", "4")]
    new = [says("new", "0", 2), says("b", "2", 2), says("a", "1", 2), says("a", "5", 2)]
    kept, change = compared(old, new, Reading())
    assert kept == [new[0], old[1], old[0], new[3]]
    assert change == "turn 1, new: 'new'; and 1 more turn; removed: 'gone'"
    assert compared(old, [old[1], old[0], old[3]], Reading())[1] == "removed: 'gone'"
    assert compared(old, list(reversed(old[:3])), Reading())[1] == "removed: 'a'"
    assert compared(old, [], Reading())[1] == "removed: 'a' and 3 more"


def test_another_order_on_an_instance_is_a_change() -> None:
    one, two = turn(DONE, message="One"), turn(DONE, message="Two")
    kept, change = compared([one, two], [two, one], Reading())
    assert (kept, change) == ([two, one], "its messages came in another order")
    # Several instances may be used at once, and those of a client are not told apart.
    for first, second in ((0, 1), (None, None)):
        old = [replaced(one, instance=first), replaced(two, instance=second)]
        assert compared(old, old[::-1], Reading())[1] is None


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
    assert differs(turn(DONE), with_tool) == (
        "turn 1, tools: 'find({}) -> None', and was ''; format: 'OpenAI chat', and was unknown"
    )
    assert differs(failed, failed) is None
    assert differs(failed, turn()) is None


SAYS = b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": %b}\n\n'
CLAUDE = SAYS % b'{"type": "text_delta", "text": "I am ready."}'


def thinks(words: str) -> bytes:
    return frame("", delta={"reasoning_content": words})


def test_another_runtime_is_a_change() -> None:
    openai, anthropic = turn(frame("I am ready."), DONE), turn(CLAUDE, DONE)
    bare = turn(b"data: I am ready.\n\n", DONE)
    assert differs(openai, anthropic) == "turn 1, format: 'Anthropic', and was 'OpenAI chat'"
    assert differs(anthropic, bare) == "turn 1, format: unknown, and was 'Anthropic'"
    both = turn(frame(""), CLAUDE, DONE)
    assert differs(anthropic, both) == (
        "turn 1, format: 'OpenAI chat, Anthropic', and was 'Anthropic'"
    )


def test_whether_there_is_reasoning_is_compared_and_not_its_words() -> None:
    none = turn(frame("I am ready."), DONE)
    some, other = (turn(thinks(words), frame("I am ready."), DONE) for words in ("Am I?", "Yes."))
    assert differs(none, some) == "turn 1, reasoning: some, and was none"
    assert differs(some, none) == "turn 1, reasoning: none, and was some"
    assert compared([some], [other], Reading()) == ([some], None)


def test_usage_is_not_compared() -> None:
    def used(tokens: int) -> bytes:
        usage = {"prompt_tokens": tokens, "completion_tokens": tokens}
        return f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode()

    one, other = (turn(frame("Hi"), used(tokens), DONE) for tokens in (1, 2))
    assert compared([one], [other], Reading()) == ([one], None)


def test_a_file_with_a_digest_of_an_earlier_release_stays_while_nothing_changes() -> None:
    old = replaced(turn(frame("I am ready."), DONE), said="5f0c1d2e3a4b5968")
    again = turn(frame("I am ready.", id="2"), DONE)
    again = replaced(again, said=said("I am ready."))
    assert compared([old], [again], Reading()) == ([old], None)
    other = replaced(turn(thinks("Am I?"), frame("I am ready."), DONE), said="0")
    assert differs(old, other) == "turn 1, reasoning: some, and was none"


def test_each_kind_of_difference_is_named() -> None:
    call = {"index": 0, "id": "1", "function": {"name": "find", "arguments": "{}"}}
    old = turn(frame("I am ready.", finish_reason="stop"), DONE)
    new = turn(
        thinks("Am I?"),
        frame("", delta={"tool_calls": [call]}),
        frame("I am set.", finish_reason="length"),
        DONE,
    )
    new = replaced(new, end="cut", llm_events=Events(2, ("a",), 0.1))
    told = (
        "text: 'I am set.', and was 'I am ready.'; tools: 'find({}) -> None', and was ''; "
        "finish reason: 'length', and was 'stop'; ending: 'cut', and was 'closed'; "
        "reasoning: some, and was none; LLM events: '2 of a', and was not counted"
    )
    assert compared([old, old], [new, new], Reading())[1] == f"turn 1, {told}; and 1 more turn"


def test_of_many_long_differences_the_last_ones_are_only_named() -> None:
    find = {"name": "find", "arguments": json.dumps({"a": "a" * 400})}
    call = {"index": 0, "id": "1", "function": find}
    old = turn(frame("a" * 400), DONE)
    new = replaced(
        turn(frame("", delta={"tool_calls": [call]}), frame("b" * 400), DONE),
        end="cut",
        spec={"manifest_id": "s" * 400},
    )
    words = compared([old, old], [new, new], Reading())[1]
    assert words is not None
    assert len(words) < 330
    first, *others = words.split("; ")
    assert first.startswith("turn 1, text: 'bbb")
    assert "and was 'aaa" in first
    assert others == ["tools", "ending: 'cut', and was 'closed'", "spec", "and 1 more turn"]


def test_what_a_turn_was_and_is_told_in_words() -> None:
    one = turn(DONE)
    other = {"manifest_id": "other"}
    assert differs(one, replaced(one, spec=other)) == (
        "turn 1, spec: \"{'manifest_id': 'other'}\", and was \"{'manifest_id': 'hermes-basic'}\""
    )
    two_fields = {"manifest_id": "hermes-basic", "tier_id": "tier-1"}
    turned = dict(reversed(two_fields.items()))
    assert differs(replaced(one, spec=two_fields), replaced(one, spec=turned)) is None
    refused = replaced(one, end=None, chunks=[], refused=Refusal(503, "", b"no"))
    assert differs(refused, one) == (
        "turn 1, ending: 'closed', and was 'refused'; refusal: none, and was '503 no'"
    )
    two = replaced(one, llm_events=Events(2, ("a", "b"), 0.1))
    none = replaced(one, llm_events=Events(0, (), 0.1))
    assert differs(none, two) == "turn 1, LLM events: '2 of a, …', and was '0 of none'"
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


def test_what_somebody_has_edited_is_as_it_was_while_the_agent_says_the_same() -> None:
    first = replaced(turn(frame("I am ready."), DONE), said=said("I am ready."))
    edited = replaced(first, chunks=[(400, frame("I am rea") + DONE)])
    again = replaced(first, chunks=[(400, frame("I am ready.", id="2")), (401, DONE)])
    other = replaced(turn(frame("I am set."), DONE), said=said("I am set."))
    assert differs(edited, again) is None
    assert differs(edited, replaced(again, end="cut")) == (
        "turn 1, text: 'I am ready.', and was 'I am rea'; ending: 'cut', and was 'closed'"
    )
    assert differs(edited, other) == "turn 1, text: 'I am set.', and was 'I am rea'"
    assert differs(replaced(edited, said=None), replaced(again, said=None)) == (
        "turn 1, text: 'I am ready.', and was 'I am rea'"
    )


def said(text: str) -> str:
    """Return the digest of a turn's words."""
    return Said(text, "", "", None, ("OpenAI chat",)).digest


def test_llm_events_that_nobody_counted_this_time_are_as_they_were() -> None:
    counted = replaced(turn(frame("I am ready."), DONE), llm_events=Events(1, ("a",), 0.1))
    not_counted = replaced(counted, llm_events=None)
    assert compared([counted], [not_counted], Reading()) == ([counted], None)
    now = replaced(not_counted, chunks=[(400, frame("I am set.")), (401, DONE)])
    kept, told = compared([counted], [now], Reading())
    assert kept == [now]
    assert told == "turn 1, text: 'I am set.', and was 'I am ready.'"


# What a stream says

CALL = {"index": 0, "id": "1", "function": {"name": "find", "arguments": '{"a": 1}'}}


def test_text_tools_thoughts_and_finish_reason_are_read() -> None:
    stream = frame("", delta={"reasoning_content": "Well."}) + frame(
        "", delta={"tool_calls": [CALL]}
    )
    stream += frame("Found.", finish_reason="stop") + b"data: [DONE]\n\n"
    assert played(stream, Reading()) == Said(
        "Found.", "find({'a': 1}) -> None", "Well.", "stop", ("OpenAI chat",)
    )


def test_a_stream_that_breaks_off_says_what_came_before() -> None:
    stream = frame("I am") + b'data: {"error": {"message": "no"}}\n\n'
    assert played(stream, Reading()).text == "I am"
    assert played(b"", Reading()) == Said("", "", "", None, ())


def test_the_digest_tells_runtimes_and_whether_there_is_reasoning() -> None:
    one = Said("Found.", "", "Well.", "stop", ("OpenAI chat",))
    same = replaced(one, reasoning="Let me see.")
    others = [
        replaced(one, reasoning=""),
        replaced(one, runtimes=("Anthropic",)),
        replaced(one, runtimes=()),
        replaced(one, text="Lost."),
        replaced(one, tools="find"),
        replaced(one, finish_reason="length"),
    ]
    assert same.digest == one.digest
    assert len({it.digest for it in (one, *others)}) == 7
