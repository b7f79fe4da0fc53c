"""What can be done with one instance: every way through its handle."""

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
    KEY,
    NO_ROW,
    NOT_FOUND,
    START,
    AtDeadline,
    Listening,
    ScriptedIO,
    Took,
    attached,
    calls_of,
    deleted,
    events,
    lost,
    policy_of,
    record,
    reply,
    status,
    stream,
)

from pytest_hydrasmoke import (
    ChatBusyError,
    ChatError,
    ChatTimeoutError,
    ChatTurn,
    LeakError,
    LlmEventsError,
    NotFoundError,
    ProvisionError,
    ProvisionTimeoutError,
    RouterError,
    TokenUsage,
    ToolCall,
    TransportError,
)
from pytest_hydrasmoke._api.calls import LAST_CHANCE
from pytest_hydrasmoke._core import chat, one_turn, turn_observers
from pytest_hydrasmoke._core.chat import Turn
from pytest_hydrasmoke._core.expected import Expected
from pytest_hydrasmoke._core.handle import Handle, TurnResult
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._core.turn_account import Baseline
from pytest_hydrasmoke._transport.protocol import drive

HI = b"data: Hi\n\n"
DONE = b"data: [DONE]\n\n"


def handle_of(
    it: InstanceRecord | None = None, policy: Policy | None = None, **scripts: Any
) -> tuple[ScriptedIO, Handle]:
    it = it or record(state=State.READY, id=ID)
    io, calls = calls_of(it, **scripts)
    return io, Handle(calls, it, policy or Policy(), Reading())


# --- status ----------------------------------------------------------------------------------


def test_a_handle_is_named_by_its_record() -> None:
    _, handle = handle_of()
    assert handle.id == ID
    assert handle.record.key == KEY


def test_a_status_is_written_down() -> None:
    _, handle = handle_of(status=[status("Running", "box-1")])
    found = drive(handle.status())
    assert (found.id, found.status, found.hostname) == (ID, "Running", "box-1")
    assert (handle.record.last_state, handle.record.hostname) == ("status 'Running'", "box-1")


def test_a_status_of_nothing_is_an_error() -> None:
    _, handle = handle_of(status=[NOT_FOUND])
    with pytest.raises(NotFoundError):
        drive(handle.status())


# --- waiting ---------------------------------------------------------------------------------


def test_a_wait_begins_when_it_is_asked_for() -> None:
    io, handle = handle_of(status=[status("a"), status("b")])
    io.time += 500
    found = drive(handle.wait(lambda it: it.status == "b", None, 60))
    assert found.status == "b"
    assert io.sleeps == [0.25]
    assert handle.record.phases == {}, "it is no part of the time that provisioning took"


@pytest.mark.parametrize(("timeout", "limit"), [(None, 20), (8.0, 8)])
def test_a_wait_has_its_own_timeout_or_the_runs(timeout: float | None, limit: int) -> None:
    policy = Policy(ready_timeout=20)
    io, handle = handle_of(policy=policy, status=[AtDeadline(status("a"))])
    with pytest.raises(ProvisionTimeoutError) as caught:
        drive(handle.wait(lambda _: False, None, timeout))
    assert f"within {limit} s" in caught.value.message
    assert (caught.value.phase, io.waited) == ("ready", limit)


def test_a_wait_of_no_time_takes_one_look() -> None:
    io, handle = handle_of(status=[Took(0.4, status("up"))])
    assert drive(handle.wait(lambda _: True, None, 0.0)).status == "up"
    assert io.sent[0].deadline == START + LAST_CHANCE == START + 0.5
    assert io.sleeps == []


@pytest.mark.parametrize("look", [status("a"), Took(0.4, status("a")), AtDeadline(status("a"))])
def test_a_wait_of_no_time_ends_after_its_look(look: Any) -> None:
    io, handle = handle_of(status=[look])
    with pytest.raises(ProvisionTimeoutError) as caught:
        drive(handle.wait(lambda _: False, None, 0.0))
    assert (caught.value.phase, caught.value.last) == ("ready", "status 'a'")
    assert caught.value.message == (
        "the instance was not ready in time: the status never became ready within 0 s"
    )
    assert len(io.sent) == 1


@pytest.mark.parametrize(
    ("look", "kind"), [(HANG, TransportError), (reply(503), RouterError)], ids=["hangs", "503"]
)
def test_a_look_that_brings_no_status_says_why(look: Any, kind: type[Exception]) -> None:
    io, handle = handle_of(status=[look])
    with pytest.raises(kind):
        drive(handle.wait(lambda _: True, None, 0.0))
    assert len(io.sent) == 1


