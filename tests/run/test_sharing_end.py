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
    told = run.told()
    assert [(one.id, one.outcome) for one in told] == [
        (private.id, "deleted"),
        (instance.id, "leaked"),
    ]
    assert told[1].leak_words == "its deletion was not confirmed"
    assert [seen.deleted for seen in run.fake.instances] == [True, False]
    run.main.session.adopt({})
    run.main.end()
    assert [seen.deleted for seen in run.fake.instances] == [True, True]
    # One story each, with what every process knows of it.
    stories = run.told()
    assert [(one.id, one.outcome) for one in stories] == [
        (private.id, "deleted"),
        (instance.id, "deleted"),
    ]
    shared = stories[1]
    assert (shared.spec, shared.chats, shared.leak) == (SPEC, 2, None)
    routes = ("provision", "chat", "delete")
    assert [shared.requests[route] for route in routes] == [1, 2, 1]
    assert {"provision", "ready", "turn", "delete"} <= set(shared.phases)


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


@pytest.mark.parametrize("failed", [True, False])
def test_what_is_shared_is_kept_by_the_main_process(a_run: Runs, failed: bool) -> None:
    run = a_run(keep="on-failure")
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
    assert story.outcome == ("kept" if failed else "deleted")
    assert run.fake.instances[0].deleted is not failed
    [entry] = run.main.ledger.read().open
    assert entry.state is (State.KEPT if failed else State.GONE)
    assert worker.session.records[0].state is State.READY
