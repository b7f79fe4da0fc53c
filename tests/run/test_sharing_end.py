"""What becomes of what processes shared: one story, told and ended by the main process."""

from __future__ import annotations

import pytest
from net_tools import SPEC
from sharing_tools import OTHER, Runs, a_run

from pytest_hydrasmoke._journal.states import State
from pytest_hydrasmoke._run.sharing import EVERYBODY

__all__ = ["a_run"]


def test_workers_leave_what_is_shared_to_the_main_process(a_run: Runs) -> None:
    run = a_run()
    first, second = run.workers(2)
    private = first.session.provision(OTHER)
    for worker in (first, second):
        with worker.holding() as instance:
            instance.chat("hello")
        worker.sharing.end([EVERYBODY])
    first.end(), second.end()
    assert [(one.id, one.outcome) for one in run.told()] == [
        (private.id, "deleted"),
        (instance.id, "leaked"),
    ]
    assert [seen.deleted for seen in run.fake.instances] == [True, False]
    run.main.session.adopt({})
    run.main.end()
    stories = run.told()
    assert [seen.deleted for seen in run.fake.instances] == [True, True]
    # One story each, with what every process knows of it.
    assert [(story.id, story.outcome) for story in stories] == [
        (private.id, "deleted"),
        (instance.id, "deleted"),
    ]
    shared = stories[1]
    assert (shared.spec, shared.chats, shared.leak) == (SPEC, 2, None)
    assert shared.requests["provision"] == 1
    assert shared.requests["chat"] == 2
    assert shared.requests["delete"] == 1
    assert {"provision", "ready", "turn", "delete"} <= set(shared.phases)


def test_what_nobody_has_seen_deleted_counts_as_leaked(a_run: Runs) -> None:
    run = a_run()
    workers = run.workers(2)
    for worker in workers:
        with worker.holding():
            pass
        worker.end()
    [story] = run.told()
    assert (story.outcome, story.leak_words) == ("leaked", "its deletion was not confirmed")


def test_a_deletion_that_a_test_saw_is_believed_whoever_tells_last(a_run: Runs) -> None:
    run = a_run()
    first, second = run.workers(2)
    with second.holding():
        pass
    with first.holding() as instance:
        instance.delete()
    for one in (first, second):
        one.end()
        [story] = run.told()
        assert story.outcome == "deleted"


@pytest.mark.parametrize(
    ("keep", "failed", "kept"),
    [("always", False, True), ("on-failure", True, True), ("on-failure", False, False)],
)
def test_what_is_shared_is_kept_by_the_main_process(
    a_run: Runs, keep: str, failed: bool, kept: bool
) -> None:
    run = a_run(keep=keep)
    [worker] = run.workers(1)
    with worker.holding():
        pass
    worker.end()
    # What failed, the reports of the tests have told.
    run.main.session.adopt({})
    for record in run.main.session.records:
        record.failed = failed
    run.main.end()
    [story] = run.told()
    assert story.outcome == ("kept" if kept else "deleted")
    assert run.fake.instances[0].deleted is not kept
    [entry] = run.main.ledger.read().open
    assert entry.state is (State.KEPT if kept else State.GONE)
    assert worker.session.records[0].state is State.READY
