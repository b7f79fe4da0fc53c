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
        for _ in range(9):
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
        assert states == [State.DELETED] * 9 + [State.REFUSED] * 2
        asked = len(fake.requests)
        session.look_back()
        assert len(fake.requests) == asked


def test_nobody_looks_back_at_nothing_after_a_signal_or_at_the_bundled_fake() -> None:
    with a_run() as (fake, session):
        session.provision(SPEC).delete()
        session.records.clear()
        asked = len(fake.requests)
        session.look_back()
        assert len(fake.requests) == asked
    for of_fake, state in ((False, State.GONE), (True, State.DELETED)):
        with a_run() as (fake, session):
            session.ledger.fake = of_fake
            session.__post_init__()
            session.provision(SPEC)
            session.close()
            if not of_fake:
                session.interrupts.received = 15
            asked = len(fake.requests)
            session.look_back()
            assert (len(fake.requests), session.records[0].state) == (asked, state)


def test_every_leak_is_asked_to_be_deleted_before_any_of_them_is_looked_at() -> None:
    # A router that takes a while for a deletion then has all of the wait for it.
    with a_run(delete_timeout=5) as (fake, session):
        for _ in range(3):
            session.provision(SPEC)
        fake.fail("delete", status=400, times=10_000)
        session.close()
        assert all(it.leak is not None for it in session.records)
        fake._faults.reset()
        before = len(fake.requests)
        session.look_back()
        asked = fake.requests[before:]
        assert [one.route for one in asked[:3]] == ["delete"] * 3
        assert asked[3].at - asked[2].at >= AFTER - 0.1
        assert all(one.deleted for one in fake.instances)
        assert [(it.leak, it.state) for it in session.records] == [(None, State.DELETED)] * 3


def test_a_refused_key_is_asked_for_as_late_as_the_rows_of_the_run_come() -> None:
    with a_run(dataclasses.replace(AT_ONCE, row_after=6.0)) as (fake, session):
        session.provision(SPEC).delete()
        fake.fail("provision", status=403)
        with pytest.raises(HydraSmokeError):
            session.provision(SPEC)
        before = fake.clock.now()
        session.close()
        session.look_back()
        assert fake.clock.now() - before >= 12


def test_what_fails_at_one_look_keeps_no_other_from_being_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = LastLook.of_proved

    async def broken(look: LastLook, calls: Calls, it: InstanceRecord) -> None:
        if it.key == "net-0":
            raise ZeroDivisionError("no such thing")
        await real(look, calls, it)

    monkeypatch.setattr(LastLook, "of_proved", broken)
    with a_run() as (fake, session):
        for _ in range(4):
            session.provision(SPEC)
        session.close()
        fake.fail("status", status=401, times=1)
        session.look_back()
        states = [it.state for it in session.records]
        assert (states[0], sorted(states[1:])) == (State.GONE, [*[State.DELETED] * 2, State.GONE])
        notes = [note for it in session.records for note in it.notes]
        assert [note.partition(": ")[0] for note in notes] == [
            "the last look at it proves nothing"
        ] * 2
        assert "ZeroDivisionError('no such thing')" in notes[0]
