"""A chat by an instance's handle: the whole turn, what is noted of it, and what breaks it off."""

from __future__ import annotations

import itertools
import json
import sys
from types import FrameType
from typing import Any

import pytest
from scripted_io import (
    HANG,
    ID,
    START,
    Listening,
    ScriptedIO,
    Took,
    calls_of,
    events,
    lost,
    record,
    reply,
    stream,
)

from pytest_hydrasmoke import (
    ChatBusyError,
    ChatError,
    ChatTimeoutError,
    ChatTurn,
    TokenUsage,
    ToolCall,
)
from pytest_hydrasmoke._core import chat, one_turn
from pytest_hydrasmoke._core.chat import OpenTurn
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.turn_account import Count
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._transport.protocol import drive

HI = b"data: Hi\n\n"


DONE = b"data: [DONE]\n\n"


def handle_of(
    it: InstanceRecord | None = None, policy: Policy | None = None, **scripts: Any
) -> tuple[ScriptedIO, Handle]:
    it = it or record(state=State.READY, id=ID)
    io, calls = calls_of(it, **scripts)
    return io, Handle(calls, it, policy or Policy(), Reading())


def chatted(handle: Handle) -> ChatTurn:
    return ChatTurn(handle, *drive(handle.chat("hello", None)))


def test_a_chat_gives_the_whole_turn() -> None:
    answer = stream(Took(1, HI), Took(2, b"data:  there\n\n"), Took(1, DONE))
    io, handle = handle_of(llm_events=[events(0)], chat=[answer])
    result = chatted(handle)
    assert (result.message, result.text) == ("hello", "Hi there")
    assert [event.data for event in result.events] == ["Hi", " there", "[DONE]"]
    assert [event.at for event in result.events] == [1.0, 3.0, 4.0]
    assert (result.first_event_after, result.duration) == (1.0, 4.0)
    assert result.complete
    assert answer.closed == 1
    assert io.calls_sent() == ["llm_events", "chat"], "the baseline is read before the turn"
    assert handle.record.phases == {"first_event": 1.0, "turn": 4.0}
    assert (result._turn.account.before, result._turn.account.after) == (
        Count(START, number=1),
        None,
    )
    assert list(handle.record.notes) == []


def test_each_turn_has_its_baseline_which_bounds_the_one_before() -> None:
    _, handle = handle_of(
        llm_events=[events(0), events(2, "a"), ...], chat=[stream(HI + DONE), stream(HI + DONE)]
    )
    first, second = (chatted(handle)._turn.account for _ in range(2))
    assert (first.before.count, second.before.count) == (0, 2)
    assert (first.after, second.after) == (second.before, None)
    assert handle.record.chats == 2


CUT_SHORT = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "length"}]}\n\n'


@pytest.mark.parametrize(
    ("frames", "complete", "reason", "notes"),
    [
        ([HI], False, None, ["a chat's stream ended without a terminal event"]),
        (
            [CUT_SHORT, DONE],
            True,
            "length",
            ["a reply was cut short: it finished with 'length'"],
        ),
        (
            [CUT_SHORT.replace(b"length", b"tool_calls"), DONE],
            True,
            "tool_calls",
            ["a chat ended as its model waited for its tools: it finished with 'tool_calls'"],
        ),
    ],
)
def test_what_is_odd_about_an_end_is_noted(
    frames: list[bytes], complete: bool, reason: str | None, notes: list[str]
) -> None:
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(*frames)])
    turn = chatted(handle)
    assert (turn.text, turn.complete, turn.finish_reason) == ("Hi", complete, reason)
    assert list(handle.record.notes) == notes
    assert handle.record.turns[0].turn.finish_reason == reason


def test_a_turn_without_a_terminal_event_fails_where_one_is_required() -> None:
    policy = Policy(chat_end="required")
    _, handle = handle_of(policy=policy, llm_events=[events(0)], chat=[stream(HI)])
    with pytest.raises(ChatError, match="ended without a terminal event"):
        drive(handle.chat("hello", None))
    assert list(handle.record.notes) == []


def test_a_chat_that_breaks_off_carries_the_events_before() -> None:
    answer = stream(HI, Took(3, HI), lost())
    _, handle = handle_of(llm_events=[events(0)], chat=[answer])
    with pytest.raises(ChatError) as caught:
        drive(handle.chat("hello", None))
    assert [event.data for event in caught.value.events] == ["Hi", "Hi"]
    assert handle.record.phases == {"first_event": 0.0, "turn": 3.0}
    assert answer.closed == 1


WIDE = "\N{SLOTH}".encode()  # in memory each character of its text takes four bytes


