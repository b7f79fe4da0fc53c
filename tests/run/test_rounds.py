"""Many cases together: each has its next step when that is due, on a virtual clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from net_tools import link_to

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._clock.io import VirtualSyncIO
from pytest_hydrasmoke._core.policy import Policy
from pytest_hydrasmoke._run.case import Case, End
from pytest_hydrasmoke._run.ledger_lines import LedgerReading
from pytest_hydrasmoke._run.rounds import AT_ONCE, Rounds
from pytest_hydrasmoke._run.swept import Swept
from pytest_hydrasmoke._transport.blocking import SyncIO

URL = "http://127.0.0.1:9"
TOO_MANY = 50


@dataclass
class World:
    """What the cases of a test have done, and when."""

    clock: VirtualClock = field(default_factory=VirtualClock)
    steps: list[tuple[str, float]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    rounds: Rounds = field(init=False)

    def __post_init__(self) -> None:
        self.rounds = Rounds(VirtualSyncIO(link_to(URL), self.clock))

    def carry_out(self, *cases: Case, more: Sequence[Sequence[Case]] = ()) -> None:
        later = [*more]

        def further() -> Iterator[Case]:
            yield from later.pop(0) if later else ()

        self.rounds.carry_out(cases, further, lambda case: self.ended.append(case.key))


class Paced(Case):
    """A case that has a step after each of some pauses, and ends with the last one."""

    def __init__(self, world: World, key: str, *pauses: float, finds: str = "") -> None:
        super().__init__(key, Swept(Path(key), LedgerReading()), None, Policy(), 0.0)
        self._world, self._pauses, self._finds = world, [*pauses], finds

    async def step(self, calls: Calls) -> None:
        now = calls.io.now()
        self._world.steps.append((self.key, now))
        assert len(self._world.steps) < TOO_MANY
        if self._finds:
            self.record.ids.append(self._finds)
        if self._pauses:
            self.due = now + self._pauses.pop(0)
        else:
            self.end = End.NOTHING


def test_each_has_its_step_when_that_is_due() -> None:
    world = World()
    world.carry_out(Paced(world, "a"), Paced(world, "b", 2, 3), Paced(world, "c", 2))
    at = sorted((key, round(when, 3)) for key, when in world.steps)
    assert at == [("a", 0), ("b", 0), ("b", 2), ("b", 5), ("c", 0), ("c", 2)]
    assert world.ended == ["a", "c", "b"]
    assert world.rounds.pending == []


def test_nothing_to_do_asks_for_nothing_more() -> None:
    world = World()
    world.carry_out(more=[[Paced(world, "a")]])
    assert (world.steps, world.ended) == ([], [])


def test_what_one_round_shows_brings_more() -> None:
    world = World()
    first = Paced(world, "a", 1)
    world.carry_out(first, more=[[Paced(world, "b", finds="an-id")], []])
    assert world.ended == ["b", "a"]
    assert world.rounds.found == {"b"}


def test_what_was_found_is_known_before_more_is_asked_for() -> None:
    world = World()
    known: list[set[str]] = []

    def more() -> Iterator[Case]:
        known.append({*world.rounds.found})
        yield from ()

    world.rounds.carry_out([Paced(world, "a", 1, finds="an-id")], more, lambda case: None)
    assert known[0] == {"a"}


def test_what_is_pending_is_known_at_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    world = World()
    monkeypatch.setattr(VirtualSyncIO, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.carry_out(Paced(world, "a"), Paced(world, "b", 2))
    assert [case.key for case in world.rounds.pending] == ["b"]


def test_a_fault_of_one_is_its_end_and_no_others() -> None:
    world = World()

    class Broken(Paced):
        async def step(self, calls: Calls) -> None:
            await super().step(calls)
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
def test_what_an_interrupt_has_cut_off_has_no_end(others: int, monkeypatch: Any) -> None:
    world = World()

    class Cut(Paced):
        async def step(self, calls: Calls) -> None:
            self.ends(End.LEFT, "stopped with the rest of its group")
            if not others:
                raise KeyboardInterrupt

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(VirtualSyncIO, "waiting", interrupted)
    cases = [Cut(world, f"a-{number}") for number in range(others + 1)]
    with pytest.raises(KeyboardInterrupt):
        world.carry_out(*cases)
    assert [case.end for case in world.rounds.pending] == [None] * len(cases)


def test_no_more_than_a_few_have_a_step_at_the_same_time() -> None:
    guard, together, most = threading.Lock(), [0], [0]
    full = threading.Event()

    class Busy(Paced):
        async def step(self, calls: Calls) -> None:
            with guard:
                together[0] += 1
                most[0] = max(most[0], together[0])
                if together[0] > AT_ONCE:
                    full.set()
            full.wait(0.02)
            with guard:
                together[0] -= 1
            await super().step(calls)

    world = World()
    rounds = Rounds(SyncIO(link_to(URL)))
    cases = [Busy(world, f"a-{number}") for number in range(3 * AT_ONCE)]
    rounds.carry_out(cases, lambda: iter(()), lambda case: world.ended.append(case.key))
    assert len(world.ended) == 3 * AT_ONCE
    assert most[0] <= AT_ONCE
