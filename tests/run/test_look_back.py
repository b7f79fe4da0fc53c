"""The last look of a whole run, on made-up time: at everything once, whatever one look meets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from net_tools import AT_ONCE, SPEC, config_for, on_clock, smoke_session

from pytest_hydrasmoke import VirtualClock
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base.errors import HydraSmokeError
from pytest_hydrasmoke._core.proof import AFTER, REFUSED_AFTER
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run import last_look as last_look_module
from pytest_hydrasmoke._run.last_look import LastLook
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke.fake import FakeRouter, Scenario


@pytest.fixture(autouse=True)
def looks_at_once() -> None:
    """Time is made up here: every wait is as long as it is."""


@contextmanager
def a_run(
    scenario: Scenario = AT_ONCE, **settings: Any
) -> Iterator[tuple[FakeRouter, SmokeSession]]:
    """Yield a router and a run on one virtual clock."""
    clock = VirtualClock()
    with FakeRouter(scenario, clock=clock) as fake:
        session = smoke_session(config_for(fake, max_instances=20, **settings))
        on_clock(session, clock)
        yield fake, session
        session.close()


def test_a_run_looks_back_at_everything_once_and_at_the_same_time() -> None:
    with a_run() as (fake, session):
        for _ in range(12):
            session.provision(SPEC)
        for code in (403, 422):
            fake.fail("provision", status=code)
            with pytest.raises(HydraSmokeError):
                session.provision(SPEC)
        session.close()
        before = fake.clock.now()
        session.look_back()
        assert fake.clock.now() - before <= REFUSED_AFTER + 1
        states = [it.state for it in session.records]
        assert states == [State.DELETED] * 12 + [State.REFUSED] * 2
        asked = len(fake.requests)
        session.look_back()
        assert len(fake.requests) == asked


def test_a_run_without_anything_to_look_at_asks_for_nothing() -> None:
    with a_run() as (fake, session):
        before = len(fake.requests)
        session.look_back()
        assert len(fake.requests) == before


def test_a_leak_is_tried_once_more_at_the_end_of_the_run() -> None:
    with a_run(delete_timeout=5) as (fake, session):
        session.provision(SPEC)
        fake.fail("delete", status=400, times=10_000)
        session.close()
        [it] = session.records
        assert it.leak is not None
        fake._faults.reset()
        session.look_back()
        assert (it.leak, it.state) == (None, State.DELETED)
        assert fake.instances[0].deleted


def test_every_leak_is_asked_to_be_deleted_before_any_of_them_is_looked_at() -> None:
    # A router that takes a while for a deletion then has all of the wait for it.
    with a_run(delete_timeout=5) as (fake, session):
        for _ in range(3):
            session.provision(SPEC)
        fake.fail("delete", status=400, times=10_000)
        session.close()
        fake._faults.reset()
        before = len(fake.requests)
        session.look_back()
        asked = fake.requests[before:]
        assert [one.route for one in asked[:3]] == ["delete"] * 3
        assert asked[3].at - asked[2].at >= AFTER - 0.1
        assert all(one.deleted for one in fake.instances)


def test_one_refused_key_is_told_in_the_singular_and_its_lag_is_the_runs() -> None:
    late = dataclasses.replace(AT_ONCE, row_after=6.0)
    with a_run(late) as (fake, session):
        session.provision(SPEC).delete()
        fake.fail("provision", status=403)
        with pytest.raises(HydraSmokeError):
            session.provision(SPEC)
        before = fake.clock.now()
        session.close()
        session.look_back()
        assert fake.clock.now() - before >= 12


def test_after_a_signal_nobody_looks_back() -> None:
    with a_run() as (fake, session):
        session.provision(SPEC)
        session.close()
        session.interrupts.received = 15
        asked = len(fake.requests)
        session.look_back()
        assert (len(fake.requests), session.records[0].state) == (asked, State.GONE)


def test_a_run_at_the_bundled_fake_needs_no_last_look() -> None:
    with a_run() as (fake, session):
        session.ledger.fake = True
        session.__post_init__()
        session.provision(SPEC)
        session.close()
        assert session.records[0].state is State.DELETED
        asked = len(fake.requests)
        session.look_back()
        assert len(fake.requests) == asked


def test_what_can_not_be_asked_keeps_no_other_from_being_looked_at() -> None:
    with a_run() as (fake, session):
        for _ in range(3):
            session.provision(SPEC)
        session.close()
        fake.fail("status", status=401, times=1)
        session.look_back()
        assert sorted(it.state for it in session.records) == [
            State.DELETED,
            State.DELETED,
            State.GONE,
        ]
        [note] = [note for it in session.records for note in it.notes]
        assert note.startswith("the last look at it proves nothing: ")


def test_a_fault_of_one_look_keeps_no_other_from_being_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = LastLook.of_proved

    async def broken(look: LastLook, calls: Calls, it: InstanceRecord) -> None:
        if it.key == "net-0":
            raise ZeroDivisionError("no such thing")
        await real(look, calls, it)

    monkeypatch.setattr(last_look_module.LastLook, "of_proved", broken)
    with a_run() as (_, session):
        for _ in range(3):
            session.provision(SPEC)
        session.close()
        session.look_back()
        assert [it.state for it in session.records] == [State.GONE, State.DELETED, State.DELETED]
