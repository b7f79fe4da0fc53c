"""`break_stream`: each way in which a chat stream can go wrong, as a plain httpx client sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fake_tools import Caller, HandClock
from httpx_sse import EventSource

from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.router import to_come

Calling = Callable[..., Caller]
RUNTIMES = ["openai", "anthropic", "objects", "named", "text"]
OCTOPUS = "señor 🐙 да"
READY = Scenario().reply


def events(caller: Caller, instance_id: str) -> tuple[list[str], str | None]:
    """The names and data of the events that came, and the error that ended them."""
    got: list[str] = []
    try:
        with caller.stream(instance_id) as answer:
            for event in EventSource(answer).iter_sse():
                got.append(f"{event.event}: {event.data}")
    except httpx.HTTPError as error:
        return got, type(error).__name__
    return got, None


def chunks(caller: Caller, instance_id: str) -> list[bytes]:
    with caller.stream(instance_id) as answer:
        return list(answer.iter_raw())


def counted(caller: Caller) -> int:
    return len(caller.router.llm_events)


TOKENS = ["token: I", "token:  am", "token:  ready"]
YES = ["token: Yes", "done: {}"]
# A kind of break, after how many events, in which reply; what came, its error, and LLM events.
BREAKS: list[tuple[Any, int, str, list[str], str | None, int]] = [
    ("cut", 0, READY, [], "RemoteProtocolError", 0),
    ("cut", 1, READY, TOKENS[:1], "RemoteProtocolError", 0),
    ("cut", 3, READY, TOKENS, "RemoteProtocolError", 0),
    # Between the last event and the end.
    ("cut", 9, "Yes", YES, "RemoteProtocolError", 1),
    ("end", 0, READY, [], None, 0),
    ("end", 2, READY, TOKENS[:2], None, 0),
    # Before the terminal event.
    ("end", 1, "Yes", YES[:1], None, 0),
    ("stall", 1, READY, TOKENS[:1], "ReadTimeout", 0),
    ("trickle", 9, "Yes", YES, None, 1),
]


@pytest.mark.parametrize(("kind", "after", "reply", "came", "error", "left"), BREAKS)
def test_a_stream_that_breaks(
    calling: Calling,
    clock: HandClock,
    kind: Any,
    after: int,
    reply: str,
    came: list[str],
    error: str | None,
    left: int,
) -> None:
    caller = calling(runtime="named", reply=reply)
    caller.http.timeout = httpx.Timeout(5, read=0.2 if kind == "stall" else 5)
    instance_id = caller.ready(clock)
    caller.router.break_stream(kind, after_events=after)
    assert events(caller, instance_id) == (came, error)
    assert (caller.router.requests[-1].status, counted(caller)) == (200, left)
    got, no_error = events(caller, instance_id)
    assert (got[-1], no_error, counted(caller)) == ("done: {}", None, left + 1)


@pytest.mark.parametrize(
    ("runtime", "last"),
    [
        ("openai", 'message: {"error":{"message":"the agent has failed",'),
        ("anthropic", 'error: {"type":"error","error":{"type":"api_error",'),
        ("objects", 'message: {"type":"error","content":"the agent has failed"}'),
        ("named", "error: the agent has failed"),
        ("text", "error: the agent has failed"),
    ],
)
def test_error(calling: Calling, clock: HandClock, runtime: str, last: str) -> None:
    caller = calling(runtime=runtime)
    caller.router.break_stream("error", after_events=2)
    got, error = events(caller, caller.ready(clock))
    assert (len(got), error) == (3, None)
    assert got[-1].startswith(last)
    assert counted(caller) == 0


def test_garbage(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="named")
    caller.router.break_stream("garbage")
    body = b"".join(chunks(caller, caller.ready(clock)))
    assert body.startswith(b"event: token\ndata: I\n\n\xff\xfe")
    with pytest.raises(UnicodeDecodeError):
        body.decode()
    assert counted(caller) == 0


def test_flood(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="named")
    instance_id = caller.ready(clock)
    caller.router.break_stream("flood")
    with caller.stream(instance_id) as answer:
        got = EventSource(answer).iter_sse()
        assert [next(got).data for _ in range(3)] == ["I", " again", " again"]
        # The flood goes on meanwhile, and drowns nobody.
        assert caller.status(instance_id).status_code == 200
        assert sum(1 for _, _ in zip(range(1000), got, strict=False)) == 1000
    assert counted(caller) == 0


def test_trickle(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="named", reply=OCTOPUS)
    instance_id = caller.ready(clock)
    whole = caller.chat(instance_id).content
    caller.router.break_stream("trickle", after_events=1)
    got = chunks(caller, instance_id)
    assert b"".join(got) == whole
    first = "event: token\ndata: señor\n\n".encode()
    assert got[0] == first
    assert {len(chunk) for chunk in got[1:]} == {1}
    assert counted(caller) == 2


def test_split_at(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="named", reply=OCTOPUS)
    instance_id = caller.ready(clock)
    whole = caller.chat(instance_id).content
    caller.router.break_stream("split", split_at=(40, 3, 3, len(whole), 10_000))
    assert chunks(caller, instance_id) == [whole[:3], whole[3:40], whole[40:]]
    assert counted(caller) == 2


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_split_where_it_hurts(calling: Calling, clock: HandClock, runtime: str) -> None:
    # Some have their terminal event, and some have none.
    terminal = RUNTIMES.index(runtime) % 2 == 0
    caller = calling(runtime=runtime, reply=OCTOPUS, line_end="crlf", terminal=terminal)
    instance_id = caller.ready(clock)
    whole = caller.chat(instance_id).content
    caller.router.break_stream("split")
    got = chunks(caller, instance_id)
    assert b"".join(got) == whole
    assert any(chunk.endswith(b"\r") for chunk in got)
    broken = [chunk for chunk in got if not _decodes(chunk)]
    assert len(broken) >= 2
    assert counted(caller) == 2


def _decodes(chunk: bytes) -> bool:
    try:
        chunk.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_times_and_turns(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", reply="Yes")
    instance_id = caller.ready(clock)
    caller.router.break_stream("end", times=2)
    caller.router.break_stream("error")
    got: list[Any] = [events(caller, instance_id)[0][-1] for _ in range(4)]
    assert got == ["message: Yes", "message: Yes", "error: the agent has failed", "message: [DONE]"]


def test_the_nth_stream(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", reply="Yes")
    instance_id = caller.ready(clock)
    caller.router.break_stream("error", after=1, after_events=0)
    caller.router.break_stream("end", after=3)
    got: list[Any] = [events(caller, instance_id)[0][-1] for _ in range(5)]
    done, broken = "message: [DONE]", "error: the agent has failed"
    assert got == [done, broken, done, "message: Yes", done]


@pytest.mark.parametrize("kind", ["cut", "end", "stall", "error", "garbage", "flood"])
def test_a_stream_that_breaks_when_the_agent_is_done(
    calling: Calling, clock: HandClock, kind: Any
) -> None:
    caller = calling(runtime="named", reply="Yes")
    instance_id = caller.ready(clock)
    for after_events in (0, 1, 9):
        before = counted(caller)
        caller.router.break_stream(kind, after_events=after_events, when="after")
        with caller.stream(instance_id) as answer:
            pieces = answer.iter_raw()
            if after_events or kind in ("error", "garbage", "flood"):
                next(pieces)
            if after_events < 9:
                wait_until(lambda before=before: counted(caller) == before + 1)


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until


def test_a_frame_split_in_the_middle(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="openai", reply=OCTOPUS, line_end="crlf")
    instance_id = caller.ready(clock)
    whole = caller.chat(instance_id).content
    # Of a character, of an emoji, of a line's end.
    for found, inside in (("ñ".encode(), 1), ("🐙".encode(), 3), (b"\r\n\r\n", 1)):
        at = whole.index(found) + inside
        caller.router.break_stream("split", split_at=[at])
        assert chunks(caller, instance_id) == [whole[:at], whole[at:]]


def test_a_refused_chat_uses_up_no_break(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", row_after=0)
    instance_id = caller.provision().json()["instance_id"]
    caller.router.break_stream("error", after_events=0)
    assert caller.chat(instance_id).status_code == 409
    clock.pass_by(60)
    assert events(caller, instance_id) == (["error: the agent has failed"], None)


def test_a_client_that_leaves_ends_the_turn_early(calling: Calling, clock: HandClock) -> None:
    caller = calling(event_pause=10)
    instance_id = caller.ready(clock)
    with caller.stream(instance_id) as answer:
        next(answer.iter_raw())
    # By the time this is answered the server has heard of the other connection's end.
    caller.poll()
    caller.poll()
    clock.pass_by(1000)
    assert caller.llm_events(instance_id).json()["count"] == 0


def test_a_turn_that_outlives_its_world(calling: Calling, clock: HandClock) -> None:
    caller = calling(event_pause=10, runtime="named", reply="Yes")
    instance_id = caller.ready(clock)
    with caller.stream(instance_id) as answer:
        got = EventSource(answer).iter_sse()
        assert next(got).data == "Yes"
        caller.router.reset()
        clock.pass_by(10)
        assert next(got).event == "done"
    assert caller.router.llm_events == ()


def until_none_to_come(caller: Caller, instance_id: str) -> None:
    """Wait for the server's thread, which may learn of the end of a stream after its client."""
    while to_come(caller.router, instance_id):
        time.sleep(0.001)


