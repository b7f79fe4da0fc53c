"""What the pauses of a stream tell: rules, and how often they are wrong of random streams."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from net_tools import World
from scripted_io import ID, Took, calls_of, events, lost, record, stream

from pytest_hydrasmoke import ChatError
from pytest_hydrasmoke._core.chat import AGENTS_LOG
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.pauses import HELD_BACK, IDLE_LIMIT, is_limit, pace
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._core.turn_log import TurnLog, TurnLogs
from pytest_hydrasmoke._core.turn_observers import LogObserver
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake import Scenario

Stream = list[tuple[float, bool]]
"""When each event came, and whether it had text."""

HI = b'data: {"choices": [{"delta": {"content": "Hi"}}]}\n\n'
PACES = [
    # texts, awaited, spread
    (5, 1.0, 0.0, "at once"),
    (5, 1.0, 0.0025, "at once"),
    (5, 1.0, 0.0026, "streamed"),
    (5, 0.99, 0.0, None),
    (4, 60.0, 0.0, None),
    (4, 60.0, 3.0, None),
    (5, 0.0, 1.0, "streamed"),
    (200, 9.0, 0.1, "at once"),
    (200, 9.0, 0.11, "streamed"),
]


@pytest.mark.parametrize(("texts", "awaited", "spread", "known"), PACES)
def test_a_pace_is_told_of_streams_that_are_long_enough(
    texts: int, awaited: float, spread: float, known: str | None
) -> None:
    assert pace(texts, awaited, spread) == known


def test_a_silence_that_comes_again_is_as_of_a_limit() -> None:
    assert not is_limit(7.5, ())
    assert is_limit(7.5, (3.0, 7.7))
    assert not is_limit(7.5, (3.0, 7.9))
    assert not is_limit(0.1, ()), "0 is no limit"
    logs = TurnLogs()
    one, other = (LogObserver(TurnLog(logs), "hello", lambda: 0.0) for _ in range(2))
    assert not one.cut_by_a_limit(1.6)
    assert other.cut_by_a_limit(1.5), "on another instance, behind the same proxy"


def test_chats_that_are_cut_after_the_same_silence_are_cut_by_a_limit() -> None:
    cut = [stream(HI, Took(7.5, lost())), stream(HI, Took(7.4, lost()))]
    it = record(state=State.READY, id=ID)
    _, calls = calls_of(it, llm_events=[events(0), ...], chat=cut)
    handle = Handle(calls, it, Policy(usage_settle=0), Reading())
    steps: list[str | None] = []
    for _ in range(2):
        with pytest.raises(ChatError) as caught:
            drive(handle.chat("hello", None))
        steps.append(caught.value.next_step)
    assert steps == [AGENTS_LOG, IDLE_LIMIT + AGENTS_LOG]


# --- random streams ---------------------------------------------------------------------------


def agents(chance: random.Random) -> Stream:
    """Make a stream as agents send one: token by token, by a very fast model, in one piece, in
    batches of their runtime's, or with tools between; a tenth of them over a hop that gathers what
    comes within a quarter of a second.
    """
    kind = chance.choices(["tokens", "fast", "whole", "batches", "tools"], [50, 10, 20, 15, 5])[0]
    at = first = chance.lognormvariate(0.3, 0.7)
    every = 1 / chance.uniform(500, 1500) if kind == "fast" else chance.lognormvariate(-3.7, 0.5)
    times: list[float] = []
    for _ in range(1 if kind == "whole" else max(1, int(chance.lognormvariate(3, 1)))):
        at += chance.expovariate(1 / every)
        times.append(at)
        if kind == "tools" and chance.random() < 0.05:
            at += chance.uniform(0.5, 5)
    if kind == "whole":
        times = [first]
    if kind == "batches":
        every = chance.choice([0.05, 0.1, 0.25])
        times = [first + every * (1 + int((it - first) / every)) for it in times]
    stream = [(first, False), *((it, True) for it in times), (times[-1], False), (times[-1], False)]
    if chance.random() < 0.1:
        stream = [(0.25 * (1 + int(it / 0.25)), text) for it, text in stream]
    return stream


def held_back(stream: Stream, chance: random.Random) -> Stream:
    """Let a stream come when it is whole, at a network's pace: more round trips for more bytes."""
    trip, room, held, at = chance.choice([0.0, 0.01, 0.03, 0.1]), 14_000, 0, stream[-1][0]
    late: Stream = []
    for _, text in stream:
        held += chance.randint(60, 300)
        if held > room:
            held, room, at = 0, 2 * room, at + trip
        late.append((at, text))
    return late


def noted(stream: Stream) -> bool:
    texts = sum(text for _, text in stream)
    return pace(texts, stream[0][0], stream[-1][0] - stream[0][0]) == "at once"


def three_at_once(stream: Stream) -> bool:
    """Tell by the simpler rule: three events in one read, long after the head."""
    times = [at for at, _ in stream]
    return times[0] > 1 and any(times.count(at) >= 3 for at in set(times))


def share(rule: Callable[[Stream], bool], streams: list[Stream]) -> float:
    return sum(map(rule, streams)) / len(streams)


def test_the_rule_is_seldom_wrong_of_random_streams() -> None:
    chance = random.Random(20)
    streams = [agents(chance) for _ in range(4_000)]
    late = [held_back(it, chance) for it in streams]
    false, found = share(noted, streams), share(noted, late)
    simple = share(three_at_once, streams)
    print(f"\nfalse {false:.1%}, found {found:.1%}; by three at once false {simple:.1%}")
    assert false < 0.02
    assert found > 0.6
    assert simple > 0.5, "why that is not the rule"


# --- of a whole turn --------------------------------------------------------------------------

LONG = "one two three four five six seven"
AT_ONCE = Scenario(row_after=0, statuses=((0, "running"),), reply=LONG)
HELD = replace(AT_ONCE, first_event_after=3.0)
SLOW = replace(AT_ONCE, event_pause=0.2)
SHORT = replace(HELD, reply="Yes.")


def notes_of(scenario: Scenario) -> list[str]:
    """Chat twice on one instance, and give its notes."""
    told: list[str] = []

    async def run() -> None:
        async with World("sync", scenario) as world:
            instance = await world.provision()
            for _ in range(2):
                instance.chat("hello")  # type: ignore[unused-coroutine]
            told.extend(world.session.records[0].notes)

    drive(run())
    return told


def test_a_stream_that_came_all_at_once_is_noted_once() -> None:
    assert notes_of(HELD) == [HELD_BACK]


@pytest.mark.parametrize("scenario", [AT_ONCE, SHORT, SLOW], ids=["quick", "short", "slow"])
def test_other_streams_are_not_noted(scenario: Scenario) -> None:
    assert notes_of(scenario) == []


def test_one_stream_that_came_bit_by_bit_shows_that_none_is_held_back() -> None:
    it = record()
    it.add_remark("something else")
    it.saw_pace(pace(7, 3.0, 0.0))
    assert it.notes == ["something else", HELD_BACK]
    it.saw_pace(pace(4, 3.0, 9.0))
    assert it.notes == ["something else", HELD_BACK]
    it.saw_pace(pace(7, 3.0, 1.0))
    it.saw_pace(pace(7, 3.0, 0.0))
    assert it.notes == ["something else"]
