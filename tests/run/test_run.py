"""A run: what it owns is gone when it is over, whatever ends it, and whoever began it."""

from __future__ import annotations

import math
import shutil
from typing import Any

import pytest
from net_tools import SPEC, run_for
from run_tools import OTHER, Runs, Shared, interrupt_when, left, times
from sharing_tools import meanwhile

from pytest_hydrasmoke import (
    ConfigError,
    HydraSmokeConfig,
    LeakError,
    ProvisionError,
    SmokeInstance,
    SmokeInstanceFactory,
)
from pytest_hydrasmoke._api.calls import Calls
from pytest_hydrasmoke._base import signals
from pytest_hydrasmoke._journal.events import Became, Claimed, Doing
from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._journal.story import Story
from pytest_hydrasmoke._report.build import report_of
from pytest_hydrasmoke._run.run import Run
from pytest_hydrasmoke._transport.protocol import drive
from pytest_hydrasmoke.fake import FakeRouter, Scenario


def test_a_spec_is_provisioned_once_for_a_scope_and_deleted_at_its_end(a_run: Runs) -> None:
    fake, run = a_run()
    shared = Shared(run)
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


def test_a_shared_agent_is_told_to_forget_what_another_test_has_said(a_run: Runs) -> None:
    fake, run = a_run()
    shared = Shared(run)
    stage = run.stage
    stage.new_conversation = "/new"
    for scene, test in enumerate(("test_1", "test_2"), 1):
        stage.test, stage.scene = test, scene
        instance = shared.of(SPEC, "session", test)
        SmokeInstance(run.handle(instance)).chat("hello")
    said = [it.body for it in fake.requests if it.route == "chat"]
    assert said == [{"message": it} for it in ("hello", "/new", "hello")]


# Attached


def attached(fake: FakeRouter, instance: SmokeInstance) -> Run:
    settings = {"url": fake.url, "token": fake.token, "instance": instance.id}
    return run_for(HydraSmokeConfig(**settings))


def test_an_attached_instance_is_used_and_never_deleted(a_run: Runs) -> None:
    fake, owner = a_run(Scenario(row_after=0, statuses=((0, "running"),), after_delete="row"))
    theirs = owner.provision(SPEC)
    run = attached(fake, theirs)
    shared = Shared(run)
    instance = shared.of(SPEC, "all", "test_1")
    assert shared.of(OTHER, "all", "test_2") is instance
    handle = SmokeInstance(run.handle(instance))
    assert (handle.id, handle.idempotency_key, handle.spec) == (theirs.id, None, None)
    assert handle.chat("hello").expect_llm_events(at_least=1).count == 1
    with pytest.raises(ConfigError, match="an attached instance is never deleted"):
        handle.delete()
    with pytest.raises(ConfigError, match="attached to an instance, and provisions none"):
        run.provision(SPEC)
    shared.end(["all"])
    run.close()
    assert not fake.instances[0].deleted
    assert report_of("it", instance, 0.0).outcome == "attached"
    theirs.delete()
    run = attached(fake, theirs)
    with pytest.raises(ProvisionError, match="the instance is 'deleted'"):
        Shared(run).of(SPEC, "all", "test_1")
    run.close()


# The end


def test_closing_deletes_all_that_is_left_and_again_does_nothing(a_run: Runs) -> None:
    fake, run = a_run()
    [instance] = run.claim(SPEC)  # owned, but never asked for
    run.close()
    assert (fake.requests, instance.state) == ((), State.UNUSED)
    # Its key is free again.
    assert run.provision(SPEC).idempotency_key == instance.key
    run.provision(SPEC).delete()
    Shared(run).of(SPEC, "all", "test_1")
    # From two threads at once.
    with meanwhile(run.close):
        run.close()
    assert (len(fake.instances), left(fake)) == (3, [])
    owned = {(it.state, it.leak) for it in run.instances if it is not instance}
    assert owned == {(State.GONE, None)}
    before = len(fake.requests)
    run.close()
    assert len(fake.requests) == before


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("status", [403, 422, 500])
def test_a_refused_deletion_is_a_leak_that_says_why(a_run: Runs, status: int, count: int) -> None:
    fake, run = a_run(delete_timeout=1.2)
    instances = [run.provision(SPEC) for _ in range(count)]
    fake.fail("delete", status=status, times=100)
    with pytest.raises(LeakError, match=f"refused with {status}") as caught:
        instances[0].delete()
    assert caught.value.phase == "delete"
    run.close()
    for instance in run.instances:
        assert instance.leak is not None
        assert instance.leak.startswith("not confirmed as deleted, it may still run")
        assert f"refused with {status}" in instance.leak
        assert report_of("it", instance, 0.0).outcome == "leaked"
    # A verdict is a verdict: nothing is tried again.
    before = len(fake.requests)
    run.close()
    assert len(fake.requests) == before
    fake.reset()


