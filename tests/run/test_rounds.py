"""The parts of a sweep: which keys it asks for where no ledger tells, and when."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from net_tools import link_to

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._clock.io import VirtualSyncIO
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._run.ledger_lines import LedgerReading
from pytest_hydrasmoke._run.swept_key import AT_ONCE, End, Rounds, SweptKey
from pytest_hydrasmoke._run.swept_run import AHEAD, NAMES, Slots, SweptRun, spans
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.protocol import IO

URL = "http://127.0.0.1:9"
TOO_MANY = 50


class World:
    """What the keys of a test have done, and when."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, float]] = []
        self.ended: list[str] = []
        self.found: list[set[str]] = []
        """The keys that had a row, after each round."""
        self.rounds = Rounds(VirtualSyncIO(link_to(URL), VirtualClock()))

    def carry_out(self, *keys: SweptKey) -> None:
        self.rounds.pending = [*keys]
        while self.rounds.pending:
            self.ended += [it.key for it in self.rounds.next()]
            self.found.append({*self.rounds.found})


class Paced(SweptKey):
    """A key that has a step after each of some pauses, and ends with the last one."""

    def __init__(self, world: World, key: str, *pauses: float, finds: str = "") -> None:
        super().__init__(key, SweptRun(Path(key), LedgerReading()), None, Policy(), 0.0)
        self._world, self._pauses, self._finds = world, [*pauses], finds

    async def step(self, io: IO) -> None:
        now = io.now()
        self._world.steps.append((self.key, now))
        assert len(self._world.steps) < TOO_MANY
        if self._finds:
            self.record.ids.append(self._finds)
        if self._pauses:
            self.due = now + self._pauses.pop(0)
        else:
            self.end = End.NOTHING


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def world() -> World:
    return World()


def test_each_has_its_step_when_that_is_due(world: World) -> None:
    world.carry_out(Paced(world, "a"), Paced(world, "b", 2, 3), Paced(world, "c", 2))
    at = sorted((key, round(when, 3)) for key, when in world.steps)
    assert at == [("a", 0), ("b", 0), ("b", 2), ("b", 5), ("c", 0), ("c", 2)]
    assert world.ended == ["a", "c", "b"]


def test_what_one_round_shows_is_known_after_it(world: World) -> None:
    finds = {"finds": "an-id"}
    world.carry_out(Paced(world, "a", 1, **finds), Paced(world, "b", 2, **finds), Paced(world, "c"))
    assert (world.ended, world.found[0]) == (["c", "a", "b"], {"a", "b"})


def test_what_is_pending_is_known_at_an_interrupt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VirtualSyncIO, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.carry_out(Paced(world, "a"), Paced(world, "b", 2))
    assert [it.key for it in world.rounds.pending] == ["b"]


def test_a_fault_of_one_is_its_end_and_no_others(world: World) -> None:
    class Broken(Paced):
        async def step(self, io: IO) -> None:
            await super().step(io)
            if len(world.steps) > TOO_MANY - 10:
                self.end = End.UNSURE
                return
            self.end = None
            raise ZeroDivisionError("no such thing")

    broken = Broken(world, "broken")
    world.carry_out(broken, Paced(world, "a", 1))
    assert (broken.end, broken.words) == (End.LEFT, "ZeroDivisionError('no such thing')")
    assert sorted(world.ended) == ["a", "broken"]


@pytest.mark.parametrize("others", [0, 2])
def test_what_an_interrupt_has_cut_off_has_no_end(
    world: World, others: int, monkeypatch: Any
) -> None:
    class Cut(Paced):
        async def step(self, io: IO) -> None:
            self.ends(End.LEFT, "stopped with the rest of its group")
            if not others:
                raise KeyboardInterrupt

    monkeypatch.setattr(VirtualSyncIO, "waiting", interrupted)
    keys = [Cut(world, f"a-{number}") for number in range(others + 1)]
    with pytest.raises(KeyboardInterrupt):
        world.carry_out(*keys)
    assert [it.end for it in world.rounds.pending] == [None] * len(keys)


