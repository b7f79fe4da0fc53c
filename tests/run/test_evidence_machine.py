"""Any answer of the evidence table at any moment: what is told as deleted is gone."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

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
from liar import WEAK, Liar, Lie, on
from owner_tools import config_for, kill, run_folders, session_for
from sizes import sizes

from pytest_hydrasmoke import HydraSmokeError, SmokeInstance, VirtualClock
from pytest_hydrasmoke._clock.io import blocking_io
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._run import preflight
from pytest_hydrasmoke._run import sweep as sweep_module
from pytest_hydrasmoke._run.ledger import read
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._run.sweep import Sweep
from pytest_hydrasmoke._transport.blocking import SyncIO
from pytest_hydrasmoke._transport.target import Link
from pytest_hydrasmoke.fake import FakeRouter, Scenario
from pytest_hydrasmoke.fake.server import mount, unmount

LAG = 3.0
UNDECIDED = {
    "a page where provision was": [
        Lie(403, "<html>", on("provision"), "text/html", carried_out=True)
    ],
    "a redirect of a provision": [Lie(307, "", on("provision"), carried_out=True)],
    "a refusal of a gateway": [Lie(400, {"message": "no"}, on("provision"), carried_out=True)],
    "a refusal": [Lie(422, {"detail": "no"}, on("provision"))],
    "a provision that is lost": [Lie(502, "", on("provision"))],
    "a provision whose answer is lost": [Lie(504, "", on("provision"), carried_out=True)],
    "no instance for any key": [Lie(404, {"detail": "Not Found"}, on("poll"))],
}
TROUBLE = st.none() | st.tuples(
    st.sampled_from([*WEAK.values(), *UNDECIDED.values()]),
    st.integers(0, 12),
    st.sampled_from([1, 2, 5, 1000]),
)
"""Which lies, after how many requests, and to how many."""
clock_of: dict[str, VirtualClock] = {}


class Evidence(RuleBasedStateMachine):
    """Runs come and go at a router that is not always the one that answers."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        scenario = Scenario(row_after=LAG, statuses=((0.0, "queued"), (4.0, "running")))
        self.liar = Liar(FakeRouter(scenario, clock=self.clock))
        self.place = mount(self.liar)
        self.liar.url = self.place.url
        clock_of[self.liar.url] = self.clock
        self.home = tempfile.TemporaryDirectory()
        self.output = Path(self.home.name) / ".hydrasmoke"
        self.number = 0
        self.session: SmokeSession | None = None
        self.instances: list[SmokeInstance] = []
        self.told: list[str] = []
        """What was said to be deleted, by its key."""

    def teardown(self) -> None:
        if self.session is not None:
            self.crash()
        self.clock.advance(LAG)
        self.liar.lie([])
        if (self.output / "runs").is_dir():
            self.sweep(lambda sweep: sweep.all_runs(), row_settle=0.0)
        left = (self.liar.alive, self.open_keys())
        unmount(self.place)
        self.home.cleanup()
        assert left == ([], [])

    def open_keys(self) -> list[str]:
        return [entry.key for run in run_folders(self.output) for entry in read(run).open]

    @rule(trouble=TROUBLE)
    def get_into_trouble(self, trouble: tuple[list[Lie], int, int] | None) -> None:
        self.liar.lie(*(trouble or ([],)))

    @rule()
    def begin(self) -> None:
        if self.session is not None:
            return
        self.number += 1
        config = config_for(
            self.liar,
            self.output,
            run_id=f"run{self.number}",
            ready_timeout=20.0,
            delete_timeout=10.0,
        )
        try:
            self.session = session_for(config)
        except HydraSmokeError:
            return
        self.session._io = blocking_io(config.link, self.clock)
        self.instances = []

    @precondition(lambda self: self.session is not None)
    @rule()
    def provision(self) -> None:
        assert self.session is not None
        with contextlib.suppress(HydraSmokeError):
            self.instances.append(self.session.provision(self.session.config.spec))

    @precondition(lambda self: self.session is not None and self.instances)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        instance = data.draw(st.sampled_from(self.instances))
        try:
            instance.delete()
        except HydraSmokeError:
            return
        self.told.append(str(instance.idempotency_key))

    @precondition(lambda self: self.session is not None)
    @rule()
    def end(self) -> None:
        session = self.session
        assert session is not None
        session.close()
        session.ledger.end()
        self.session = None
        reports = session.process_report().instances
        self.told += [str(it.idempotency_key) for it in reports if it.outcome == "deleted"]
        shown = {it.idempotency_key for it in reports if it.outcome == "leaked"}
        ours = {key for key in self.liar.alive if key.startswith(f"run{self.number}-")}
        assert ours <= shown, "what is alive is told"

    @precondition(lambda self: self.session is not None)
    @rule()
    def crash(self) -> None:
        assert self.session is not None
        kill(self.session)
        self.session = None

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
        self.sweep(lambda sweep: sweep.one_run(f"run{number}"), of=f"run{number}-")

    def sweep(self, how: Callable[[Sweep], None], row_settle: float = 3600.0, of: str = "") -> None:
        lines: list[str] = []
        config = config_for(
            self.liar, self.output, delete_timeout=10.0, ready_timeout=2.0, row_settle=row_settle
        )
        sweep = Sweep(config, LAG + 1, dry_run=False, say=lines.append)
        how(sweep)
        said = [line for line in lines if line.startswith("deleted ")]
        self.told += [line.partition("(key ")[2].partition(")")[0] for line in said]
        if not sweep.left:
            live = "" if self.session is None else f"run{self.number}-"
            left = [key for key in self.open_keys() if key.startswith(of)]
            assert [key for key in left if not (live and key.startswith(live))] == []

    @invariant()
    def what_is_told_as_deleted_is_gone(self) -> None:
        assert not set(self.told) & set(self.liar.alive)

    @invariant()
    def what_a_ledger_calls_confirmed_is_gone(self) -> None:
        for run in run_folders(self.output):
            confirmed = {it.key for it in read(run).entries.values() if it.state is State.DELETED}
            assert not confirmed & set(self.liar.alive)

    @invariant()
    def what_lives_is_in_a_ledger(self) -> None:
        assert set(self.liar.alive) <= set(self.open_keys())


@pytest.fixture
def made_up_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all requests go by the time of the fake, and sweeps work one after the other."""

    def made_up(link: Link) -> SyncIO:
        return blocking_io(link, clock_of[link.base_url])

    def in_turn(link: Link, works: Sequence[Callable[[SyncIO], None]]) -> list[Exception]:
        for work in works:
            io = made_up(link)
            work(io)
            io.close()
        return []

    monkeypatch.setattr(sweep_module, "fan_out", in_turn)
    monkeypatch.setattr(preflight, "SyncIO", made_up)


@pytest.mark.parametrize("number", sizes("fuzz", 3, 1_000))
def test_what_is_told_as_deleted_is_gone_whatever_the_router_answers(
    made_up_time: None, number: int
) -> None:
    run_state_machine_as_test(
        Evidence, settings=settings(settings.default, max_examples=number, stateful_step_count=14)
    )
