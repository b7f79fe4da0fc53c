"""What the pauses of a stream tell."""

from __future__ import annotations

from dataclasses import replace

import pytest
from net_tools import World
from scripted_io import ID, Took, calls_of, events, lost, record, stream

from pytest_hydrasmoke import ChatError
from pytest_hydrasmoke._core.chat import AGENTS_LOG
from pytest_hydrasmoke._core.handle import Handle
from pytest_hydrasmoke._core.pauses import IDLE_LIMIT, is_limit, pace
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._core.reading import Reading
from pytest_hydrasmoke._core.run_turns import RunTurns
from pytest_hydrasmoke._journal.chat import Turn
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._journal.story import HELD_BACK
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake import Scenario

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
    turns = RunTurns()
    assert not turns.cut_by_a_limit(1.6)
    assert turns.cut_by_a_limit(1.5), "on any instance, behind the same proxy"


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
    it.note(Turn(1, "hello", pace=pace(7, 3.0, 0.0)))
    assert list(it.notes) == ["something else", HELD_BACK]
    it.note(Turn(1, "hello", pace=pace(4, 3.0, 9.0)))
    assert list(it.notes) == ["something else", HELD_BACK]
    it.note(Turn(1, "hello", pace=pace(7, 3.0, 1.0)))
    it.note(Turn(1, "hello", pace=pace(7, 3.0, 0.0)))
    assert list(it.notes) == ["something else"]