def test_it_can_be_asked_whether_llm_events_are_still_to_come(
    calling: Calling, clock: HandClock
) -> None:
    caller = calling(llm_events_lag=0.2)
    one = caller.ready(clock)
    assert not to_come(caller.router, one)
    caller.router.break_stream("stall")
    with caller.stream(one) as answer:
        pieces = answer.iter_raw()  # Once that is forgotten, it hangs up.
        next(pieces)
        clock.pass_by(60)
        assert to_come(caller.router, one), "its agent still speaks"
    until_none_to_come(caller, one)
    assert counted(caller) == 0
    chunks(caller, one)
    assert to_come(caller.router, one)
    clock.pass_by(0.2)
    until_none_to_come(caller, one)
    assert counted(caller) == 1


@pytest.mark.parametrize("way", ["no events", "hung up", "answered otherwise", "reset"])
def test_nothing_comes_of_a_turn_that_came_to_nothing(
    calling: Calling, clock: HandClock, way: str
) -> None:
    caller = calling()
    one = caller.ready(clock)
    if way == "no events":
        caller.router.break_stream("end")
    elif way == "hung up":
        caller.router.break_stream("cut")
    elif way == "answered otherwise":
        caller.router.fail("chat", when="after")
    if way == "reset":
        caller.router.break_stream("stall")
        with caller.stream(one) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            caller.router.reset()
    else:
        events(caller, one)
    until_none_to_come(caller, one)
