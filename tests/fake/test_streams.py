"""`break_stream`: each way in which a chat stream can go wrong, as a plain httpx client sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fake_tools import Caller, HandClock
from httpx_sse import EventSource

from pytest_hydrasmoke.fake.router import to_come

Calling = Callable[..., Caller]
RUNTIMES = ["openai", "anthropic", "objects", "named", "text"]
OCTOPUS = "señor 🐙 да"


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


@pytest.mark.parametrize("after_events", [0, 1, 3])
def test_cut(calling: Calling, clock: HandClock, after_events: int) -> None:
    caller = calling(runtime="named")
    instance_id = caller.ready(clock)
    caller.router.break_stream("cut", after_events=after_events)
    said = ["token: I", "token:  am", "token:  ready"]
    assert events(caller, instance_id) == (said[:after_events], "RemoteProtocolError")
    assert (caller.router.requests[-1].status, counted(caller)) == (200, 0)
    got, error = events(caller, instance_id)
    assert (got[-1], error, counted(caller)) == ("done: {}", None, 1)


def test_cut_between_the_last_event_and_the_end(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="named", reply="Yes")
    caller.router.break_stream("cut", after_events=9)
    got, error = events(caller, caller.ready(clock))
    assert (got, error) == (["token: Yes", "done: {}"], "RemoteProtocolError")
    assert counted(caller) == 1


@pytest.mark.parametrize("after_events", [0, 2])
def test_end(calling: Calling, clock: HandClock, after_events: int) -> None:
    caller = calling(runtime="named")
    caller.router.break_stream("end", after_events=after_events)
    got, error = events(caller, caller.ready(clock))
    assert (got, error) == (["token: I", "token:  am"][:after_events], None)
    assert counted(caller) == 0


def test_end_before_the_terminal_event(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="named", reply="Yes")
    caller.router.break_stream("end", after_events=1)
    assert events(caller, caller.ready(clock)) == (["token: Yes"], None)
    assert counted(caller) == 0


def test_stall(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="named")
    caller.http.timeout = httpx.Timeout(5, read=0.2)
    caller.router.break_stream("stall")
    assert events(caller, caller.ready(clock)) == (["token: I"], "ReadTimeout")
    assert counted(caller) == 0


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


def test_trickle_of_nothing_but_the_end(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="named", reply="Yes")
    caller.router.break_stream("trickle", after_events=9)
    assert events(caller, caller.ready(clock)) == (["token: Yes", "done: {}"], None)
    assert counted(caller) == 1


def test_split_at(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="named", reply=OCTOPUS)
    instance_id = caller.ready(clock)
    whole = caller.chat(instance_id).content
    caller.router.break_stream("split", split_at=(40, 3, 3, len(whole), 10_000))
    assert chunks(caller, instance_id) == [whole[:3], whole[3:40], whole[40:]]
    assert counted(caller) == 2


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("terminal", [True, False])
def test_split_where_it_hurts(
    calling: Calling, clock: HandClock, runtime: str, terminal: bool
) -> None:
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
@pytest.mark.parametrize("after_events", [0, 1, 9])
def test_a_stream_that_breaks_when_the_agent_is_done(
    calling: Calling, clock: HandClock, kind: Any, after_events: int
) -> None:
    caller = calling(runtime="named", reply="Yes")
    instance_id = caller.ready(clock)
    caller.router.break_stream(kind, after_events=after_events, when="after")
    with caller.stream(instance_id) as answer:
        if after_events or kind in ("error", "garbage", "flood"):
            next(answer.iter_raw())
        if after_events < 9:
            wait_until(lambda: counted(caller) == 1)


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until


MIDS = {"character": ("ñ".encode(), 1), "emoji": ("🐙".encode(), 3), "line end": (b"\r\n\r\n", 1)}


@pytest.mark.parametrize("mid", list(MIDS))
def test_a_frame_split_in_the_middle(calling: Calling, clock: HandClock, mid: str) -> None:
    caller = calling(runtime="openai", reply=OCTOPUS, line_end="crlf")
    instance_id = caller.ready(clock)
    whole = caller.chat(instance_id).content
    found, inside = MIDS[mid]
    at = whole.index(found) + inside
    for _ in range(2):
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
