"""One chat turn: who may begin one, what ends it, and how it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from scripted_io import (
    HANG,
    ID,
    NOT_FOUND,
    OTHER_ID,
    START,
    ScriptedIO,
    ScriptedStream,
    Took,
    calls_of,
    late,
    lost,
    refused,
    reply,
    stream,
)

from pytest_hydrasmoke import (
    ChatBusyError,
    ChatError,
    ChatEvent,
    ChatTimeoutError,
    ContractError,
    HydraSmokeError,
    NotFoundError,
    RouterError,
    TransportError,
    UnauthorizedError,
)
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._core import one_turn
from pytest_hydrasmoke._core.chat import AFTER_END, Turn
from pytest_hydrasmoke._core.chat_stream import ChatStream
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._runtimes.meaning import Meaning
from pytest_hydrasmoke._transport.protocol import drive

HI = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
LOG = "see the agent's log of this turn"
IF_LATE = (
    f"raise HYDRA_SMOKE_CHAT_TIMEOUT, or this chat's own timeout, if turns take longer, else {LOG}"
)
ROUTERS_LOG = "see the router's log of this moment"
SLOW_DOWN = "the router is busy, and asks to wait 50 s: try again later, or raise the deadline"
BUSY = {409: ROUTERS_LOG, 425: ROUTERS_LOG, 429: SLOW_DOWN, 503: SLOW_DOWN}


@pytest.fixture(autouse=True)
def nobody_is_left_busy() -> Iterator[None]:
    yield
    left = set(one_turn._busy)
    one_turn._busy.clear()
    assert not left


def turn_of(calls: Calls, instance_id: str = ID, **changes: Any) -> Turn:
    settings = {"timeout": 120.0, "end": "optional", "reading": Reading()} | changes
    return Turn(calls, instance_id, "hello", **settings)


class Chatted:
    """A turn run to its end: its events, its text, and the error if there was one."""

    def __init__(self, *steps: Any, chat: list[Any] | None = None, **changes: Any) -> None:
        self.stream = stream(*steps)
        self.io, calls = calls_of(None, chat=[self.stream] if chat is None else chat)
        self.turn = turn_of(calls, **changes)
        self.data: list[str] = []
        self.text = ""
        self.error: HydraSmokeError | None = None
        drive(self._run())

    async def _run(self) -> None:
        try:
            await self.turn.open()
            while (step := await self.turn.next()) is not None:
                self.data.append(step[0].data)
                self.text += step[1].text
        except HydraSmokeError as error:
            self.error = error
        finally:
            await self.turn.close()


# --- the end ---------------------------------------------------------------------------------

ENDS = {
    "one chunk": [HI + DONE],
    "chunk by chunk": [HI[:7], HI[7:], DONE[:3], DONE[3:]],
    "cut after the end": [HI, DONE, lost()],
    "hangs after the end": [HI, DONE, HANG],
    "half an event after the end": [HI, DONE, b"data: x"],
    "named event": [HI, b"event: done\ndata: {}\n\n"],
    "with keep-alives": [b": ping\n\n", HI, b": ping\n\n", DONE],
}


@pytest.mark.parametrize("case", ENDS)
@pytest.mark.parametrize("end", ["optional", "required"])
def test_a_terminal_event_ends_the_turn_whatever_the_connection_does(case: str, end: Any) -> None:
    it = Chatted(*ENDS[case], end=end)
    assert it.error is None
    assert it.text == "Hi"
    assert (it.turn.complete, it.turn.over) == (True, True)
    assert it.io.waited <= AFTER_END
    assert it.stream.closed == 1


def test_what_comes_within_2_s_of_the_end_is_read_too() -> None:
    usage = b'event: usage\ndata: {"tokens": 3}\n\n'
    it = Chatted(HI + DONE, Took(1.5, usage), Took(1.5, usage), HANG)
    assert len(it.data) == 4
    assert AFTER_END == 2.0
    assert it.io.waited == 1.5 + 1.5 + 2
    assert [deadline - START for deadline in it.stream.deadlines] == [120, 2, 3.5, 5]


def test_what_comes_later_than_2_s_after_the_end_is_not_waited_for() -> None:
    it = Chatted(HI + DONE, Took(2.5, HI))
    assert len(it.data) == 2
    assert it.io.waited == 2


def test_the_2_s_after_the_end_never_outlast_the_deadline() -> None:
    it = Chatted(Took(119, HI + DONE), HANG)
    assert it.error is None
    assert it.io.waited == 120


def test_text_after_the_end_is_not_text_of_a_late_failure() -> None:
    it = Chatted(HI + DONE + b"event: error\ndata: too late\n\n")
    assert isinstance(it.error, ChatError)
    assert it.error.message == "the agent reported an error: too late"


def test_keep_alives_after_the_end_do_not_hold_the_turn() -> None:
    it = Chatted(HI + DONE, *[Took(1, b": ping\n\n")] * 200)
    assert it.error is None
    assert it.io.waited < 10


def test_only_events_move_the_2_s_after_the_end() -> None:
    it = Chatted(HI + DONE, Took(1, b": ping\n\n"), Took(0.5, PING), Took(1, b"data: half"), HANG)
    assert [deadline - START for deadline in it.stream.deadlines] == [120, 2, 2, 3.5, 3.5]
    assert it.io.waited == 3.5


def test_a_stream_without_a_terminal_event_is_over_where_it_ends() -> None:
    it = Chatted(HI, HI)
    assert it.error is None
    assert it.text == "HiHi"
    assert (it.turn.complete, it.turn.over) == (False, True)


def test_a_turn_that_is_over_stays_over() -> None:
    _, calls = calls_of(None, chat=[stream(HI)])
    turn = turn_of(calls)
    drive(turn.open())
    assert drive(turn.next()) is not None
    assert [drive(turn.next()) for _ in range(3)] == [None] * 3
    drive(turn.close())


def test_where_a_terminal_event_is_required_its_lack_reads_so() -> None:
    it = Chatted(HI, Took(3, HI), end="required")
    assert type(it.error) is ChatError
    assert str(it.error) == (
        "the reply was cut: its stream ended without a terminal event\n"
        "  phase:     turn, after 3.0 s\n"
        f"  instance:  {ID}\n"
        '  last seen: event \'message\' \'{"choices": [{"delta": {"content": "Hi"}}]}\'\n'
        "  expected:  an event that ends the turn, as the settings require (chat_end = required)\n"
        f'  next step: {LOG}; if its runtime sends no terminal event, set chat_end = "optional"'
    )


@pytest.mark.parametrize("end", ["auto", "required", "optional"])
@pytest.mark.parametrize("rest", [b"data: x", b"data: x\n", b"event: message\n", b"id"])
def test_bytes_that_are_left_at_the_end_are_a_cut_reply(rest: bytes, end: Any) -> None:
    it = Chatted(b"data: Hi\n\n", rest, end=end)
    assert type(it.error) is ChatError
    assert it.error.message == "the reply was cut: its stream ended in the middle of an event"
    assert it.error.expected == "a blank line after the last event"


@pytest.mark.parametrize("rest", [b": stream closed", b": x\n", b"\n", b"\r\n", b""])
def test_a_comment_and_blank_lines_are_no_cut_reply(rest: bytes) -> None:
    assert Chatted(b"data: Hi\n\n", rest).error is None


def finished(reason: str) -> bytes:
    return f'data: {{"choices": [{{"delta": {{}}, "finish_reason": "{reason}"}}]}}\n\n'.encode()


def test_a_model_of_an_unknown_runtime_may_wait_for_its_tools_too() -> None:
    text = b'data: {"type": "token", "content": "Hi"}\n\n'
    waits = b'data: {"type": "token", "content": "", "finish_reason": "tool_calls"}\n\n'
    it = Chatted(text, waits, end="auto")
    assert it.error is not None
    assert "as its model stopped for its tools (tool_calls)" in (it.error.expected or "")
    assert Chatted(text, waits, text, end="auto").error is None, "it has gone on"


@pytest.mark.parametrize("text_wanted", [True, False])
@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "made_up"])
def test_a_finish_reason_will_do_once_the_stream_ends(reason: str, text_wanted: bool) -> None:
    it = Chatted(HI, finished(reason), b"data: half", end="required", text_wanted=text_wanted)
    assert it.error is None
    assert (it.turn.complete, it.turn.finish_reason) == (True, reason)
    # It is no terminal event: what comes after it is waited for.
    assert [deadline - START for deadline in it.stream.deadlines] == [120] * 4


@pytest.mark.parametrize("reason", ["tool_calls", "tool_use", "function_call"])
def test_a_model_that_waits_for_its_tools_has_not_finished(reason: str) -> None:
    it = Chatted(HI, finished(reason), end="auto")
    assert it.error is not None
    assert it.error.message == "the reply was cut: its stream ended without a terminal event"
    assert Chatted(HI, finished(reason), HI, finished("stop"), end="auto").turn.complete
    assert Chatted(HI, finished(reason), DONE, end="auto").turn.finish_reason == reason


@pytest.mark.parametrize("text_wanted", [True, False])
def test_an_agent_that_finishes_with_an_error_has_failed_whatever_its_end(
    text_wanted: bool,
) -> None:
    crash = finished("error").replace(b"]}", b'], "error": {"message": "no credit"}}')
    for end, words in ((crash, "no credit"), (finished("error"), "it finished with 'error'")):
        it = Chatted(HI, end + DONE, text_wanted=text_wanted)
        assert type(it.error) is ChatError
        assert it.error.message.startswith(f"the agent reported an error: {words}")
        assert (it.turn.complete, it.turn.finish_reason) == (False, "error")


def test_a_connection_that_is_cut_after_a_finish_reason_is_cut() -> None:
    it = Chatted(HI, finished("stop"), lost())
    assert it.error is not None
    assert it.error.message == "the stream was cut: the answer was lost (reset)"


@pytest.mark.parametrize("steps", [[], [b": ping\n\n"], [b"data: x"], [b"\n\n"]], ids=repr)
@pytest.mark.parametrize("end", ["optional", "required"])
def test_a_stream_without_a_single_event_is_no_turn(steps: list[bytes], end: Any) -> None:
    it = Chatted(*steps, end=end)
    assert type(it.error) is ChatError
    assert str(it.error) == (
        "the stream ended without a single event\n"
        "  phase:     first_event, after 0.0 s\n"
        f"  instance:  {ID}\n"
        "  last seen: no event yet\n"
        f"  next step: {LOG}"
    )


# --- faults ----------------------------------------------------------------------------------


def test_a_cut_stream_reads_so() -> None:
    it = Chatted(HI, Took(2, lost()))
    assert type(it.error) is ChatError
    assert str(it.error) == (
        "the stream was cut after 2.0 s of silence: the answer was lost (reset)\n"
        "  phase:     turn, after 2.0 s\n"
        f"  instance:  {ID}\n"
        '  last seen: event \'message\' \'{"choices": [{"delta": {"content": "Hi"}}]}\'\n'
        f"  next step: {LOG}"
    )
    assert it.stream.closed == 1


IDLE = (
    "a proxy's idle timeout may have cut the silent stream: raise it above the agent's longest "
    "silence (nginx: proxy_read_timeout; HAProxy: timeout server), or have keep-alives sent; else "
)


@pytest.mark.parametrize("seconds", [5, 29.8, 30, 60.2, 100, 350])
def test_a_stream_cut_after_a_round_silence_may_be_a_proxys_doing(seconds: float) -> None:
    it = Chatted(HI, Took(1, b": ping\n\n"), Took(seconds, lost()), timeout=900)
    assert it.error is not None
    assert it.error.message == (
        f"the stream was cut after {seconds:.1f} s of silence: the answer was lost (reset)"
    )
    assert it.error.next_step == IDLE + LOG


def test_a_stream_that_just_ends_after_a_round_silence_may_be_a_proxys_doing_too() -> None:
    it = Chatted(HI, Took(60, b""), end="required")
    assert it.error is not None
    assert it.error.message == (
        "the reply was cut: its stream ended without a terminal event after 60.0 s of silence"
    )
    assert it.error.next_step is not None
    assert it.error.next_step.startswith(f"{IDLE}{LOG}; if its runtime")
    it = Chatted(Took(60, b""))
    assert it.error is not None
    assert it.error.message == ("the stream ended without a single event after 60.0 s of silence")


@pytest.mark.parametrize("seconds", [0.9, 2, 7.5, 61])
def test_a_stream_cut_at_any_other_moment_is_the_agents_affair(seconds: float) -> None:
    it = Chatted(HI, Took(seconds, lost()))
    assert it.error is not None
    assert it.error.next_step == LOG
    assert ("silence" in it.error.message) is (seconds >= 1)


def test_a_stream_cut_in_the_middle_of_an_event_is_told() -> None:
    it = Chatted(HI + b"data: half", lost())
    assert it.error is not None
    assert it.error.message == (
        "the stream was cut in the middle of an event: the answer was lost (reset)"
    )


def test_a_stream_cut_before_its_first_event_is_told() -> None:
    it = Chatted(lost())
    assert it.error is not None
    assert (it.error.phase, it.error.last) == ("first_event", "no event yet")


STALLS = {
    "from the start": [HANG],
    "after an event": [HI, HANG],
    "trickle of comments": [Took(10, b": ping\n\n")] * 99,
    "trickle of bytes": [Took(10, b"x")] * 99,
    "trickle of events": [Took(10, HI)] * 99,
    "says that it is late": [HI, late()],
}


@pytest.mark.parametrize("case", STALLS)
def test_a_turn_that_does_not_end_in_time_is_broken_off_at_its_deadline(case: str) -> None:
    it = Chatted(*STALLS[case])
    assert type(it.error) is ChatTimeoutError
    assert isinstance(it.error, TimeoutError)
    assert it.error.message == "the turn did not end within 120 s"
    assert it.io.waited == (0 if case == "says that it is late" else 120)


def test_a_timeout_reads_so() -> None:
    it = Chatted(HI, HANG, timeout=7.5)
    assert str(it.error) == (
        "the turn did not end within 7.5 s\n"
        "  phase:     turn, after 7.5 s\n"
        f"  instance:  {ID}\n"
        '  last seen: event \'message\' \'{"choices": [{"delta": {"content": "Hi"}}]}\'\n'
        f"  next step: {IF_LATE}"
    )


def test_what_arrives_after_the_deadline_is_no_part_of_the_turn() -> None:
    class Overrunning(ScriptedStream):
        async def read(self, deadline: float) -> bytes:
            chunk = await super().read(deadline)
            self.io.time = deadline
            return chunk

    answer = Overrunning(200, {"content-type": "text/event-stream"}, [HI])
    it = Chatted(chat=[answer])
    assert isinstance(it.error, ChatTimeoutError)
    assert it.data == []


def test_the_agents_error_comes_after_its_event() -> None:
    it = Chatted(HI + b'event: error\ndata: {"message": "quota"}\n\n' + HI, DONE)
    assert len(it.data) == 2
    assert type(it.error) is ChatError
    assert str(it.error) == (
        "the agent reported an error: quota\n"
        "  phase:     turn, after 0.0 s\n"
        f"  instance:  {ID}\n"
        "  last seen: event 'error' '{\"message\": \"quota\"}'\n"
        f"  next step: {LOG}"
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x1b[1mboo", "\\x1b[1mboo"),
        (b"##[error]boo", "# #[error]boo"),
        (b"{}", "the agent reports an error, and no message with it"),
    ],
)
def test_the_agents_words_are_made_harmless(data: bytes, words: str) -> None:
    it = Chatted(b"event: error\ndata: " + data + b"\n\n")
    assert it.error is not None
    assert it.error.message == f"the agent reported an error: {words}"
    assert "##[" not in str(it.error)


@pytest.mark.parametrize("name", [b"##[error]boo", b"x" * 5000], ids=["command", "long"])
def test_an_events_name_is_made_harmless(name: bytes) -> None:
    it = Chatted(b"event: " + name + b"\ndata: x\n\n", lost())
    assert "##[" not in str(it.error)
    assert len(str(it.error)) < 1500


LIMITS = {
    "an event": (b"data: " + b"x" * (1 << 20), "more than 1048576 bytes in one event (max_event)"),
    "a stream": (
        (b":" + b"x" * 1022 + b"\n") * (16 << 10) + HI,
        "more than 16777216 bytes (max_total)",
    ),
    "events": (b"data:\n\n" * 100_001, "more than 100000 events (max_events)"),
}


@pytest.mark.parametrize("case", LIMITS)
def test_a_flood_is_broken_off(case: str) -> None:
    flood, words = LIMITS[case]
    it = Chatted(HI, flood, DONE)
    assert type(it.error) is ChatError
    assert it.error.message == f"the event stream has {words}: the turn was broken off"
    assert it.stream.closed == 1


def test_events_before_a_flood_are_given() -> None:
    it = Chatted(HI + HI + b"data: " + b"x" * (1 << 20))
    assert it.text == "HiHi"
    assert type(it.error) is ChatError
    assert it.error.message.endswith("(max_event): the turn was broken off")
    assert len(it.stream.deadlines) == 1, "and nothing more is read"


def test_a_flood_after_the_end_still_breaks_the_turn_off() -> None:
    it = Chatted(HI + DONE + b"data: " + b"x" * (1 << 20))
    assert it.turn.complete
    assert type(it.error) is ChatError


def test_an_interrupt_is_no_chat_error() -> None:
    _, calls = calls_of(None, chat=[stream(KeyboardInterrupt())])
    turn = turn_of(calls)
    drive(turn.open())
    with pytest.raises(KeyboardInterrupt):
        drive(turn.next())
    drive(turn.close())


# --- acceptance ------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [409, 425, 429, 503])
def test_a_turn_that_is_not_accepted_yet_is_asked_for_again(code: int) -> None:
    busy = reply(code, retry_after="5")
    it = Chatted(chat=[busy, busy, stream(Took(1, HI), Took(1, DONE))])
    assert it.error is None
    assert it.io.calls_sent() == ["chat"] * 3
    assert (it.turn.first_event_after, it.turn.duration) == (1.0, 2.0), "since it was accepted"
    assert it.io.waited == 10 + 2


@pytest.mark.parametrize("code", [409, 425, 429, 503])
def test_a_turn_that_is_never_accepted_is_a_timeout(code: int) -> None:
    it = Chatted(chat=[reply(code, {"detail": "warming up"}, retry_after="50"), ...])
    assert type(it.error) is ChatTimeoutError
    assert str(it.error) == (
        f"not accepted within 120 s: chat was refused with {code} (4 attempts): warming up\n"
        "  phase:     first_event, after 119.5 s\n"
        f"  instance:  {ID}\n"
        "  last seen: no event yet\n"
        f"  next step: {BUSY[code]}"
    )
    assert it.error.__context__ is None


def test_a_gateway_that_takes_no_message_is_not_told_as_the_agents_fault() -> None:
    page = b"<html><title>503 Service Temporarily Unavailable</title></html>"
    limited = reply(503, page, server="nginx/1.26.3", content_type="text/html")
    it = Chatted(chat=[limited, ...], timeout=5)
    assert it.error is not None
    assert "503 Service Temporarily Unavailable (answered by nginx/1.26.3, text/html)" in (
        it.error.message
    )
    assert it.error.next_step is not None
    assert "gateway" in it.error.next_step
    assert "agent" not in it.error.next_step


def test_a_turn_that_was_refused_reads_so() -> None:
    it = Chatted(chat=[reply(400, {"detail": "no such agent"})])
    assert type(it.error) is RouterError
    assert str(it.error) == (
        "chat was refused with 400: no such agent\n"
        "  phase:     first_event, after 0.0 s\n"
        f"  instance:  {ID}\n"
        "  last seen: no event yet\n"
        "  next step: see the router's log of this moment"
    )


REFUSALS: dict[str, tuple[Any, type[HydraSmokeError]]] = {
    "401": (reply(401), UnauthorizedError),
    "404": (NOT_FOUND, NotFoundError),
    "500": (reply(500), RouterError),
    "502": (reply(502), RouterError),
    "504": (reply(504), RouterError),
    "lost": (lost(), TransportError),
    "no stream": (lambda _: stream(b"{}", kind="application/json"), ContractError),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_any_other_answer_is_told_at_once_and_never_asked_for_again(case: str) -> None:
    answer, kind = REFUSALS[case]
    it = Chatted(chat=[answer])
    assert type(it.error) is kind
    assert (it.error.phase, it.error.instance) == ("first_event", ID)
    assert it.io.calls_sent() == ["chat"]


def test_a_router_that_can_not_be_reached_is_asked_again() -> None:
    it = Chatted(chat=[refused(), stream(HI + DONE)])
    assert it.text == "Hi"


def test_a_router_that_does_not_answer_in_time_is_a_timeout() -> None:
    it = Chatted(chat=[HANG], timeout=20)
    assert type(it.error) is ChatTimeoutError
    assert it.io.waited == 20
    assert it.error.message == "not answered within 20 s: chat: no answer in time"
    assert it.error.next_step == IF_LATE


def test_an_agent_has_the_whole_deadline_for_its_first_word() -> None:
    it = Chatted(chat=[Took(45, stream(HI + DONE))], timeout=120)
    assert it.text == "Hi"


# --- one turn at a time ----------------------------------------------------------------------


SPELLED = [ID, ID.upper(), ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}", f"URN:UUID:{ID}"]


@pytest.mark.parametrize("spelled", SPELLED)
def test_a_second_turn_on_an_instance_is_refused_while_one_is_under_way(spelled: str) -> None:
    io, calls = calls_of(None, chat=[stream(HI), stream(HI)])
    first, second = turn_of(calls), turn_of(calls, spelled)
    drive(first.open())
    with pytest.raises(ChatBusyError) as caught:
        drive(second.open())
    drive(second.close())
    assert io.calls_sent() == ["chat"], "nothing is sent"
    assert str(caught.value) == (
        "a chat turn is under way on this instance already\n"
        "  next step: end that turn first, or chat on an instance of your own "
        "(smoke_instance_factory)"
    )
    with pytest.raises(ChatBusyError):
        drive(second.open())
    drive(first.close())
    drive(second.open())
    drive(second.close())


def test_turns_on_two_instances_do_not_mind_each_other() -> None:
    _, calls = calls_of(None, chat=[stream(HI), stream(HI)])
    first, second = turn_of(calls), turn_of(calls, OTHER_ID)
    drive(first.open())
    drive(second.open())
    drive(second.close())
    drive(first.close())


def test_clients_of_their_own_share_the_guard() -> None:
    first = turn_of(calls_of(None, chat=[stream(HI)])[1])
    second = turn_of(calls_of(None, chat=[stream(HI)])[1])
    drive(first.open())
    with pytest.raises(ChatBusyError):
        drive(second.open())
    drive(first.close())


def test_to_close_twice_is_to_close_once() -> None:
    answer = stream(HI)
    _, calls = calls_of(None, chat=[answer])
    turn = turn_of(calls)
    drive(turn.open())
    drive(turn.close())
    drive(turn.close())
    assert answer.closed == 1


def test_a_turn_that_was_never_opened_can_be_closed() -> None:
    drive(turn_of(calls_of()[1]).close())


def test_a_stream_is_read_in_its_own_block_alone() -> None:
    _, calls = calls_of(None, chat=[stream(b'data: {"error": "no"}\n\n' + HI + DONE)])
    it = ChatStream(turn_of(calls))
    with pytest.raises(ChatError, match="is not open") as caught:
        next(it)
    assert "`with` block" in str(caught.value)
    with it:
        assert next(it).data == '{"error": "no"}'
    # What had arrived is gone with the connection, an agent's error too.
    with pytest.raises(ChatError, match="is not open"):
        next(it)


def test_a_stream_read_to_its_end_has_ended_after_its_block_too() -> None:
    _, calls = calls_of(None, chat=[stream(HI, DONE)])
    with ChatStream(turn_of(calls)) as it:
        assert len(list(it)) == 2
    assert list(it) == []


def test_the_second_close_does_not_free_another_turns_instance() -> None:
    _, calls = calls_of(None, chat=[stream(HI), stream(HI)])
    first, second = turn_of(calls), turn_of(calls)
    drive(first.open())
    drive(first.close())
    drive(second.open())
    drive(first.close())
    with pytest.raises(ChatBusyError):
        drive(first.open())
    drive(second.close())


def test_a_connection_that_fails_to_close_frees_the_instance() -> None:
    class Broken(ScriptedStream):
        async def close(self) -> None:
            raise OSError("no")

    answer = Broken(200, {"content-type": "text/event-stream"}, [])
    turn = turn_of(calls_of(None, chat=[answer])[1])
    drive(turn.open())
    with pytest.raises(OSError, match="no"):
        drive(turn.close())


@pytest.mark.parametrize("case", REFUSALS)
def test_a_turn_that_is_refused_frees_the_instance(case: str) -> None:
    turn = turn_of(calls_of(None, chat=[REFUSALS[case][0]])[1])
    with pytest.raises(HydraSmokeError):
        drive(turn.open())
    assert not one_turn._busy


def test_an_interrupt_while_a_turn_begins_frees_the_instance() -> None:
    turn = turn_of(calls_of(None, chat=[KeyboardInterrupt()])[1])
    with pytest.raises(KeyboardInterrupt):
        drive(turn.open())
    left = set(one_turn._busy)
    one_turn._busy.clear()
    assert not left


# --- times -----------------------------------------------------------------------------------


def test_times_count_from_the_request() -> None:
    it = Chatted(chat=[Took(1, stream(Took(2, b": ping\n\n"), Took(3, HI), Took(4, DONE)))])
    assert (it.turn.first_event_after, it.turn.duration) == (6.0, 10.0)


def test_before_its_first_event_a_turn_has_no_times() -> None:
    it = Chatted(Took(3, lost()))
    assert (it.turn.first_event_after, it.turn.duration) == (None, 0.0)


# --- what events mean ------------------------------------------------------------------------

EVENT = ChatEvent("message", '{"type": "text", "content": "known"}', "", None, 0.0)
END = ChatEvent("done", "{}", "", None, 0.0)
ERROR = ChatEvent("error", "boo", "", None, 0.0)


@pytest.mark.parametrize(
    ("event", "text", "end", "meaning"),
    [
        # what the hooks say, if there are any
        (EVENT, ..., ..., Meaning("known")),
        (EVENT, None, None, Meaning("known")),
        (EVENT, "mine", None, Meaning("mine")),
        (EVENT, "", None, Meaning("")),
        (EVENT, None, True, Meaning("known", end=True)),
        (EVENT, "mine", True, Meaning("mine", end=True)),
        (EVENT, None, False, Meaning("known")),
        (END, ..., ..., Meaning(end=True)),
        (END, None, False, Meaning()),
        (END, "mine", None, Meaning("mine", end=True)),
        (ERROR, ..., ..., Meaning(error="boo")),
        (ERROR, None, None, Meaning(error="boo")),
    ],
)
def test_a_hooks_word_comes_first(event: ChatEvent, text: Any, end: Any, meaning: Meaning) -> None:
    reading = Reading(
        None if text is ... else lambda _: text, None if end is ... else lambda _: end
    )
    assert reading.of(event) == meaning


@pytest.mark.parametrize(
    ("text", "end", "error"),
    [
        (None, None, "boo"),
        (None, False, "boo"),
        ("mine", None, None),
        ("", None, None),
        ("", False, None),
        (None, True, None),
    ],
)
def test_a_hook_that_finds_a_text_or_an_end_in_an_event_takes_it_for_no_error(
    text: str | None, end: bool | None, error: str | None
) -> None:
    assert Reading(lambda _: text, lambda _: end).of(ERROR).error == error
    assert Reading(lambda _: text).of(ERROR).error == (None if text is not None else "boo")
    assert Reading(None, lambda _: end).of(ERROR).error == (None if end else "boo")


def test_a_turn_is_read_through_its_hooks() -> None:
    reading = Reading(lambda event: event.data.upper(), lambda event: event.data == "bye")
    it = Chatted(b"data: hello\n\ndata: bye\n\n", HANG, reading=reading, end="required")
    assert it.error is None
    assert it.text == "HELLOBYE"
    assert it.turn.complete


def test_a_hook_that_raises_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        Chatted(HI, reading=Reading(lambda _: str(1 / 0)))


def test_a_turns_message_is_sent_as_it_is() -> None:
    it = Chatted(HI)
    io: ScriptedIO = it.io
    assert io.sent[0].request.body == {"message": "hello"}


# --- several messages in a turn ------------------------------------------------------------------


def message(text: str, why: str) -> bytes:
    """Return a message of Anthropic's: what a model says in one call."""
    told = (
        {"type": "message_start", "message": {"role": "assistant", "content": []}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}},
        {"type": "message_delta", "delta": {"stop_reason": why}},
        {"type": "message_stop"},
    )
    return b"".join(b"data: %s\n\n" % json.dumps(it).encode() for it in told)


