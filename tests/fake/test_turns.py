"""A chat's stream: its pace, what it is broken by, which reply it has, and what is left of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fake_tools import Caller, Calling, HandClock, events
from httpx_sse import EventSource
from plugin_tools import until

from pytest_hydrasmoke.fake import Scenario
from pytest_hydrasmoke.fake.router import to_come
from pytest_hydrasmoke.fake.state import World

OCTOPUS = "señor 🐙 да"


def chunks(caller: Caller, instance_id: str) -> list[bytes]:
    with caller.stream(instance_id) as answer:
        return list(answer.iter_raw())


def counted(caller: Caller) -> int:
    return len(caller.router.llm_events)


def test_a_stream_is_in_its_scenarios_form(calling: Calling, clock: HandClock) -> None:
    # Each runtime's frames, in every way to send them, are those of `test_runtimes.py`.
    form: dict[str, Any] = {"keep_alive": True, "terminal": False}
    caller = calling(runtime="named", reply=OCTOPUS, **form)
    answer = caller.chat(caller.ready(clock))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    alive = ": keep-alive\n\nevent: token\ndata: "
    said = "".join(f"{alive}{word}\n\n" for word in ("señor", " 🐙", " да"))
    assert (answer.text, counted(caller)) == (said, 1)


PACE = {"first_event_after": 30, "event_pause": 10, "runtime": "named", "reply": "one two"}


@pytest.mark.parametrize(
    ("seconds", "said", "left"),
    [
        (29.9, ["ReadTimeout"], 0),
        (30, ["one", "ReadTimeout"], 0),
        (39.9, ["one", "ReadTimeout"], 0),
        (49.9, ["one", " two", "ReadTimeout"], 0),
        (50, ["one", " two", "{}"], 1),
    ],
)
def test_first_event_after_and_event_pause(
    calling: Calling, clock: HandClock, seconds: float, said: list[str], left: int
) -> None:
    caller = calling(**PACE)
    instance_id = caller.ready(clock)
    caller.http.timeout = httpx.Timeout(5, read=0.5)
    got: list[str] = []
    with caller.stream(instance_id) as answer:
        clock.pass_by(seconds)
        try:
            for event in EventSource(answer).iter_sse():
                got.append(event.data)
        except httpx.ReadTimeout:
            got.append("ReadTimeout")
    assert (got, counted(caller)) == (said, left)


# Breaks

CUT = "RemoteProtocolError"
YES = ["token: Yes", "done: {}"]
# A kind of break, after how many events; what comes, and whether the turn reaches its end.
BREAKS: list[tuple[Any, int, list[str], bool]] = [
    ("cut", 0, [CUT], False),
    ("cut", 1, [*YES[:1], CUT], False),
    # Between the last event and the end.
    ("cut", 9, [*YES, CUT], True),
    ("end", 0, [], False),
    # Before the terminal event.
    ("end", 1, YES[:1], False),
    ("end", 2, YES, True),
    ("stall", 1, [*YES[:1], "ReadTimeout"], False),
    ("error", 1, [*YES[:1], "error: the agent has failed"], False),
    ("trickle", 9, YES, True),
]


@pytest.mark.parametrize(("kind", "after_events", "came", "ends"), BREAKS)
def test_a_stream_that_breaks(
    calling: Calling, clock: HandClock, kind: Any, after_events: int, came: list[str], ends: bool
) -> None:
    caller = calling(runtime="named", reply="Yes")
    caller.http.timeout = httpx.Timeout(5, read=0.5 if kind == "stall" else 5)
    instance_id = caller.ready(clock)
    # With "after", the agent was done before its stream broke.
    for when, left in (("before", int(ends)), ("after", 1)):
        caller.router.break_stream(kind, after_events=after_events, when=when)  # type: ignore[arg-type]
        before = counted(caller)
        assert events(caller, instance_id) == came
        assert (caller.router.requests[-1].status, counted(caller) - before) == (200, left)
        until(lambda: not to_come(caller.router, instance_id))
        assert events(caller, instance_id) == YES
        assert counted(caller) == before + left + 1


def test_garbage_and_a_flood(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="named")
    instance_id = caller.ready(clock)
    caller.router.break_stream("garbage")
    body = b"".join(chunks(caller, instance_id))
    assert body.startswith(b"event: token\ndata: I\n\n\xff\xfe")
    with pytest.raises(UnicodeDecodeError):
        body.decode()
    caller.router.break_stream("flood")
    caller.router.break_stream("flood", when="after")
    for left in (0, 1):
        with caller.stream(instance_id) as answer:
            got = EventSource(answer).iter_sse()
            assert [next(got).data for _ in range(3)] == ["I", " again", " again"]
            # The flood goes on meanwhile, and drowns nobody.
            assert caller.status(instance_id).status_code == 200
            assert sum(1 for _, _ in zip(range(1000), got, strict=False)) == 1000
            assert counted(caller) == left


@pytest.mark.parametrize("terminal", [True, False])
def test_a_whole_turn_in_pieces(calling: Calling, clock: HandClock, terminal: bool) -> None:
    caller = calling(runtime="named", reply=OCTOPUS, terminal=terminal)
    instance_id = caller.ready(clock)
    whole = caller.chat(instance_id).content
    end = b"\n"
    first = end.join((b"event: token", "data: señor".encode(), b"", b""))
    caller.router.break_stream("trickle", after_events=1)
    assert chunks(caller, instance_id) == [
        first,
        *(whole[at : at + 1] for at in range(len(first), len(whole))),
    ]
    caller.router.break_stream("split", split_at=(40, 3, 3, len(whole), 10_000))
    assert chunks(caller, instance_id) == [whole[:3], whole[3:40], whole[40:]]
    caller.router.break_stream("split")
    pieces = chunks(caller, instance_id)
    assert b"".join(pieces) == whole
    # In characters, in line ends, between them, and in words.
    assert {piece[-1:] for piece in pieces} >= {b"\xc3", b"\xf0", b"a", end[:1]}
    assert counted(caller) == 4


def test_which_streams_are_broken(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", reply="Yes")
    instance_id = caller.ready(clock)
    caller.router.break_stream("end", times=2)
    caller.router.break_stream("error")
    caller.router.break_stream("error", after=4, after_events=0)
    got = [events(caller, instance_id)[-1] for _ in range(6)]
    error = "error: the agent has failed"
    assert got == ["Yes", "Yes", error, "[DONE]", error, "[DONE]"]


def test_an_agent_dies_in_every_turn(calling: Calling, clock: HandClock) -> None:
    caller = calling(agent_dies="cut", agent_dies_after=2, runtime="text")
    instance_id = caller.ready(clock)
    for _ in range(2):
        assert events(caller, instance_id) == ["I", " am", CUT]
    caller.router.break_stream("end", after_events=3)  # What a test asks for comes first.
    assert events(caller, instance_id) == ["I", " am", " ready"]
    assert counted(caller) == 0


# What is still to come of a turn


def test_it_can_be_asked_whether_llm_events_are_still_to_come(
    calling: Calling, clock: HandClock
) -> None:
    caller = calling(llm_events_lag=0.2, event_pause=10)
    one, other = caller.ready(clock), caller.ready(clock, "key-1")

    def coming() -> bool:
        return to_come(caller.router, one)

    assert not coming()
    with caller.stream(one) as answer:
        pieces = answer.iter_raw()  # Once that is forgotten, it hangs up.
        next(pieces)
        assert coming(), "its agent still speaks"
        assert not to_come(caller.router, other)
    until(lambda: not coming())
    clock.pass_by(1000)
    assert counted(caller) == 0, "its client has left"
    with caller.stream(one) as answer:
        clock.pass_by(100)
        answer.read()
        assert coming()
    clock.pass_by(0.2)
    until(lambda: not coming())
    assert counted(caller) == 1


def test_llm_events_are_to_come_until_they_are_written() -> None:
    seen: list[tuple[bool, bool]] = []

    class Asking(HandClock):
        """A clock that is read as a turn ends, before its events are written."""

        def now(self) -> float:
            if not seen:
                seen.append((False, False))  # What follows reads the clock, too.
                seen[0] = (world.to_come("a"), world.all_counted("a"))
            return self.time

    world = World(Scenario(llm_events_lag=0), Asking())
    turn = world.begin_turn("a", ["anthropic"])
    turn.end()
    assert seen == [(True, False)]
    assert (world.to_come("a"), world.all_counted("a")) == (False, True)


def test_a_turn_that_outlives_its_world(calling: Calling, clock: HandClock) -> None:
    caller = calling(event_pause=10, runtime="named", reply="Yes")
    instance_id = caller.ready(clock)
    with caller.stream(instance_id) as answer:
        got = EventSource(answer).iter_sse()
        assert next(got).data == "Yes"
        caller.router.reset()
        assert not to_come(caller.router, instance_id)
        clock.pass_by(10)
        assert next(got).event == "done"
    assert caller.router.llm_events == ()


# Scripted replies

WEATHER = {"match": "(?i)weather", "text": "It is cold."}
LAST = {"match": "cold|weather", "text": "Never."}
TWICE = {"match": "hello", "text": ["Hello.", "Hello again."]}


def test_which_reply_a_message_gets(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", reply="What?", replies=(WEATHER, LAST, TWICE))
    one, other = caller.ready(clock), caller.ready(clock, "key-1")

    def says(message: str, instance_id: str = one) -> str:
        return "".join(events(caller, instance_id, message)).removesuffix("[DONE]")

    asked = ("How is the Weather?", "cold", "weather", "")
    assert [says(it) for it in asked] == ["It is cold.", "Never.", "It is cold.", "What?"]
    # Each instance goes through the texts by itself.
    said = [says("hello", it) for it in (one, one, other, one, other)]
    assert said == ["Hello.", "Hello again.", "Hello.", "Hello.", "Hello again."]
    # What a test adds comes first, until it is reset.
    caller.router.reply("hell", "Added.")
    caller.router.reply("hello", "Added later.")
    assert says("hello") == "Added."
    caller.router.reply("hell", "In its place.")
    assert says("hello") == "In its place."
    caller.router.reset()
    assert says("hello", caller.ready(clock)) == "Hello."


def test_a_chat_that_is_not_accepted_is_no_turn(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="text", replies=[TWICE], row_after=0)
    instance_id = caller.provision().json()["instance_id"]
    caller.router.break_stream("end")
    assert caller.chat(instance_id, "hello").status_code == 409
    clock.pass_by(60)
    caller.router.fail("chat")
    assert caller.chat(instance_id, "hello").status_code == 503
    assert events(caller, instance_id, "hello") == ["Hello"]
    # A broken one was accepted, and so it was a turn.
    assert events(caller, instance_id, "hello") == ["Hello", " again", ".", "[DONE]"]


def test_tools_and_reasoning_are_in_the_runtimes_words(calling: Calling, clock: HandClock) -> None:
    caller = calling(runtime="objects")
    call = {"name": "look", "arguments": {"city": "Oslo"}, "result": "cold"}
    caller.router.reply("", ["Cold"], tool_calls=[call], reasoning="Hm")
    assert events(caller, caller.ready(clock)) == [
        '{"type":"thinking","content":"Hm"}',
        '{"type":"tool_call","content":{"id":"call_1","name":"look","arguments":{"city":"Oslo"}}}',
        '{"type":"tool_result","content":{"id":"call_1","content":"cold"}}',
        '{"type":"token","content":"Cold"}',
        '{"type":"done"}',
    ]
