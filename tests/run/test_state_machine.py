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
from owner_tools import alive, config_for, kill, run_folders, session_for
from sizes import sizes

from pytest_hydrasmoke import HydraSmokeError, SmokeInstance, VirtualClock
from pytest_hydrasmoke._clock.io import VirtualSyncIO, blocking_io
from pytest_hydrasmoke._run import preflight as preflight_module
from pytest_hydrasmoke._run import sweep as sweep_module
from pytest_hydrasmoke._run.ledger import read
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._run.sweep import Sweep
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.target import Link
from pytest_hydrasmoke.fake import FakeRouter, Scenario

LAG = 5.0
WAIT = 12.0
clock_of: dict[str, VirtualClock] = {}
"""The time that a router goes by, for those who call it: one for each URL."""


def faults_of(*routes: str) -> st.SearchStrategy[Any]:
    """Give answers that get lost: of which call, with the work done or not, and how many."""
    # Some calls are repeated until an answer gets through, and others until they give up.
    times = st.sampled_from([1, 3, 1000])
    when = st.sampled_from(["before", "after"])
    return st.lists(st.tuples(st.sampled_from(routes), when, times), max_size=2)


FAULTS = faults_of("provision", "poll", "status", "chat", "delete")
OF_SWEEPS = faults_of("poll", "status", "delete")
LIVES = st.none() | st.integers(0, 6)
"""After how many steps of its requests a process is killed, each sent and answered in two."""


class Killed(BaseException):
    """What a test raises where the process would be gone."""


class Mortal(VirtualSyncIO):
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
        # Whatever was on its way has arrived: the last sweep comes on a good day.
        self.clock.advance(LAG)
        if (self.output / "runs").is_dir():
            self.sweep(lambda sweep: sweep.all_runs(), [])
        left = alive(self.fake)
        entries = [entry for run in run_folders(self.output) for entry in read(run).open]
        self.fake.__exit__(None, None, None)
        self.home.cleanup()
        assert (left, entries) == ([], [])

    def guarded(self, work: Callable[[], object], faults: Any, lives: int | None) -> None:
        """Do something while answers get lost, and its process may be killed."""
        assert isinstance(self.session, SmokeSession)
        assert isinstance(self.session._io, Mortal)
        self.session._io.lives = 1_000_000 if lives is None else lives
        self.lose(faults)
        try:
            work()
        except HydraSmokeError:
            pass
        except Killed:
            self.crash()
        self.fake._faults.reset()

    def lose(self, faults: Any) -> None:
        for route, when, times in faults:
            self.fake.drop(route, when=when, times=times)

    def begin(self, ready_timeout: float) -> None:
        """Begin a run; one that waits for less than the lag gives up before there is a row."""
        self.number += 1
        config = config_for(
            self.fake, self.output, run_id=f"run{self.number}", ready_timeout=ready_timeout
        )
        self.session = session_for(config)
        self.session._io = Mortal(config.link, self.clock)
        self.instances = []

    @rule(faults=FAULTS, lives=LIVES, ready_timeout=st.sampled_from([3.0, 100.0]))
    def provision(self, faults: Any, lives: int | None, ready_timeout: float) -> None:
        if self.session is None:
            self.begin(ready_timeout)
        session = self.session
        assert session is not None

        def work() -> None:
            self.instances.append(session.provision(session.config.spec))

        self.guarded(work, faults, lives)

    @precondition(lambda self: self.session is not None and self.instances)
    @rule(data=st.data(), faults=FAULTS, lives=LIVES)
    def chat(self, data: st.DataObject, faults: Any, lives: int | None) -> None:
        instance = data.draw(st.sampled_from(self.instances))
        self.guarded(lambda: instance.chat("hello"), faults, lives)

    @precondition(lambda self: self.session is not None and self.instances)
    @rule(data=st.data(), faults=FAULTS, lives=LIVES)
    def delete(self, data: st.DataObject, faults: Any, lives: int | None) -> None:
        instance = data.draw(st.sampled_from(self.instances))
        self.guarded(instance.delete, faults, lives)

    @precondition(lambda self: self.session is not None)
    @rule(faults=FAULTS, lives=LIVES)
    def end(self, faults: Any, lives: int | None) -> None:
        session = self.session
        assert session is not None
        self.guarded(session.close, faults, lives)
        if self.session is not None:
            session.ledger.end()
            self.session = None

    @precondition(lambda self: self.session is not None)
    @rule()
    def crash(self) -> None:
        assert self.session is not None
        kill(self.session)
        self.session = None

    @rule(seconds=st.floats(0.1, 10.0))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(faults=OF_SWEEPS)
    def sweep_all(self, faults: Any) -> None:
        if (self.output / "runs").is_dir():
            self.sweep(lambda sweep: sweep.all_runs(), faults)

    @precondition(lambda self: self.number)
    @rule(data=st.data(), faults=OF_SWEEPS)
    def sweep_one(self, data: st.DataObject, faults: Any) -> None:
        number = data.draw(st.integers(1, self.number))
        self.sweep(lambda sweep: sweep.one_run(f"run{number}"), faults)

    def sweep(self, how: Callable[[Sweep], None], faults: Any) -> None:
        # Each sweep waits for longer than any row takes, and needs no patience beyond that.
        config = config_for(self.fake, self.output, row_settle=0)
        self.lose(faults)
        how(Sweep(config, WAIT, dry_run=False, say=lambda line: None))
        self.fake._faults.reset()

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
    """Let what is no session's work one after the other, on time that the fake shares."""

    def asking(link: Link) -> SyncIO:
        return blocking_io(link, clock_of[link.base_url])

    def in_turn(link: Link, works: Sequence[Callable[[SyncIO], None]]) -> list[Exception]:
        for work in works:
            io = asking(link)
            work(io)
            io.close()
        return []

    monkeypatch.setattr(sweep_module, "fan_out", in_turn)
    monkeypatch.setattr(preflight_module, "SyncIO", asking)


@pytest.mark.parametrize("number", sizes("fuzz", 5, 1_000))
def test_at_most_one_instance_a_key_and_none_in_the_end(made_up_time: None, number: int) -> None:
    # An example is a few hundred requests.
    run_state_machine_as_test(
        Ownership, settings=settings(settings.default, max_examples=number, stateful_step_count=12)
    )
