"""One chat turn: what ends it, and how it fails."""

from __future__ import annotations

from typing import Any

import pytest
from chatting import (
    DONE,
    HI,
    IF_LATE,
    LOG,
    PING,
    Chatted,
    finished,
)
from scripted_io import (
    HANG,
    ID,
    START,
    ScriptedStream,
    Took,
    late,
    lost,
)

from pytest_hydrasmoke import (
    ChatError,
    ChatTimeoutError,
)
from pytest_hydrasmoke._core.chat import AFTER_END

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
    assert (it.came.end.complete, it.turn.over_at is not None) == (True, True)
    assert it.io.waited <= AFTER_END
    assert it.stream.closed == 1


def test_what_comes_within_2_s_of_the_end_is_read_too() -> None:
    usage = b'event: usage\ndata: {"tokens": 3}\n\n'
    it = Chatted(HI + DONE, Took(1.5, usage), Took(1.5, usage), HANG)
    assert len(it.data) == 4
    assert AFTER_END == 2.0
    assert it.io.waited == 1.5 + 1.5 + 2
    assert [deadline - START for deadline in it.stream.deadlines] == [120, 2, 3.5, 5]


def test_the_2_s_after_the_end_never_outlast_the_deadline() -> None:
    it = Chatted(Took(119, HI + DONE), HANG)
    assert it.error is None
    assert it.io.waited == 120


def test_text_after_the_end_is_not_text_of_a_late_failure() -> None:
    it = Chatted(HI + DONE + b"event: error\ndata: too late\n\n")
    assert isinstance(it.error, ChatError)
    assert it.error.message == "the agent reported an error: too late"


def test_only_events_move_the_2_s_after_the_end() -> None:
    it = Chatted(HI + DONE, Took(1, b": ping\n\n"), Took(0.5, PING), Took(1, b"data: half"), HANG)
    assert [deadline - START for deadline in it.stream.deadlines] == [120, 2, 2, 3.5, 3.5]
    assert it.io.waited == 3.5


def test_where_a_terminal_event_is_required_its_lack_reads_so() -> None:
    it = Chatted(HI, HI)
    assert (it.error, it.text, it.came.end.complete, it.turn.over_at is not None) == (
        None,
        "HiHi",
        False,
        True,
    )
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


def test_a_model_of_an_unknown_runtime_may_wait_for_its_tools_too() -> None:
    text = b'data: {"type": "token", "content": "Hi"}\n\n'
    waits = b'data: {"type": "token", "content": "", "finish_reason": "tool_calls"}\n\n'
    it = Chatted(text, waits, end="auto")
    assert it.error is not None
    assert "as its model stopped for its tools (tool_calls)" in (it.error.expected or "")
    assert Chatted(text, waits, text, end="auto").error is None, "it has gone on"


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("reason", ["stop", "length", "content_filter", "made_up"])
def test_a_finish_reason_will_do_once_the_stream_ends(reason: str, kept: bool) -> None:
    it = Chatted(HI, finished(reason), b"data: half", end="required", kept=kept)
    assert it.error is None
    assert (it.came.end.complete, it.came.end.finish_reason) == (True, reason)
    # It is no terminal event: what comes after it is waited for.
    assert [deadline - START for deadline in it.stream.deadlines] == [120] * 4


@pytest.mark.parametrize("reason", ["tool_calls", "tool_use", "function_call"])
def test_a_model_that_waits_for_its_tools_has_not_finished(reason: str) -> None:
    it = Chatted(HI, finished(reason), end="auto")
    assert it.error is not None
    assert it.error.message == "the reply was cut: its stream ended without a terminal event"
    assert Chatted(HI, finished(reason), HI, finished("stop"), end="auto").came.end.complete
    assert Chatted(HI, finished(reason), DONE, end="auto").came.end.finish_reason == reason


@pytest.mark.parametrize("kept", [True, False])
def test_an_agent_that_finishes_with_an_error_has_failed_whatever_its_end(kept: bool) -> None:
    crash = finished("error").replace(b"]}", b'], "error": {"message": "no credit"}}')
    for end, words in ((crash, "no credit"), (finished("error"), "it finished with 'error'")):
        it = Chatted(HI, end + DONE, kept=kept)
        assert type(it.error) is ChatError
        assert it.error.message.startswith(f"the agent reported an error: {words}")
        assert (it.came.end.complete, it.came.end.finish_reason) == (False, "error")


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


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [
        *((5, True), (29.8, True), (30, True), (60.2, True), (100, True), (350, True)),
        *((0.9, False), (2, False), (7.5, False), (61, False)),
    ],
)
def test_a_stream_cut_after_a_round_silence_may_be_a_proxys_doing(
    seconds: float, limit: bool
) -> None:
    it = Chatted(HI, Took(1, b": ping\n\n"), Took(seconds, lost()), timeout=900)
    assert it.error is not None
    silence = f" after {seconds:.1f} s of silence" if seconds >= 1 else ""
    assert it.error.message == f"the stream was cut{silence}: the answer was lost (reset)"
    assert it.error.next_step == (IDLE + LOG if limit else LOG)


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


@pytest.mark.parametrize(
    ("before", "words", "phase", "last"),
    [
        (b"", "the stream was cut", "first_event", "no event yet"),
        (HI + b"data: half", "the stream was cut in the middle of an event", "turn", "event"),
        (HI + finished("stop"), "the stream was cut", "turn", "event"),
    ],
)
def test_a_stream_that_is_cut_tells_where(before: bytes, words: str, phase: str, last: str) -> None:
    it = Chatted(*[before] * bool(before), lost())
    assert it.error is not None
    assert it.error.message == f"{words}: the answer was lost (reset)"
    assert it.error.phase == phase
    assert str(it.error.last).startswith(last)


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


def test_a_flood_leaves_what_came_before_it() -> None:
    flood = b"data: " + b"x" * (1 << 20)
    it = Chatted(HI + HI + flood)
    assert it.text == "HiHi"
    assert type(it.error) is ChatError
    assert it.error.message.endswith("(max_event): the turn was broken off")
    assert len(it.stream.deadlines) == 1, "and nothing more is read"
    it = Chatted(HI + DONE + flood)
    assert it.came.end.complete
    assert type(it.error) is ChatError
