"""A run: who shares what, and that nothing it owns is left when it is over."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from faulty_server import FaultyServer, answer
from net_tools import SOME_ID, SPEC, own, session_to, smoke_session
from run_tools import NEVER_READY, OTHER, Runs, Shared, interrupt_when, times

from pytest_hydrasmoke import (
    ConfigError,
    HydraSmokeConfig,
    LeakError,
    ProvisionError,
    ProvisionTimeoutError,
    SmokeInstance,
    VirtualClock,
)
from pytest_hydrasmoke._base import signals
from pytest_hydrasmoke._clock.io import blocking_io
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._report.build import report_of
from pytest_hydrasmoke.fake import Scenario

# Sharing


def test_a_spec_is_provisioned_once_for_a_scope_and_deleted_at_its_end(a_run: Runs) -> None:
    fake, session = a_run()
    shared = Shared(session)
    assert shared.begins("module a")
    first = shared.of(SPEC, "module a", "test_1")
    assert shared.of(SPEC, "module a", "test_2") is first
    assert (shared.begins("module a"), shared.begins("module b")) == (False, True)
    assert shared.of(SPEC, "module b", "test_3") is not first
    assert shared.of(OTHER, "module a", "test_4") is not first
    assert times(fake, "provision") == 3
    shared.end(["module a"])
    assert [seen.deleted for seen in fake.instances] == [True, False, True]
    assert shared.begins("module a")
    shared.end(["module a"])
    shared.end(["never begun"])
    assert times(fake, "delete") == 2


# Attached


def test_an_attached_instance_is_used_and_never_deleted(a_run: Runs) -> None:
    fake, owner = a_run()
    theirs = owner.provision(SPEC)
    settings = {"url": fake.url, "token": fake.token, "instance": theirs.id}
    session = smoke_session(HydraSmokeConfig(**settings))
    shared = Shared(session)
    record = shared.of(SPEC, "all", "test_1")
    assert shared.of(OTHER, "all", "test_2") is record
    handle = SmokeInstance(session.handle(record))
    assert (handle.id, handle.idempotency_key, handle.spec) == (theirs.id, None, None)
    assert handle.chat("hello").expect_llm_events(at_least=1).count == 1
    with pytest.raises(ConfigError, match="an attached instance is never deleted"):
        handle.delete()
    with pytest.raises(ConfigError, match="attached to an instance, and provisions none"):
        session.provision(SPEC)
    shared.end(["all"])
    session.close()
    assert not fake.instances[0].deleted
    assert report_of("it", record, 0.0).outcome == "attached"


def test_an_attached_instance_that_is_gone_is_told(a_run: Runs) -> None:
    fake, owner = a_run(Scenario(row_after=0, statuses=((0, "running"),), after_delete="row"))
    theirs = owner.provision(SPEC)
    theirs.delete()
    settings = {"url": fake.url, "token": fake.token, "instance": theirs.id}
    session = smoke_session(HydraSmokeConfig(**settings))
    shared = Shared(session)
    with pytest.raises(ProvisionError, match="the instance is 'deleted'"):
        shared.of(SPEC, "all", "test_1")
    session.close()


# The end


def test_closing_deletes_all_that_is_left_and_again_does_nothing(a_run: Runs) -> None:
    fake, session = a_run()
    shared = Shared(session)
    session.provision(SPEC).delete()
    session.provision(SPEC)
    shared.of(SPEC, "all", "test_1")
    session.close()
    assert all(seen.deleted for seen in fake.instances)
    assert len(fake.instances) == 3
    before = len(fake.requests)
    session.close()
    assert len(fake.requests) == before


def test_closing_from_two_threads_at_once_deletes_everything(a_run: Runs) -> None:
    fake, session = a_run()
    for _ in range(3):
        session.provision(SPEC)
    threads = [threading.Thread(target=session.close) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert all(seen.deleted for seen in fake.instances)
    assert not [record for record in session.records if record.leak]
    assert {record.state for record in session.records} == {State.GONE}


def test_closing_a_run_that_did_nothing_asks_for_nothing(a_run: Runs) -> None:
    fake, session = a_run()
    [record] = session.claim(SPEC)  # owned, but never asked for
    session.close()
    assert fake.requests == ()
    assert record.state is State.UNUSED
    # Its key is free again.
    assert session.provision(SPEC).idempotency_key == record.key


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("status", [400, 401, 403, 422])
def test_a_refused_deletion_is_a_leak_that_says_why(a_run: Runs, status: int, count: int) -> None:
    fake, session = a_run(delete_timeout=0.6)
    for _ in range(count):
        session.provision(SPEC)
    fake.fail("delete", status=status, times=100)
    session.close()
    for record in session.records:
        assert record.leak is not None
        assert record.leak.startswith("not confirmed as deleted, it may still run")
        assert f"refused with {status}" in record.leak
        assert report_of("it", record, 0.0).outcome == "leaked"
    # A verdict is a verdict: nothing is tried again.
    before = len(fake.requests)
    session.close()
    assert len(fake.requests) == before
    fake.reset()


def test_a_router_that_fails_until_the_deadline_is_a_leak(a_run: Runs) -> None:
    fake, session = a_run(delete_timeout=1)
    instance = session.provision(SPEC)
    fake.fail("delete", status=500, times=1000)
    with pytest.raises(LeakError, match="refused with 500") as caught:
        instance.delete()
    assert caught.value.phase == "delete"
    session.close()
    assert "refused with 500" in (session.records[0].leak or "")


def test_a_deletion_that_is_never_confirmed_is_a_leak_with_the_last_status() -> None:
    def never(line: Any, request: Any) -> None:
        word = "accepted" if request.method == "DELETE" else "running"
        answer({"id": SOME_ID, "instance_id": SOME_ID, "status": word})(line, request)

    with FaultyServer(never) as server, session_to(server.url, delete_timeout=10.7) as session:
        # The last look is half a second before the deadline.
        session._io = blocking_io(session.config.link, VirtualClock())
        record = own(session)
        session.close()
    assert record.leak is not None
    assert "status 'running' 10 s after the delete" in record.leak


@pytest.mark.parametrize(
    ("keep", "failed", "kept"),
    [
        ("never", True, False),
        ("on-failure", False, False),
        ("on-failure", True, True),
        ("always", False, True),
    ],
)
def test_what_is_to_be_looked_at_is_kept(a_run: Runs, keep: str, failed: bool, kept: bool) -> None:
    fake, session = a_run(keep=keep)
    shared = Shared(session)
    for i in range(2):
        shared.of(SPEC, "all", f"test_{i}").failed = failed
    record = shared.of(SPEC, "all", "test_3")
    assert session.pending == ([] if kept else [record])
    shared.end(["all"])
    session.close()
    assert fake.instances[0].deleted is not kept
    assert report_of("it", record, 0.0).outcome == ("kept" if kept else "deleted")
    assert record.leak is None


def test_without_a_row_there_is_nothing_to_look_at(a_run: Runs) -> None:
    fake, session = a_run(Scenario(row_after=0.3), keep="always", ready_timeout=0.6)
    with pytest.raises(ProvisionTimeoutError):
        session.provision(SPEC)
    [record] = session.records
    assert record.state is State.GONE
    assert fake.instances[0].deleted


# Interrupts


@pytest.mark.parametrize("count", [1, 3])
def test_an_interrupt_in_the_middle_of_closing_leaves_the_rest_to_the_next(
    a_run: Runs, count: int
) -> None:
    fake, session = a_run()
    for _ in range(count):
        session.provision(SPEC)
    fake.fail("delete", status=503, times=1000, retry_after=30)
    thread = interrupt_when(lambda: times(fake, "delete") >= count)
    with pytest.raises(KeyboardInterrupt):
        session.close()
    thread.join()
    assert not any(seen.deleted for seen in fake.instances)

    # The router has recovered, and the run closes once more, as pytest's hooks do.
    fake._faults.reset()
    session.close()
    assert all(seen.deleted for seen in fake.instances)
    assert not [record.leak for record in session.records if record.leak]


@pytest.mark.parametrize("count", [1, 3])
def test_a_signal_hurries_the_clean_up_and_then_ends_the_run(
    a_run: Runs, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "CLEANUP_SECONDS", 0.7)
    fake, session = a_run()
    for _ in range(count):
        session.provision(SPEC)
    fake.fail("delete", status=503, times=1000, retry_after=30)
    session.interrupts.install()
    try:
        thread = interrupt_when(lambda: times(fake, "delete") >= count)
        with pytest.raises(KeyboardInterrupt):
            session.close()
        thread.join()
    finally:
        session.interrupts.restore()
    # This time it is a verdict: everything was asked for once more, and refused.
    for record in session.records:
        asked = [it.path for it in fake.requests if it.route == "delete"]
        assert sum(str(record.id) in path for path in asked) >= 2
        assert "refused with 503" in (record.leak or "")


def test_an_interrupt_while_provisioning_leaves_the_instance_to_the_clean_up(
    a_run: Runs,
) -> None:
    fake, session = a_run(NEVER_READY)
    thread = interrupt_when(lambda: times(fake, "status") >= 1)
    with pytest.raises(KeyboardInterrupt):
        session.provision(SPEC)
    thread.join()
    assert session.records[0].state is State.CREATED
    session.close()
    assert fake.instances[0].deleted