LOOKS, SAYS = message("I look. ", "tool_use"), message("Cold.", "end_turn")
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


@pytest.mark.parametrize("steps", [[LOOKS, Took(60, SAYS)], [LOOKS, PING, Took(60, PING), SAYS]])
def test_a_message_that_waits_for_its_tools_is_not_the_end(steps: list[Any]) -> None:
    it = Chatted(*steps, HANG)
    assert (it.error, it.text, it.turn.complete) == (None, "I look. Cold.", True)
    assert it.turn.finish_reason == "end_turn"
    assert it.io.waited == 60 + AFTER_END


RUN, RAN = (
    {"type": f"RUN_{word}", "threadId": "t", "runId": "r"} for word in ("STARTED", "FINISHED")
)
AGAIN = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "More"}
LOOK = {"type": "function_call", "name": "look", "call_id": "c", "arguments": "{}"}


def typed(*told: dict[str, Any]) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(it).encode() for it in told)


def response(text: str, *output: dict[str, Any], whole: bool = True) -> bytes:
    """Return a response of OpenAI's: what a model says in one call."""
    end = {"type": "response.completed", "response": {"output": [*output]}}
    delta = {"type": "response.output_text.delta", "delta": text}
    return typed({"type": "response.created"}, delta, *([end] if whole else []))


