"""A chat by an instance's handle: the whole turn, what is noted of it, and what breaks it off."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from core_tools import DONE, HI, LOG, WORD, called, fails, finished, handle_of, talking, typed
from scripted_io import HANG, START, Listening, Took, events, lost, reply, stream

from pytest_hydrasmoke import (
    ChatBusyError,
    ChatError,
    ChatStream,
    ChatTimeoutError,
    ChatTurn,
    ConfigError,
)
from pytest_hydrasmoke._core import open_turn, run_turns, turn_end, turn_story
from pytest_hydrasmoke._core.account import Count
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.open_turn import OpenTurn
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.times import IDLE_LIMIT, is_limit, pace
from pytest_hydrasmoke._journal.story import HELD_BACK
from pytest_hydrasmoke._transport.protocol import drive


def chatted(handle: Handle) -> ChatTurn:
    return ChatTurn(*drive(handle.chat("hello", None)), handle)


def test_a_chat_gives_the_whole_turn_and_its_baseline_bounds_the_one_before() -> None:
    answer = stream(Took(1, WORD), Took(2, b"data:  there\n\n"), Took(1, DONE))
    io, handle = handle_of(
        llm_events=[events(0), events(2, "a"), ...], chat=[answer, stream(WORD + DONE)]
    )
    turn = chatted(handle)
    assert (turn.message, turn.text, turn.complete) == ("hello", "Hi there", True)
    assert [event.data for event in turn.events] == ["Hi", " there", "[DONE]"]
    assert [event.at for event in turn.events] == [1.0, 3.0, 4.0]
    assert (turn.first_event_after, turn.duration) == (1.0, 4.0)
    assert answer.closed == 1
    assert io.calls_sent() == ["llm_events", "chat"], "the baseline is read before the turn"
    assert handle.instance.phases == {"first_event": 1.0, "turn": 4.0}
    account = turn._turn.account
    assert (account.before, account.after) == (Count(START, number=1), None)
    assert list(handle.instance.notes) == []
    second = chatted(handle)._turn.account
    assert (second.before.count, account.after, second.after) == (2, second.before, None)
    assert handle.instance.chats.times == 2


UNENDED = "a chat's stream ended without a terminal event"
UNREASONED = "a chat ended without a finish reason: its reply may be cut"
STOP = finished("stop") + DONE
MANY = [HI] * 7
AG_UI = typed({"type": "TEXT_MESSAGE_CONTENT", "delta": "Hi"})
AI_SDK = typed({"type": "text-delta", "id": "1", "delta": "Hi"})
RAN = typed({"type": "RUN_FINISHED"})
NOTES: dict[str, tuple[list[Any], bool, str | None, list[str]]] = {
    # A stream, whether it is complete, its finish reason, and what is noted of it.
    "no end": ([WORD], False, None, [UNENDED]),
    "cut short": (
        [HI, finished("length"), DONE],
        *(True, "length", ["a reply may be cut short: it finished with 'length'"]),
    ),
    "who knows why": (
        [HI, finished("max_iterations"), DONE],
        *(True, "max_iterations", ["a reply may be cut short: it finished with 'max_iterations'"]),
    ),
    "died in its tools, and says that it has stopped": (
        [HI, called("look", "{}", id="a"), finished("stop"), DONE],
        *(True, "stop", ["a chat ended with a call of a tool, and nothing after it: look"]),
    ),
    "waits for its tools": (
        [HI, finished("tool_calls"), DONE],
        *(True, "tool_calls"),
        ["a chat ended as its model waited for its tools: it finished with 'tool_calls'"],
    ),
    "no finish reason": ([HI, DONE], True, None, [UNREASONED]),
    "no finish reason of what came last": (
        [HI, finished("stop"), HI, DONE],
        *(True, None, [UNREASONED]),
    ),
    "a relay that has sent no end of the runtime's": (
        [AI_SDK, DONE],
        *(True, None, [UNREASONED]),
    ),
    "a runtime that need not tell its finish reason": ([WORD, AG_UI, RAN], True, None, []),
    "a tool that could not be read": (
        [called(None, "{", id="a"), HI, finished("stop"), DONE],
        *(True, "stop", ["in a chat, a tool call came without the tool's name"]),
    ),
    "frames of two runtimes": (
        [HI + AG_UI + HI + DONE],
        *(True, None, ["in a chat, its frames are of OpenAI chat, then AG-UI"]),
    ),
    # What its pauses tell.
    "all at once": ([Took(3, b"".join(MANY) + STOP)], True, "stop", [HELD_BACK]),
    "quick": ([*MANY, STOP], True, "stop", []),
    "short": ([Took(3, HI * 4 + STOP)], True, "stop", []),
    "slow": ([Took(3, HI), *[Took(0.2, HI)] * 6, STOP], True, "stop", []),
}


@pytest.mark.parametrize("name", NOTES)
def test_what_is_odd_about_a_turn_is_noted_once(name: str) -> None:
    steps, complete, reason, notes = NOTES[name]
    chats = [stream(*steps), stream(*steps)]
    _, handle = talking(*chats)
    for _ in chats:
        turn = chatted(handle)
        assert (turn.complete, turn.finish_reason) == (complete, reason)
    assert list(handle.instance.notes) == notes
    assert [it.turn.finish_reason for it in handle.instance.chats.turns] == [reason] * 2
    if name == "frames of two runtimes":
        briefs = [*handle.instance.notes.values()]
        assert briefs == ["a chat had content that could not be read"]


def test_a_pace_is_told_of_streams_that_are_long_enough() -> None:
    # Events with text, seconds awaited, seconds from the first event to the last.
    paces = {
        (5, 1.0, 0.0): "at once",
        (5, 1.0, 0.0025): "at once",
        (200, 9.0, 0.1): "at once",
        **dict.fromkeys(((5, 1.0, 0.0026), (5, 0.0, 1.0), (200, 9.0, 0.11)), "streamed"),
        (5, 0.99, 0.0): None,
        (4, 60.0, 3.0): None,
    }
    assert {it: pace(*it) for it in paces} == paces


def test_one_stream_that_came_bit_by_bit_shows_that_none_is_held_back() -> None:
    steps = [NOTES["all at once"][0], NOTES["short"][0], NOTES["slow"][0], NOTES["all at once"][0]]
    chats = [stream(*it) for it in steps]
    _, handle = talking(*chats)
    handle.instance.add_remark("something else")
    noted = []
    for _ in chats:
        drive(handle.chat("hello", None))
        noted.append(list(handle.instance.notes))
    assert noted == [["something else", HELD_BACK]] * 2 + [["something else"]] * 2


def test_chats_that_are_cut_after_the_same_silence_are_cut_by_a_limit() -> None:
    assert [is_limit(7.5, it) for it in ((), (3.0, 7.7), (3.0, 7.9))] == [False, True, False]
    assert not is_limit(0.1, ()), "0 is no limit"
    cuts = [stream(HI, Took(seconds, lost())) for seconds in (7.5, 1.6, 7.4)]
    _, handle = talking(*cuts)
    steps = [fails(ChatError, handle.chat("hello", None)).next_step for _ in cuts]
    assert steps == [LOG, LOG, IDLE_LIMIT + LOG]


def test_a_chat_that_breaks_off_carries_the_events_before() -> None:
    answer = stream(WORD, Took(3, WORD), lost())
    _, handle = talking(answer)
    error = fails(ChatError, handle.chat("hello", None))
    assert [event.data for event in error.events] == ["Hi", "Hi"]
    assert handle.instance.phases == {"first_event": 0.0, "turn": 3.0}
    assert answer.closed == 1
    _, handle = talking(stream(WORD), policy=Policy(chat_end="required"))
    error = fails(ChatError, handle.chat("hello", None))
    assert "ended without a terminal event" in error.message
    assert list(handle.instance.notes) == [], "it has failed: that is no note"


def test_who_told_its_end_once_is_expected_to_tell_it_again() -> None:
    chats = [stream(WORD), stream(WORD, DONE), stream(WORD)]
    _, handle = talking(*chats)
    assert [chatted(handle).complete for _ in range(2)] == [False, True]
    error = fails(ChatError, handle.chat("hello", None))
    assert error.expected == (
        "an event that ends the turn, as an earlier turn of this instance had one (chat_end = auto)"
    )


WIDE = "\N{SLOTH}".encode()  # in memory each character of its text takes four bytes
LONG = b"x" * 1_000_000
TOO_MUCH_TO_KEEP = {
    "one text in another": [b'data: {"text": "' + LONG + b'"}\n\n'] * 12,
    "a wide character": [b"data: " + WIDE + LONG + b"\n\n"] * 9,
    "a wide character at last": [*[b"data: " + LONG + b"\n\n"] * 7, b'data: "\\ud83d\\ude00"\n\n'],
    "small events": [b'data: {"delta": {"content": "' + b"x" * 300 + b'"}}\n\n'] * 40_000,
    "ids and names": [
        b"id: %d%b\nevent: %b\nretry: 1000\ndata:\n\n" % (n, WIDE + b"x" * 900, WIDE + b"x" * 900)
        for n in range(5_000)
    ],
}


@pytest.mark.parametrize("case", TOO_MUCH_TO_KEEP)
def test_a_turn_that_takes_too_much_memory_is_broken_off(case: str) -> None:
    pieces = TOO_MUCH_TO_KEEP[case]
    answer = stream(*[b"".join(pieces[n : n + 999]) for n in range(0, len(pieces), 999)])
    _, handle = talking(answer)
    error = fails(ChatError, handle.chat("hello", None))
    assert "more than 32 MiB of memory" in error.message
    assert 0 < len(error.events) < len(pieces)
    assert (error.phase, answer.closed) == ("turn", 1)
    assert "stream_chat" in str(error)


def test_what_events_share_is_held_once() -> None:
    shared = b"id: " + b"x" * 500_000 + b"\n\n" + WORD * 500 + DONE
    _, handle = talking(stream(shared))
    turn = chatted(handle)
    assert turn.text == "Hi" * 500
    assert len(turn.events[0].id) == 500_000


@pytest.mark.parametrize(("timeout", "limit"), [(None, 40), (9.0, 9)])
def test_a_chat_has_its_own_timeout_or_the_runs(timeout: float | None, limit: int) -> None:
    policy = Policy(chat_timeout=40, llm_events_timeout=15)
    io, handle = handle_of(policy=policy, llm_events=[Took(5, events(0))], chat=[stream(HI, HANG)])
    error = fails(ChatTimeoutError, handle.chat("hello", timeout))
    assert f"within {limit} s" in error.message
    assert io.waited == 5 + limit, "the baseline's time is not the turn's"
    assert io.sent[0].deadline == START + 15


def test_a_baseline_that_fails_does_not_stop_the_turn() -> None:
    _, handle = handle_of(llm_events=[reply(401)], chat=[stream(HI + DONE)])
    assert chatted(handle).text == "Hi"
    assert handle.instance.target.account is not None
    assert handle.instance.target.account.before.error == "llm_events was refused with 401"


def test_a_message_that_cannot_be_sent_frees_the_instance_for_the_next() -> None:
    io, handle = handle_of(llm_events=[events(0), ...], chat=[stream(HI + DONE)])
    error = fails(ConfigError, handle.chat("a\ud800", None))
    assert error.message.startswith("chat can't send this message: ")
    assert "chat" not in io.calls_sent()
    assert chatted(handle).text == "Hi"


def test_a_busy_instance_is_told_before_anything_is_sent_and_one_that_is_left_is_timed() -> None:
    io, handle = talking(stream(Took(2, HI), HI, DONE))
    turn = handle.turn("hello", None)
    drive(turn.open())
    fails(ChatBusyError, handle.chat("me too", None))
    assert io.calls_sent() == ["llm_events", "chat"]
    assert (handle.instance.chats.times, handle.instance.phases) == (1, {})
    drive(turn.next())
    drive(turn.close())
    assert handle.instance.phases == {"first_event": 2.0, "turn": 2.0}
    assert list(handle.instance.notes) == []


@pytest.mark.parametrize("whole", [True, False])
def test_permission_is_asked_for_before_a_turns_first_read_and_after_what_may_be_a_wait(
    whole: bool,
) -> None:
    def allow() -> None:
        asked.append(len(io.sent))
        if len(asked) > 4:
            raise ZeroDivisionError

    asked: list[int] = []
    io, handle = handle_of(llm_events=[events(0), ...], chat=[stream(HI + DONE) for _ in range(2)])
    handle.instance.keeper = Listening(allow=allow)
    for _ in range(2):
        drive(handle.chat("hello", None))
    reads = len(io.calls_sent("llm_events"))
    assert asked == [0, 1, 2, reads + 1]
    turn = handle.turn("hello", None)
    fails(ZeroDivisionError, handle.chat("hello", None) if whole else turn.open())
    assert len(io.sent) == reads + 2, "not even the baseline is read"
    assert handle.instance.chats.times == 2
    assert not run_turns._busy


def test_a_message_begins_a_new_conversation_for_each_scene_but_the_first() -> None:
    answers = [stream(HI, DONE) for _ in range(5)]
    io, handle = handle_of(policy=Policy(usage_settle=0), llm_events=[events(0)] * 50, chat=answers)
    stage = handle.instance.target.run_turns.stage
    stage.test, stage.new_conversation, stage.scene = "test_a", "/new", 1
    asked = [chatted(handle).message, chatted(handle).message]
    stage.test, stage.scene = "test_b", 2
    asked += [chatted(handle).message]
    stage.scene, stage.continues = 3, True
    asked += [chatted(handle).message]
    assert asked == ["hello"] * 4
    bodies = [it.request.body for it in io.sent if it.request.call == "chat"]
    assert bodies == [{"message": it} for it in ("hello", "hello", "/new", "hello", "hello")]
    told = [it.turn for it in handle.instance.chats.turns]
    assert [it.test for it in told] == ["test_a", "test_a", None, "test_b", "test_b"]


def test_a_stream_that_is_entered_again_begins_no_conversation() -> None:
    answers = [stream(HI, DONE) for _ in range(2)]
    io, handle = handle_of(policy=Policy(usage_settle=0), llm_events=[events(0)] * 9, chat=answers)
    stage = handle.instance.target.run_turns.stage
    stage.test, stage.new_conversation, stage.scene = "test_a", "/new", 1
    with ChatStream(handle.turn("hello", None), handle) as it:
        list(it)
    stage.test, stage.scene, sent = "test_b", 2, len(io.sent)
    with pytest.raises(ConfigError, match="a stream is entered once"), it:
        pass
    assert len(io.sent) == sent


def _until(step: int, work: Callable[[], object], *, outside: Callable[[FrameType], bool]) -> bool:
    """Interrupt work at the nth instruction of a turn's modules; return whether it has so many."""
    places = {it.__file__ for it in (open_turn, turn_story, run_turns, turn_end)}
    steps = itertools.count()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in places:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not outside(frame) and next(steps) == step:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 looks for it once, in `settrace`.
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_an_interrupt_at_any_instruction_of_an_opening_frees_the_instance() -> None:
    for step in itertools.count():
        _, handle = talking(stream(HI))
        turn = handle.turn("hello", None)

        def is_open(frame: FrameType, turn: OpenTurn = turn) -> bool:
            return frame.f_code is OpenTurn.open.__code__ and turn._stream is not None

        if not _until(step, lambda turn=turn: drive(turn.open()), outside=is_open):
            drive(turn.close())
            break
        assert not run_turns._busy, f"instruction {step}"
    assert step > 100, "it was interrupted at each"


async def to_its_end(turn: OpenTurn) -> None:
    while await turn.next() is not None:
        pass


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_an_interrupt_at_any_instruction_makes_no_cut_reply_a_whole_one() -> None:
    for step in itertools.count():
        _, handle = talking(stream(HI, b""))
        turn = handle.turn("hello", None)
        drive(turn.open())

        def read(turn: OpenTurn = turn) -> None:
            fails(ChatError, to_its_end(turn))

        interrupted = _until(step, read, outside=lambda _: False)
        if interrupted and turn.outcome.error is None:
            # Whoever goes on after it is told all the same.
            assert turn.outcome.how == "left"
            read()
        drive(turn.close())
        assert handle.instance.target.settling.last is not None
        assert handle.instance.target.settling.last.how != "ended", f"instruction {step}"
        if not interrupted:
            break
    assert step > 100, "it was interrupted at each"