ESCAPED = b"\\ud83d\\ude00"


LONG = b"x" * 1_000_000


TOO_MUCH_TO_KEEP = {
    "one text in another": [b'data: {"text": "' + LONG + b'"}\n\n'] * 12,
    "a wide character": [b"data: " + WIDE + LONG + b"\n\n"] * 9,
    "a wide character at last": [*[b"data: " + LONG + b"\n\n"] * 7, b'data: "%b"\n\n' % ESCAPED],
    "small events": [b'data: {"delta": {"content": "' + b"x" * 300 + b'"}}\n\n'] * 40_000,
    "ids and names": [
        b"id: %d%b\nevent: %b\nretry: 1000\ndata:\n\n" % (n, WIDE + b"x" * 450, WIDE + b"x" * 450)
        for n in range(9_000)
    ],
}


@pytest.mark.parametrize("case", TOO_MUCH_TO_KEEP)
def test_a_turn_that_takes_too_much_memory_is_broken_off(case: str) -> None:
    pieces = TOO_MUCH_TO_KEEP[case]
    answer = stream(*[b"".join(pieces[n : n + 999]) for n in range(0, len(pieces), 999)])
    _, handle = handle_of(llm_events=[events(0)], chat=[answer])
    with pytest.raises(ChatError, match="more than 32 MiB of memory") as caught:
        drive(handle.chat("hello", None))
    assert 0 < len(caught.value.events) < len(pieces)
    assert (caught.value.phase, answer.closed) == ("turn", 1)
    assert "stream_chat" in str(caught.value)


def test_what_events_share_is_held_once() -> None:
    shared = b"id: " + b"x" * 500_000 + b"\n\n" + b"data: Hi\n\n" * 500 + DONE
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(shared)])
    turn = chatted(handle)
    assert turn.text == "Hi" * 500
    assert len(turn.events[0].id) == 500_000


@pytest.mark.parametrize(("timeout", "limit"), [(None, 40), (9.0, 9)])
def test_a_chat_has_its_own_timeout_or_the_runs(timeout: float | None, limit: int) -> None:
    policy = Policy(chat_timeout=40, llm_events_timeout=15)
    io, handle = handle_of(policy=policy, llm_events=[Took(5, events(0))], chat=[stream(HI, HANG)])
    with pytest.raises(ChatTimeoutError, match=f"within {limit} s"):
        drive(handle.chat("hello", timeout))
    assert io.waited == 5 + limit, "the baseline's time is not the turn's"
    assert io.sent[0].deadline == START + 15


def test_a_baseline_that_fails_does_not_stop_the_turn() -> None:
    _, handle = handle_of(llm_events=[reply(401)], chat=[stream(HI + DONE)])
    assert chatted(handle).text == "Hi"
    assert handle.record.account is not None
    assert handle.record.account.before.error == "llm_events was refused with 401"


@pytest.mark.parametrize("call", ["llm_events", "chat"])
def test_an_interrupt_frees_the_instance(call: str) -> None:
    scripts: dict[str, list[Any]] = {"llm_events": [events(0), ...], "chat": [stream(HI)]}
    scripts[call] = [KeyboardInterrupt(), ...]
    _, handle = handle_of(**scripts)
    for begun in (handle.chat("hello", None), handle.turn("hello", None).open()):
        with pytest.raises(KeyboardInterrupt):
            drive(begun)
        assert not one_turn._busy


def _opened_until(step: int) -> tuple[OpenTurn, InstanceRecord] | None:
    """Interrupt a turn's opening at the nth instruction of its modules; None if it has no more."""
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(HI)])
    turn = handle.turn("hello", None)
    places = {chat.__file__, one_turn.__file__}
    steps = itertools.count()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in places:
            return None
        frame.f_trace_opcodes = True
        is_open = frame.f_code is OpenTurn.open.__code__ and turn._stream is not None
        if event == "opcode" and not is_open and next(steps) == step:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for it once, in `settrace`.
    sys.settrace(trace)
    try:
        drive(turn.open())
    except KeyboardInterrupt:
        return turn, handle.record
    finally:
        sys.settrace(before)
    drive(turn.close())
    return None


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_an_interrupt_at_any_instruction_of_an_opening_frees_the_instance() -> None:
    for step in itertools.count():
        opened = _opened_until(step)
        if opened is None:
            break
        assert not one_turn._busy, f"instruction {step}"
    assert step > 100, "it was interrupted at each"


