"""A run: who shares what, and that nothing it owns is left when it is over."""

from __future__ import annotations

import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from faulty_server import FaultyServer, answer
from net_tools import AT_ONCE, FIELDS, SOME_ID, SPEC, config_for, own, session_to, smoke_session

from pytest_hydrasmoke import (
    ConfigError,
    HydraSmokeConfig,
    InstanceSpec,
    LeakError,
    ProvisionError,
    ProvisionTimeoutError,
    SmokeInstance,
    UnauthorizedError,
    VirtualClock,
)
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base import signals
from pytest_hydrasmoke._clock.io import blocking_io
from pytest_hydrasmoke._core.record import InstanceRecord
from pytest_hydrasmoke._core.states import State
from pytest_hydrasmoke._report.build import report_of
from pytest_hydrasmoke._run.session import SmokeSession
from pytest_hydrasmoke._run.sharing import Sharing
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake import FakeRouter, Scenario

Runs = Callable[..., tuple[FakeRouter, SmokeSession]]
OTHER = InstanceSpec(**{**FIELDS, "tier_id": "tier-2"})


@pytest.fixture
def a_run() -> Iterator[Runs]:
    """Give `a_run(scenario, **settings)`: a fake router, and a run against it."""
    with ExitStack() as stack:

        def make(scenario: Scenario = AT_ONCE, **settings: Any) -> tuple[FakeRouter, SmokeSession]:
            fake = stack.enter_context(FakeRouter(scenario))
            session = smoke_session(config_for(fake, **settings))
            # What it has learned from is no part of its story.
            fake.reset()
            stack.callback(session.close)
            stack.callback(fake._faults.reset)
            return fake, session

        yield make


class Shared(Sharing):
    """What tests share, one after the other."""

    def __init__(self, session: SmokeSession) -> None:
        super().__init__(session, worker=False)

    def of(self, spec: InstanceSpec, share: str, test: str) -> InstanceRecord:
        try:
            return self.take(spec, share, test)
        finally:
            self.release()


def times(fake: FakeRouter, route: str) -> int:
    return sum(request.route == route for request in fake.requests)


# Sharing


def test_one_spec_is_provisioned_once_for_a_scope(a_run: Runs) -> None:
    fake, session = a_run()
    shared = Shared(session)
    first = shared.of(SPEC, "module a", "test_1")
    assert shared.of(SPEC, "module a", "test_2") is first
    assert shared.of(OTHER, "module a", "test_3") is not first
    assert shared.of(SPEC, "module b", "test_4") is not first
    assert times(fake, "provision") == 3


def test_a_scope_begins_with_its_first_instance(a_run: Runs) -> None:
    _, session = a_run()
    shared = Shared(session)
    assert shared.begins("module a")
    shared.of(SPEC, "module a", "test_1")
    assert not shared.begins("module a")
    assert shared.begins("module b")
    shared.end("module a")
    assert shared.begins("module a")


def test_the_end_of_a_scope_deletes_its_instances_and_no_others(a_run: Runs) -> None:
    fake, session = a_run()
    shared = Shared(session)
    for scope in ("module a", "module b"):
        shared.of(SPEC, scope, "test")
    shared.of(OTHER, "module a", "test")
    shared.end("module a")
    assert [seen.deleted for seen in fake.instances] == [True, False, True]
    shared.end("module a")
    shared.end("never begun")
    assert times(fake, "delete") == 2


def test_a_failure_is_told_once_and_pointed_at_afterwards(a_run: Runs) -> None:
    fake, session = a_run(Scenario(row_after=0, statuses=((0, "failed"),), ready_words=()))
    shared = Shared(session)
    with pytest.raises(ProvisionError, match="the instance is 'failed'"):
        shared.of(SPEC, "all", "test_a.py::test_1")
    before = len(fake.requests)
    with pytest.raises(ProvisionError) as caught:
        shared.of(SPEC, "all", "test_a.py::test_2")
    assert caught.value.message == (
        "no instance: provisioning failed in the set-up of test_a.py::test_1: "
        "the instance is 'failed'"
    )
    assert len(fake.requests) == before
    shared.end("all")


def test_a_deleted_instance_is_replaced(a_run: Runs) -> None:
    fake, session = a_run()
    shared = Shared(session)
    first = shared.of(SPEC, "all", "test_1")
    SmokeInstance(session.handle(first)).delete()
    second = shared.of(SPEC, "all", "test_2")
    assert second is not first
    assert shared.of(SPEC, "all", "test_3") is second
    assert times(fake, "provision") == 2


def test_each_new_instance_is_shown_to_the_hook_once(a_run: Runs) -> None:
    _, session = a_run()
    shared = Shared(session)
    seen: list[SmokeInstance] = []
    session.on_ready = seen.append
    for test in ("test_1", "test_2"):
        shared.of(SPEC, "all", test)
    assert len(seen) == 1


def test_max_instances_counts_shared_ones_too(a_run: Runs) -> None:
    fake, session = a_run(max_instances=1)
    shared = Shared(session)
    shared.of(SPEC, "all", "test_1")
    with pytest.raises(ConfigError, match="no room for 1 more"):
        shared.of(OTHER, "all", "test_2")
    assert times(fake, "provision") == 1


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
    shared.end("all")
    session.close()
    assert not fake.instances[0].deleted
    assert report_of(record, 0.0).outcome == "attached"


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
        assert report_of(record, 0.0).outcome == "leaked"
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
    shared.end("all")
    session.close()
    assert fake.instances[0].deleted is not kept
    assert report_of(record, 0.0).outcome == ("kept" if kept else "deleted")
    assert record.leak is None


