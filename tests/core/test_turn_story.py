"""What a record keeps of a turn beside its text, and what bounds it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from scripted_io import ID, Listening, Took, calls_of, events, record, stream

from pytest_hydrasmoke import ChatError
from pytest_hydrasmoke._core import handle as handle_room
from pytest_hydrasmoke._core import kept_events
from pytest_hydrasmoke._core.beside import Beside
from pytest_hydrasmoke._core.chat import OpenTurn
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.told_turn import with_content
from pytest_hydrasmoke._journal.chat import MOST_CALLS, MOST_TEXT, Thought, Tokens, Tool
from pytest_hydrasmoke._journal.chat import Turn as Told
from pytest_hydrasmoke._journal.events import Doing
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.meaning import Meaning, ToolCalled, ToolResult
from pytest_hydrasmoke.instance import SmokeInstance
from pytest_hydrasmoke.turn import ChatStream

DONE = b"data: [DONE]\n\n"


def frame(value: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n".encode()


def chunk(delta: dict[str, Any], **more: Any) -> bytes:
    return frame({"choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more})


def called(name: str | None, arguments: str, index: int = 0) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"name": name, "arguments": arguments}}]}


USAGE = frame({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})
TOLD = [
    Took(1, chunk({"reasoning_content": "Hm, "}) + chunk({"reasoning_content": "well."})),
    Took(2, chunk({"content": "I look. "})),
    Took(1, chunk(called("look", '{"city": ')) + chunk(called(None, '"Oslo"}'))),
    Took(5, chunk({"content": "Cold."})),
    Took(0, USAGE + DONE),
]


def instance_of(
    *steps: Any, listening: Listening | None = None, reading: Reading | None = None
) -> SmokeInstance:
    it = record(state=State.READY, id=ID)
    if listening is not None:
        it.keeper = listening
    _, calls = calls_of(it, llm_events=[events(0)] * 9, chat=[stream(*steps)])
    return SmokeInstance(Handle(calls, it, Policy(), reading or Reading()))


def story_of(it: SmokeInstance) -> Told:
    [told] = it._handle.record.turns
    return told.turn


def read(it: SmokeInstance, *, streamed: bool) -> None:
    if streamed:
        with it.stream_chat("hello") as events:
            for _ in events:
                pass
    else:
        it.chat("hello")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_turns_story_has_what_it_said_beside_its_text_in_its_place(streamed: bool) -> None:
    it = instance_of(*TOLD)
    read(it, streamed=streamed)
    story = story_of(it)
    assert story.text == "I look. Cold."
    assert story.tool_calls == (Tool("look", None, '{"city": "Oslo"}', None, 4.0, 8),)
    assert story.thoughts == (Thought("Hm, well.", 1.0, 0),)
    assert story.usage == it._handle.record.tokens == Tokens(7, 2)
    assert (story.first_text_after, story.max_gap) == (3.0, 5.0)
    assert it._handle.record.waits == {"first_text": 3.0, "gap": 5.0}
    assert (story.notes, it._handle.record.untold) == ((), 0)


def test_an_event_tells_what_it_adds_to_the_reply() -> None:
    turn = instance_of(*TOLD).chat("hello")
    assert [event.text for event in turn.events] == ["", "", "I look. ", "", "", "Cold.", "", ""]
    with instance_of(*TOLD).stream_chat("hello") as events:
        assert "".join(event.text for event in events) == "I look. Cold."
    # An event of a plain client finds it when it is asked for.
    _, calls = calls_of(None, chat=[stream(*TOLD)])
    it = Beside(ID)
    with ChatStream(
        OpenTurn(calls, it, "hello", timeout=60, end="auto", reading=Reading())
    ) as events:
        assert "".join(event.text for event in events) == "I look. Cold."


def test_a_chat_beside_its_instances_record_tells_no_story_and_the_run_knows_of_the_turn() -> None:
    known = record(state=State.READY, id=ID)
    _, calls = calls_of(None, chat=[stream(*TOLD[:3], b"")])
    turn = OpenTurn(
        *(calls, Beside(ID.upper(), known), "hello"),
        timeout=60,
        end="auto",
        reading=Reading(),
        content=Content(),
    )
    with pytest.raises(ChatError) as caught, ChatStream(turn) as events:
        assert len(list(events)) == 5
    assert (list(known.turns), known.failures, caught.value.failure) == ([], {}, None)
    assert known.settling.last is not None
    assert (known.settling.number, known.settling.last.how) == (1, "failed")


def test_a_turn_that_fails_keeps_what_it_said() -> None:
    it = instance_of(*TOLD[:3], b"")
    with pytest.raises(ChatError):
        it.chat("hello")
    story, seen = story_of(it), it._handle.record
    assert [call.name for call in story.tool_calls] == ["look"]
    assert (story.usage, seen.untold) == (None, 1), "its tokens are not known, and not 0"


def test_frames_of_two_runtimes_are_noted() -> None:
    other = frame({"type": "TEXT_MESSAGE_CONTENT", "delta": "Hi"})
    it = instance_of(chunk({"content": "Hi"}) + other + chunk({"content": "Hi"}) + DONE)
    assert it.chat("hello").text == "HiHiHi"
    note = "its frames are of OpenAI chat, then AG-UI"
    assert story_of(it).notes == (note,)
    assert it._handle.record.notes == {
        f"in a chat, {note}": "a chat had content that could not be read"
    }


def test_a_tool_is_called_until_it_tells_or_the_agent_speaks() -> None:
    doing: list[Doing] = []
    result = frame({"type": "TOOL_CALL_RESULT", "toolCallId": "a", "content": "cold"})
    start = frame({"type": "TOOL_CALL_START", "toolCallId": "a", "toolCallName": "look"})
    wait = frame({"type": "TOOL_CALL_START", "toolCallId": "b", "toolCallName": "wait"})
    text = frame({"type": "TEXT_MESSAGE_CONTENT", "delta": "Cold."})
    end = frame({"type": "RUN_FINISHED"})
    instance_of(
        start, result, wait, start, text, start, end, listening=Listening(doing=doing.append)
    ).chat("hello")
    assert [it.phase for it in doing] == ["turn"] * 7 + [None]
    assert [it.tool for it in doing] == [*(None, "look", None, "wait"), *("look", None) * 2]


def test_of_very_many_calls_no_more_is_told_while_they_come() -> None:
    doing: list[Doing] = []
    calls = [
        frame({"type": kind, "toolCallId": f"{at}", "toolCallName": "look"})
        for at in range(MOST_CALLS + 5)
        for kind in ("TOOL_CALL_START", "TOOL_CALL_RESULT")
    ]
    instance_of(*calls, DONE, listening=Listening(doing=doing.append)).chat("hello")
    assert [it.tool for it in doing].count("look") == MOST_CALLS
    assert doing[-2].tool is None


def test_a_tool_is_not_named_where_reports_have_no_words() -> None:
    doing: list[Doing] = []
    it = instance_of(
        frame({"type": "TOOL_CALL_START", "toolCallId": "a", "toolCallName": "look"}),
        DONE,
        listening=Listening(doing=doing.append),
        reading=Reading(quoted=False),
    )
    it.chat("hello")
    assert [it.tool for it in doing] == [None, "a tool", None]


def test_of_very_much_a_part_is_kept() -> None:
    calls = [chunk(called("look", '{"a": "' + "x" * 3000 + '"}', number)) for number in range(300)]
    thoughts = [
        chunk({"reasoning": "y" * 9000}) + chunk(called("z", "", 900 + n)) for n in range(9)
    ]
    it = instance_of(*thoughts, *calls, DONE)
    assert len(it.chat("hello").tool_calls) == 309, "the turn itself has all of it"
    story = story_of(it)
    assert len(story.tool_calls) == MOST_CALLS
    assert sum(len(call.arguments or "") for call in story.tool_calls) == MOST_TEXT
    assert sum(len(thought.text) for thought in story.thoughts) == MOST_TEXT
    assert list(story.notes) == ["109 more tool calls are not kept"]


def test_arguments_that_are_not_kept_whole_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle_room, "STREAMED", 2_000)
    it = instance_of(*[chunk(called("look", "[" * 500))] * 9, USAGE + DONE)
    read(it, streamed=True)
    story = story_of(it)
    assert [call.arguments for call in story.tool_calls] == [None]
    assert list(story.notes) == ["it sent more reasoning and tool calls than are kept"]
    assert story.usage == Tokens(7, 2), "which takes no room"


def test_a_result_that_is_nested_too_deeply_is_told_as_that() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    content = Content()
    content.add(Meaning(parts=(ToolCalled("a", "look"), ToolResult("a", deep))), 0.0)
    story = with_content(Told(1, "hello"), content)
    assert story.tool_calls[0].result == "(nested too deeply to be shown)"


# --- floods ----------------------------------------------------------------------------------


def typed(kind: str, **fields: Any) -> bytes:
    return frame({"type": kind, **fields})


def goose(**content: Any) -> bytes:
    return typed("Message", message={"role": "assistant", "content": [content]})


BIG = "x" * 2000
FLOODS = {
    "openai, reasoning": chunk({"reasoning_content": BIG}),
    "openai, arguments": chunk(called(None, BIG)),
    "openai, calls": chunk({"tool_calls": [{"id": f"a{n}"} for n in range(50)]}),
    "hermes run, reasoning": frame({"event": "reasoning.delta", "delta": BIG}),
    "hermes run, arguments": frame({"event": "tool.started", "tool": "t", "args": {"a": BIG}}),
    "hermes run, results": frame({"event": "tool.started", "tool": "t"})
    + frame({"event": "tool.completed", "tool": "t", "result": [[]] * 500}),
    "hermes session, reasoning": frame({"delta": BIG}, "reasoning.delta"),
    "hermes progress": frame({"tool": "t", "status": "running"}, "hermes.tool.progress"),
    "responses, reasoning": typed("response.reasoning_text.delta", delta=BIG),
    "responses, arguments": typed("response.function_call_arguments.delta", item_id="i", delta=BIG),
    "anthropic, reasoning": typed(
        "content_block_delta", delta={"type": "thinking_delta", "thinking": BIG}
    ),
    "anthropic, arguments": typed(
        "content_block_delta", delta={"type": "input_json_delta", "partial_json": BIG}
    ),
    "goose, reasoning": goose(type="thinking", thinking=BIG),
    "goose, arguments": goose(type="toolRequest", id="a", toolCall={"arguments": {"a": BIG}}),
    "goose, results": goose(type="toolRequest", id="a")
    + goose(type="toolResponse", id="a", toolResult={"value": BIG}),
    "ag-ui, reasoning": typed("REASONING_MESSAGE_CONTENT", delta=BIG),
    "ag-ui, arguments": typed("TOOL_CALL_ARGS", toolCallId="a", delta=BIG),
    "ag-ui, results": typed("TOOL_CALL_START", toolCallId="a")
    + typed("TOOL_CALL_RESULT", toolCallId="a", content=BIG),
    "ai sdk, reasoning": typed("reasoning-delta", delta=BIG),
    "ai sdk, arguments": typed("tool-input-delta", toolCallId="a", inputTextDelta=BIG),
    "ai sdk, results": typed("tool-input-start", toolCallId="a")
    + typed("tool-output-available", toolCallId="a", output={"a": BIG}),
}


@pytest.mark.parametrize("case", FLOODS)
def test_a_flood_of_anything_ends_in_one_error(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The bound itself takes seconds to fill; what is held counts for more than the events alone.
    monkeypatch.setattr(kept_events, "HELD", 400_000)
    flood = FLOODS[case]
    it = instance_of(*[flood] * (800_000 // len(flood) + 2000), DONE)
    with pytest.raises(ChatError, match="MiB of memory: the turn was broken off"):
        it.chat("hello")
    assert story_of(it).events * len(flood) < 400_000, "and not by its events alone"

    # A stream that is not kept leaves no more than a part.
    monkeypatch.setattr(handle_room, "STREAMED", 20_000)
    it = instance_of(*[flood] * 300, DONE)
    with it.stream_chat("hello") as events:
        assert sum(1 for _ in events) > 300
    assert "it sent more reasoning and tool calls than are kept" in story_of(it).notes