@pytest.mark.parametrize(
    ("told", "then"),
    [
        (message("Hi. ", "end_turn"), message("More", "end_turn")[:-40]),
        (message("Hi. ", "max_tokens"), typed({"type": "message_start", "message": {}})),
        (typed(RUN, AGAIN, RAN), typed(RUN, AGAIN)),
        (typed(RUN, AGAIN, RAN), typed(RUN)),
        (response("Hi. "), response("More", whole=False)),
        (response("Hi. "), typed({"type": "response.created"})),
        (HI + finished("stop"), HI),
        (HI + finished("stop") + DONE, HI),
        (HI + finished("length"), HI),
    ],
)
def test_what_is_said_after_an_end_takes_that_end_back(told: bytes, then: bytes) -> None:
    assert Chatted(told, end="required").turn.complete
    it = Chatted(told, then, end="required")
    assert it.error is not None
    assert "the reply was cut" in it.error.message
    assert not it.turn.complete
    assert Chatted(told, then, told, end="required").turn.complete
    # Silence after it is no end, either.
    assert type(Chatted(told, then, HANG, end="required").error) is ChatTimeoutError


def test_line_feeds_after_an_end_say_nothing() -> None:
    blank = typed({"choices": [{"index": 0, "delta": {"content": "\n"}, "finish_reason": None}]})
    assert Chatted(HI, finished("stop"), blank, end="required").turn.complete