def test_a_wait_fails_once_its_error_predicate_says_so() -> None:
    _, handle = handle_of(status=[Took(2, status("broken"))])
    with pytest.raises(ProvisionError) as caught:
        drive(handle.wait(lambda _: False, lambda it: it.status == "broken", None))
    assert (caught.value.phase, caught.value.seconds) == ("ready", 2.0)


def test_an_attached_instance_is_waited_for_as_any_other() -> None:
    io, handle = handle_of(attached(), status=[status("booting"), status("RUNNING")])
    io.time += 100
    drive(handle.until_ready())
    assert handle.record.state is State.READY
    assert handle.record.phases == {"ready": 0.25}
    assert io.sleeps == [0.25]


def test_an_attached_instance_that_is_gone_is_told() -> None:
    _, handle = handle_of(attached(), status=[status("deleted")])
    with pytest.raises(ProvisionError) as caught:
        drive(handle.until_ready())
    assert (caught.value.phase, caught.value.instance) == ("ready", ID)


# --- chat ------------------------------------------------------------------------------------


def test_a_chat_gives_the_whole_turn() -> None:
    answer = stream(Took(1, HI), Took(2, b"data:  there\n\n"), Took(1, DONE))
    io, handle = handle_of(llm_events=[events(0)], chat=[answer])
    result = drive(handle.chat("hello", None))
    assert isinstance(result, TurnResult)
    assert (result.message, result.text) == ("hello", "Hi there")
    assert [event.data for event in result.events] == ["Hi", " there", "[DONE]"]
    assert [event.at for event in result.events] == [1.0, 3.0, 4.0]
    assert (result.first_event_after, result.duration) == (1.0, 4.0)
    assert result.complete
    assert answer.closed == 1
    assert io.calls_sent() == ["llm_events", "chat"], "the baseline is read before the turn"
    assert handle.record.phases == {"first_event": 1.0, "turn": 4.0}
    assert (result.account.before, result.account.after) == (Baseline(START, number=1), None)
    assert handle.record.notes == []


def test_each_turn_has_its_baseline_which_bounds_the_one_before() -> None:
    _, handle = handle_of(
        llm_events=[events(0), events(2, "a"), ...], chat=[stream(HI + DONE), stream(HI + DONE)]
    )
    first, second = (drive(handle.chat("hello", None)).account for _ in range(2))
    assert (first.before.count, second.before.count) == (0, 2)
    assert (first.after, second.after) == (second.before, None)
    assert handle.record.chats == 2


def test_a_turn_without_a_terminal_event_is_noted() -> None:
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(HI)])
    assert drive(handle.chat("hello", None)).complete is False
    assert handle.record.notes == ["a chat's stream ended without a terminal event"]


CUT_SHORT = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "length"}]}\n\n'


def test_a_reply_that_is_cut_short_is_noted() -> None:
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(CUT_SHORT, DONE)])
    turn = drive(handle.chat("hello", None))
    assert (turn.text, turn.complete, turn.finish_reason) == ("Hi", True, "length")
    assert handle.record.notes == ["a reply was cut short: it finished with 'length'"]
    assert handle.record.turns[0].finish_reason == "length"


def test_an_end_while_the_model_waits_for_its_tools_is_noted() -> None:
    waits = CUT_SHORT.replace(b"length", b"tool_calls")
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(waits, DONE)])
    assert drive(handle.chat("hello", None)).complete
    note = "a chat ended as its model waited for its tools: it finished with 'tool_calls'"
    assert handle.record.notes == [note]


def test_a_turn_without_a_terminal_event_fails_where_one_is_required() -> None:
    policy = Policy(chat_end="required")
    _, handle = handle_of(policy=policy, llm_events=[events(0)], chat=[stream(HI)])
    with pytest.raises(ChatError, match="ended without a terminal event"):
        drive(handle.chat("hello", None))
    assert handle.record.notes == []


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
    turn = drive(handle.chat("hello", None))
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
    assert drive(handle.chat("hello", None)).text == "Hi"
    assert handle.record.account is not None
    assert handle.record.account.before.error == "llm_events was refused with 401"


@pytest.mark.parametrize("call", ["llm_events", "chat"])
def test_an_interrupt_frees_the_instance(call: str) -> None:
    scripts: dict[str, list[Any]] = {"llm_events": [events(0)], "chat": [stream(HI)]}
    scripts[call] = [KeyboardInterrupt()]
    _, handle = handle_of(**scripts)
    with pytest.raises(KeyboardInterrupt):
        drive(handle.chat("hello", None))
    assert not one_turn._busy


