"""G12: calls, lost answers, crashes and sweeps in any order: one instance a key, none left."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from owner_tools import alive, config_for, kill, on_time_of, session_for

from pytest_hydrasmoke import HydraSmokeError, SmokeInstance, VirtualClock
from pytest_hydrasmoke import _sweep as sweep_module
from pytest_hydrasmoke._address import Link
from pytest_hydrasmoke._io import SyncIO
from pytest_hydrasmoke._ledger import read, run_folders
from pytest_hydrasmoke._session import SmokeSession
from pytest_hydrasmoke._signals import Interrupts
from pytest_hydrasmoke._sweep import Sweep
from pytest_hydrasmoke.fake import FakeRouter, Scenario

LAG = 5.0
WAIT = 30.0
clock_of: dict[str, VirtualClock] = {}
"""The time that a router goes by, for those who call it: one for each URL."""
ROUTES = st.sampled_from(["provision", "poll", "status", "chat", "delete"])
WHEN = st.sampled_from(["before", "after"])


class Killed(BaseException):
    """What a test raises where the process would be gone."""


class Mortal(SyncIO):
    """Calls on made-up time, of a process that may be killed at the n-th of them."""

    lives = 1_000_000

    async def send(self, request: Any, deadline: float) -> Any:
        self._die(1)
        answer = await super().send(request, deadline)
        self._die(1)
        return answer

    def _die(self, cost: int) -> None:
        self.lives -= cost
        if self.lives < 0:
            raise Killed


class Ownership(RuleBasedStateMachine):
    """Runs come and go, one at a time; the router stays, and so does what is on the disk."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        scenario = Scenario(row_after=LAG, statuses=((0.0, "queued"), (20.0, "running")))
        self.fake = FakeRouter(scenario, clock=self.clock).__enter__()
        clock_of[self.fake.url] = self.clock
        self.home = tempfile.TemporaryDirectory()
        self.output = Path(self.home.name) / ".hydrasmoke"
        self.number = 0
        self.session: SmokeSession | None = None
        self.instances: list[SmokeInstance] = []

    def teardown(self) -> None:
        if self.session is not None:
            self.crash()
        # Whatever it was that hid a row, it is over: the last sweep comes on a good day.
        self.fake._faults.reset()
        self.sweep_all()
        left = alive(self.fake)
        entries = [entry for run in run_folders(self.output) for entry in read(run).open]
        self.fake.__exit__(None, None, None)
        self.home.cleanup()
        assert (left, entries) == ([], [])

    def guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except HydraSmokeError:
            pass
        except Killed:
            self.crash()

    @precondition(lambda self: self.session is None)
    @rule(lives=st.none() | st.integers(0, 25))
    def begin(self, lives: int | None) -> None:
        self.number += 1
        config = config_for(self.fake, self.output, run_id=f"run{self.number}")
        self.session = on_time_of(session_for(config), self.clock)
        self.session._io = Mortal(config.link, clock=self.clock)
        self.instances = []
        if lives is not None:
            self.session._io.lives = lives

    @precondition(lambda self: self.session is not None)
    @rule()
    def provision(self) -> None:
        session = self.session
        assert session is not None

        def work() -> None:
            self.instances.append(session.provision(session.config.spec))

        self.guarded(work)

    @precondition(lambda self: self.session is not None and self.instances)
    @rule(data=st.data())
    def chat(self, data: st.DataObject) -> None:
        instance = data.draw(st.sampled_from(self.instances))
        self.guarded(lambda: instance.chat("hello"))

    @precondition(lambda self: self.session is not None and self.instances)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        instance = data.draw(st.sampled_from(self.instances))
        self.guarded(instance.delete)

    @precondition(lambda self: self.session is not None)
    @rule()
    def end(self) -> None:
        session = self.session
        assert session is not None
        self.guarded(session.close)
        if self.session is not None:
            session.ledger.end()
            self.session = None

    @precondition(lambda self: self.session is not None)
    @rule()
    def crash(self) -> None:
        assert self.session is not None
        kill(self.session)
        self.session = None

    @rule(route=ROUTES, when=WHEN, times=st.integers(1, 3))
    def lose_answers(self, route: Any, when: Any, times: int) -> None:
        self.fake.drop(route, when=when, times=times)

    @rule(seconds=st.floats(0.1, 10.0))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def sweep_all(self) -> None:
        if (self.output / "runs").is_dir():
            self.sweep(lambda sweep: sweep.all_runs())

    @precondition(lambda self: self.number)
    @rule(data=st.data())
    def sweep_one(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(1, self.number))
        self.sweep(lambda sweep: sweep.one_run(f"run{number}"))

    def sweep(self, how: Callable[[Sweep], None]) -> None:
        config = config_for(self.fake, self.output)
        how(Sweep(config, WAIT, dry_run=False, say=lambda line: None))

    @invariant()
    def one_instance_a_key(self) -> None:
        keys = Counter(instance.idempotency_key for instance in self.fake.instances)
        assert not keys or max(keys.values()) == 1

    @invariant()
    def what_lives_is_in_a_ledger(self) -> None:
        known = {entry.key for run in run_folders(self.output) for entry in read(run).open}
        assert set(alive(self.fake)) <= known


@pytest.fixture
def made_up_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sweeps work one after the other, each on time of its own that the fake shares."""

    def in_turn(
        link: Link, works: Sequence[Callable[[SyncIO], None]], interrupts: Interrupts
    ) -> list[Exception]:
        for work in works:
            io = SyncIO(link, clock=clock_of[link.base_url])
            work(io)
            io.close()
        return []

    monkeypatch.setattr(sweep_module, "fan_out", in_turn)


def test_at_most_one_instance_a_key_and_none_in_the_end(made_up_time: None) -> None:
    run_state_machine_as_test(
        Ownership, settings=settings(max_examples=40, stateful_step_count=20, deadline=None)
    )