def test_a_response_that_ends_with_a_call_waits_for_its_tool() -> None:
    assert not Chatted(response("I look. ", LOOK), end="auto").turn.complete
    found = {"type": "function_call_output", "call_id": "c", "output": "7"}
    assert Chatted(response("I look. ", LOOK, found), end="auto").turn.complete
    it = Chatted(response("I look. ", LOOK), Took(60, response("Cold.")), end="auto")
    assert (it.error, it.text, it.turn.complete) == (None, "I look. Cold.", True)
    assert it.turn.finish_reason is None


@pytest.mark.parametrize("steps", [[LOOKS], [LOOKS, PING]])
@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("auto", "as its model stopped for its tools (tool_use)"),
        ("required", "as the settings require"),
    ],
)
def test_an_agent_that_dies_in_its_tools_has_not_replied(
    steps: list[Any], end: Any, why: str
) -> None:
    it = Chatted(*steps, end=end)
    assert type(it.error) is ChatError
    assert it.error.message == "the reply was cut: its stream ended without a terminal event"
    assert it.error.expected == f"an event that ends the turn, {why} (chat_end = {end})"
    assert not it.turn.complete


@pytest.mark.parametrize("steps", [[LOOKS], [LOOKS, PING]])
def test_where_no_end_is_needed_a_message_that_waits_for_its_tools_will_do(
    steps: list[Any],
) -> None:
    it = Chatted(*steps, end="optional")
    assert (it.error, it.text, it.turn.complete) == (None, "I look. ", False)