@pytest.mark.parametrize("call", ["llm_events", "chat"])
def test_an_interrupt_of_a_turn_that_is_only_opened_frees_the_instance(call: str) -> None:
    scripts: dict[str, list[Any]] = {"llm_events": [events(0)], "chat": [stream(HI)]}
    scripts[call] = [KeyboardInterrupt()]
    _, handle = handle_of(**scripts)
    with pytest.raises(KeyboardInterrupt):
        drive(handle.turn("hello", None).open())
    left = set(one_turn._busy)
    one_turn._busy.clear()
    assert not left


def _opened_until(step: int) -> tuple[Turn, InstanceRecord] | None:
    """Interrupt a turn's opening at the nth instruction of its modules; None if it has no more."""
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(HI)])
    turn = handle.turn("hello", None)
    places = {chat.__file__, one_turn.__file__, turn_observers.__file__}
    steps = itertools.count()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in places:
            return None
        frame.f_trace_opcodes = True
        is_open = frame.f_code is Turn.open.__code__ and turn._stream is not None
        if event == "opcode" and not is_open and next(steps) == step:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
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
    assert handle.record.notes == []


class NoFurtherError(Exception):
    """What a run raises that must not go on."""


@pytest.mark.parametrize("way", ["chat", "open"])
def test_a_turn_needs_the_runs_permission(way: str) -> None:
    def refuse() -> None:
        raise NoFurtherError

    io, handle = handle_of(llm_events=[events(0)], chat=[stream(HI)])
    handle.record.listener = Listening(allow=refuse)
    with pytest.raises(NoFurtherError):
        drive(handle.chat("hello", None) if way == "chat" else handle.turn("hello", None).open())
    assert not io.sent, "not even the baseline is read"
    assert handle.record.chats == 0
    assert not one_turn._busy


def test_permission_is_asked_for_before_every_turn() -> None:
    asked: list[int] = []
    io, handle = handle_of(llm_events=[events(0), ...], chat=[stream(HI + DONE) for _ in range(2)])
    handle.record.listener = Listening(allow=lambda: asked.append(len(io.sent)))
    for _ in range(2):
        drive(handle.chat("hello", None))
    reads = len(io.calls_sent("llm_events"))
    assert asked == [0, 1, 2, reads + 1], "before the first read, and after what may be a wait"


# --- LLM events ------------------------------------------------------------------------------


def test_llm_events_are_counted_over_any_window() -> None:
    io, handle = handle_of(llm_events=[events(3, "a")])
    assert drive(handle.llm_events(60)).count == 3
    assert io.sent[0].request.path.endswith("?window_seconds=60")


def test_a_turn_is_asked_for_its_own_events() -> None:
    _, handle = handle_of(llm_events=[events(0), events(1, "a")], chat=[stream(HI + DONE)])
    turn = drive(handle.chat("hello", None))
    assert drive(handle.expect_of_turn(Expected(), turn.account, None)).count == 1


def told_of(*frames: bytes) -> LlmEventsError:
    """Return the failure of a turn of these frames, whose LLM events never came."""
    _, handle = handle_of(llm_events=[events(0)] * 99, chat=[stream(*frames, DONE)])
    turn = ChatTurn(handle, drive(handle.chat("hello", None)))
    with pytest.raises(LlmEventsError) as caught:
        turn.expect_llm_events(timeout=1)
    [failure] = handle.record.failures
    assert "look" not in failure.brief, "where replies are kept out, tools are"
    assert failure.brief.startswith("the LLM events are not as expected")
    return caught.value


def test_a_failure_names_the_tools_and_the_tokens_of_its_turn() -> None:
    calls = [{"index": n, "function": {"name": f"look{n % 25}"}} for n in range(30)]
    delta = json.dumps({"choices": [{"delta": {"tool_calls": calls[:2]}}]}).encode()
    used = b'{"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}'
    told = str(told_of(b"data: " + delta + b"\n\n", b"data: " + used + b"\n\n"))
    assert "  turn:      called look0, look1, and took 7 + 2 tokens" in told
    assert "turn:      called no tool, and reported no tokens" in str(told_of(HI))
    many = json.dumps({"choices": [{"delta": {"tool_calls": calls}}]}).encode()
    assert "look19 and 5 more, and reported" in str(told_of(b"data: " + many + b"\n\n"))


def test_the_recent_events_are_everybodys() -> None:
    _, handle = handle_of(llm_events=[events(1, "a")])
    assert drive(handle.expect_recent(Expected(), None)).count == 1


@pytest.mark.parametrize(("timeout", "limit"), [(None, 12), (4.0, 4)])
def test_llm_events_have_their_own_timeout_or_the_runs(timeout: float | None, limit: int) -> None:
    policy = Policy(llm_events_timeout=12)
    io, handle = handle_of(policy=policy, llm_events=[events(0), ...])
    with pytest.raises(LlmEventsError):
        drive(handle.expect_recent(Expected(), timeout))
    assert io.waited == pytest.approx(limit)