def test_no_more_than_a_few_have_a_step_at_the_same_time(world: World) -> None:
    guard, full, together, most = threading.Lock(), threading.Event(), 0, 0

    class Busy(Paced):
        async def step(self, io: IO) -> None:
            nonlocal together, most
            with guard:
                together += 1
                most = max(most, together)
                if together > AT_ONCE:
                    full.set()
            full.wait(0.02)
            with guard:
                together -= 1
            await super().step(io)

    world.rounds = Rounds(SyncIO(link_to(URL)))
    world.carry_out(*(Busy(world, f"a-{number}") for number in range(3 * AT_ONCE)))
    assert len(world.ended) == 3 * AT_ONCE
    assert most <= AT_ONCE


# Slots: which keys are asked for, and how keys are named


RUN = "night"
NAMED = [f"{RUN}-{name}" for name in NAMES]


def slots(*numbers: int) -> list[str]:
    return [f"{RUN}-{number}" for number in numbers]


def test_without_a_row_the_first_slots_and_the_names_are_asked_for_once() -> None:
    asked = Slots(RUN, (), 4)
    assert [*asked.more()] == [*slots(*range(AHEAD)), *NAMED]
    assert [*asked.more()] == []
    assert asked.words == f"slots 0-{AHEAD - 1}, nor under the bundled checks' names"


def test_a_run_that_may_have_used_more_is_asked_for_that_many() -> None:
    assert [*Slots(RUN, (), 100).more()] == [*slots(*range(100)), *NAMED]


def test_each_row_that_was_found_moves_the_end() -> None:
    asked = Slots(RUN, (), 4)
    assert len([*asked.more()]) == AHEAD + len(NAMES)
    assert [*asked.more(slots(1))] == slots(AHEAD, AHEAD + 1)
    assert [*asked.more(slots(1, 0))] == []
    assert [*asked.more(slots(1, AHEAD))] == slots(*range(AHEAD + 2, 2 * AHEAD + 1))


def test_what_a_ledger_has_is_not_asked_for_twice_and_moves_the_end_too() -> None:
    asked = Slots(RUN, [*slots(0, 2), NAMED[0]], 4)
    assert [*asked.more()] == [*slots(1, *range(3, 3 + AHEAD)), *NAMED[1:]]


@pytest.mark.parametrize("strange", ["other-70", f"{RUN}-x", f"{RUN}-070", f"{RUN}-99999999999"])
def test_a_key_that_is_no_slot_of_the_run_moves_nothing(strange: str) -> None:
    assert len([*Slots(RUN, [strange], 4).more([strange])]) == AHEAD + len(NAMES)


@given(st.sets(st.integers(0, 200)), st.integers(1, 120))
def test_every_slot_up_to_the_end_of_a_long_gap_is_asked_for(used: set[int], most: int) -> None:
    asked, found, seen = Slots(RUN, (), most), set[str](), list[str]()
    while new := [*asked.more(found)]:
        seen += new
        found |= {*new} & {*slots(*used)}
    assert len(seen) == len({*seen})
    last = -1
    for number in sorted(used):
        if number - last <= max(AHEAD, most):
            last = number
    assert found == {*slots(*(number for number in used if number <= last))}
    assert {*seen} == {*slots(*range(last + 1 + max(AHEAD, most))), *NAMED}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["a-10", "a-2", "a-9"], "a-2, a-9 to a-10"),
        (["b-0", "a-0", "a-1"], "a-0 to a-1, b-0"),
        (["a-0", "a-2", "a-4", "a-6"], "a-0, a-2, a-4 and 1 more"),
        (["a-x", "a-0"], "a-x, a-0"),
        (["a-x", "a-y"], "a-x, a-y"),
    ],
)
def test_keys_are_named_in_the_order_of_their_slots(keys: list[str], words: str) -> None:
    assert spans(keys) == words
    assert spans(keys[::-1]) == words