@pytest.mark.parametrize(
    "steps", [[LOOKS, lost()], [LOOKS, SAYS[:90]], [LOOKS, SAYS[: SAYS.index(b"data", 99)]]]
)
def test_a_turn_that_is_cut_between_its_messages_or_in_one_of_them(steps: list[Any]) -> None:
    it = Chatted(*steps, end="auto")
    assert isinstance(it.error, ChatError)
    assert "cut" in it.error.message
    assert not it.turn.complete


def test_a_turn_whose_tools_take_too_long() -> None:
    it = Chatted(LOOKS, HANG)
    assert isinstance(it.error, ChatTimeoutError)


# --- a reply that comes as a whole ---------------------------------------------------------------

RUN = b'data: {"event": "run.completed", "output": "Hi"}\n\n'
SESSION = (
    b'event: assistant.completed\ndata: {"content": "Hi"}\n\n'
    b"event: run.completed\ndata: {}\n\nevent: done\ndata: {}\n\n"
)
PIECE = {
    RUN: b'data: {"event": "message.delta", "delta": "Hi"}\n\n',
    SESSION: b'event: assistant.delta\ndata: {"delta": "Hi"}\n\n',
}


@pytest.mark.parametrize("whole", PIECE)
def test_a_whole_reply_counts_where_no_piece_of_it_came(whole: bytes) -> None:
    for steps in ([whole], [PIECE[whole], whole]):
        it = Chatted(*steps)
        assert (it.error, it.text, it.turn.complete) == (None, "Hi", True)


@pytest.mark.parametrize("whole", PIECE)
def test_a_hook_that_knows_the_text_of_an_event_leaves_nothing_to_repeat(whole: bytes) -> None:
    it = Chatted(whole, reading=Reading(chat_text=lambda event: ""))
    assert (it.error, it.text) == (None, "")


def test_a_hook_may_end_a_turn_with_a_message_that_waits_for_its_tools() -> None:
    it = Chatted(LOOKS, HANG, reading=Reading(chat_end=lambda event: "message_stop" in event.data))
    assert (it.error, it.turn.complete) == (None, True)