# --- the end ---------------------------------------------------------------------------------


TO_BE_GONE = {"delete": [deleted()], "status": [status("running"), NOT_FOUND], "poll": [NO_ROW]}
DELETION = ["status", "delete", "status", "poll"]
"""A deletion is looked at before and after it."""


def deleting(keep: str = "never") -> tuple[ScriptedIO, Handle]:
    return handle_of(policy=policy_of(keep=keep), **TO_BE_GONE)


def test_a_deleted_instance_stays_deleted() -> None:
    io, handle = deleting()
    drive(handle.delete())
    drive(handle.delete())
    assert handle.record.state is State.GONE
    assert io.calls_sent() == DELETION


def test_a_deletion_that_is_not_confirmed_is_a_leak() -> None:
    _, handle = handle_of(delete=[reply(403)], status=[status("running")])
    with pytest.raises(LeakError):
        drive(handle.delete())


KEEPS = [
    # keep, whether a test failed before, whether this one did, what is left of the instance
    ("never", False, False, State.GONE),
    ("never", True, True, State.GONE),
    ("on-failure", False, False, State.GONE),
    ("on-failure", False, True, State.KEPT),
    ("on-failure", True, False, State.KEPT),
    ("always", False, False, State.KEPT),
    ("always", True, True, State.KEPT),
]


@pytest.mark.parametrize(("keep", "before", "now", "state"), KEEPS)
def test_the_end_of_a_with_deletes_unless_it_is_to_be_kept(
    keep: str, before: bool, now: bool, state: State
) -> None:
    io, handle = deleting(keep)
    handle.record.failed = before
    drive(handle.leave(failed=now))
    assert handle.record.state is state
    assert handle.record.failed is (before or now)
    assert io.calls_sent() == ([] if state is State.KEPT else DELETION)


def test_what_was_deleted_before_the_end_of_a_with_is_not_kept() -> None:
    io, handle = deleting("always")
    drive(handle.delete())
    drive(handle.leave(failed=True))
    assert handle.record.state is State.GONE
    assert io.calls_sent() == DELETION


def test_what_was_asked_to_be_deleted_is_not_kept() -> None:
    _, handle = handle_of(
        policy=policy_of(keep="always"),
        delete=[deleted(), ...],
        status=[status("running"), reply(401), NOT_FOUND],
        poll=[NO_ROW],
    )
    with pytest.raises(LeakError):
        drive(handle.delete())
    drive(handle.leave(failed=True))
    assert handle.record.state is State.GONE


def test_what_was_kept_can_still_be_deleted() -> None:
    scripts = {**TO_BE_GONE, "status": [NOT_FOUND]}
    io, handle = handle_of(policy=policy_of(keep="always"), **scripts)
    drive(handle.leave(failed=False))
    assert handle.record.state is State.KEPT
    drive(handle.delete())
    assert handle.record.state is State.GONE
    assert io.calls_sent() == ["delete", "status", "poll"], "what was kept is not looked at first"


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
    turn = ChatTurn(handle, drive(handle.chat("hello", None)))
    assert turn.tool_calls == (ToolCall("look", {"a": 1}, "a", None, 3.0),)
    assert (turn.reasoning, turn.usage) == ("Hm.", TokenUsage(7, 2))
    assert (turn.first_event_after, turn.first_text_after, turn.max_gap) == (1.0, 7.0, 4.0)
    assert handle.record.notes == []


def test_a_turn_that_tells_nothing_else_has_none_of_it() -> None:
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(DONE)])
    turn = ChatTurn(handle, drive(handle.chat("hello", None)))
    assert (turn.tool_calls, turn.reasoning, turn.usage) == ((), "", None)
    assert (turn.first_text_after, turn.max_gap) == (None, 0.0)


def test_what_could_not_be_read_of_tools_is_a_line() -> None:
    _, handle = handle_of(
        llm_events=[events(0)], chat=[stream(called("{", id="a"), chunk(content="x"), DONE)]
    )
    drive(handle.chat("hello", None))
    assert handle.record.notes == ["in a chat, a tool call came without the tool's name"]


@pytest.mark.parametrize(
    "flood", [called("x" * 100_000), chunk(reasoning="x" * 100_000)], ids=["arguments", "reasoning"]
)
def test_a_flood_of_anything_ends_a_turn_that_is_kept(flood: bytes) -> None:
    _, handle = handle_of(llm_events=[events(0)], chat=[stream(*[flood] * 1000)])
    with pytest.raises(ChatError, match="the turn was broken off"):
        drive(handle.chat("hello", None))
