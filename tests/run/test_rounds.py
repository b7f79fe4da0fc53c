"""The rounds of a sweep: which of its keys has its next step when."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from net_tools import link_to

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._clock.io import VirtualSyncIO
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._run.ledger_lines import LedgerReading
from pytest_hydrasmoke._run.swept_key import AT_ONCE, End, Rounds, SweptKey
from pytest_hydrasmoke._run.swept_run import SweptRun
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
            self.instance.ids.append(self._finds)
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
