"""What an instance keeps of a turn beside its text, what bounds it, and what is recorded of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from core_tools import (
    DONE,
    HI,
    USAGE,
    Chatted,
    begin,
    called,
    chunk,
    counting,
    end,
    finished,
    handle_of,
    ready,
    turn_of,
    typed,
)
from scripted_io import (
    HANG,
    ID,
    START,
    Listening,
    Took,
    calls_of,
    events,
    late,
    lost,
    refused,
    reply,
    stream,
)

from pytest_hydrasmoke import ChatError, TokenUsage, ToolCall
from pytest_hydrasmoke._core import handle as handle_room
from pytest_hydrasmoke._core import kept
from pytest_hydrasmoke._core.account import Count, TurnAccount
from pytest_hydrasmoke._core.chat_target import ChatTarget
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.incoming import Reading
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._core.stage import RecordedChat, Stage
from pytest_hydrasmoke._core.turn_story import with_content
from pytest_hydrasmoke._journal.chat import MOST_CALLS, MOST_TEXT, Thought, Tokens, ToldCall
from pytest_hydrasmoke._journal.chat import Turn as Told
from pytest_hydrasmoke._journal.events import Doing
from pytest_hydrasmoke._journal.story import Story
from pytest_hydrasmoke._runtimes.content import Content
from pytest_hydrasmoke._runtimes.meaning import Meaning, ToolCalled, ToolResult
from pytest_hydrasmoke._transport.protocol import Answer, drive
from pytest_hydrasmoke.instance import SmokeInstance
from pytest_hydrasmoke.turn import ChatStream

TOLD = [
    Took(1, chunk({"reasoning_content": "Hm, "}) + chunk({"reasoning_content": "well."})),
    Took(2, chunk({"content": "I look. "})),
    Took(1, called("look", '{"city": ', id="a") + called(None, '"Oslo"}')),
    Took(5, chunk({"content": "Cold."})),
    Took(0, finished("stop") + USAGE + DONE),
]


def instance_of(
    *steps: Any, keeper: Listening | None = None, reading: Reading | None = None
) -> SmokeInstance:
    it = ready() if keeper is None else ready(keeper=keeper)
    _, handle = handle_of(it, llm_events=[events(0)] * 9, chat=[stream(*steps)])
    return SmokeInstance(Handle(handle._calls, it, reading or Reading()))


def story_of(it: SmokeInstance) -> Told:
    [told] = it._handle.instance.chats.turns
    return told.turn


def test_a_turn_tells_tools_reasoning_and_usage_in_their_time_and_its_story_too() -> None:
    whole, streamed = instance_of(*TOLD), instance_of(*TOLD)
    turn = whole.chat("hello")
    assert [event.text for event in turn.events] == [
        "",
        "",
        "I look. ",
        "",
        "",
        "Cold.",
        "",
        "",
        "",
    ]
    assert turn.tool_calls == (ToolCall("look", {"city": "Oslo"}, "a", None, 4.0),)
    assert (turn.reasoning, turn.usage) == ("Hm, well.", TokenUsage(7, 2))
    assert (turn.first_event_after, turn.first_text_after, turn.max_gap) == (1.0, 3.0, 5.0)
    with streamed.stream_chat("hello") as events:
        assert "".join(event.text for event in events) == turn.text == "I look. Cold."
    for it in (whole, streamed):
        story, seen = story_of(it), it._handle.instance
        assert story.text == turn.text
        assert story.tool_calls == (ToldCall("look", "a", '{"city": "Oslo"}', None, 4.0, 8),)
        assert story.thoughts == (Thought("Hm, well.", 1.0, 0),)
        assert story.usage == seen.chats.tokens == Tokens(7, 2)
        assert (story.first_text_after, story.max_gap) == (3.0, 5.0)
        assert seen.chats.waits == {"first_text": 3.0, "gap": 5.0}
        assert (story.notes, list(seen.notes), seen.chats.untold) == ((), [], 0)
    nothing = instance_of(DONE).chat("hello")
    assert (nothing.tool_calls, nothing.reasoning, nothing.usage) == ((), "", None)
    assert (nothing.first_text_after, nothing.max_gap) == (None, 0.0)


def test_a_chat_beside_its_instance_tells_no_story_and_the_run_knows_of_the_turn() -> None:
    known = ready()
    _, calls = calls_of(None, chat=[stream(*TOLD[:3], b"")])
    turn = turn_of(calls, it=known.target.beside(ID.upper()), end="auto")
    with pytest.raises(ChatError) as caught, ChatStream(turn) as events:
        assert "".join(event.text for event in events) == "I look. "
    assert (list(known.chats.turns), known.failures, caught.value.failure) == ([], {}, None)
    assert known.target.settling.last is not None
    assert (known.target.settling.number, known.target.settling.last.how) == (1, "failed")


def test_a_turn_that_fails_keeps_what_it_said() -> None:
    it = instance_of(*TOLD[:3], b"")
    with pytest.raises(ChatError):
        it.chat("hello")
    story, seen = story_of(it), it._handle.instance
    assert [call.name for call in story.tool_calls] == ["look"]
    assert (story.usage, seen.chats.untold) == (None, 1), "its tokens are not known, and not 0"


def step(kind: str, **fields: Any) -> bytes:
    return typed({"type": kind, **fields})


def starts(tool: str, name: str = "look") -> bytes:
    return step("TOOL_CALL_START", toolCallId=tool, toolCallName=name)


def told(tool: str) -> bytes:
    return step("TOOL_CALL_RESULT", toolCallId=tool, content="cold")


SPEAKS, OVER = step("TEXT_MESSAGE_CONTENT", delta="Cold."), step("RUN_FINISHED")
CALLING: dict[str, tuple[list[bytes], bool, list[str | None]]] = {
    # A stream, whether reports have words of it, and what is told of tools while it comes.
    "until they tell, or the agent speaks": (
        [starts("a"), told("a"), starts("b", "wait"), starts("a"), SPEAKS, starts("a"), OVER],
        *(True, [None, "look", None, "wait", "look", None, "look", None]),
    ),
    "without words": ([starts("a"), OVER], False, [None, "a tool", None]),
    "very many": (
        [step(f"{at}") for at in range(MOST_CALLS + 5) for step in (starts, told)] + [OVER],
        *(True, [*[None, "look"] * MOST_CALLS, None, None]),
    ),
}


@pytest.mark.parametrize("name", CALLING)
def test_what_an_agent_does_is_told_while_it_comes(name: str) -> None:
    steps, quoted, tools = CALLING[name]
    doing: list[Doing] = []
    keeper = Listening(doing=doing.append)
    instance_of(*steps, keeper=keeper, reading=Reading(quoted=quoted)).chat("hello")
    assert [it.tool for it in doing] == tools
    assert [it.phase for it in doing] == ["turn"] * (len(tools) - 1) + [None]
    assert {it.deadline for it in doing[:-1]} == {START + 120}


def test_of_very_much_a_part_is_kept() -> None:
    calls = [called("look", '{"a": "' + "x" * 3000 + '"}', number) for number in range(300)]
    thoughts = [chunk({"reasoning": "y" * 9000}) + called("z", "", 900 + n) for n in range(9)]
    it = instance_of(*thoughts, *calls, DONE)
    assert len(it.chat("hello").tool_calls) == 309, "the turn itself has all of it"
    story = story_of(it)
    assert len(story.tool_calls) == MOST_CALLS
    assert sum(len(call.arguments or "") for call in story.tool_calls) == MOST_TEXT
    assert sum(len(thought.text) for thought in story.thoughts) == MOST_TEXT
    assert list(story.notes) == ["109 more tool calls are not kept"]
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    content = Content()
    content.add(Meaning(parts=(ToolCalled("a", "look"), ToolResult("a", deep))), 0.0)
    assert with_content(Told(1, "hello"), content).tool_calls[0].result == (
        "(nested too deeply to be shown)"
    )


def test_arguments_that_are_not_kept_whole_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle_room, "STREAMED", 2_000)
    it = instance_of(*[called("look", "[" * 500)] * 9, USAGE + DONE)
    with it.stream_chat("hello") as events:
        list(events)
    story = story_of(it)
    assert [call.arguments for call in story.tool_calls] == [None]
    assert list(story.notes) == ["it sent more reasoning and tool calls than are kept"]
    assert story.usage == Tokens(7, 2), "which takes no room"


BIG = "x" * 2000
FLOODS = {
    "reasoning": chunk({"reasoning_content": BIG}),
    "arguments": called(None, BIG),
    "whole arguments": typed({"event": "tool.started", "tool": "t", "args": {"a": BIG}}),
    "calls": chunk({"tool_calls": [{"id": f"a{n}"} for n in range(50)]}),
    "results": starts("a") + step("TOOL_CALL_RESULT", toolCallId="a", content=BIG),
    "results of many parts": typed(
        {"event": "tool.started", "tool": "t"},
        {"event": "tool.completed", "tool": "t", "result": [[]] * 500},
    ),
    "tools that progress": b"event: hermes.tool.progress\n"
    + typed({"tool": "t", "status": "running"}),
}


@pytest.mark.parametrize("case", FLOODS)
def test_a_flood_of_anything_ends_in_one_error(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The bound itself takes seconds to fill; what is held counts for more than the events alone.
    monkeypatch.setattr(kept, "HELD", 200_000)
    flood = FLOODS[case]
    it = instance_of(*[flood] * (400_000 // len(flood) + 1000), DONE)
    with pytest.raises(ChatError, match="MiB of memory: the turn was broken off"):
        it.chat("hello")
    assert story_of(it).events * len(flood) < 200_000, "and not by its events alone"

    # A stream that is not kept leaves no more than a part.
    monkeypatch.setattr(handle_room, "STREAMED", 10_000)
    it = instance_of(*[flood] * 150, OVER)
    with it.stream_chat("hello") as events:
        assert sum(1 for _ in events) > 150
    assert "it sent more reasoning and tool calls than are kept" in story_of(it).notes


class Recording(Stage):
    """Has every turn recorded."""

    def asks(self, turn: RecordedChat) -> None:
        turn.records()


ERROR = b'data: {"error": {"message": "no"}}\n\n'
BOOTING = reply(503, {"detail": "booting"})
RECORDED: dict[str, tuple[list[Any], str, list[bytes], Answer | None]] = {
    # The answers to a message, how it ended, and which bytes are recorded, or which refusal.
    "as they were read": (
        [stream(Took(0.5, HI[:7]), Took(0.25, HI[7:] + DONE))],
        *("closed", [HI[:7], HI[7:] + DONE], None),
    ),
    "lost after its end": ([stream(HI, DONE, lost())], "closed", [HI, DONE], None),
    "without an end": ([stream(HI)], "closed", [HI], None),
    "empty": ([stream()], "closed", [], None),
    "cut": ([stream(HI, lost())], "cut", [HI], None),
    "stalled": ([stream(HI, HANG)], "stalled", [HI], None),
    "an error": ([stream(ERROR, DONE)], "left", [ERROR], None),
    "left by its reader": ([stream(HI, HI, HI, DONE)], "left", [HI, HI], None),
    "refused, then accepted": ([reply(503), stream(HI, DONE)], "closed", [HI, DONE], None),
    "refused": ([BOOTING, ...], "left", [], BOOTING),
    "no stream": ([stream(b"", kind="text/html")], "left", [], reply(200)),
    "no body": ([reply(204)], "left", [], reply(204)),
    "lost": ([lost(), ...], "cut", [], None),
    "never reached": ([refused(), ...], "cut", [], None),
    "late": ([late(), ...], "stalled", [], None),
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_turn_is_recorded(name: str) -> None:
    answers, how, chunks, refusal = RECORDED[name]
    it = ChatTarget(story=Story(id=ID), run_turns=RunTurns(stage=Recording()))
    most = 2 if name.startswith("left") else math.inf
    turn = Chatted(chat=[*answers], it=it, end="auto", timeout=60.0, most=most).turn
    assert (turn.outcome.ending, turn.message) == (how, "hello")
    assert [chunk for _, chunk in turn.kept.chunks] == chunks
    found = turn.outcome.refusal
    assert (found and (found.status, found.body)) == (refusal and (refusal.status, refusal.body))
    if name == "as they were read":
        assert [at for at, _ in turn.kept.chunks] == [0.5, 0.75]
        assert turn.came.reply == "Hi"
    if name == "no stream":
        assert found is not None
        assert found.headers["content-type"] == "text/html"


def test_the_last_turns_events_are_counted_for_a_recording() -> None:
    # A recording does without those that can't be read, and the test goes on.
    for answer, found in ((events(5, "a"), (5, frozenset("a"))), (reply(422), None)):
        it = ready()
        number = begin(it, 3, START)
        account = it.target.account = TurnAccount(Count(START, 3, number=number), recorded=True)
        io, calls = calls_of(it, llm_events=[answer])
        drive(counting(calls, it).for_recording())
        assert len(io.sent) == 1
        assert (account.found and account.found.rows) == found


def test_what_a_replay_does_not_know_is_no_sign_of_a_turn_without_events() -> None:
    it = ready()
    begin(it, 0, START)
    end(it, START, known=False)
    assert it.target.settling.last is not None
    assert not it.target.settling.last.sure