def test_a_busy_instance_is_told_before_anything_is_sent() -> None:
    io, handle = handle_of(llm_events=[events(0)], chat=[stream(HI)])
    turn = handle.turn("hello", None)
    drive(turn.open())
    with pytest.raises(ChatBusyError):
        drive(handle.chat("me too", None))
    assert io.calls_sent() == ["llm_events", "chat"]
    assert handle.record.chats == 1
    drive(turn.close())
    assert handle.record.phases == {}


def test_a_turn_that_is_left_early_is_timed_and_not_noted() -> None:
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(Took(2, HI), HI, DONE)])
    turn = handle.turn("hello", None)
    drive(turn.open())
    drive(turn.next())
    drive(turn.close())
    assert handle.record.phases == {"first_event": 2.0, "turn": 2.0}
    assert list(handle.record.notes) == []


class NoFurtherError(Exception):
    """What a run raises that must not go on."""


@pytest.mark.parametrize("way", ["chat", "open"])
def test_a_turn_needs_the_runs_permission(way: str) -> None:
    def refuse() -> None:
        raise NoFurtherError

    io, handle = handle_of(llm_events=[events(0)], chat=[stream(HI)])
    handle.record.keeper = Listening(allow=refuse)
    with pytest.raises(NoFurtherError):
        drive(handle.chat("hello", None) if way == "chat" else handle.turn("hello", None).open())
    assert not io.sent, "not even the baseline is read"
    assert handle.record.chats == 0
    assert not one_turn._busy


def test_permission_is_asked_for_before_every_turn() -> None:
    asked: list[int] = []
    io, handle = handle_of(llm_events=[events(0), ...], chat=[stream(HI + DONE) for _ in range(2)])
    handle.record.keeper = Listening(allow=lambda: asked.append(len(io.sent)))
    for _ in range(2):
        drive(handle.chat("hello", None))
    reads = len(io.calls_sent("llm_events"))
    assert asked == [0, 1, 2, reads + 1], "before the first read, and after what may be a wait"


# --- what a turn says beside text ------------------------------------------------------------


def chunk(**delta: Any) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': delta}]})}\n\n".encode()


def called(piece: str, **fields: Any) -> bytes:
    return chunk(tool_calls=[{"index": 0, **fields, "function": {"arguments": piece}}])


USED = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n'


def test_a_turn_tells_tools_reasoning_and_usage_in_their_time() -> None:
    look = {"index": 0, "id": "a", "function": {"name": "look", "arguments": '{"a"'}}
    answer = stream(
        Took(1, chunk(reasoning_content="Hm.")),
        Took(2, chunk(tool_calls=[look])),
        called(": 1}"),
        Took(4, HI),
        Took(1, USED + DONE),
    )
    _, handle = handle_of(llm_events=[events(0)], chat=[answer])
    turn = chatted(handle)
    assert turn.tool_calls == (ToolCall("look", {"a": 1}, "a", None, 3.0),)
    assert (turn.reasoning, turn.usage) == ("Hm.", TokenUsage(7, 2))
    assert (turn.first_event_after, turn.first_text_after, turn.max_gap) == (1.0, 7.0, 4.0)
    assert list(handle.record.notes) == []
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(DONE)])
    turn = chatted(handle)
    assert (turn.tool_calls, turn.reasoning, turn.usage) == ((), "", None)
    assert (turn.first_text_after, turn.max_gap) == (None, 0.0)


def test_what_could_not_be_read_of_tools_is_a_line() -> None:
    _, handle = handle_of(
        llm_events=[events(0)], chat=[stream(called("{", id="a"), chunk(content="x"), DONE)]
    )
    drive(handle.chat("hello", None))
    assert list(handle.record.notes) == ["in a chat, a tool call came without the tool's name"]


def test_a_message_begins_a_new_conversation_for_each_scene_but_the_first() -> None:
    answers = [stream(HI, DONE) for _ in range(5)]
    io, handle = handle_of(policy=Policy(usage_settle=0), llm_events=[events(0)] * 50, chat=answers)
    stage = handle.record.run_turns.stage
    stage.test, stage.new_conversation, stage.scene = "test_a", "/new", 1
    asked = [chatted(handle).message, chatted(handle).message]
    stage.test, stage.scene = "test_b", 2
    asked += [chatted(handle).message]
    stage.scene, stage.continues = 3, True
    asked += [chatted(handle).message]
    assert asked == ["hello"] * 4
    bodies = [it.request.body for it in io.sent if it.request.call == "chat"]
    assert bodies == [{"message": it} for it in ("hello", "hello", "/new", "hello", "hello")]
    told = [it.turn for it in handle.record.turns]
    assert [it.test for it in told] == ["test_a", "test_a", None, "test_b", "test_b"]