def test_without_a_row_there_is_nothing_to_look_at(a_run: Runs) -> None:
    fake, session = a_run(Scenario(row_after=0.3), keep="always", ready_timeout=0.6)
    with pytest.raises(ProvisionTimeoutError):
        session.provision(SPEC)
    [record] = session.records
    assert record.state is State.GONE
    assert fake.instances[0].deleted


@pytest.mark.parametrize("count", [1, 2])
def test_what_another_process_of_the_run_left_open_is_adopted(a_run: Runs, count: int) -> None:
    fake, dead = a_run()
    gone, kept, *left = (dead.provision(SPEC) for _ in range(2 + count))
    gone.delete()
    for record in dead.records:
        if record.id == kept.id:
            record.becomes(State.KEPT)
    heir = SmokeSession(dead.config, dead.ledger, forms=dead.forms)
    for _ in range(2):
        heir.adopt({})
        assert [(record.key, record.id) for record in heir.pending] == [
            (instance.idempotency_key, instance.id) for instance in left
        ]
    heir.close()
    assert [seen.deleted for seen in fake.instances] == [True, False, *[True] * count]
    assert dead.ledger.read().open != []
    dead.records.clear()


def test_a_key_that_was_asked_for_is_adopted_and_its_row_looked_for(a_run: Runs) -> None:
    fake, dead = a_run(Scenario(row_after=0.3), ready_timeout=0.6)
    [record] = dead.claim(SPEC)
    drive(Calls(dead._io).provision(SPEC, str(record.key)))
    dead.records.clear()
    heir = SmokeSession(dead.config, dead.ledger, forms=dead.forms)
    heir.adopt({})
    assert [adopted.state for adopted in heir.records] == [State.REQUESTED]
    heir.close()
    assert fake.instances[0].deleted
    [entry] = dead.ledger.read().open
    assert (entry.state, entry.deleted) == (State.GONE, [fake.instances[0].id])


@pytest.mark.parametrize(
    ("fact", "state", "outcome"),
    [
        (State.DELETED, State.REQUESTED, "deleted"),
        (State.GONE, State.REQUESTED, "deleted"),
        (State.DELETING, State.REQUESTED, "leaked"),
        (None, State.REQUESTED, "leaked"),
        # It has seen a row: what another process has written proves nothing against that.
        (State.DELETED, State.CREATED, "leaked"),
    ],
)
def test_what_another_process_has_seen_deleted_meanwhile_is_no_leak(
    a_run: Runs, fact: State | None, state: State, outcome: str
) -> None:
    _, dead = a_run(Scenario(row_after=math.inf), delete_timeout=0.6)
    [record] = dead.claim(SPEC)
    drive(Calls(dead._io).provision(SPEC, str(record.key)))
    dead.records.clear()
    heir = SmokeSession(dead.config, dead.ledger, forms=dead.forms)
    heir.adopt({})
    [adopted] = heir.records
    # So it is for the main process while a worker ends: only the worker saw the row go.
    adopted.state, adopted.leak = state, "a signal came before a row for its key did"
    if fact is None:
        (dead.ledger.folder / "ledger.jsonl").unlink()
    else:
        dead.ledger.write(str(record.key), fact, "an-id")
    heir.close()
    assert report_of(adopted, 0.0).outcome == outcome
    assert (adopted.leak is None) is (outcome == "deleted")
    heir.records.clear()


def test_a_ledger_that_is_lost_in_the_middle_stops_no_deletion(a_run: Runs) -> None:
    fake, session = a_run()
    session.provision(SPEC)
    shutil.rmtree(session.ledger.folder)
    session.close()
    assert fake.instances[0].deleted
    [record] = session.records
    assert [note.partition(" (")[0] for note in record.notes] == [
        "not in the ledger: deleting",
        "not in the ledger: gone",
    ]
    session.ledger.folder.write_text("not a folder")
    session.adopt({})
    assert session.records == [record]
    with pytest.raises(ConfigError, match="can't be written"):
        session.claim(SPEC)


def test_a_failed_provision_is_deleted_at_once_and_its_own_error_comes_out(a_run: Runs) -> None:
    fake, session = a_run()
    fake.fail("status", status=401)
    with pytest.raises(UnauthorizedError):
        session.provision(SPEC)
    assert fake.instances[0].deleted


def test_a_lost_answer_to_provision_leaves_one_instance_that_is_found_by_its_key(
    a_run: Runs,
) -> None:
    fake, session = a_run()
    fake.drop("provision", when="after")
    instance = session.provision(SPEC)
    assert len(fake.instances) == 1
    assert instance.id == fake.instances[0].id
    assert session.records[0].unknown_outcomes == 1


def test_a_key_in_progress_is_joined(a_run: Runs) -> None:
    fake, session = a_run()
    fake.fail("provision", status=409, when="after")
    instance = session.provision(SPEC)
    assert instance.id == fake.instances[0].id
    assert times(fake, "provision") == 1


# Interrupts


def interrupt_when(condition: Callable[[], bool]) -> threading.Thread:
    """Interrupt the main thread, as Ctrl-C does, once a condition holds."""

    def interrupt() -> None:
        until = time.monotonic() + 5
        while not condition() and time.monotonic() < until:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


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
    fake, session = a_run(Scenario(row_after=0, statuses=((0, "queued"),), ready_words=()))
    thread = interrupt_when(lambda: times(fake, "status") >= 1)
    with pytest.raises(KeyboardInterrupt):
        session.provision(SPEC)
    thread.join()
    assert session.records[0].state is State.CREATED
    session.close()
    assert fake.instances[0].deleted