@pytest.mark.parametrize(
    ("keep", "failed", "kept"),
    [("never", True, False), ("on-failure", True, True), ("always", False, True)],
)
def test_what_is_to_be_looked_at_is_kept(a_run: Runs, keep: str, failed: bool, kept: bool) -> None:
    fake, run = a_run(keep=keep)
    shared = Shared(run)
    for i in range(2):
        shared.of(SPEC, "all", f"test_{i}").failed = failed
    instance = shared.of(SPEC, "all", "test_3")
    assert run.pending == ([] if kept else [instance])
    shared.end(["all"])
    run.close()
    assert fake.instances[0].deleted is not kept
    assert report_of("it", instance, 0.0).outcome == ("kept" if kept else "deleted")
    assert instance.leak is None


# Interrupts


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("handled", [False, True])
def test_an_interrupt_leaves_the_rest_to_the_next_clean_up_and_a_signal_hurries_it(
    a_run: Runs, handled: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "CLEANUP_SECONDS", 0.7)
    monkeypatch.setattr(signals, "ANSWERED_SECONDS", 1.5)
    fake, run = a_run()
    SmokeInstanceFactory(run).many(count)
    fake.fail("delete", status=503, times=1000, retry_after=30)
    if handled:
        run.interrupts.install()
    thread = interrupt_when(lambda: times(fake, "delete") >= count)
    try:
        with pytest.raises(KeyboardInterrupt):
            run.close()
    finally:
        run.interrupts.restore()
        thread.join()
    assert len(left(fake)) == count
    if handled:
        # This time it is a verdict: everything was asked for once more, and refused.
        asked = [it.path for it in fake.requests if it.route == "delete"]
        for instance in run.instances:
            assert sum(str(instance.id) in path for path in asked) >= 2
            assert "refused with 503" in (instance.leak or "")
        return
    # The router has recovered, and the run closes once more, as pytest's hooks do.
    fake._world.faults.reset()
    run.close()
    assert left(fake) == []
    assert not [instance.leak for instance in run.instances if instance.leak]


def test_a_process_that_did_not_run_in_its_time_for_clean_up_has_it_again(
    a_run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, run = a_run()
    SmokeInstanceFactory(run)()
    run.interrupts.received = 15
    run.interrupts.begin_clean_up()
    dispose, suspended = run.dispose_now, iter([20.0])

    def late(instances: Any) -> None:
        run.interrupts._at -= next(suspended, 0.0)
        dispose(instances)

    monkeypatch.setattr(run, "dispose_now", late)
    run.close()
    assert left(fake) == []
    assert [it.leak for it in run.instances] == [None]


# What another process has left, or told


def heir_of(dead: Run) -> Run:
    dead.instances.clear()
    return Run(dead.config, dead.ledger, absent=dead.absent)


def test_what_another_process_of_the_run_left_open_is_adopted(a_run: Runs) -> None:
    fake, dead = a_run()
    gone, kept, *others = (dead.provision(SPEC) for _ in range(4))
    gone.delete()
    for owned in dead.instances:
        if owned.id == kept.id:
            owned.becomes(State.KEPT)
    heir = heir_of(dead)
    for _ in range(2):
        heir.adopt({})
        assert [(owned.key, owned.id) for owned in heir.pending] == [
            (instance.idempotency_key, instance.id) for instance in others
        ]
    heir.close()
    assert [seen.deleted for seen in fake.instances] == [True, False, True, True]
    assert dead.ledger.read().open != []


def asked_for(dead: Run) -> str:
    """Let a process ask for an instance, and learn nothing of it; gives the key."""
    [instance] = dead.claim(SPEC)
    drive(Calls(dead._io).provision(SPEC, str(instance.key)))
    return str(instance.key)


def test_a_key_that_was_asked_for_is_adopted_and_its_row_looked_for(a_run: Runs) -> None:
    fake, dead = a_run(Scenario(row_after=0.3), ready_timeout=10)
    asked_for(dead)
    heir = heir_of(dead)
    heir.adopt({})
    assert [adopted.state for adopted in heir.instances] == [State.REQUESTED]
    heir.close()
    assert fake.instances[0].deleted
    [entry] = dead.ledger.read().open
    assert (entry.state, entry.accepted) == (State.GONE, [fake.instances[0].id])


@pytest.mark.parametrize(
    ("fact", "state", "outcome"),
    [
        (State.DELETED, State.REQUESTED, "deleted"),
        (State.GONE, State.REQUESTED, "deleted"),
        (State.DELETING, State.REQUESTED, "unsure"),
        (None, State.REQUESTED, "unsure"),
        # It has seen a row: what another process has written proves nothing against that.
        (State.DELETED, State.CREATED, "leaked"),
    ],
)
def test_what_another_process_has_seen_deleted_meanwhile_is_no_leak(
    a_run: Runs, fact: State | None, state: State, outcome: str
) -> None:
    _, dead = a_run(Scenario(row_after=math.inf), delete_timeout=0.6)
    key = asked_for(dead)
    heir = heir_of(dead)
    heir.adopt({})
    [adopted] = heir.instances
    # So it is for the main process while a worker ends: only the worker saw the row go.
    adopted.state, adopted.leak = state, "a signal came before a row for its key did"
    if fact is None:
        (dead.ledger.folder / "ledger.jsonl").unlink()
    else:
        dead.ledger.write(key, Became(fact, "an-id"))
    heir.close()
    assert report_of("it", adopted, 0.0).outcome == outcome
    assert (adopted.leak is None) is (outcome == "deleted")
    heir.instances.clear()


def test_a_ledger_that_is_lost_in_the_middle_stops_no_deletion(a_run: Runs) -> None:
    fake, run = a_run()
    run.provision(SPEC)
    shutil.rmtree(run.ledger.folder)
    run.close()
    assert fake.instances[0].deleted
    [instance] = run.instances
    assert [note.partition(" (")[0] for note in instance.notes] == [
        "not in the ledger: deleting",
        "not in the ledger: gone",
    ]
    run.ledger.folder.write_text("not a folder")
    run.adopt({})
    assert run.instances == [instance]
    before = fake.requests
    with pytest.raises(ConfigError, match="can't be written"):
        run.provision(SPEC)
    assert fake.requests == before


def test_a_delete_whose_process_died_before_its_answer_is_no_leak(a_run: Runs) -> None:
    fake, dead = a_run()
    instance = dead.provision(SPEC)
    key = str(instance.idempotency_key)
    told = {key: Story(key=key)}
    for event in (Claimed(SPEC.model_dump()), Became(State.CREATED, instance.id), Doing("delete")):
        told[key].apply("gw0", 0.0, event)
    drive(Calls(dead._io).ask_to_delete(instance.id, deadline=dead._io.now() + 5))
    assert fake.instances[0].deleted
    heir = heir_of(dead)
    heir.adopt(told)
    [adopted] = heir.instances
    heir.close()
    assert (adopted.leak, adopted.state) == (None, State.GONE)


def test_what_a_process_has_told_is_adopted_where_the_ledger_can_not_be_read(a_run: Runs) -> None:
    fake, dead = a_run()
    instance = dead.provision(SPEC)
    key = str(instance.idempotency_key)
    told = {name: Story(key=name) for name in (key, "another-0")}
    for event in (Claimed(SPEC.model_dump()), Became(State.CREATED, instance.id)):
        told[key].apply("gw0", 0.0, event)
    told[key].leak = "it did not go"
    told[instance.id] = Story(attached=True)
    ledger = dead.ledger.folder / "ledger.jsonl"
    ledger.unlink()
    ledger.mkdir()
    heir = heir_of(dead)
    heir.adopt(told)
    [adopted] = heir.instances
    assert (adopted.key, adopted.id, adopted.state) == (key, instance.id, State.CREATED)
    assert adopted.leak == "it did not go", "it is not waited for again"
    adopted.leaks(None)
    heir.close()
    assert fake.instances[0].deleted
    ledger.rmdir()
